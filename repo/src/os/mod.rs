//! What depends on the operating system: devices, mounts, syncing.

pub(crate) mod file_system;
pub(crate) mod host;
