//! The steps of a local store that change the disk. Crash tests put their own in place of them.

use crate::os::direct::{DirectAppender, DirectFile};
use crate::os::file_system;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// From this length on an object is written past the page cache: packs, which are not read soon.
pub(super) const DIRECT_BYTES: usize = 4 << 20;

/// How an upload is written: large ones past the page cache.
pub(crate) type Appender = Option<DirectAppender>;

/// One system call, or nearly, each; a crash can come before, in and after any of them.
pub(crate) trait Steps: Send + Sync {
    /// Makes a new file, open for writing.
    fn create_file(&self, path: &Path) -> io::Result<File>;
    /// Appends all of `data`. `path` is the file's name, for tests.
    fn write(&self, file: &mut File, path: &Path, data: &[u8]) -> io::Result<()>;
    /// Writes all of an object into its new file.
    fn write_all(&self, file: &mut File, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        parts.iter().try_for_each(|part| self.write(file, path, part))
    }
    /// Appends a piece of an upload.
    fn append(&self, appender: &mut Appender, file: &mut File, path: &Path, data: &[u8]) -> io::Result<()> {
        let _ = appender;
        self.write(file, path, data)
    }
    /// Writes what [`Steps::append`] holds back.
    fn finish_append(&self, appender: &mut Appender, file: &mut File) -> io::Result<()> {
        let _ = (appender, file);
        Ok(())
    }
    /// Makes a file's bytes durable.
    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()>;
    /// Renames, `AlreadyExists` where something stands there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a directory.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
}

/// What the operating system offers.
pub(crate) struct OperatingSystem;

impl Steps for OperatingSystem {
    fn create_file(&self, path: &Path) -> io::Result<File> {
        file_system::make_private_file(path)
    }
    fn write(&self, file: &mut File, _path: &Path, data: &[u8]) -> io::Result<()> {
        file.write_all(data)
    }
    fn write_all(&self, file: &mut File, _path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        match (bytes >= DIRECT_BYTES).then(|| DirectFile::beside(file)).flatten() {
            Some(direct) => direct.write_from_start(file, parts),
            None => parts.iter().try_for_each(|part| file.write_all(part)),
        }
    }
    fn append(&self, appender: &mut Appender, file: &mut File, _path: &Path, data: &[u8]) -> io::Result<()> {
        match appender {
            Some(appender) => appender.push(file, data),
            None => file.write_all(data),
        }
    }
    fn finish_append(&self, appender: &mut Appender, file: &mut File) -> io::Result<()> {
        appender.as_mut().map_or(Ok(()), |appender| appender.finish(file))
    }
    fn sync_file(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_all()
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        file_system::rename_without_replacing(from, to)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        file_system::make_private_directory(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        file_system::sync_directory(path)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}
