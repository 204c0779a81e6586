//! The two ways to a disk, under the name that an embedding product looks for.

use super::{FileSource, FileTarget, Overwrite};
use crate::error::Result;
use std::path::Path;

/// Opens disks. Files do as well in both ways.
#[derive(Debug, Clone, Copy)]
pub struct BlockDevice;

impl BlockDevice {
    /// A disk, partition or file to back up; see [`open_source`](super::open_source).
    ///
    /// # Errors
    /// As there.
    pub fn open_source(path: impl AsRef<Path>) -> Result<FileSource> {
        FileSource::open(path.as_ref())
    }

    /// A disk, partition or file to restore to; see [`open_target`](super::open_target).
    ///
    /// # Errors
    /// As there.
    pub fn open_target(path: impl AsRef<Path>, overwrite: Overwrite) -> Result<FileTarget> {
        FileTarget::open(path.as_ref(), overwrite)
    }
}
