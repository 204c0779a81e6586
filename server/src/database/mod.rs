//! The management database: SQLite in one file, write-ahead log.
//!
//! One connection writes, a few read. Work on it is synchronous and runs on the blocking threads of
//! the runtime. A write is one transaction: durable when it returns, or not done.

mod migrate;

pub use migrate::NEWEST_VERSION;

use crate::error::{ApiError, Result};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Connections that read at once.
const READERS: usize = 4;
/// How long a write waits for another process, such as `holotype server` on the same directory.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The database, shared by all that serve.
#[derive(Clone)]
pub struct Database(Arc<Connections>);

struct Connections {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Database {
    /// Opens the database at `path`, makes it where there is none, and brings it to this version.
    ///
    /// # Errors
    /// Damaged, from a newer version, or not to be read or written.
    pub fn open(path: &Path) -> Result<Self> {
        let mut writer = connect(path, OpenFlags::default())?;
        migrate::migrate(&mut writer)?;
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let readers = (0..READERS).map(|_| connect(path, read_only)).collect::<Result<_>>()?;
        let connections = Connections {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(readers),
            returned: Condvar::new(),
        };
        Ok(Self(Arc::new(connections)))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Reads, blocking this thread.
    ///
    /// # Errors
    /// What `work` gives.
    pub fn read_blocking<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let reader = self.take_reader();
        work(reader.connection.as_ref().expect("it is given back on drop"))
    }

    /// Writes in one transaction, blocking this thread. An error of `work` rolls it back.
    ///
    /// # Errors
    /// What `work` gives, or what SQLite says of the commit.
    pub fn write_blocking<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Reads on a blocking thread.
    ///
    /// # Errors
    /// What `work` gives.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let database = self.clone();
        blocking(move || database.read_blocking(work)).await
    }

    /// Writes on a blocking thread, in one transaction.
    ///
    /// # Errors
    /// What `work` gives, or what SQLite says of the commit.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let database = self.clone();
        blocking(move || database.write_blocking(work)).await
    }

    /// Brings the log into the database file and empties it, so that the file alone is the database.
    ///
    /// # Errors
    /// Where SQLite fails. Where somebody reads meanwhile, less is brought in, which is no error.
    pub fn checkpoint(&self) -> Result<()> {
        let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn take_reader(&self) -> Reader<'_> {
        let mut readers = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = readers.pop() {
                return Reader { connections: &self.0, connection: Some(connection) };
            }
            readers = self.0.returned.wait(readers).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A connection that is given back.
struct Reader<'a> {
    connections: &'a Connections,
    connection: Option<Connection>,
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut readers = self.connections.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.extend(self.connection.take());
        self.connections.returned.notify_one();
    }
}

/// Runs blocking work on the runtime's threads for it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(ApiError::internal(format!("work on the database ended early: {error}"))),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    if !flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) {
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        // What is answered has been synced.
        connection.pragma_update(None, "synchronous", "full")?;
    }
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}
