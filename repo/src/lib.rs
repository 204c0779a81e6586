//! The Holotype repository: backup and restore of whole disks.
//!
//! Objects live in a [`store`]. [`Repository`] backs a [`disk::Source`] up and restores an image to
//! a [`disk::Target`]; [`os`] makes both from devices and files. Nothing here prints or exits; long
//! work takes a [`Job`].

pub mod backup;
pub mod copy;
pub mod diff;
pub mod disk;
pub mod error;
pub mod grant;
pub mod https;
pub mod image;
pub mod index;
pub mod job;
pub mod keyless;
pub mod keys;
pub mod lease;
pub mod manifest;
pub mod os;
pub mod pack;
mod random;
pub mod receipt;
pub mod remote;
pub mod repository;
pub mod restore;
pub mod stats;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod verify;

pub use backup::{BackupOptions, BackupReport, ParentChoice};
pub use copy::{CopyOptions, CopyOutcome};
pub use diff::{DiffOptions, DiffReport};
pub use error::{Error, ErrorKind, Result};
pub use grant::PreparedGrant;
pub use holotype_core as core;
pub use image::{Image, ImageSelector};
pub use job::{CancelToken, Event, Job};
pub use keys::{Credentials, NewKey, SlotInfo};
pub use receipt::Receipt;
pub use repository::{InitOptions, Repository, Trust};
pub use restore::{FreePolicy, PartitionChoice, RestoreOptions, RestoreReport, RestoreScope, WriteMode};
pub use stats::RepositoryStats;
pub use store::Store;
pub use verify::{Finding, VerifyOptions, VerifyReport};
