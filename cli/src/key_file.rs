//! Fresh key files: random, readable by their owner only, never over another file.

use crate::exit::{Failure, Result};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Random bytes of a key file; it holds them as text.
const KEY_BYTES: usize = 32;
/// Hexadecimal digits between two dashes.
const GROUP_DIGITS: usize = 8;

/// A key file that nothing is opened by yet. Removed when dropped before [`FreshKeyFile::keep`].
pub struct FreshKeyFile {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl FreshKeyFile {
    /// Takes the place.
    ///
    /// # Errors
    /// Where something is there, or nothing can be made there.
    pub fn create(path: &Path) -> Result<Self> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::failed(
                "already-exists",
                format!(
                    "{}: something is there already, and a key is never written over it; give another path",
                    path.display()
                ),
            ),
            _ => Failure::io(path.display(), "make the key file", error),
        })?;
        Ok(Self { file, path: path.to_owned(), kept: false })
    }

    /// Writes a fresh key under a comment, durably, and gives the file's bytes: they are the key.
    pub fn write(&mut self, comment: &str) -> Result<Zeroizing<Vec<u8>>> {
        let mut random = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *random)
            .map_err(|error| Failure::failed("io", format!("random numbers: could not get any: {error}")))?;
        let text = Zeroizing::new(key_text(comment, &random));
        self.write_text(&text)?;
        Ok(Zeroizing::new(text.as_bytes().to_vec()))
    }

    /// Writes a secret as it is, durably.
    pub fn write_text(&mut self, text: &str) -> Result<()> {
        let failed = |error| Failure::io(self.path.display(), "write the secret", error);
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all()).map_err(failed)?;
        sync_directory_of(&self.path).map_err(failed)
    }

    /// Leaves it there: a key slot opens with it now.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for FreshKeyFile {
    fn drop(&mut self) {
        if !self.kept {
            // It opens nothing, so it is of no use to anybody.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn key_text(comment: &str, random: &[u8; KEY_BYTES]) -> String {
    // Room for all of it at once, so that no copy stays behind.
    let mut text = String::with_capacity(comment.len() + 128);
    let _ = writeln!(text, "# {comment}");
    for (place, byte) in random.iter().enumerate() {
        if place > 0 && place % (GROUP_DIGITS / 2) == 0 {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}

fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(above)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_once_and_nothing_is_left_of_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let mut file = FreshKeyFile::create(&path).unwrap();
        let bytes = file.write("A key.").unwrap();
        file.keep();
        assert_eq!(fs::read(&path).unwrap(), *bytes);
        assert!(bytes.starts_with(b"# A key.\n") && bytes.len() == 9 + 64 + 7 + 1);
        assert_eq!(FreshKeyFile::create(&path).err().unwrap().kind(), "already-exists");
        let mut second = FreshKeyFile::create(&directory.path().join("second")).unwrap();
        second.write("Of no slot.").unwrap();
        drop(second);
        assert!(!directory.path().join("second").exists());
    }
}
