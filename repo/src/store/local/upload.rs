//! Uploads into a local store: a file in `tmp` that grows, and may go on after a break.

use super::steps::{Appender, DIRECT_BYTES};
use super::{COMPARE_BYTES, Comparison, LocalStore, layout, temporary};
use crate::error::{Error, ErrorKind, Result};
use crate::os::direct::DirectAppender;
use crate::os::file_system::{read_at, read_exact_at};
use crate::store::upload::{check_complete, check_room_for};
use crate::store::{ObjectKey, Put, Upload, other_bytes, valid_tag};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// An upload at work. A crash before its commit leaves the file in `tmp`, as long as it came or
/// shorter; in the commit, what a crash in a put leaves.
pub(super) struct LocalUpload<'a> {
    store: &'a LocalStore,
    key: ObjectKey,
    file: File,
    temporary: PathBuf,
    /// Whether the file is kept under its tag where the upload is broken off.
    kept: bool,
    appender: Appender,
    received_bytes: u64,
    total_bytes: u64,
    done: bool,
}

pub(super) fn open<'a>(store: &'a LocalStore, key: &ObjectKey, total_bytes: u64, tag: &str) -> Result<LocalUpload<'a>> {
    if !valid_tag(tag) {
        return Err(Error::new(ErrorKind::InvalidInput, key.to_string(), "its upload has a tag that is none"));
    }
    let failed = |error| Error::io(store.path(key).display().to_string(), "begin the upload", error);
    let taken = take_tagged(store, tag).map_err(failed)?;
    let kept = taken.is_some();
    let (mut file, temporary) = match taken {
        Some(taken) => taken,
        // Another is at work under this tag; this one is for itself.
        None => store.create_temporary().map_err(failed)?,
    };
    let found_bytes = file.metadata().map_err(failed)?.len();
    let whole = DirectAppender::whole_blocks(found_bytes);
    let received_bytes = if whole <= total_bytes { whole } else { 0 };
    if received_bytes != found_bytes {
        file.set_len(received_bytes).map_err(failed)?;
    }
    file.seek(SeekFrom::Start(received_bytes)).map_err(failed)?;
    let appender = (total_bytes >= DIRECT_BYTES as u64).then(|| DirectAppender::new(&file, received_bytes));
    let key = key.clone();
    Ok(LocalUpload { store, key, file, temporary, kept, appender, received_bytes, total_bytes, done: false })
}

/// How much of a tagged upload is there.
pub(super) fn received_bytes(store: &LocalStore, tag: &str) -> Result<u64> {
    let path = store.root.join(layout::TEMPORARY).join(temporary::upload_name(tag));
    match std::fs::metadata(&path) {
        Ok(found) => Ok(DirectAppender::whole_blocks(found.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Error::io(path.display().to_string(), "look at the upload", error)),
    }
}

/// The file of a tag, locked; `None` where another holds it.
fn take_tagged(store: &LocalStore, tag: &str) -> io::Result<Option<(File, PathBuf)>> {
    let path = store.root.join(layout::TEMPORARY).join(temporary::upload_name(tag));
    let file = match File::options().read(true).write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match store.create_at(&path) {
                // Made meanwhile, so another is at work.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
                result => result?,
            }
        }
        result => result?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        // A filesystem without locks: nobody goes on there.
        Err(std::fs::TryLockError::Error(_)) => return Ok(None),
    }
    // Who held it before may have made it an object, or removed it.
    Ok(is_same_file(&file, &path)?.then_some((file, path)))
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(theirs) => Ok((ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_same_file(_file: &File, path: &Path) -> io::Result<bool> {
    Ok(path.exists())
}

impl LocalUpload<'_> {
    fn failed(&self, action: &str, error: io::Error) -> Error {
        Error::io(self.store.path(&self.key).display().to_string(), action, error)
    }

    /// The commit order of a put.
    fn try_commit(&mut self) -> io::Result<Option<Put>> {
        let steps = &self.store.steps;
        steps.finish_append(&mut self.appender, &mut self.file)?;
        let directory = self.store.prepare_directory(&self.key)?;
        let path = directory.join(self.key.name());
        let file = &self.file;
        self.store.publish(file, &self.temporary, &path, &directory, &|| {
            let other = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                result => result?,
            };
            if !hold_the_same(file, &other)? {
                return Ok(Some(Comparison::Different));
            }
            self.store.make_durable(&other, &path, &directory)?;
            Ok(Some(Comparison::Same))
        })
    }

    fn remove(&mut self) {
        self.done = true;
        if let Err(error) = self.store.steps.remove_file(&self.temporary) {
            tracing::debug!("could not remove {}: {error}", self.temporary.display());
        }
    }
}

/// Whether two files hold the same bytes.
fn hold_the_same(ours: &File, theirs: &File) -> io::Result<bool> {
    let bytes = ours.metadata()?.len();
    if theirs.metadata()?.len() != bytes {
        return Ok(false);
    }
    let (mut one, mut other) = (vec![0; COMPARE_BYTES], vec![0; COMPARE_BYTES]);
    let mut at = 0;
    while at < bytes {
        let now = usize::try_from(bytes - at).map_or(COMPARE_BYTES, |left| left.min(COMPARE_BYTES));
        let (one, other) = (&mut one[..now], &mut other[..now]);
        read_exact_at(ours, one, at)?;
        read_exact_at(theirs, other, at)?;
        if one != other {
            return Ok(false);
        }
        at += now as u64;
    }
    Ok(true)
}

impl Upload for LocalUpload<'_> {
    fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    fn replay(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut buffer = vec![0; COMPARE_BYTES];
        let mut at = 0;
        while at < self.received_bytes {
            let now = usize::try_from(self.received_bytes - at).map_or(COMPARE_BYTES, |left| left.min(COMPARE_BYTES));
            let read = read_at(&self.file, &mut buffer[..now], at)
                .map_err(|error| self.failed("read what came of the upload", error))?;
            if read == 0 {
                return Err(self.failed("read what came of the upload", io::ErrorKind::UnexpectedEof.into()));
            }
            take(&buffer[..read])?;
            at += read as u64;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        check_room_for(&self.key, self.received_bytes, bytes.len(), self.total_bytes)?;
        let steps = &self.store.steps;
        steps
            .append(&mut self.appender, &mut self.file, &self.temporary, bytes)
            .map_err(|error| self.failed("write the upload", error))?;
        self.received_bytes += bytes.len() as u64;
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<Put> {
        check_complete(&self.key, self.received_bytes, self.total_bytes)?;
        let committed = self.try_commit();
        match committed {
            Ok(Some(Put::Stored)) => {
                self.done = true;
                Ok(Put::Stored)
            }
            Ok(Some(put)) => {
                self.remove();
                Ok(put)
            }
            Ok(None) => {
                self.remove();
                Err(other_bytes(self.store.path(&self.key).display().to_string()))
            }
            Err(error) => {
                self.remove();
                Err(self.failed("store the object", error))
            }
        }
    }

    fn discard(mut self: Box<Self>) {
        self.remove();
    }
}

impl Drop for LocalUpload<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        match self.kept {
            // As far as it came; it is hashed again when it goes on.
            true => drop(self.store.steps.finish_append(&mut self.appender, &mut self.file)),
            false => self.remove(),
        }
    }
}
