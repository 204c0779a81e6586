//! The server's directory.
//!
//! ```text
//! holotype.sqlite          the management database (with -wal and -shm while it is in use)
//! lock                     held by the server that runs on it
//! repositories/ORG/NAME    repositories that were given no directory of their own
//! indexes/                 the indexes over packs; disposable
//! receipt.key              what signs receipts
//! kernels/                 kernel images
//! tls/                     certificate and key
//! initial-admin-password   written at the first start
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A server's directory.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

/// Held by the server that runs; given up when dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct DataLock(#[expect(dead_code, reason = "it is held, not used")] File);

impl DataDir {
    /// An existing one.
    ///
    /// # Errors
    /// A sentence where there is none.
    pub fn open(path: &Path) -> Result<Self, String> {
        match fs::canonicalize(path) {
            Ok(path) if path.is_dir() => Ok(Self(path)),
            Ok(_) => Err(format!("{}: it is no directory; give the server's directory", path.display())),
            Err(error) => Err(format!("{}: could not open the server's directory: {error}", path.display())),
        }
    }

    /// An existing one, or a new one for its owner's eyes alone.
    ///
    /// # Errors
    /// A sentence where none can be made.
    pub fn create(path: &Path) -> Result<Self, String> {
        make_directory(path).map_err(|error| format!("{}: could not make it: {error}", path.display()))?;
        Self::open(path)
    }

    /// Takes the lock that says a server runs here.
    ///
    /// # Errors
    /// A sentence where another process holds it.
    pub fn lock(&self) -> Result<DataLock, String> {
        let path = self.0.join("lock");
        let mut options = File::options();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| format!("{}: could not open it: {error}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(DataLock(file)),
            Err(TryLockError::WouldBlock) => {
                Err(format!("{}: another server runs on this directory; stop it first", self.0.display()))
            }
            Err(TryLockError::Error(error)) => Err(format!("{}: could not lock it: {error}", path.display())),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The management database.
    pub fn database(&self) -> PathBuf {
        self.0.join("holotype.sqlite")
    }

    /// Where repositories lie that were given no directory of their own.
    pub fn repositories(&self) -> PathBuf {
        self.0.join("repositories")
    }

    /// Kernel images.
    pub fn kernels(&self) -> PathBuf {
        self.0.join("kernels")
    }

    /// Certificate and key.
    pub fn tls(&self) -> PathBuf {
        self.0.join("tls")
    }
}

/// Makes a directory and those above it, for their owner's eyes alone; fine where it is there.
///
/// # Errors
/// What the operating system says.
pub fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a file that only its owner reads, in place of what was there: whole and durable, or not at all.
///
/// # Errors
/// What the operating system says.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with 0600: nobody else reads it at any time.
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(above)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    if cfg!(unix) {
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/data");
        assert!(DataDir::open(&path).is_err());
        let data = DataDir::create(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let lock = data.lock().unwrap();
        assert!(DataDir::open(&path).unwrap().lock().unwrap_err().contains("another server runs"));
        drop(lock);
        data.lock().unwrap();
    }
}
