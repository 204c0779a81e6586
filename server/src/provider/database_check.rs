//! Whether a database file is whole, and what is in it.

use crate::database::NEWEST_VERSION;
use crate::error::{ApiError, Code, Result};
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What a database holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatabaseSummary {
    /// Version of its schema.
    pub version: u32,
    /// Rows of each table.
    pub rows: BTreeMap<String, u64>,
}

/// Opens a database for reading alone.
pub(super) fn open_read_only(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|error| damaged(path, &error.to_string()))
}

/// Counts rows in the connection's snapshot.
pub(super) fn summarise(connection: &Connection) -> rusqlite::Result<DatabaseSummary> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut rows = BTreeMap::new();
    for name in names {
        let quoted = name.replace('"', "\"\"");
        let count: i64 = connection.query_row(&format!("SELECT count(*) FROM \"{quoted}\""), [], |row| row.get(0))?;
        rows.insert(name, count.unsigned_abs());
    }
    Ok(DatabaseSummary { version, rows })
}

/// Reads a database file whole: every page, every index, every reference.
pub(super) fn check(path: &Path) -> Result<DatabaseSummary> {
    let connection = open_read_only(path)?;
    let unreadable = |error: rusqlite::Error| damaged(path, &error.to_string());
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(unreadable)?;
    if version == 0 {
        return Err(damaged(path, "it is no database of this server"));
    }
    if version > NEWEST_VERSION {
        let why = format!(
            "{}: it has version {version}, this program knows up to {NEWEST_VERSION}; use a newer holotype",
            path.display()
        );
        return Err(ApiError::new(Code::Conflict, why));
    }
    let said: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(unreadable)?;
    if said != "ok" {
        return Err(damaged(path, &said));
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check").map_err(unreadable)?;
    if statement.exists([]).map_err(unreadable)? {
        return Err(damaged(path, "rows refer to rows that are not there"));
    }
    summarise(&connection).map_err(unreadable)
}

fn damaged(path: &Path, why: &str) -> ApiError {
    ApiError::new(Code::Damaged, format!("{}: it is no whole database: {why}; take another backup", path.display()))
}
