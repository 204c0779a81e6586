//! Versions of the schema. `user_version` holds the version of a database.

use crate::error::{ApiError, Result};
use rusqlite::{Connection, TransactionBehavior};

/// Step n brings a database from version n to n + 1. Steps are never changed, only added.
const STEPS: &[&str] = &[include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// The newest version that this program knows.
pub const NEWEST_VERSION: u32 = STEPS.len() as u32;

/// Brings the database to the newest version. Each step is one transaction, so a crash leaves a whole
/// version, old or new.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version as usize > STEPS.len() {
            return Err(ApiError::internal(format!(
                "the database has version {version}, this program knows up to {}; use a newer holotype",
                STEPS.len()
            )));
        }
        let Some(step) = STEPS.get(version as usize) else { return Ok(()) };
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_comes_to_the_newest() {
        for from in 0..=STEPS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for step in &STEPS[..from] {
                connection.execute_batch(step).unwrap();
            }
            connection.pragma_update(None, "user_version", from as u32).unwrap();
            migrate(&mut connection).unwrap();
            let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
            assert_eq!(version as usize, STEPS.len());
        }
    }

    #[test]
    fn a_newer_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", STEPS.len() as u32 + 1).unwrap();
        assert!(migrate(&mut connection).unwrap_err().to_string().contains("newer"));
    }
}
