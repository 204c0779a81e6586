//! The Holotype repository: backup and restore of whole disks.

pub mod disk;
pub mod error;
pub mod index;
pub mod job;
pub mod os;
pub mod store;

pub use error::{Error, ErrorKind, Result};
pub use job::{CancelToken, Event, Job};
