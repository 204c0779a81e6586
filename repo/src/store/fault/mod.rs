//! A store that fails as it is told: crashes at any call, full and broken disks, and other clients
//! that act in between.
//!
//! ```
//! use holotype_repo::store::fault::{Cut, FaultPlan, FaultStore};
//! use holotype_repo::store::{ObjectKey, Store};
//!
//! let store = FaultStore::new();
//! store.arm(FaultPlan::new().cut(0, Cut::LostRename));
//! assert!(store.put(&ObjectKey::config(), &[b"x"]).is_err());
//! assert!(store.is_crashed());
//! assert!(store.reopen().size(&ObjectKey::config()).is_err());
//! ```

mod plan;
mod simulated_disk;
#[cfg(test)]
mod tests;

pub use plan::{Call, Cut, FaultPlan, Operation};

use super::{Folder, ObjectInfo, ObjectKey, Put, Store};
use crate::error::{Error, ErrorKind, Result};
use simulated_disk::{Durability, SimulatedDisk};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One client of a simulated disk.
///
/// Every call of [`Store`] counts once, from 0 on. After a cut every call is an error of kind `Io`.
/// [`reopen`](Self::reopen) then shows the disk as it is after the machine went down;
/// [`another_client`](Self::another_client) shows it as it is while only this client died.
pub struct FaultStore {
    disk: Arc<Mutex<SimulatedDisk>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    plan: FaultPlan,
    calls: Vec<Call>,
    crashed: bool,
    put_bytes: u64,
}

impl Default for FaultStore {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultStore {
    /// An empty disk, and no faults.
    pub fn new() -> Self {
        Self::with_plan(FaultPlan::new())
    }

    /// An empty disk, and faults from the first call on.
    pub fn with_plan(plan: FaultPlan) -> Self {
        Self::over(Arc::default(), plan)
    }

    fn over(disk: Arc<Mutex<SimulatedDisk>>, plan: FaultPlan) -> Self {
        Self { disk, state: Mutex::new(State { plan, ..State::default() }) }
    }

    /// From now on `plan` holds; calls are counted from 0 again, and a crash is forgotten.
    pub fn arm(&self, plan: FaultPlan) {
        *self.state() = State { plan, ..State::default() };
    }

    /// What survives if the machine goes down now, on a disk of its own, without faults.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self::over(Arc::new(Mutex::new(self.disk().after_power_loss())), FaultPlan::new())
    }

    /// Another client of the same disk, without faults, that lives on when this one crashes.
    #[must_use]
    pub fn another_client(&self) -> Self {
        Self::over(Arc::clone(&self.disk), FaultPlan::new())
    }

    /// The calls since the plan was armed.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Whether a cut was reached.
    pub fn is_crashed(&self) -> bool {
        self.state().crashed
    }

    /// How many interrupted puts left something that no listing shows.
    pub fn leftovers(&self) -> usize {
        self.disk().leftovers()
    }

    /// Changes the bytes of an object behind everybody's back. Counts as no call.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn damage(&self, key: &ObjectKey, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut disk = self.disk();
        let mut bytes = disk.read(key)?.to_vec();
        change(&mut bytes);
        disk.overwrite(key, bytes);
        Ok(())
    }

    /// Every object with its bytes, in order of names. Counts as no call.
    pub fn objects(&self) -> Vec<(ObjectKey, Vec<u8>)> {
        self.disk().visible().map(|(key, bytes)| (key.clone(), bytes.to_vec())).collect()
    }

    fn disk(&self) -> MutexGuard<'_, SimulatedDisk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call, lets the hook act, and says how the call goes: `None` is as it should.
    fn enter(&self, operation: Operation, folder: Folder, key: Option<&ObjectKey>) -> Result<Option<Cut>> {
        let (call, hooks) = {
            let mut state = self.state();
            if state.crashed {
                return Err(crashed());
            }
            let call = Call { number: state.calls.len() as u64, operation, folder, key: key.cloned() };
            state.calls.push(call.clone());
            (call, state.plan.hooks())
        };
        for hook in hooks {
            hook(&call);
        }
        let mut state = self.state();
        // Another thread's call may have been the cut.
        if state.crashed {
            return Err(crashed());
        }
        if let Some(cut) = state.plan.cut_at(call.number) {
            state.crashed = true;
            return Ok(Some(cut));
        }
        match state.plan.error_of(&call) {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// A call that changes nothing: a cut in it is a crash, whatever its mode.
    fn read<T>(
        &self,
        operation: Operation,
        folder: Folder,
        key: Option<&ObjectKey>,
        read: impl FnOnce(&SimulatedDisk) -> Result<T>,
    ) -> Result<T> {
        match self.enter(operation, folder, key)? {
            None => read(&self.disk()),
            Some(_) => Err(crashed()),
        }
    }
}

fn crashed() -> Error {
    Error::io("store", "call it", io::Error::other("crashed"))
}

impl Store for FaultStore {
    fn put(&self, key: &ObjectKey, parts: &[&[u8]]) -> Result<Put> {
        let cut = self.enter(Operation::Put, key.folder(), Some(key))?;
        let bytes = parts.concat();
        let mut disk = self.disk();
        match cut {
            None => {
                self.state().put_bytes += bytes.len() as u64;
                return disk.put(key, bytes, Durability::Durable);
            }
            Some(Cut::Before) => {}
            Some(Cut::After) => drop(disk.put(key, bytes, Durability::Durable)),
            Some(Cut::LostRename) => drop(disk.put(key, bytes, Durability::LostWithPower)),
            Some(Cut::TornPut) => disk.leave_behind(),
            Some(Cut::TornVisible { bytes: kept }) => {
                let kept = usize::try_from(kept).map_or(bytes.len(), |kept| kept.min(bytes.len()));
                drop(disk.put(key, bytes[..kept].to_vec(), Durability::Durable));
            }
        }
        Err(crashed())
    }

    fn get(&self, key: &ObjectKey) -> Result<Vec<u8>> {
        self.read(Operation::Get, key.folder(), Some(key), |disk| Ok(disk.read(key)?.to_vec()))
    }

    fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>> {
        self.read(Operation::GetRange, key.folder(), Some(key), |disk| {
            super::memory::range_of(key, disk.read(key)?, range)
        })
    }

    fn size(&self, key: &ObjectKey) -> Result<u64> {
        self.read(Operation::Size, key.folder(), Some(key), |disk| Ok(disk.read(key)?.len() as u64))
    }

    fn list(&self, folder: Folder) -> Result<Vec<ObjectInfo>> {
        self.read(Operation::List, folder, None, |disk| {
            let of_folder = disk.visible().filter(|(key, _)| key.folder() == folder);
            Ok(of_folder.map(|(key, bytes)| ObjectInfo { key: key.clone(), bytes: bytes.len() as u64 }).collect())
        })
    }

    fn delete(&self, key: &ObjectKey) -> Result<()> {
        match self.enter(Operation::Delete, key.folder(), Some(key))? {
            None => {
                self.disk().delete(key, Durability::Durable);
                return Ok(());
            }
            Some(Cut::After) => self.disk().delete(key, Durability::Durable),
            Some(Cut::LostRename) => self.disk().delete(key, Durability::LostWithPower),
            Some(Cut::Before | Cut::TornPut | Cut::TornVisible { .. }) => {}
        }
        Err(crashed())
    }

    /// Counts as no call.
    fn free_bytes(&self) -> Result<Option<u64>> {
        let state = self.state();
        Ok(state.plan.room_after(state.put_bytes))
    }

    fn describe(&self) -> String {
        "simulated disk".into()
    }
}

/// An error that the plan injects.
fn injected(kind: io::ErrorKind, call: &Call) -> Error {
    let subject = call.key.as_ref().map_or_else(|| call.folder.name().to_owned(), ObjectKey::to_string);
    Error::io(subject, "do as told", io::Error::new(kind, "injected fault"))
}

/// The kinds a plan can ask for, as the operating system would say them.
fn io_kind(kind: ErrorKind) -> io::ErrorKind {
    match kind {
        ErrorKind::NoSpace => io::ErrorKind::StorageFull,
        ErrorKind::PermissionDenied => io::ErrorKind::PermissionDenied,
        ErrorKind::NotFound => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    }
}
