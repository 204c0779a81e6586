//! What depends on the operating system: devices, mounts, syncing.
//!
//! Linux is complete. Elsewhere everything builds, files work, and what cannot be known of a device
//! is absent.

mod block_device;
pub(crate) mod direct;
mod disks;
mod file_source;
pub(crate) mod file_system;
mod file_target;
pub(crate) mod host;
mod in_use;
mod machine_parts;
mod mounts;
pub mod own_disk;
mod stream;
mod sysfs;

pub use block_device::BlockDevice;
pub use disks::{DiskInfo, PartitionInfo, list_disks};
pub use file_source::{FileSource, open_source};
pub use file_target::{FileTarget, Overwrite, open_target};
pub use machine_parts::MachineParts;
pub use stream::{StdinSource, StdoutTarget};

/// Number of mounts and swaps in such texts, for the fuzzer.
#[cfg(feature = "testing")]
#[doc(hidden)]
pub fn parse_mounts_for_fuzzing(mountinfo: &str, swaps: &str) -> (usize, usize) {
    (mounts::parse_mounts(mountinfo).len(), mounts::parse_swaps(swaps).len())
}

#[cfg(all(test, target_os = "linux"))]
mod loop_tests;
