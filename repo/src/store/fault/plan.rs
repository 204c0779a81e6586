//! What goes wrong, and when.

use super::{Folder, ObjectKey, injected, io_kind};
use crate::error::{Error, ErrorKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Which method of [`Store`](crate::store::Store) is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `put`
    Put,
    /// `get`
    Get,
    /// `get_range`
    GetRange,
    /// `size`
    Size,
    /// `list`
    List,
    /// `delete`
    Delete,
}

/// One call of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Counted from 0 since the plan was armed.
    pub number: u64,
    /// The method.
    pub operation: Operation,
    /// The folder that is listed or that holds the object.
    pub folder: Folder,
    /// The object; absent for `list`.
    pub key: Option<ObjectKey>,
}

/// What the call in which the client dies has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Before,
    /// Everything, durably; only nobody heard of it.
    After,
    /// A put left part of its bytes under a temporary name. Other calls: as `Before`.
    TornPut,
    /// A put left its first bytes under the object's name, as stores without atomic names do. Other
    /// calls: as `Before`.
    TornVisible {
        /// How many of the object's bytes; at most all.
        bytes: u64,
    },
    /// A put or a deletion is done for every client that lives on, and is undone by power loss,
    /// unless another client makes it durable.
    LostRename,
}

type Hook = Arc<dyn Fn(&Call) + Send + Sync>;

/// What goes wrong, and when. Plans add up.
#[derive(Clone, Default)]
pub struct FaultPlan {
    cut: Option<(u64, Cut)>,
    failing_calls: BTreeMap<u64, ErrorKind>,
    full_from: Option<u64>,
    room: Option<u64>,
    unreadable: BTreeSet<ObjectKey>,
    read_only: Option<ErrorKind>,
    hooks: Vec<Hook>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// The client dies in call `number`.
    #[must_use]
    pub fn cut(mut self, number: u64, cut: Cut) -> Self {
        self.cut = Some((number, cut));
        self
    }

    /// Call `number` does nothing and fails with `kind` (one of the kinds of the trait); the next ones go on.
    #[must_use]
    pub fn fail(mut self, number: u64, kind: ErrorKind) -> Self {
        self.failing_calls.insert(number, kind);
        self
    }

    /// Puts from call `number` on fail with `NoSpace`.
    #[must_use]
    pub fn full_from(mut self, number: u64) -> Self {
        self.full_from = Some(number);
        self
    }

    /// The store tells that there is room for `bytes`, less what is put from then on; puts are not
    /// refused for it.
    #[must_use]
    pub fn room(mut self, bytes: u64) -> Self {
        self.room = Some(bytes);
        self
    }

    /// `get` and `get_range` of `key` fail with `Io`.
    #[must_use]
    pub fn unreadable(mut self, key: ObjectKey) -> Self {
        self.unreadable.insert(key);
        self
    }

    /// Puts and deletions fail with `kind`: `PermissionDenied` or `NoSpace`.
    #[must_use]
    pub fn read_only(mut self, kind: ErrorKind) -> Self {
        self.read_only = Some(kind);
        self
    }

    /// Every call takes longer by what `latency` says.
    #[must_use]
    pub fn latency(self, latency: impl Fn(&Call) -> Duration + Send + Sync + 'static) -> Self {
        self.on_call(move |call| std::thread::sleep(latency(call)))
    }

    /// `hook` runs before each call does anything, without locks held. It may use
    /// [`another_client`](super::FaultStore::another_client) to act as somebody else; calls on the
    /// same store would run the hook again.
    #[must_use]
    pub fn on_call(mut self, hook: impl Fn(&Call) + Send + Sync + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    pub(super) fn room_after(&self, put_bytes: u64) -> Option<u64> {
        self.room.map(|room| room.saturating_sub(put_bytes))
    }

    pub(super) fn hooks(&self) -> Vec<Hook> {
        self.hooks.clone()
    }

    pub(super) fn cut_at(&self, number: u64) -> Option<Cut> {
        self.cut.filter(|(at, _)| *at == number).map(|(_, cut)| cut)
    }

    /// The error that `call` ends with in place of doing anything.
    pub(super) fn error_of(&self, call: &Call) -> Option<Error> {
        let changes = matches!(call.operation, Operation::Put | Operation::Delete);
        let reads = matches!(call.operation, Operation::Get | Operation::GetRange);
        let full = call.operation == Operation::Put && self.full_from.is_some_and(|from| call.number >= from);
        let unreadable = reads && call.key.as_ref().is_some_and(|key| self.unreadable.contains(key));
        let kind = (self.failing_calls.get(&call.number).copied())
            .or(self.read_only.filter(|_| changes))
            .or(full.then_some(ErrorKind::NoSpace))
            .or(unreadable.then_some(ErrorKind::Io))?;
        Some(injected(io_kind(kind), call))
    }
}
