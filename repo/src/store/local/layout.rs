//! Where objects lie under a repository's directory.
//!
//! | path | what |
//! |---|---|
//! | `packs/ab/abcdef…`, `meta/ab/abcdef…` | objects of the two big folders, by the first two characters of their names |
//! | `FOLDER/NAME` | objects of the other folders |
//! | `tmp/BOOT-PROCESS-RANDOM`, `tmp/upload-TAG` | puts and uploads that are not done; see [`super::temporary`] |

use crate::store::{Folder, ObjectKey};
use std::path::{Path, PathBuf};

/// The folder of unfinished puts.
pub(super) const TEMPORARY: &str = "tmp";

/// How many characters of a name choose its directory in the big folders.
const FAN_OUT_CHARACTERS: usize = 2;

/// Whether the objects of `folder` lie in directories by the beginning of their names.
pub(super) fn fans_out(folder: Folder) -> bool {
    matches!(folder, Folder::Packs | Folder::Meta)
}

/// The directory of a name in a folder that fans out. Names are ASCII.
pub(super) fn fan_out(name: &str) -> &str {
    name.get(..FAN_OUT_CHARACTERS).unwrap_or(name)
}

/// The directory that holds the object.
pub(super) fn directory_of(root: &Path, key: &ObjectKey) -> PathBuf {
    let folder = root.join(key.folder().name());
    if fans_out(key.folder()) { folder.join(fan_out(key.name())) } else { folder }
}

/// The object's file.
pub(super) fn path_of(root: &Path, key: &ObjectKey) -> PathBuf {
    directory_of(root, key).join(key.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_big_folders_fan_out() {
        let path = |folder, name: &str| path_of(Path::new("/r"), &ObjectKey::new(folder, name).unwrap());
        assert_eq!(path(Folder::Packs, "abcdef"), Path::new("/r/packs/ab/abcdef"));
        assert_eq!(path(Folder::Meta, "abcdef"), Path::new("/r/meta/ab/abcdef"));
        assert_eq!(path(Folder::Packs, "a"), Path::new("/r/packs/a/a"));
        assert_eq!(path(Folder::Images, "abcdef"), Path::new("/r/images/abcdef"));
        assert_eq!(path(Folder::Config, "repository"), Path::new("/r/config/repository"));
    }
}
