//! The disk-full guard: below a floor of free bytes no new backups are taken, so that what is under way
//! can end, leases can beat and an operator can still work.

use crate::error::{ApiError, Code, Result};
use holotype_repo::store::Folder;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where refused clients are told to ask again.
const RETRY_AFTER_SECONDS: u64 = 60;

/// How much is left free on the disk of each repository.
#[derive(Debug)]
pub struct Room {
    floor_bytes: AtomicU64,
}

impl Room {
    /// Leaves so many bytes free.
    pub fn new(floor_bytes: u64) -> Self {
        Self { floor_bytes: AtomicU64::new(floor_bytes) }
    }

    /// Sets how many bytes are left free.
    pub fn set_floor_bytes(&self, bytes: u64) {
        self.floor_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether new backups are taken, with so many bytes free. Who does not tell is believed to have room.
    pub fn takes_backups(&self, free_bytes: Option<u64>) -> bool {
        free_bytes.is_none_or(|free| free >= self.floor_bytes.load(Ordering::Relaxed))
    }

    /// Whether an object of `folder` with so many bytes is taken.
    ///
    /// # Errors
    /// `NoSpace` for what makes a backup grow; leases and all else go on.
    pub fn check(&self, folder: Folder, bytes: u64, free_bytes: Option<u64>) -> Result<()> {
        let grows = matches!(folder, Folder::Packs | Folder::Meta | Folder::Index | Folder::Images);
        if !grows || self.takes_backups(free_bytes.map(|free| free.saturating_sub(bytes))) {
            return Ok(());
        }
        Err(ApiError::new(Code::NoSpace, "the server's disk is nearly full: it takes no new backups now")
            .retry_after_seconds(RETRY_AFTER_SECONDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_the_floor_only_what_ends_a_backup_is_taken() {
        let room = Room::new(1000);
        assert!(room.check(Folder::Packs, 100, Some(1100)).is_ok());
        for folder in [Folder::Packs, Folder::Meta, Folder::Index, Folder::Images] {
            assert_eq!(room.check(folder, 101, Some(1100)).unwrap_err().code(), Code::NoSpace);
        }
        assert!(room.check(Folder::Leases, 101, Some(1100)).is_ok());
        assert!(room.check(Folder::Packs, 101, None).is_ok());
        assert!(!room.takes_backups(Some(999)));
    }
}
