//! Where a repository's objects live.
//!
//! Every object is immutable and is named by an [`ObjectKey`]. A store keeps whole objects; no
//! step of a repository's safety depends on more than the [`Store`] trait says.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
pub mod fault;
mod key;
mod local;
pub mod locate;
mod memory;
mod upload;

pub use key::{Folder, ObjectKey};
pub use local::LocalStore;
pub use locate::Locator;
pub use memory::MemoryStore;
pub use upload::{Upload, valid_tag};

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::ops::Range;

/// What [`Store::put`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The object was not there and is there now, durably.
    Stored,
    /// The same bytes stood there already (compared, not believed), and are durable.
    AlreadyPresent,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its name.
    pub key: ObjectKey,
    /// Its length.
    pub bytes: u64,
}

/// A place for immutable objects. `store::conformance` tests every implementation.
///
/// Errors use the kinds `NotFound`, `AlreadyExists`, `NoSpace`, `PermissionDenied` and `Io`, and
/// name the object.
pub trait Store: Send + Sync {
    /// Stores the concatenation of `parts` under `key`. When it returns, data and name are durable;
    /// until then, no reader sees any part of it, also after a crash.
    ///
    /// # Errors
    /// `AlreadyExists` where other bytes stand under that name (they stay).
    fn put(&self, key: &ObjectKey, parts: &[&[u8]]) -> Result<Put>;

    /// The whole object.
    ///
    /// # Errors
    /// `NotFound`.
    fn get(&self, key: &ObjectKey) -> Result<Vec<u8>> {
        let bytes = self.size(key)?;
        self.get_range(key, 0..bytes)
    }

    /// The bytes `range` of the object, exactly: a range that ends after the object's end, or
    /// before its own start, is an error of kind `Damaged`.
    ///
    /// # Errors
    /// `NotFound`, `Damaged`.
    fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>>;

    /// The object's length in bytes.
    ///
    /// # Errors
    /// `NotFound`.
    fn size(&self, key: &ObjectKey) -> Result<u64>;

    /// Every object of `folder`, in no order. Objects that come or go meanwhile may be in it or not;
    /// one that is there before and after is in it. Leftovers of interrupted puts are not.
    ///
    /// # Errors
    /// Only where it could not look.
    fn list(&self, folder: Folder) -> Result<Vec<ObjectInfo>>;

    /// Removes the object, durably. An object that is not there is no error.
    ///
    /// # Errors
    /// Where it could not be removed.
    fn delete(&self, key: &ObjectKey) -> Result<()>;

    /// How many bytes there is room for now; absent where nobody can tell. Others may take them at any
    /// time.
    ///
    /// # Errors
    /// Where it could not look.
    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Begins an object that comes in pieces, or goes on with the one of this `tag` (1 to 64 characters
    /// `[a-z0-9]`) that was broken off. What nobody went on with for a day is removed.
    ///
    /// # Errors
    /// What the store says.
    fn upload(&self, key: &ObjectKey, total_bytes: u64, tag: &str) -> Result<Box<dyn Upload + '_>> {
        let _ = tag;
        Ok(Box::new(upload::CollectedUpload { store: self, key: key.clone(), total_bytes, bytes: Vec::new() }))
    }

    /// How many bytes of the upload of this tag are there, 0 where there is none.
    ///
    /// # Errors
    /// What the store says.
    fn received_bytes(&self, tag: &str) -> Result<u64> {
        let _ = tag;
        Ok(0)
    }

    /// The object's length, and from then on it is durable: whoever put it may have died before.
    ///
    /// # Errors
    /// `NotFound`, and what the store says.
    fn confirm(&self, key: &ObjectKey) -> Result<u64> {
        self.size(key)
    }

    /// Who knows where chunks lie; absent where the index has to be read for that.
    fn locator(&self) -> Option<&dyn Locator> {
        None
    }

    /// Where it is, for messages.
    fn describe(&self) -> String;
}

impl<S: Store + ?Sized> Store for std::sync::Arc<S> {
    fn put(&self, key: &ObjectKey, parts: &[&[u8]]) -> Result<Put> {
        (**self).put(key, parts)
    }
    fn get(&self, key: &ObjectKey) -> Result<Vec<u8>> {
        (**self).get(key)
    }
    fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>> {
        (**self).get_range(key, range)
    }
    fn size(&self, key: &ObjectKey) -> Result<u64> {
        (**self).size(key)
    }
    fn list(&self, folder: Folder) -> Result<Vec<ObjectInfo>> {
        (**self).list(folder)
    }
    fn delete(&self, key: &ObjectKey) -> Result<()> {
        (**self).delete(key)
    }
    fn free_bytes(&self) -> Result<Option<u64>> {
        (**self).free_bytes()
    }
    fn upload(&self, key: &ObjectKey, total_bytes: u64, tag: &str) -> Result<Box<dyn Upload + '_>> {
        (**self).upload(key, total_bytes, tag)
    }
    fn received_bytes(&self, tag: &str) -> Result<u64> {
        (**self).received_bytes(tag)
    }
    fn confirm(&self, key: &ObjectKey) -> Result<u64> {
        (**self).confirm(key)
    }
    fn locator(&self) -> Option<&dyn Locator> {
        (**self).locator()
    }
    fn describe(&self) -> String {
        (**self).describe()
    }
}

/// The length of `range` in an object of `bytes`, checked before anything is allocated for it.
fn range_length(subject: impl fmt::Display, range: &Range<u64>, bytes: u64) -> Result<usize> {
    let length = range.end.checked_sub(range.start).filter(|_| range.end <= bytes);
    length.and_then(|length| usize::try_from(length).ok()).ok_or_else(|| {
        let why = format!("has {bytes} bytes, so there are no bytes {} to {}", range.start, range.end);
        Error::new(ErrorKind::Damaged, subject.to_string(), why)
    })
}

/// The error of a put to a name under which other bytes stand.
fn other_bytes(subject: impl Into<String>) -> Error {
    Error::new(ErrorKind::AlreadyExists, subject, "other bytes stand under that name")
        .advise("they were kept; verify the repository to see whether they are sound")
}
