//! What the database notes of objects: whose a lease is, and which images came from whom.

use crate::access::{Actor, Principal};
use crate::clock::now_ms;
use crate::error::{ApiError, Code, Result};
use crate::events::{self, NewEvent, Outcome};
use crate::received::Received;
use crate::state::AppState;
use holotype_repo::store::{Folder, ObjectKey};
use rusqlite::params;

fn owner(principal: &Principal) -> (Option<&str>, Option<&str>) {
    match &principal.actor {
        Actor::Machine { id } => (Some(id), None),
        Actor::User { id, .. } => (None, Some(id)),
    }
}

/// Notes whose a lease is, before its first heartbeat is visible.
///
/// # Errors
/// `NotAllowed` where it is another machine's.
pub fn note_lease(state: &AppState, principal: &Principal, repository: &str, key: &ObjectKey) -> Result<()> {
    // Who may revoke it was asked before.
    if key.folder() != Folder::Leases || key.name().ends_with("-revoked") {
        return Ok(());
    }
    let lease = super::policy::lease_of(key.name());
    let (machine, user) = owner(principal);
    let is_own = state.database.write_blocking(|transaction| {
        transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO leases (repository, lease, machine, user_id, created_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![repository, lease, machine, user, now_ms()])?;
        let mut statement = transaction.prepare_cached(
            "SELECT 1 FROM leases WHERE repository = ?1 AND lease = ?2 AND machine IS ?3 AND user_id IS ?4",
        )?;
        Ok(statement.exists(params![repository, lease, machine, user])?)
    })?;
    match is_own {
        true => Ok(()),
        false => Err(ApiError::new(Code::NotAllowed, "another holds that lease")),
    }
}

/// Notes an image that is visible now, with a signed receipt; once.
///
/// # Errors
/// Where the database fails. The client puts the image again then.
pub fn note_image(
    state: &AppState,
    principal: &Principal,
    repository: &str,
    key: &ObjectKey,
    object_bytes: u64,
) -> Result<()> {
    if key.folder() != Folder::Images {
        return Ok(());
    }
    let (received_ms, from) = (now_ms(), principal.name());
    let image = key.name();
    let receipt = state.receipt_key.sign(&Received { repository, image, object_bytes, received_ms, from: &from })?;
    let (machine, user) = owner(principal);
    let told = state.database.write_blocking(|transaction| {
        let added = transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO images
                 (organisation, repository, image, machine, user_id, received_ms, object_bytes, receipt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                principal.organisation,
                repository,
                image,
                machine,
                user,
                received_ms,
                i64::try_from(object_bytes).unwrap_or(i64::MAX),
                receipt
            ])?;
        if added == 0 {
            return Ok(None);
        }
        let event = NewEvent {
            organisation: principal.organisation.clone(),
            kind: "image.received",
            actor: from.clone(),
            machine: machine.map(str::to_owned),
            subject: format!("image {image}"),
            address: Some(principal.address.to_string()),
            outcome: Outcome::Done,
            detail: format!("repository {repository}"),
        };
        events::record(transaction, &event).map(Some)
    })?;
    if let Some(event) = told {
        state.metrics.images_received.inc();
        state.events.tell(event);
    }
    Ok(())
}

/// Notes that objects went: an image is deleted, a lease ended.
///
/// # Errors
/// Where the database fails.
pub fn note_deleted(state: &AppState, repository: &str, key: &ObjectKey) -> Result<()> {
    if key.folder() != Folder::Images {
        return Ok(());
    }
    state.database.write_blocking(|transaction| {
        transaction
            .prepare_cached(
                "UPDATE images SET deleted_ms = ?3 WHERE repository = ?1 AND image = ?2 AND deleted_ms IS NULL",
            )?
            .execute(params![repository, key.name(), now_ms()])?;
        Ok(())
    })
}
