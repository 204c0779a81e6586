//! sled behind a guard: its panics on damaged files become errors, and what panicked is not used again.
//!
//! The process's panic hook runs before a panic is caught, so a program that must stay silent sets
//! one of its own. With `panic = "abort"` nothing is caught.

use crate::error::{Error, ErrorKind, Result};
use sled::{Db, IVec, Tree};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Guards calls into one database.
#[derive(Debug)]
pub(super) struct Guard {
    /// The directory, for messages.
    pub subject: String,
    broken: AtomicBool,
}

impl Guard {
    pub fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self { subject: path.display().to_string(), broken: AtomicBool::new(false) })
    }

    /// Calls sled.
    ///
    /// # Errors
    /// `Damaged` where it finds damage or panics, and in every call after a panic.
    pub fn call<T>(&self, call: impl FnOnce() -> sled::Result<T>) -> Result<T> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(self.damaged("the index broke in an earlier call"));
        }
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(sled::Error::Io(error))) if is_damage(&error) => {
                Err(self.damaged(format!("files of the database are missing or cut: {error}")))
            }
            Ok(Err(sled::Error::Io(error))) => Err(Error::io(self.subject.clone(), "read or write the index", error)),
            Ok(Err(sled::Error::Unsupported(why))) => {
                Err(Error::new(ErrorKind::Unsupported, self.subject.clone(), why))
            }
            Ok(Err(error)) => Err(self.damaged(format!("the database is damaged: {error}"))),
            Err(panic) => {
                self.broken.store(true, Ordering::Relaxed);
                let why = panic.downcast_ref::<String>().map(String::as_str);
                let why = why.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                Err(self.damaged(format!("the database failed: {why}")))
            }
        }
    }

    /// An error of kind `Damaged` about this index.
    pub fn damaged(&self, why: impl Into<String>) -> Error {
        Error::new(ErrorKind::Damaged, self.subject.clone(), why).advise("set the index aside and rebuild it")
    }
}

/// Whether sled found its files other than it left them, rather than that it could not read or write.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidData, InvalidInput, NotFound, UnexpectedEof};
    matches!(error.kind(), AlreadyExists | InvalidData | InvalidInput | NotFound | UnexpectedEof)
}

/// Drops what may panic when it is dropped.
fn drop_quietly<T>(value: Option<T>) {
    // Nobody is left who could act on it: the next open finds what is wrong.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
}

/// A tree of the database.
pub(super) struct GuardedTree {
    tree: Option<Tree>,
    pub guard: Arc<Guard>,
}

impl GuardedTree {
    /// Calls sled with the tree.
    pub fn call<T>(&self, call: impl FnOnce(&Tree) -> sled::Result<T>) -> Result<T> {
        match &self.tree {
            Some(tree) => self.guard.call(|| call(tree)),
            None => Err(self.guard.damaged("the index is closed")),
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<IVec>> {
        self.call(|tree| tree.get(key))
    }
}

impl Drop for GuardedTree {
    fn drop(&mut self) {
        drop_quietly(self.tree.take());
    }
}

/// The database.
pub(super) struct GuardedDb {
    db: Option<Db>,
    pub guard: Arc<Guard>,
}

impl GuardedDb {
    /// Opens or creates a database in the directory `path`.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        let guard = Guard::new(path);
        let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(None);
        let db = guard.call(|| config.open())?;
        Ok(Self { db: Some(db), guard })
    }

    /// Calls sled with the database.
    pub fn call<T>(&self, call: impl FnOnce(&Db) -> sled::Result<T>) -> Result<T> {
        match &self.db {
            Some(db) => self.guard.call(|| call(db)),
            None => Err(self.guard.damaged("the index is closed")),
        }
    }

    /// Opens or creates the tree `name`; without a name, the default tree.
    pub fn tree(&self, name: Option<&str>) -> Result<GuardedTree> {
        let tree = self.call(|db| name.map_or_else(|| Ok(Tree::clone(db)), |name| db.open_tree(name)))?;
        Ok(GuardedTree { tree: Some(tree), guard: Arc::clone(&self.guard) })
    }

    /// Makes everything written before durable.
    pub fn flush(&self) -> Result<()> {
        self.call(|db| db.flush()).map(drop)
    }
}

impl Drop for GuardedDb {
    fn drop(&mut self) {
        drop_quietly(self.db.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_ends_the_use() {
        let guard = Guard::new(Path::new("index"));
        assert_eq!(guard.call(|| Ok(1)).unwrap(), 1);
        let error = guard.call::<()>(|| panic!("expected {}", 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("expected 1"), "{error}");
        assert_eq!(guard.call(|| Ok(1)).unwrap_err().kind(), ErrorKind::Damaged);
    }

    #[test]
    fn a_missing_file_is_damage_and_a_full_disk_is_not() {
        let kind = |kind: io::ErrorKind| {
            let guard = Guard::new(Path::new("index"));
            guard.call::<()>(|| Err(sled::Error::Io(kind.into()))).unwrap_err().kind()
        };
        assert_eq!(kind(io::ErrorKind::NotFound), ErrorKind::Damaged);
        assert_eq!(kind(io::ErrorKind::UnexpectedEof), ErrorKind::Damaged);
        assert_eq!(kind(io::ErrorKind::StorageFull), ErrorKind::NoSpace);
        assert_eq!(kind(io::ErrorKind::Other), ErrorKind::Io);
    }
}
