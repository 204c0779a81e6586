//! A disk that knows what power loss takes away.

use crate::error::Result;
use crate::store::{ObjectKey, Put, memory, other_bytes};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether a change outlives power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    Durable,
    LostWithPower,
}

/// A name: what is seen under it now, and what is found there after power loss.
#[derive(Debug, Clone, Default)]
struct Entry {
    visible: Option<Arc<[u8]>>,
    durable: Option<Arc<[u8]>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct SimulatedDisk {
    entries: BTreeMap<ObjectKey, Entry>,
    leftovers: usize,
}

impl SimulatedDisk {
    pub fn put(&mut self, key: &ObjectKey, bytes: Vec<u8>, durability: Durability) -> Result<Put> {
        let entry = self.entries.entry(key.clone()).or_default();
        let put = match &entry.visible {
            Some(present) if **present == *bytes => Put::AlreadyPresent,
            Some(_) => return Err(other_bytes(key.to_string())),
            None => {
                entry.visible = Some(bytes.into());
                Put::Stored
            }
        };
        if durability == Durability::Durable {
            entry.durable.clone_from(&entry.visible);
        }
        Ok(put)
    }

    pub fn delete(&mut self, key: &ObjectKey, durability: Durability) {
        match (durability, self.entries.get_mut(key)) {
            (Durability::Durable, _) => drop(self.entries.remove(key)),
            (Durability::LostWithPower, Some(entry)) => entry.visible = None,
            (Durability::LostWithPower, None) => {}
        }
    }

    pub fn read(&self, key: &ObjectKey) -> Result<&[u8]> {
        let entry = self.entries.get(key).and_then(|entry| entry.visible.as_deref());
        entry.ok_or_else(|| memory::not_found(key))
    }

    pub fn visible(&self) -> impl Iterator<Item = (&ObjectKey, &[u8])> {
        self.entries.iter().filter_map(|(key, entry)| Some((key, entry.visible.as_deref()?)))
    }

    pub fn overwrite(&mut self, key: &ObjectKey, bytes: Vec<u8>) {
        let bytes: Arc<[u8]> = bytes.into();
        self.entries.insert(key.clone(), Entry { visible: Some(Arc::clone(&bytes)), durable: Some(bytes) });
    }

    /// Counts an unfinished put's file.
    pub fn leave_behind(&mut self) {
        self.leftovers += 1;
    }

    pub fn leftovers(&self) -> usize {
        self.leftovers
    }

    pub fn after_power_loss(&self) -> Self {
        let survivors = self.entries.iter().filter_map(|(key, entry)| {
            let bytes = entry.durable.clone()?;
            Some((key.clone(), Entry { visible: Some(Arc::clone(&bytes)), durable: Some(bytes) }))
        });
        Self { entries: survivors.collect(), leftovers: self.leftovers }
    }
}
