//! Where the token of a server is kept: a file for its owner's eyes alone.

use crate::arguments::GlobalArguments;
use crate::exit::{Failure, Result};
use crate::secret_text;
use holotype_repo::core::secret::SecretBytes;
use holotype_server::data_dir::{make_directory, write_private};
use std::fs;
use std::path::{Path, PathBuf};

/// `--token-file`, or `holotype/token` in the directory for configuration.
pub fn path(global: &GlobalArguments) -> Result<PathBuf> {
    if let Some(path) = &global.token_file {
        return Ok(path.clone());
    }
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    variable("XDG_CONFIG_HOME")
        .or_else(|| variable("HOME").map(|path| path.join(".config")))
        .map(|path| path.join("holotype/token"))
        .ok_or_else(|| Failure::usage("token file: there is no home directory; give --token-file FILE"))
}

/// The token in it; `None` where none was named and nobody has logged in.
pub fn read(global: &GlobalArguments) -> Result<Option<SecretBytes>> {
    let path = path(global)?;
    if global.token_file.is_none() && !path.exists() {
        return Ok(None);
    }
    Ok(Some(SecretBytes::new(secret_text::from_file(&path)?.to_vec())))
}

/// Writes `token`; replaces what was there in one step.
pub fn write(path: &Path, token: &str) -> Result<()> {
    let failed = |error| Failure::io(path.display(), "write the token", error);
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directory(above).map_err(failed)?;
    write_private(path, zeroize::Zeroizing::new(format!("{token}\n")).as_bytes()).map_err(failed)
}

/// Removes it, where it is.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::io(path.display(), "remove the token", error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_its_owner_alone_and_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/token");
        write(&path, "ht_1").unwrap();
        write(&path, "ht_2").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "ht_2\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(directory.path().join("new")).unwrap().count(), 0);
    }
}
