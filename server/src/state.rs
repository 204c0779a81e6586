//! What all requests share.

use crate::database::Database;
use crate::events::Events;
use crate::received::ReceiptKey;
use crate::repositories::Repositories;
use crate::room::Room;
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
    /// The repositories that were opened.
    pub repositories: Repositories,
    /// Whether there is room for new backups.
    pub room: Room,
    /// What signs receipts.
    pub receipt_key: ReceiptKey,
}

impl AppState {
    /// The state over a data directory whose database is open.
    pub fn new(data_dir: PathBuf, database: Database) -> Self {
        let repositories = Repositories::new(&data_dir);
        let receipt_key = ReceiptKey::at(&data_dir);
        let events = Events::default();
        Self(Arc::new(Shared { data_dir, database, events, repositories, room: Room::default(), receipt_key }))
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
