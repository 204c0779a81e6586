//! Organisations.

use crate::clock::{new_id, now_ms};
use crate::database::Database;
use crate::error::{ApiError, Code, Result};
use crate::text::Name;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

/// An organisation.
#[derive(Debug, Clone, Serialize)]
pub struct Organisation {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub created_ms: i64,
}

/// Makes an organisation.
///
/// # Errors
/// `Conflict` where there is one of that name.
pub fn add_organisation(database: &Database, name: &Name) -> Result<Organisation> {
    let new = Organisation { id: new_id()?, name: name.as_str().to_owned(), created_ms: now_ms() };
    let added = database.write_blocking(|transaction| {
        let sql = "INSERT INTO organisations (id, name, created_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        Ok(transaction.execute(sql, params![new.id, new.name, new.created_ms])?)
    })?;
    match added {
        0 => Err(ApiError::new(Code::Conflict, format!("organisation {name}: there is one already"))),
        _ => Ok(new),
    }
}

/// All organisations, by name.
///
/// # Errors
/// Where the database fails.
pub fn organisations(database: &Database) -> Result<Vec<Organisation>> {
    database.read_blocking(|connection| {
        let mut statement = connection.prepare("SELECT id, name, created_ms FROM organisations ORDER BY name")?;
        let rows = statement
            .query_map([], |row| Ok(Organisation { id: row.get(0)?, name: row.get(1)?, created_ms: row.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

/// The id of the organisation of this name.
pub(super) fn find(connection: &Connection, name: &str) -> Result<String> {
    connection
        .query_row("SELECT id FROM organisations WHERE name = ?1", [name], |row| row.get(0))
        .optional()?
        .ok_or_else(|| ApiError::not_found(format_args!("organisation {name}; `holotype server org list` shows all")))
}
