//! What the provider does on the server's directory: organisations, repositories, first users, and
//! backups of the database. All but a restore work while the server runs.

mod database_backup;
mod database_check;
mod database_restore;
mod organisations;
mod repositories;
mod users;

pub use database_backup::back_up;
pub use database_check::DatabaseSummary;
pub use database_restore::{Restored, restore};
pub use organisations::{Organisation, add_organisation, organisations};
pub use repositories::{RepositoryEntry, add_repository, remove_repository, repositories};
pub use users::add_user;

use crate::error::{ApiError, Code, Result};
use crate::events::{self, NewEvent, Outcome};
use rusqlite::Transaction;

/// Notes what was done in an organisation's audit trail.
fn note(
    transaction: &Transaction<'_>,
    organisation: &str,
    kind: &'static str,
    subject: String,
    detail: &str,
) -> Result<()> {
    let event = NewEvent {
        organisation: organisation.to_owned(),
        kind,
        actor: "server".to_owned(),
        machine: None,
        subject,
        address: None,
        outcome: Outcome::Done,
        detail: detail.to_owned(),
    };
    events::record(transaction, &event).map(drop)
}

fn invalid(why: impl Into<String>) -> ApiError {
    ApiError::new(Code::InvalidRequest, why)
}

fn io(subject: impl std::fmt::Display, action: &str, error: std::io::Error) -> ApiError {
    ApiError::internal(format!("{subject}: could not {action}: {error}"))
}
