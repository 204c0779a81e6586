//! What depends on the operating system: devices, mounts, syncing.
