//! What the stages of a backup or restore share: counters, and how the first failure stops all.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Figures of a running backup.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub read_bytes: AtomicU64,
    pub data_bytes: AtomicU64,
    pub zero_bytes: AtomicU64,
    pub free_bytes: AtomicU64,
    pub unreadable_bytes: AtomicU64,
    pub chunks: AtomicU64,
    pub new_chunks: AtomicU64,
    pub new_bytes: AtomicU64,
    pub stored_bytes: AtomicU64,
}

/// The first failure of any stage. The others notice and end.
#[derive(Debug, Default)]
pub(crate) struct Abort {
    set: AtomicBool,
    first: Mutex<Option<Error>>,
}

impl Abort {
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::Relaxed)
    }

    /// Notes the failure of a stage, if it is one.
    pub fn note<T>(&self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                if !self.set.swap(true, Ordering::Relaxed) {
                    *first = Some(error);
                }
                None
            }
        }
    }

    /// # Errors
    /// The first failure.
    pub fn finish(self) -> Result<()> {
        match self.first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}
