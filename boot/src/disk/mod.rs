//! Disk images with a GUID partition table.

mod image;
mod table;

pub(crate) use image::make_disk_watched;
pub use image::{CORE_SECTOR, DataPartition, DiskContent, make_disk};
pub use table::{FoundPartition, TableFinding, read_table};

/// Name of the partition that firmware boots from.
pub const ESP_NAME: &str = "HOLOTYPE-ESP";
/// Its volume's label, and that of an ISO image.
pub const ESP_LABEL: &str = "HOLOTYPE";
/// Name of the partition for backups.
pub const DATA_NAME: &str = "HOLOTYPE-DATA";
/// Its volume's label.
pub const DATA_LABEL: &str = "HOLODATA";
/// Name of the partition with GRUB's core.
pub const BIOS_NAME: &str = "HOLOTYPE-BIOS";
