//! Packs that were opened for reading.

use crate::error::Result;
use crate::index::PackKind;
use crate::keys::Keyring;
use crate::pack::PackReader;
use crate::store::Store;
use holotype_core::PackId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Open packs that are kept; each has a few kilobytes.
const MAX_OPEN_PACKS: usize = 4096;

/// Opens each pack once: footer, signature and keys.
pub(crate) struct PackReaders {
    store: Arc<dyn Store>,
    keyring: Keyring,
    open: Mutex<HashMap<PackId, Arc<PackReader>>>,
}

impl PackReaders {
    pub fn new(store: Arc<dyn Store>, keyring: Keyring) -> Self {
        Self { store, keyring, open: Mutex::default() }
    }

    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub fn get(&self, kind: PackKind, pack: &PackId) -> Result<Arc<PackReader>> {
        let lock = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = lock().get(pack) {
            return Ok(Arc::clone(reader));
        }
        let mut reader = PackReader::open(&*self.store, &self.keyring, kind, pack)?;
        reader.forget_ids();
        let reader = Arc::new(reader);
        let mut open = lock();
        if open.len() >= MAX_OPEN_PACKS {
            open.clear();
        }
        open.insert(*pack, Arc::clone(&reader));
        Ok(reader)
    }
}
