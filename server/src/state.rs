//! What all requests share.

use crate::accounts::Accounts;
use crate::boot_files::BootFiles;
use crate::clock::Clock;
use crate::config::{Config, DEFAULT_FLOOR_BYTES, UnknownMachines};
use crate::database::Database;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::received::ReceiptKey;
use crate::repositories::Repositories;
use crate::room::Room;
use crate::serve::StartError;
use holotype_core::secret::SecretBytes;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

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
    /// What the server counts.
    pub metrics: Metrics,
    /// What `/metrics` wants; without it, it answers this host alone.
    pub(crate) metrics_token: Option<SecretBytes>,
    stopping: watch::Receiver<bool>,
    /// The repositories that were opened.
    pub repositories: Repositories,
    /// Whether there is room for new backups.
    pub room: Room,
    /// What signs receipts.
    pub receipt_key: ReceiptKey,
    /// What boot media are made of.
    pub boot_files: BootFiles,
}

impl AppState {
    /// The state over a data directory whose database is open, for a server that nobody stops.
    pub fn new(data_dir: PathBuf, database: Database) -> Self {
        Self::with_clock(data_dir, database, Clock::system())
    }

    /// The same with a clock of its own.
    pub fn with_clock(data_dir: PathBuf, database: Database, clock: Clock) -> Self {
        let (_, stopping) = watch::channel(false);
        let boot_files = BootFiles::new(&data_dir, None);
        Self::assemble(data_dir, database, clock, None, DEFAULT_FLOOR_BYTES, stopping, boot_files)
    }

    /// The state as it is configured; `stopping` becomes true when the server stops.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn configured(
        config: &Config,
        database: Database,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        let metrics_token = match &config.metrics_token_file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| StartError::about(path, format!("the token cannot be read: {error}")))?;
                Some(SecretBytes::new(text.lines().next().unwrap_or_default().trim().as_bytes().to_vec()))
            }
        };
        let clock = Clock::system();
        let (data_dir, floor_bytes) = (config.data_dir.clone(), config.floor_bytes);
        let boot_files = BootFiles::new(&data_dir, config.agent.clone());
        let state = Self::assemble(data_dir, database, clock, metrics_token, floor_bytes, stopping, boot_files);
        state.accounts.take_unknown_machines(config.unknown_machines == UnknownMachines::Ask);
        Ok(state)
    }

    fn assemble(
        data_dir: PathBuf,
        database: Database,
        clock: Clock,
        metrics_token: Option<SecretBytes>,
        floor_bytes: u64,
        stopping: watch::Receiver<bool>,
        boot_files: BootFiles,
    ) -> Self {
        Self(Arc::new(Shared {
            repositories: Repositories::new(&data_dir),
            receipt_key: ReceiptKey::at(&data_dir),
            room: Room::new(floor_bytes),
            data_dir,
            database,
            events: Events::default(),
            clock,
            accounts: Accounts::default(),
            metrics: Metrics::default(),
            metrics_token,
            stopping,
            boot_files,
        }))
    }

    /// Ends when the server stops: long polls and streams wait for it beside what they wait for.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        if stopping.wait_for(|stop| *stop).await.is_err() {
            // Nobody can stop it any more.
            std::future::pending().await
        }
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
