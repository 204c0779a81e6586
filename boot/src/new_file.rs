//! A file that is there whole or not at all.

use crate::error::{BootError, Result};
use crate::watch::{self, Watch};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Bytes written between two looks at whether to stop.
pub const STEP_BYTES: usize = 4 << 20;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone: a medium may hold a key, a code or a password.
    Owner,
    /// Every user: servers of network boot run as users of their own.
    Everybody,
}

/// Has `write` write a file, and puts it at `path` at the end, over what was there. Until then it lies beside, under a
/// name of its own, and is gone where anything fails or the work is stopped.
pub fn new_file<T>(
    path: &Path,
    readers: Readers,
    watch: &dyn Watch,
    write: impl FnOnce(&mut File) -> Result<T>,
) -> Result<T> {
    let path = &place(path)?;
    let failed = |error: io::Error| write_failed(path, &error);
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(above).map_err(failed)?;
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(above).map_err(failed)?;
    watch::check(watch, path.display())?;
    let made = write(file.as_file_mut())?;
    watch::check(watch, path.display())?;
    // Without this it is for its owner alone, as all temporary files.
    #[cfg(unix)]
    if readers == Readers::Everybody {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    watch::check(watch, path.display())?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(made)
}

/// Writes bytes, and stops in between where that is wanted.
pub fn write_all(file: &mut impl Write, bytes: &[u8], path: &Path, watch: &dyn Watch) -> Result<()> {
    for step in bytes.chunks(STEP_BYTES) {
        watch::check(watch, path.display())?;
        file.write_all(step).map_err(|error| write_failed(path, &error))?;
        watch.advanced(step.len() as u64);
    }
    Ok(())
}

/// What a failure to write means.
pub fn write_failed(path: &Path, error: &io::Error) -> BootError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            BootError::new(path.display(), "there is no room for it on that disk, and nothing of it was kept")
                .advise("make room, or give a place on another disk")
        }
        ErrorKind::FileTooLarge => BootError::new(path.display(), "that filesystem holds no file as large")
            .advise("give a place on another, or make the medium smaller"),
        _ => BootError::io(path, "write it", error),
    }
}

/// Where the file is to be: at the end of links. What is there and is no plain file is not replaced by one.
fn place(path: &Path) -> Result<PathBuf> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {
            std::fs::canonicalize(path).map_err(|error| BootError::io(path, "look at it", &error))
        }
        Ok(found) if found.is_dir() => {
            Err(BootError::new(path.display(), "it is a folder").advise("give the name of a file in it"))
        }
        Ok(_) => Err(BootError::new(path.display(), "it is no plain file")
            .advise("make an image file first; holotype boot write puts it on a stick")),
        Err(_) => Ok(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct StopsAfter(AtomicU32);

    impl Watch for StopsAfter {
        fn is_cancelled(&self) -> bool {
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_is_stopped_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "old").unwrap();
        let content = vec![7; 3 * STEP_BYTES];
        let mut steps = 0;
        loop {
            let watch = StopsAfter(AtomicU32::new(steps));
            match new_file(&path, Readers::Owner, &watch, |file| write_all(file, &content, &path, &watch)) {
                Ok(()) => break,
                Err(error) => assert!(error.to_string().contains("stopped"), "{error}"),
            }
            assert_eq!(std::fs::read(&path).unwrap(), b"old");
            assert_eq!(names(folder.path()), ["a"]);
            steps += 1;
        }
        assert_eq!(steps, 6);
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }

    #[cfg(unix)]
    #[test]
    fn only_those_who_may_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (readers, mode) in [(Readers::Everybody, 0o644), (Readers::Owner, 0o600)] {
            new_file(&path, readers, &(), |file| write_all(file, b"new", &path, &())).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{readers:?}");
        }
    }

    #[test]
    fn links_stay_and_devices_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&file, &link).unwrap();
        new_file(&link, Readers::Owner, &(), |new| write_all(new, b"new", &link, &())).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
        let refused = new_file(Path::new("/dev/null"), Readers::Owner, &(), |_| Ok(())).unwrap_err().to_string();
        assert!(refused.contains("no plain file"), "{refused}");
        assert!(new_file(folder.path(), Readers::Owner, &(), |_| Ok(())).is_err());
    }
}
