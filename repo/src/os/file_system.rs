//! File operations that std has under other names per system, or not at all.

use std::fs::File;
use std::io;
use std::path::Path;

/// One read at a place; see `pread(2)`.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
    loop {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(file, buffer, offset_bytes);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, offset_bytes);
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Fills `buffer` from a place; `UnexpectedEof` where the file ends first.
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset_bytes: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match read_at(file, buffer, offset_bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => {
                buffer = &mut buffer[bytes..];
                offset_bytes += bytes as u64;
            }
        }
    }
    Ok(())
}

/// Writes all of `data` at a place.
pub(crate) fn write_all_at(file: &File, data: &[u8], offset_bytes: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::write_all_at(file, data, offset_bytes)
    }
    #[cfg(windows)]
    {
        let mut written = 0;
        while written < data.len() {
            match std::os::windows::fs::FileExt::seek_write(file, &data[written..], offset_bytes + written as u64)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                bytes => written += bytes,
            }
        }
        Ok(())
    }
}

/// Makes the entries of a directory durable. Systems that cannot open directories do that by themselves.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        File::open(directory)?.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _ = directory;
        Ok(())
    }
}

/// Renames a file where nothing stands under the new name, else `AlreadyExists`; atomic.
pub(crate) fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // File systems without the flag (NFS) answer EINVAL, old kernels ENOSYS.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_without_replacing(from, to),
            result => result.map_err(Into::into),
        }
    }
    #[cfg(not(target_os = "linux"))]
    link_without_replacing(from, to)
}

/// The same by a second link to the file; a crash in between leaves both names.
fn link_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)?;
    std::fs::remove_file(from)
}

/// Makes a directory that only its owner may enter.
pub(crate) fn make_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Makes a new file that only its owner may read and write, open for both.
pub(crate) fn make_private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Bytes that anyone may still write on the filesystem of `directory`; `None` where it does not tell:
/// some network and FUSE filesystems answer with zeros.
pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let system = rustix::fs::statvfs(directory).ok().filter(|system| system.f_blocks > 0)?;
        system.f_bavail.checked_mul(system.f_frsize)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = directory;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rename = fn(&Path, &Path) -> io::Result<()>;

    #[test]
    fn neither_way_of_renaming_replaces() {
        for rename in [rename_without_replacing as Rename, link_without_replacing] {
            let directory = tempfile::tempdir().unwrap();
            let (a, b) = (directory.path().join("a"), directory.path().join("b"));
            std::fs::write(&a, "new").unwrap();
            std::fs::write(&b, "old").unwrap();
            assert_eq!(rename(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(&b).unwrap(), b"old");
            std::fs::remove_file(&b).unwrap();
            rename(&a, &b).unwrap();
            assert_eq!(std::fs::read(&b).unwrap(), b"new");
            assert!(!a.exists());
        }
    }

    #[test]
    fn reading_over_the_end_is_an_error() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, b"0123456789").unwrap();
        let mut buffer = [0; 4];
        read_exact_at(file.as_file(), &mut buffer, 6).unwrap();
        assert_eq!(&buffer, b"6789");
        let error = read_exact_at(file.as_file(), &mut buffer, 7).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
