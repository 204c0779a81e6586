//! Holding a lease: the first heartbeat, those after it, the last.

use super::{LeaseRecord, Purpose, heartbeat_key, revocation_key};
use crate::error::Result;
use crate::keys::Keyring;
use crate::random;
use crate::store::{Folder, Store};
use crossbeam_channel::{Sender, bounded};
use holotype_core::{LeaseId, NodeId};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

/// Whether a lease still protects its holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseState {
    /// Its heartbeat is there and nobody revoked it.
    Held,
    /// It was revoked, or its heartbeat is gone.
    Lost,
}

struct Beating {
    record: LeaseRecord,
    /// Heartbeats that are stored, or may be: a put that failed can have been done even so.
    stored: Vec<u64>,
    keyring: Keyring,
    store: Arc<dyn Store>,
}

impl Beating {
    /// Stores the next heartbeat, then removes those before it: the lease is never without one.
    fn beat(&mut self) -> Result<()> {
        let counter = self.stored.last().map_or(0, |last| last + 1);
        self.stored.push(counter);
        let record = LeaseRecord { counter, ..self.record.clone() };
        let bytes = record.encode(&self.keyring.signing());
        self.store.put(&heartbeat_key(&record.lease, counter), &[&bytes])?;
        self.record = record;
        self.remove(|stored| stored < counter)
    }

    /// Removes the heartbeats whose numbers are chosen.
    fn remove(&mut self, chosen: impl Fn(u64) -> bool) -> Result<()> {
        while let Some(at) = self.stored.iter().position(|number| chosen(*number)) {
            self.store.delete(&heartbeat_key(&self.record.lease, self.stored[at]))?;
            self.stored.remove(at);
        }
        Ok(())
    }
}

/// A lease that this process holds. Dropping it ends it.
pub(crate) struct HeldLease {
    lease: LeaseId,
    beating: Arc<Mutex<Beating>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HeldLease {
    /// Takes a lease; it is durable when this returns.
    pub fn take(store: &Arc<dyn Store>, keyring: &Keyring, purpose: Purpose) -> Result<Self> {
        let lease = LeaseId(random::bytes()?);
        let record = LeaseRecord {
            repository: keyring.repository(),
            lease,
            counter: 0,
            purpose,
            holder: keyring.writer(),
            sealed_root: None,
            extensions: Vec::new(),
        };
        let mut beating = Beating { record, stored: Vec::new(), keyring: keyring.clone(), store: Arc::clone(store) };
        beating.beat()?;
        let beating = Arc::new(Mutex::new(beating));
        let (stop, stopped) = bounded::<()>(0);
        let shared = Arc::clone(&beating);
        let thread = std::thread::Builder::new()
            .name("lease".into())
            .spawn(move || {
                while stopped.recv_timeout(HEARTBEAT_INTERVAL).is_err_and(|error| error.is_timeout()) {
                    let mut beating = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Err(error) = beating.beat() {
                        // The check before publishing decides; a missed heartbeat alone is no failure.
                        tracing::warn!("lease {lease}: heartbeat not stored: {error}");
                    }
                }
            })
            .map_err(|error| crate::Error::io("lease", "start its thread", error))?;
        Ok(Self { lease, beating, stop: Some(stop), thread: Some(thread) })
    }

    pub fn id(&self) -> LeaseId {
        self.lease
    }

    /// Puts a manifest root into the lease, durably.
    pub fn record_root(&self, root: &NodeId) -> Result<()> {
        let mut beating = self.beating.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = random::secret()?;
        let public = beating.keyring.reference_public();
        beating.record.sealed_root = public.seal(&fresh, self.lease.as_bytes(), root.as_bytes());
        beating.beat()
    }

    /// Looks whether the lease still stands.
    pub fn state(&self, store: &dyn Store) -> Result<LeaseState> {
        // Locked, so that the heartbeat thread does not change objects while they are listed.
        let beating = self.beating.lock().unwrap_or_else(PoisonError::into_inner);
        let current = heartbeat_key(&self.lease, beating.record.counter);
        let names = store.list(Folder::Leases)?;
        let there = |key| names.iter().any(|info| info.key == key);
        let held = there(current) && !there(revocation_key(&self.lease));
        Ok(if held { LeaseState::Held } else { LeaseState::Lost })
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let mut beating = self.beating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = beating.remove(|_| true) {
            tracing::debug!("lease {}: not removed: {error}", self.lease);
        }
    }
}
