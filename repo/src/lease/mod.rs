//! Leases: a writer, restore or verify says that it is at work, so that a pruner waits for it.
//!
//! A lease is a row of objects `leases/ID-COUNTER`, one for each heartbeat, each signed by its
//! holder; `leases/ID-revoked` ends it for ever. No clock is compared: a pruner watches whether
//! the counter moves on its own monotonic clock. docs/LOCKING.md has the table.

mod heartbeat;

pub(crate) use heartbeat::{HeldLease, LeaseState};

use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::store::{Folder, ObjectKey, Store};
use bincode::{Decode, Encode};
use holotype_core::header::ObjectKind;
use holotype_core::key_slot::Extension;
use holotype_core::signature::{self, Signing};
use holotype_core::signed;
use holotype_core::{DecodeError, LeaseId, RepositoryId, WriterId};
use std::collections::HashSet;

/// The objects `leases/…`.
pub const LEASE: ObjectKind = ObjectKind { code: *b"leas", version: 1, name: "lease" };

/// What a revocation object holds; its name says all.
const REVOCATION: &[u8] = b"revoked";

/// What its holder does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Purpose {
    /// Adds an image.
    Backup,
    /// Reads images.
    Read,
}

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct LeaseRecord {
    /// Whose repository.
    pub repository: RepositoryId,
    /// Which lease.
    pub lease: LeaseId,
    /// Number of this heartbeat, from 0.
    pub counter: u64,
    /// What its holder does.
    pub purpose: Purpose,
    /// Who holds it.
    pub holder: WriterId,
    /// Before an image is published: its manifest's root, sealed to the reference key.
    pub sealed_root: Option<Vec<u8>>,
    /// Room for newer programs.
    pub extensions: Vec<Extension>,
}

impl LeaseRecord {
    /// The object's bytes.
    pub(crate) fn encode(&self, signing: &Signing) -> Vec<u8> {
        signed::encode(&LEASE, signature::LEASE, self, signing)
    }

    /// Reads a lease object and checks its signature.
    ///
    /// # Errors
    /// Damaged, not authentic or unsupported.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let record: LeaseRecord =
            signed::decode(&LEASE, signature::LEASE, bytes, |record: &LeaseRecord| record.holder)?;
        Ok(record)
    }
}

/// The object of one heartbeat.
pub(crate) fn heartbeat_key(lease: &LeaseId, counter: u64) -> ObjectKey {
    ObjectKey::of(Folder::Leases, format!("{lease}-{counter:020}"))
}

/// The object that revokes a lease.
pub(crate) fn revocation_key(lease: &LeaseId) -> ObjectKey {
    ObjectKey::of(Folder::Leases, format!("{lease}-revoked"))
}

/// Revokes a lease, for ever. An image that names it is not published any more.
///
/// # Errors
/// Where the store fails.
pub fn revoke(store: &dyn Store, lease: &LeaseId) -> Result<()> {
    store.put(&revocation_key(lease), &[REVOCATION]).map(|_| ())
}

/// Every revoked lease.
pub(crate) fn revoked_leases(store: &dyn Store) -> Result<HashSet<LeaseId>> {
    let names = store.list(Folder::Leases)?;
    Ok(names.iter().filter_map(|info| info.key.name().strip_suffix("-revoked")?.parse().ok()).collect())
}

/// Lease objects that are none, each with the reason. Those that go meanwhile are passed over.
pub(crate) fn damaged_leases(store: &dyn Store, repository: &RepositoryId) -> Result<(u64, Vec<(ObjectKey, Error)>)> {
    let mut damaged = Vec::new();
    let listed = store.list(Folder::Leases)?;
    let objects = listed.len() as u64;
    for info in listed {
        let checked = match info.key.name().strip_suffix("-revoked") {
            Some(lease) => store.get(&info.key).and_then(|bytes| {
                if bytes == REVOCATION && lease.parse::<LeaseId>().is_ok() {
                    return Ok(());
                }
                // Its name alone counts, so it revokes even so.
                Err(Error::new(ErrorKind::Damaged, info.key.to_string(), "it is no revocation as it is written"))
            }),
            None => read_heartbeat(store, &info.key, repository).map(|_| ()),
        };
        match checked {
            Err(error) if error.kind() != ErrorKind::NotFound => damaged.push((info.key, error)),
            _ => {}
        }
    }
    Ok((objects, damaged))
}

/// Whether these bytes can stand under that name in `leases`: a heartbeat, whose repository it gives,
/// or a revocation.
pub(crate) fn check_object(key: &ObjectKey, bytes: &[u8]) -> Result<Option<RepositoryId>> {
    let damaged = |why: &str| Error::new(ErrorKind::Damaged, key.to_string(), why);
    if key.name().ends_with("-revoked") {
        return if bytes == REVOCATION { Ok(None) } else { Err(damaged("it is no revocation as it is written")) };
    }
    let record = LeaseRecord::decode(bytes).about(key)?;
    match heartbeat_key(&record.lease, record.counter) == *key {
        true => Ok(Some(record.repository)),
        false => Err(damaged("it belongs elsewhere")),
    }
}

/// Reads a heartbeat object and checks that it stands under its own name.
pub(crate) fn read_heartbeat(store: &dyn Store, key: &ObjectKey, repository: &RepositoryId) -> Result<LeaseRecord> {
    let record = LeaseRecord::decode(&store.get(key)?).about(key)?;
    if heartbeat_key(&record.lease, record.counter) != *key || record.repository != *repository {
        return Err(Error::new(ErrorKind::Damaged, key.to_string(), "it belongs elsewhere"));
    }
    Ok(record)
}
