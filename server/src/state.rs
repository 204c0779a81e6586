//! What all requests share.

use crate::database::Database;
use crate::events::Events;
use std::path::PathBuf;
use std::sync::Arc;

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// What is shared.
pub struct Shared {
    /// The server's directory.
    pub data_dir: PathBuf,
    /// The management database.
    pub database: Database,
    /// Live events.
    pub events: Events,
}

impl AppState {
    /// The state over a data directory whose database is open.
    pub fn new(data_dir: PathBuf, database: Database) -> Self {
        Self(Arc::new(Shared { data_dir, database, events: Events::default() }))
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
