//! The repositories of this server, each opened when it is first asked for.

use crate::error::{ApiError, Result};
use holotype_repo::Store;
use holotype_repo::keyless::{KeylessRepository, Rules};
use holotype_repo::store::LocalStore;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A store of this kind is a directory; its location is the path.
pub const DIRECTORY: &str = "directory";
/// Folder of the data directory where indexes are kept, one for each repository.
const INDEXES: &str = "indexes";

/// A repository that is open, or is being opened by whoever holds the lock.
type Slot = Arc<Mutex<Option<Arc<KeylessRepository>>>>;

/// Repositories that are open.
pub struct Repositories {
    indexes: PathBuf,
    rules: Mutex<Rules>,
    open: Mutex<HashMap<String, Slot>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Repositories {
    /// None is open yet.
    pub fn new(data_dir: &Path) -> Self {
        Self { indexes: data_dir.join(INDEXES), rules: Mutex::new(Rules::Checked), open: Mutex::default() }
    }

    /// With other rules for what is opened from now on: for the conformance suite of stores.
    #[doc(hidden)]
    pub fn set_rules(&self, rules: Rules) {
        *lock(&self.rules) = rules;
    }

    /// Makes an empty store where a new repository shall be kept.
    ///
    /// # Errors
    /// `AlreadyExists` where something is there; what the operating system says.
    pub fn create_store(kind: &str, location: &str) -> Result<(), holotype_repo::Error> {
        match kind {
            DIRECTORY => LocalStore::create(location).map(drop),
            _ => Err(unknown_kind(kind)),
        }
    }

    /// The store that lies there.
    ///
    /// # Errors
    /// What it says.
    pub fn open_store(kind: &str, location: &str) -> Result<Arc<dyn Store>, holotype_repo::Error> {
        match kind {
            DIRECTORY => Ok(Arc::new(LocalStore::open(location)?)),
            _ => Err(unknown_kind(kind)),
        }
    }

    /// The repository of this id, which lies there. Blocks; others are not waited for.
    ///
    /// # Errors
    /// Where its store cannot be opened.
    pub fn get(&self, id: &str, kind: &str, location: &str) -> Result<Arc<KeylessRepository>> {
        let slot = Arc::clone(lock(&self.open).entry(id.to_owned()).or_default());
        let mut slot = lock(&slot);
        if let Some(repository) = &*slot {
            return Ok(Arc::clone(repository));
        }
        let store = Self::open_store(kind, location).map_err(|error| not_openable(id, &error))?;
        let index = self.indexes.join(id);
        let repository = Arc::new(KeylessRepository::with_rules(store, Some(&index), *lock(&self.rules)));
        *slot = Some(Arc::clone(&repository));
        Ok(repository)
    }

    /// Writes what is only in memory, before the server ends. Nothing is lost without.
    pub fn flush(&self) {
        let open: Vec<_> = lock(&self.open).values().map(Arc::clone).collect();
        for repository in open.iter().filter_map(|slot| lock(slot).clone()) {
            if let Err(error) = repository.flush() {
                tracing::warn!("index not written: {error}");
            }
        }
    }
}

fn unknown_kind(kind: &str) -> holotype_repo::Error {
    holotype_repo::Error::new(
        holotype_repo::ErrorKind::Unsupported,
        format!("store of kind `{kind}`"),
        "this program knows none",
    )
}

/// The client hears that it is the server's fault, whatever is wrong with the directory.
fn not_openable(id: &str, error: &holotype_repo::Error) -> ApiError {
    ApiError::internal(format!("repository {id} cannot be opened: {error}"))
}
