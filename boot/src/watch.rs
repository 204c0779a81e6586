//! Long work: who watches it, and who stops it.

use crate::error::{BootError, Result};

/// Is told how far long work is, and asked whether to stop it.
pub trait Watch: Sync {
    /// A stage began; `total_bytes` is absent where nobody knows it.
    fn stage(&self, _name: &'static str, _total_bytes: Option<u64>) {}

    /// So many more bytes of the stage are done.
    fn advanced(&self, _bytes: u64) {}

    /// Whether the work is to be left undone.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Nobody watches, nobody stops.
impl Watch for () {}

/// The error of work on `subject` that was stopped, where it is to stop.
pub(crate) fn check(watch: &dyn Watch, subject: impl std::fmt::Display) -> Result<()> {
    match watch.is_cancelled() {
        true => Err(BootError::new(subject, "stopped; nothing was kept of it")),
        false => Ok(()),
    }
}
