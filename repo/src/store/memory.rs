//! A repository in memory, for tests and for embedding.

use super::{Folder, ObjectInfo, ObjectKey, Put, Store};
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Objects in memory. "Durable" means until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<ObjectKey, Arc<[u8]>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Arc<[u8]>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, key: &ObjectKey) -> Result<Arc<[u8]>> {
        self.objects().get(key).cloned().ok_or_else(|| not_found(key))
    }
}

/// The error of a missing object.
pub(super) fn not_found(key: &ObjectKey) -> Error {
    Error::new(ErrorKind::NotFound, key.to_string(), "there is no such object")
}

/// A range of an object in memory.
pub(super) fn range_of(key: &ObjectKey, object: &[u8], range: Range<u64>) -> Result<Vec<u8>> {
    let length = super::range_length(key, &range, object.len() as u64)?;
    // Both ends are in the object, so they fit.
    let start = range.start as usize;
    Ok(object[start..start + length].to_vec())
}

impl Store for MemoryStore {
    fn put(&self, key: &ObjectKey, parts: &[&[u8]]) -> Result<Put> {
        let object = parts.concat();
        let mut objects = self.objects();
        match objects.get(key) {
            Some(present) if **present == *object => Ok(Put::AlreadyPresent),
            Some(_) => Err(super::other_bytes(key.to_string())),
            None => {
                objects.insert(key.clone(), object.into());
                Ok(Put::Stored)
            }
        }
    }

    fn get(&self, key: &ObjectKey) -> Result<Vec<u8>> {
        Ok(self.object(key)?.to_vec())
    }

    fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>> {
        range_of(key, &self.object(key)?, range)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64> {
        Ok(self.object(key)?.len() as u64)
    }

    fn list(&self, folder: Folder) -> Result<Vec<ObjectInfo>> {
        let objects = self.objects();
        let of_folder = objects.iter().filter(|(key, _)| key.folder() == folder);
        Ok(of_folder.map(|(key, object)| ObjectInfo { key: key.clone(), bytes: object.len() as u64 }).collect())
    }

    fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.objects().remove(key);
        Ok(())
    }

    fn describe(&self) -> String {
        "memory".into()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn keeps_the_promises_of_a_store() {
        crate::store::conformance::conformance(&|| Box::new(super::MemoryStore::new()));
    }
}
