//! What all requests share.

use crate::accounts::Accounts;
use crate::clock::Clock;
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
    /// What time it is.
    pub clock: Clock,
    /// Guesses, and tokens that were good a moment ago.
    pub accounts: Accounts,
}

impl AppState {
    /// The state over a data directory whose database is open.
    pub fn new(data_dir: PathBuf, database: Database) -> Self {
        Self::with_clock(data_dir, database, Clock::system())
    }

    /// The same with a clock of its own.
    pub fn with_clock(data_dir: PathBuf, database: Database, clock: Clock) -> Self {
        let (events, accounts) = (Events::default(), Accounts::default());
        Self(Arc::new(Shared { data_dir, database, events, clock, accounts }))
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
