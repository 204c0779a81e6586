//! A block device or a file as a target.

use super::direct::DirectFile;
use super::file_system::{free_bytes, read_at, sync_directory, write_all_at};
use super::in_use::{self, Subject, Use, Users};
use super::sysfs::{DeviceNumber, Sysfs};
use crate::disk::{Content, Target, TargetInfo, WriteOrder};
use crate::error::{Error, ErrorKind, Result};
use std::fs::{self, File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Written where zeros cannot be made otherwise.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Zeros are made in whole ones of these: the largest sector of today's disks.
const ZERO_ALIGNMENT_BYTES: u64 = 4096;

/// Whether what stands on a target may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Only new and empty files are written.
    Refused,
    /// The user said that what is there may go.
    Confirmed,
}

/// A block device or a file to restore to. Until [`Target::prepare`] nothing of it is changed, and
/// a new file is not made. A file is as long as it is told to be afterwards, and sparse where it was replaced by zeros.
#[derive(Debug)]
pub struct FileTarget {
    path: PathBuf,
    place: Place,
    /// Set by `open` where something stands there already, else by `prepare`.
    file: OnceLock<File>,
    prepared: OnceLock<()>,
    direct: OnceLock<Option<DirectFile>>,
    /// End of the last byte written; a file is a hole from there on.
    written_end_bytes: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    NewFile,
    ExistingFile { bytes: u64 },
    Device { bytes: u64, number: Option<DeviceNumber> },
}

/// Opens a block device, a file, or a file that is to be made, as target of a restore.
///
/// # Errors
/// `TargetRefused` where it is in use (mounted, swapped to, or a loop device stands on it; the error
/// says where), is no disk or file, or holds something and `overwrite` is `Refused`; a block device
/// always needs `Confirmed`. `NotFound` where the directory of a new file is not there.
pub fn open_target(path: impl AsRef<Path>, overwrite: Overwrite) -> Result<Box<dyn Target>> {
    Ok(Box::new(FileTarget::open(path.as_ref(), overwrite)?))
}

fn refused(path: &Path, why: impl Into<String>, advice: &str) -> Error {
    Error::new(ErrorKind::TargetRefused, path.display().to_string(), why).advise(advice)
}

impl FileTarget {
    /// Like [`open_target`].
    ///
    /// # Errors
    /// As there.
    pub fn open(path: &Path, overwrite: Overwrite) -> Result<Self> {
        let (place, file) = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => open_file(path, &metadata, overwrite)?,
            Ok(metadata) => open_device(path, &metadata, overwrite)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_new(path)?;
                (Place::NewFile, None)
            }
            Err(error) => return Err(Error::io(path.display().to_string(), "look at the target", error)),
        };
        Ok(Self {
            path: path.to_owned(),
            place,
            file: file.map(OnceLock::from).unwrap_or_default(),
            prepared: OnceLock::new(),
            direct: OnceLock::new(),
            written_end_bytes: AtomicU64::new(0),
        })
    }

    /// The file, once it may be written.
    fn file(&self) -> io::Result<&File> {
        let file = self.prepared.get().and_then(|()| self.file.get());
        file.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the target was not prepared"))
    }

    fn prepare_file(&self, target_bytes: u64, content: Content) -> io::Result<()> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = File::options().read(true).write(true).create_new(true).open(&self.path)?;
                self.file.get_or_init(|| file)
            }
        };
        match content {
            // To nothing first: what stood there becomes a hole.
            Content::Replaced => file.set_len(0)?,
            // Not known to be zeros from here on.
            Content::Kept => drop(self.written_end_bytes.fetch_max(file.metadata()?.len(), Ordering::AcqRel)),
        }
        file.set_len(target_bytes)
    }

    /// Zeros by the file system or the device; `false` where neither can.
    fn make_zeros(&self, file: &File, offset_bytes: u64, length_bytes: u64) -> bool {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            // On devices: discard where discarded blocks read as zeros, else write zeros in the kernel.
            let modes = [FallocateFlags::PUNCH_HOLE, FallocateFlags::ZERO_RANGE];
            modes
                .into_iter()
                .any(|mode| fallocate(file, mode | FallocateFlags::KEEP_SIZE, offset_bytes, length_bytes).is_ok())
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (file, offset_bytes, length_bytes);
            false
        }
    }
}

/// How much a file holds: nothing where it is all hole.
fn holds_bytes(metadata: &Metadata) -> u64 {
    #[cfg(unix)]
    let is_hole = std::os::unix::fs::MetadataExt::blocks(metadata) == 0;
    #[cfg(not(unix))]
    let is_hole = false;
    if is_hole { 0 } else { metadata.len() }
}

fn open_file(path: &Path, metadata: &Metadata, overwrite: Overwrite) -> Result<(Place, Option<File>)> {
    if holds_bytes(metadata) > 0 && overwrite == Overwrite::Refused {
        let why = format!("the file holds {} bytes already", metadata.len());
        return Err(refused(path, why, "give another path, or confirm that it may be overwritten"));
    }
    if let Some(number) = in_use::file_number(metadata) {
        let users = Users::now();
        refuse_if_used(path, &users.uses(Subject::File(number)))?;
        if let Some(device) = users.loop_paths(number).first() {
            return Err(refused(path, format!("{device} stands on it"), "detach it with `losetup --detach`"));
        }
    }
    let file = File::options().read(true).write(true).open(path);
    let file = file.map_err(|error| Error::io(path.display().to_string(), "open it as a target", error))?;
    Ok((Place::ExistingFile { bytes: holds_bytes(metadata) }, Some(file)))
}

#[cfg(target_os = "linux")]
fn open_device(path: &Path, metadata: &Metadata, overwrite: Overwrite) -> Result<(Place, Option<File>)> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;

    let Some(number) = in_use::device_number(metadata) else { return Err(refuse_type(path, metadata)) };
    refuse_if_used(path, &Users::now().uses(Subject::Device(number)))?;
    if overwrite == Overwrite::Refused {
        let why = "is a disk, and all that it holds would be lost";
        return Err(refused(path, why, "confirm that it may be overwritten"));
    }
    if Sysfs::default().device(number).is_some_and(|device| device.read_only()) {
        return Err(refused(path, "the device is read-only", "look for a write-protect switch"));
    }
    // Exclusive: the kernel refuses what it uses itself (mounts of other namespaces, RAID, LVM),
    // and lets nobody mount it until it is closed.
    let exclusive = i32::try_from(OFlags::EXCL.bits()).unwrap_or_default();
    let file = File::options().read(true).write(true).custom_flags(exclusive).open(path);
    let mut file = file.map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => {
            refused(path, "the system uses it (mounted elsewhere, or part of a RAID or volume group)", "free it first")
                .caused_by(error)
        }
        _ => Error::io(path.display().to_string(), "open it as a target", error),
    })?;
    let bytes = file.seek(SeekFrom::End(0));
    let bytes = bytes.map_err(|error| Error::io(path.display().to_string(), "find its size", error))?;
    Ok((Place::Device { bytes, number: Some(number) }, Some(file)))
}

#[cfg(not(target_os = "linux"))]
fn open_device(path: &Path, metadata: &Metadata, _overwrite: Overwrite) -> Result<(Place, Option<File>)> {
    Err(refuse_type(path, metadata))
}

fn refuse_type(path: &Path, metadata: &Metadata) -> Error {
    if metadata.is_dir() {
        refused(path, "is a directory", "give a disk, or the path of a file to make in it")
    } else {
        refused(path, "is not a disk or a file", "give a disk or a file, or `-` for standard output")
    }
}

fn refuse_if_used(path: &Path, uses: &[Use]) -> Result<()> {
    if uses.is_empty() {
        return Ok(());
    }
    let places: Vec<_> = uses.iter().map(|it| it.place.as_str()).collect();
    let why = format!("is in use at {}", places.join(", "));
    Err(refused(path, why, "unmount it (swap: `swapoff`), or boot from a medium"))
}

/// # Errors
/// Where no file can be made at `path`.
fn check_new(path: &Path) -> Result<()> {
    let subject = path.display().to_string();
    if fs::symlink_metadata(path).is_ok() {
        return Err(refused(path, "is a symbolic link to nothing", "give the path that it should lead to"));
    }
    let above = directory_of(path);
    match fs::canonicalize(above) {
        // A name mistyped there would fill memory.
        Ok(above) if above.starts_with("/dev") && !above.starts_with("/dev/shm") => {
            Err(Error::new(ErrorKind::NotFound, subject, "there is no such device"))
        }
        Ok(above) if above.is_dir() => Ok(()),
        Ok(above) => Err(refused(path, format!("{} is not a directory", above.display()), "give another path")),
        Err(error) => Err(Error::io(above.display().to_string(), "look at the directory of the target", error)),
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}

impl Target for FileTarget {
    fn order(&self) -> WriteOrder {
        WriteOrder::Any
    }

    fn info(&self) -> TargetInfo {
        let directory = directory_of(&self.path);
        match self.place {
            Place::Device { bytes, number } => {
                let device = number.and_then(|number| Sysfs::default().device(number));
                TargetInfo {
                    bytes: Some(bytes),
                    content_bytes: bytes,
                    logical_sector_bytes: device.as_ref().and_then(|device| device.logical_sector_bytes()),
                    serial: device.and_then(|device| device.serial()),
                    free_bytes: None,
                }
            }
            Place::ExistingFile { bytes } => {
                TargetInfo { content_bytes: bytes, free_bytes: free_bytes(directory), ..TargetInfo::default() }
            }
            Place::NewFile => TargetInfo { free_bytes: free_bytes(directory), ..TargetInfo::default() },
        }
    }

    fn prepare(&self, target_bytes: u64, content: Content) -> Result<()> {
        match self.place {
            Place::Device { bytes, .. } if bytes < target_bytes => {
                let why = format!("has {bytes} bytes, and {target_bytes} bytes are needed");
                return Err(refused(&self.path, why, "give a larger disk"));
            }
            Place::Device { .. } => {}
            Place::NewFile | Place::ExistingFile { .. } => self
                .prepare_file(target_bytes, content)
                .map_err(|error| Error::io(self.describe(), "make the file as long as the image", error))?,
        }
        self.prepared.get_or_init(|| ());
        Ok(())
    }

    fn read_back(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file =
            self.file.get().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the file is not made yet"))?;
        read_at(file, buffer, offset_bytes)
    }

    fn forget_cached(&self) {
        #[cfg(target_os = "linux")]
        if let Some(file) = self.file.get() {
            let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }

    fn discard(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            Ok(fallocate(self.file()?, mode, offset_bytes, length_bytes)?)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (offset_bytes, length_bytes);
            Ok(())
        }
    }

    fn write_at(&self, offset_bytes: u64, data: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        self.written_end_bytes.fetch_max(offset_bytes.saturating_add(data.len() as u64), Ordering::AcqRel);
        let middle = match self.direct.get_or_init(|| DirectFile::beside(file)) {
            Some(direct) => direct.write_middle(data, offset_bytes)?,
            None => 0..0,
        };
        write_all_at(file, &data[..middle.start], offset_bytes)?;
        write_all_at(file, &data[middle.end..], offset_bytes + middle.end as u64)
    }

    fn write_zeros(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        let file = self.file()?;
        let end_bytes = offset_bytes
            .checked_add(length_bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the range ends after 2^64"))?;
        let is_device = matches!(self.place, Place::Device { .. });
        if !is_device && offset_bytes >= self.written_end_bytes.load(Ordering::Acquire) {
            return Ok(());
        }
        let aligned_start = offset_bytes.next_multiple_of(ZERO_ALIGNMENT_BYTES).min(end_bytes);
        let aligned_end = (end_bytes - end_bytes % ZERO_ALIGNMENT_BYTES).max(aligned_start);
        write_zero_bytes(file, offset_bytes, aligned_start)?;
        if aligned_start < aligned_end && !self.make_zeros(file, aligned_start, aligned_end - aligned_start) {
            write_zero_bytes(file, aligned_start, aligned_end)?;
        }
        write_zero_bytes(file, aligned_end, end_bytes)
    }

    fn settle(&self) -> io::Result<()> {
        match self.direct.get() {
            // It is on its way already.
            Some(Some(direct)) if direct.works() => Ok(()),
            _ => self.file()?.sync_data(),
        }
    }

    fn finish(&self) -> io::Result<()> {
        self.file()?.sync_all()?;
        if self.place == Place::NewFile { sync_directory(directory_of(&self.path)) } else { Ok(()) }
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

fn write_zero_bytes(file: &File, mut from: u64, to: u64) -> io::Result<()> {
    while from < to {
        let zeros = &ZEROS[..usize::try_from(to - from).map_or(ZEROS.len(), |left| left.min(ZEROS.len()))];
        write_all_at(file, zeros, from)?;
        from += zeros.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path, overwrite: Overwrite) -> Error {
        FileTarget::open(path, overwrite).unwrap_err()
    }

    #[test]
    fn a_new_file_comes_out_sparse_and_exact() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        let target = open_target(&path, Overwrite::Refused).unwrap();
        assert!(!path.exists(), "nothing before prepare");
        assert_eq!(target.write_at(0, b"x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        target.prepare(10 << 20, Content::Replaced).unwrap();
        target.write_at(5 << 20, b"data").unwrap();
        target.write_zeros(0, 5 << 20).unwrap();
        target.write_zeros((5 << 20) + 4, (5 << 20) - 4).unwrap();
        target.finish().unwrap();
        let mut expected = vec![0; 10 << 20];
        expected[5 << 20..][..4].copy_from_slice(b"data");
        assert!(fs::read(&path).unwrap() == expected);
        #[cfg(target_os = "linux")]
        assert!(std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap()) * 512 < 1 << 20, "not sparse");
    }

    #[test]
    fn zeros_replace_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        for (start, length) in [(0, 20_000), (1, 4095), (4095, 2), (4096, 4096), (5000, 10), (100, 16_000), (7, 0)] {
            let path = directory.path().join(format!("image-{start}-{length}"));
            let target = open_target(&path, Overwrite::Refused).unwrap();
            target.prepare(20_000, Content::Replaced).unwrap();
            target.write_at(0, &[7; 20_000]).unwrap();
            target.write_zeros(start, length).unwrap();
            let mut expected = vec![7; 20_000];
            expected[start as usize..][..length as usize].fill(0);
            assert!(fs::read(&path).unwrap() == expected, "{start} {length}");
        }
    }

    #[test]
    fn a_file_that_holds_something_needs_confirmation() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        fs::write(&path, [7; 9000]).unwrap();
        let error = refusal(&path, Overwrite::Refused);
        assert_eq!(error.kind(), ErrorKind::TargetRefused);
        assert!(error.to_string().contains("9000 bytes"), "{error}");

        let target = open_target(&path, Overwrite::Confirmed).unwrap();
        assert_eq!(fs::read(&path).unwrap(), [7; 9000], "nothing before prepare");
        target.prepare(5000, Content::Replaced).unwrap();
        target.write_zeros(0, 5000).unwrap();
        assert_eq!(fs::read(&path).unwrap(), [0; 5000]);

        let empty = directory.path().join("empty");
        File::create(&empty).unwrap();
        open_target(&empty, Overwrite::Refused).unwrap().prepare(3, Content::Replaced).unwrap();
        assert_eq!(fs::read(&empty).unwrap(), [0; 3]);
    }

    #[test]
    #[cfg(unix)]
    fn what_cannot_be_a_target_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let file = directory.path().join("file");
        File::create(&file).unwrap();
        for (path, kind, words) in [
            (directory.path().to_owned(), ErrorKind::TargetRefused, "is a directory"),
            ("/dev/null".into(), ErrorKind::TargetRefused, "not a disk or a file"),
            (link, ErrorKind::TargetRefused, "symbolic link"),
            ("/dev/nonexistent-disk".into(), ErrorKind::NotFound, "no such device"),
            (directory.path().join("missing/image"), ErrorKind::NotFound, "directory of the target"),
            (file.join("image"), ErrorKind::Io, "look at the target"),
        ] {
            let error = refusal(&path, Overwrite::Confirmed);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn a_file_that_appeared_meanwhile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        let target = open_target(&path, Overwrite::Refused).unwrap();
        fs::write(&path, "somebody's").unwrap();
        assert_eq!(target.prepare(5, Content::Replaced).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"somebody's");
    }
}
