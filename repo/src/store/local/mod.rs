//! A repository in a local directory.

#[cfg(test)]
mod crash_tests;
mod layout;
mod steps;
mod temporary;
#[cfg(test)]
mod tests;
mod upload;
#[cfg(test)]
mod upload_tests;

use super::{Folder, ObjectInfo, ObjectKey, Put, Store, Upload};
use crate::error::{Error, ErrorKind, Result};
use crate::os::file_system::{free_bytes, read_exact_at};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use steps::{OperatingSystem, Steps};

/// A directory that a new file system has at its root; it does not make a directory "not empty".
const LOST_AND_FOUND: &str = "lost+found";

/// How much of a present object is held in memory while it is compared.
const COMPARE_BYTES: usize = 1 << 20;

/// How often a put starts again because the object under its name came and went.
const PUBLISH_ATTEMPTS: u32 = 16;

/// Objects as files in a directory, which only its owner may enter. Several processes and hosts
/// may use it at once, as far as their file system is one.
pub struct LocalStore {
    root: PathBuf,
    steps: Box<dyn Steps>,
    /// Directories of the big folders that this process knows to be durable.
    durable_directories: Mutex<HashSet<PathBuf>>,
}

impl LocalStore {
    /// Makes a store at `path`: an empty directory, or one that is made in an existing directory.
    /// The folders of an interrupted creation count as empty.
    ///
    /// # Errors
    /// `AlreadyExists` where something is in there; `NotFound` where the directory above is not;
    /// otherwise what the operating system says.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::create_with(path.as_ref(), Box::new(OperatingSystem))
    }

    /// Opens the store at `path`, and removes what processes that died long ago left half-written.
    ///
    /// # Errors
    /// `NotFound` where there is none; otherwise what the operating system says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path.as_ref(), Box::new(OperatingSystem))
    }

    fn create_with(root: &Path, steps: Box<dyn Steps>) -> Result<Self> {
        let about_root = |action: &str, error| Error::io(root.display().to_string(), action, error);
        match steps.create_directory(root) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => refuse_if_used(root)?,
            result => result.map_err(|error| about_root("make the directory", error))?,
        }
        let folders = Folder::ALL.iter().map(|folder| folder.name()).chain([layout::TEMPORARY]);
        for folder in folders {
            match steps.create_directory(&root.join(folder)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => result.map_err(|error| about_root("make its folders", error))?,
            }
        }
        let above = match root.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        for directory in [root, above] {
            steps.sync_directory(directory).map_err(|error| about_root("make the directory durable", error))?;
        }
        Ok(Self::at(root, steps))
    }

    fn open_with(root: &Path, steps: Box<dyn Steps>) -> Result<Self> {
        for folder in Folder::ALL {
            match std::fs::metadata(root.join(folder.name())) {
                Ok(found) if found.is_dir() => {}
                Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    return Err(Error::io(root.display().to_string(), "look for a repository", error));
                }
                _ => {
                    let why = if root.exists() {
                        format!("is no repository: it has no folder `{}`", folder.name())
                    } else {
                        "there is no such directory, so no repository".to_owned()
                    };
                    let advice = "check the path (is the disk mounted?), or make a repository there first";
                    return Err(Error::new(ErrorKind::NotFound, root.display().to_string(), why).advise(advice));
                }
            }
        }
        for leftover in temporary::leftovers(&root.join(layout::TEMPORARY), SystemTime::now()) {
            if let Err(error) = steps.remove_file(&leftover) {
                tracing::debug!("could not remove {}: {error}", leftover.display());
            }
        }
        Ok(Self::at(root, steps))
    }

    fn at(root: &Path, steps: Box<dyn Steps>) -> Self {
        Self { root: root.to_owned(), steps, durable_directories: Mutex::default() }
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        layout::path_of(&self.root, key)
    }

    /// Makes the directory of `key` where it has to be, and makes sure that it is durable.
    fn prepare_directory(&self, key: &ObjectKey) -> io::Result<PathBuf> {
        let directory = layout::directory_of(&self.root, key);
        if !layout::fans_out(key.folder()) || self.durable_directories().contains(&directory) {
            return Ok(directory);
        }
        match self.steps.create_directory(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
        // Also where it stood already: whoever made it may have died before syncing.
        self.steps.sync_directory(&self.root.join(key.folder().name()))?;
        self.durable_directories().insert(directory.clone());
        Ok(directory)
    }

    fn durable_directories(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.durable_directories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts, with the errors of the operating system; `None` where other bytes stand there.
    ///
    /// A crash after each step leaves: nothing; an empty directory; a file in `tmp` (each later
    /// one, up to the rename), which no listing shows and `open` removes after a day; the whole
    /// object, or, where the file system lost the rename, the file in `tmp`.
    fn try_put(&self, key: &ObjectKey, parts: &[&[u8]]) -> io::Result<Option<Put>> {
        let directory = self.prepare_directory(key)?;
        let path = directory.join(key.name());
        if let Some(outcome) = self.compare(&path, &directory, parts)? {
            return Ok(outcome.put());
        }
        let (mut file, temporary) = self.create_temporary()?;
        let result = self.fill_and_publish(&mut file, &temporary, &path, &directory, parts);
        drop(file);
        if !matches!(result, Ok(Some(Put::Stored))) {
            // After a failed sync of the directory it is the object already, and is not here.
            let _ = self.steps.remove_file(&temporary);
        }
        result
    }

    fn fill_and_publish(
        &self,
        file: &mut File,
        temporary: &Path,
        path: &Path,
        directory: &Path,
        parts: &[&[u8]],
    ) -> io::Result<Option<Put>> {
        self.steps.write_all(file, temporary, parts)?;
        self.publish(file, temporary, path, directory, &|| self.compare(path, directory, parts))
    }

    /// The end of a put and of an upload: the file in `tmp`, all of it written, becomes the object.
    fn publish(
        &self,
        file: &File,
        temporary: &Path,
        path: &Path,
        directory: &Path,
        compare: &dyn Fn() -> io::Result<Option<Comparison>>,
    ) -> io::Result<Option<Put>> {
        self.steps.sync_file(file, temporary)?;
        for _ in 0..PUBLISH_ATTEMPTS {
            match self.steps.rename(temporary, path) {
                Ok(()) => {
                    self.steps.sync_directory(directory)?;
                    return Ok(Some(Put::Stored));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if let Some(outcome) = compare()? {
                        return Ok(outcome.put());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("an object of that name comes and goes"))
    }

    fn create_temporary(&self) -> io::Result<(File, PathBuf)> {
        let folder = self.root.join(layout::TEMPORARY);
        let path = folder.join(temporary::new_name()?);
        Ok((self.create_at(&path)?, path))
    }

    /// Makes a file in `tmp`.
    fn create_at(&self, path: &Path) -> io::Result<File> {
        match self.steps.create_file(path) {
            // Copies of a repository may lack its empty folders.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.steps.create_directory(&self.root.join(layout::TEMPORARY)) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                self.steps.create_file(path)
            }
            result => result,
        }
    }

    /// Compares the object at `path`, if there is one, and makes it durable if it is the same.
    fn compare(&self, path: &Path, directory: &Path, parts: &[&[u8]]) -> io::Result<Option<Comparison>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result?,
        };
        if !holds_exactly(&file, parts)? {
            return Ok(Some(Comparison::Different));
        }
        self.make_durable(&file, path, directory)?;
        Ok(Some(Comparison::Same))
    }

    /// Whoever made the object may have died before syncing.
    fn make_durable(&self, file: &File, path: &Path, directory: &Path) -> io::Result<()> {
        self.steps.sync_file(file, path)?;
        self.steps.sync_directory(directory)
    }
}

/// How the object that stands there compares to what is put.
enum Comparison {
    Same,
    Different,
}

impl Comparison {
    fn put(self) -> Option<Put> {
        match self {
            Comparison::Same => Some(Put::AlreadyPresent),
            Comparison::Different => None,
        }
    }
}

/// Whether a file, from where it stands, is the concatenation of `parts`.
fn holds_exactly(mut file: &File, parts: &[&[u8]]) -> io::Result<bool> {
    let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
    if file.metadata()?.len() != bytes {
        return Ok(false);
    }
    let mut buffer = vec![0; COMPARE_BYTES.min(usize::try_from(bytes).unwrap_or(COMPARE_BYTES))];
    for piece in parts.iter().flat_map(|part| part.chunks(COMPARE_BYTES)) {
        let buffer = &mut buffer[..piece.len()];
        match file.read_exact(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        if buffer != piece {
            return Ok(false);
        }
    }
    Ok(true)
}

/// # Errors
/// `AlreadyExists` where `root` holds anything but what an interrupted creation leaves.
fn refuse_if_used(root: &Path) -> Result<()> {
    let look = |error| Error::io(root.display().to_string(), "look into the directory", error);
    for entry in std::fs::read_dir(root).map_err(look)? {
        let entry = entry.map_err(look)?;
        let name = entry.file_name();
        if name == LOST_AND_FOUND {
            continue;
        }
        let ours = Folder::ALL.iter().any(|folder| name == folder.name()) || name == layout::TEMPORARY;
        let empty = || std::fs::read_dir(entry.path()).is_ok_and(|mut entries| entries.next().is_none());
        if !(ours && empty()) {
            let why = format!("is not empty: it holds `{}`", name.to_string_lossy());
            return Err(Error::new(ErrorKind::AlreadyExists, root.display().to_string(), why)
                .advise("give a new or an empty directory"));
        }
    }
    Ok(())
}

impl Store for LocalStore {
    fn put(&self, key: &ObjectKey, parts: &[&[u8]]) -> Result<Put> {
        let subject = || self.path(key).display().to_string();
        match self.try_put(key, parts) {
            Ok(Some(put)) => Ok(put),
            Ok(None) => Err(super::other_bytes(subject())),
            Err(error) => Err(Error::io(subject(), "store the object", error)),
        }
    }

    fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>> {
        let path = self.path(key);
        let failed = |error| Error::io(path.display().to_string(), "read the object", error);
        let file = File::open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let length = super::range_length(path.display(), &range, bytes)?;
        let mut buffer = vec![0; length];
        read_exact_at(&file, &mut buffer, range.start).map_err(failed)?;
        Ok(buffer)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64> {
        let path = self.path(key);
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => Err(Error::io(path.display().to_string(), "look at the object", error)),
        }
    }

    fn list(&self, folder: Folder) -> Result<Vec<ObjectInfo>> {
        let directory = self.root.join(folder.name());
        let failed = |error| Error::io(directory.display().to_string(), "list the folder", error);
        let mut objects = Vec::new();
        if layout::fans_out(folder) {
            for entry in std::fs::read_dir(&directory).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name();
                if let Some(prefix) = name.to_str().filter(|name| layout::fan_out(name) == *name)
                    && entry.file_type().map_err(failed)?.is_dir()
                {
                    list_directory(&entry.path(), folder, Some(prefix), &mut objects).map_err(failed)?;
                }
            }
        } else {
            list_directory(&directory, folder, None, &mut objects).map_err(failed)?;
        }
        Ok(objects)
    }

    fn delete(&self, key: &ObjectKey) -> Result<()> {
        let directory = layout::directory_of(&self.root, key);
        let result = match self.steps.remove_file(&directory.join(key.name())) {
            // Whoever removed it may have died before syncing; without a directory there is nothing to sync.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !directory.is_dir() => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.steps.sync_directory(&directory),
        };
        result.map_err(|error| Error::io(self.path(key).display().to_string(), "remove the object", error))
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(free_bytes(&self.root))
    }

    fn upload(&self, key: &ObjectKey, total_bytes: u64, tag: &str) -> Result<Box<dyn Upload + '_>> {
        upload::open(self, key, total_bytes, tag).map(|upload| Box::new(upload) as Box<dyn Upload + '_>)
    }

    fn received_bytes(&self, tag: &str) -> Result<u64> {
        upload::received_bytes(self, tag)
    }

    fn confirm(&self, key: &ObjectKey) -> Result<u64> {
        let path = self.path(key);
        let failed = |error| Error::io(path.display().to_string(), "look at the object", error);
        let file = File::open(&path).map_err(failed)?;
        self.make_durable(&file, &path, &layout::directory_of(&self.root, key)).map_err(failed)?;
        Ok(file.metadata().map_err(failed)?.len())
    }

    fn describe(&self) -> String {
        self.root.display().to_string()
    }
}

/// Adds the objects of one directory to `objects`, passing over everything that is none, and what
/// goes meanwhile.
fn list_directory(
    directory: &Path,
    folder: Folder,
    prefix: Option<&str>,
    objects: &mut Vec<ObjectInfo>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok();
        let name = name.filter(|name| prefix.is_none_or(|prefix| layout::fan_out(name) == prefix));
        let Some(key) = name.and_then(|name| ObjectKey::new(folder, name)) else { continue };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => objects.push(ObjectInfo { key, bytes: metadata.len() }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
