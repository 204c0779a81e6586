//! Names of objects.

use std::fmt;

/// The folders of a repository. Every object is in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// `config`: one object, `config/repository`.
    Config,
    /// `keys/SLOT`
    Keys,
    /// `packs/PACK`: data packs.
    Packs,
    /// `meta/PACK`: packs of manifest nodes.
    Meta,
    /// `index/SEGMENT`
    Index,
    /// `images/IMAGE`
    Images,
    /// `receipts/…`
    Receipts,
    /// `leases/LEASE-COUNTER` and `leases/LEASE-revoked`
    Leases,
    /// `tombstones/PACK`
    Tombstones,
}

impl Folder {
    /// Every folder.
    pub const ALL: [Folder; 9] = [
        Folder::Config,
        Folder::Keys,
        Folder::Packs,
        Folder::Meta,
        Folder::Index,
        Folder::Images,
        Folder::Receipts,
        Folder::Leases,
        Folder::Tombstones,
    ];

    /// The folder's name in the repository.
    pub fn name(self) -> &'static str {
        match self {
            Folder::Config => "config",
            Folder::Keys => "keys",
            Folder::Packs => "packs",
            Folder::Meta => "meta",
            Folder::Index => "index",
            Folder::Images => "images",
            Folder::Receipts => "receipts",
            Folder::Leases => "leases",
            Folder::Tombstones => "tombstones",
        }
    }
}

/// The name of an object: a folder and a name of 1 to 128 characters `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    folder: Folder,
    name: String,
}

impl ObjectKey {
    /// The repository's only config object.
    pub fn config() -> Self {
        Self { folder: Folder::Config, name: "repository".into() }
    }

    /// `name` in `folder`, or `None` where it has characters or a length that no name has.
    pub fn new(folder: Folder, name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        ((1..=128).contains(&name.len()) && name.bytes().all(allowed)).then_some(Self { folder, name })
    }

    /// The object of `folder` that is named by an id.
    pub fn of(folder: Folder, id: impl fmt::Display) -> Self {
        Self::new(folder, id.to_string()).expect("ids are lower-case hexadecimal")
    }

    /// Its folder.
    pub fn folder(&self) -> Folder {
        self.folder
    }

    /// Its name inside the folder.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.folder.name(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_folder() {
        for name in ["", "..", "a/b", "A", "a.b", "\0", &"a".repeat(129)] {
            assert_eq!(ObjectKey::new(Folder::Packs, name), None, "{name:?}");
        }
        assert_eq!(ObjectKey::new(Folder::Packs, "a-1").unwrap().to_string(), "packs/a-1");
    }
}
