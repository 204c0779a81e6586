//! The disks of this machine, for someone who chooses one.

use super::in_use::{Subject, Users};
use super::sysfs::{Sysfs, SysfsDevice};
use crate::error::{Error, Result};
use serde::Serialize;

/// Kernel names of block devices that nobody means by "disk": memory, loops, volumes of disks that
/// are listed themselves, optical drives, floppies.
const NO_DISKS: [&str; 7] = ["loop", "ram", "zram", "dm-", "sr", "fd", "mtdblock"];

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskInfo {
    /// Its place in `/dev`.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Model name that it reports.
    pub model: Option<String>,
    /// Serial number that it reports.
    pub serial: Option<String>,
    /// Bus and port, for instance `ata-1`.
    pub bus: Option<String>,
    /// Whether the kernel takes it for removable (sticks, card readers).
    pub removable: bool,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// Logical sector size in bytes.
    pub logical_sector_bytes: u32,
    /// The partitions that the kernel sees, by their place.
    pub partitions: Vec<PartitionInfo>,
    /// Where it, a partition of it, or a volume on them is mounted; `[SWAP]` where it is swapped to.
    pub mounted_at: Vec<String>,
}

/// A partition of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionInfo {
    /// Its place in `/dev`.
    pub path: String,
    /// Where it begins on the disk.
    pub offset_bytes: u64,
    /// Its length.
    pub bytes: u64,
    /// Where it, or a volume on it, is mounted; `[SWAP]` where it is swapped to.
    pub mounted_at: Vec<String>,
}

/// Every disk of this machine, by path. Loops, memory disks, optical drives and empty card readers
/// are not in it. On other systems than Linux there is none.
///
/// # Errors
/// Where `/sys/block` cannot be listed.
pub fn list_disks() -> Result<Vec<DiskInfo>> {
    if cfg!(target_os = "linux") { list(&Sysfs::default(), &Users::now()) } else { Ok(Vec::new()) }
}

fn list(sysfs: &Sysfs, users: &Users) -> Result<Vec<DiskInfo>> {
    let disks = sysfs.disks().map_err(|error| Error::io("/sys/block", "list the disks", error))?;
    let mut disks: Vec<_> = disks.iter().filter_map(|disk| disk_info(disk, users)).collect();
    disks.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(disks)
}

fn disk_info(disk: &SysfsDevice, users: &Users) -> Option<DiskInfo> {
    let name = disk.name();
    let boot_area = name.starts_with("mmcblk") && name.contains("boot");
    let bytes = disk.bytes().filter(|bytes| *bytes > 0)?;
    if boot_area || NO_DISKS.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    let partitions = disk.partitions();
    let partitions = partitions.iter().filter_map(|partition| {
        Some(PartitionInfo {
            path: partition.path(),
            offset_bytes: partition.offset_bytes()?,
            bytes: partition.bytes()?,
            mounted_at: mounted_at(partition, users),
        })
    });
    Some(DiskInfo {
        path: disk.path(),
        bytes,
        model: disk.model(),
        serial: disk.serial(),
        bus: disk.bus(),
        removable: disk.removable(),
        read_only: disk.read_only(),
        logical_sector_bytes: disk.logical_sector_bytes().unwrap_or(512),
        partitions: partitions.collect(),
        mounted_at: mounted_at(disk, users),
    })
}

fn mounted_at(device: &SysfsDevice, users: &Users) -> Vec<String> {
    let uses = device.number().map(|number| users.uses(Subject::Device(number))).unwrap_or_default();
    uses.into_iter().map(|it| it.place).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::sysfs::tests::fake;
    use super::*;

    #[test]
    fn disks_are_listed_with_all_that_is_known() {
        let (_root, sysfs) = fake(&[
            (
                "pci/ata2/block/sda",
                &[
                    ("dev", "900:0\n"),
                    ("size", "2000\n"),
                    ("ro", "0\n"),
                    ("removable", "1\n"),
                    ("queue/logical_block_size", "4096\n"),
                    ("device/model", "Disk of Straw  \n"),
                    ("device/serial", "7\n"),
                ],
            ),
            ("pci/ata2/block/sda/sda1", &[("dev", "900:1"), ("partition", "1"), ("start", "8"), ("size", "16")]),
            ("virtual/block/loop0", &[("dev", "7:0"), ("size", "100")]),
            ("pci/usb1/block/sdb", &[("dev", "900:16"), ("size", "0")]),
            ("mmc0/block/mmcblk0boot0", &[("dev", "179:8"), ("size", "100")]),
            ("pci0/virtio0/block/cciss!c0d0", &[("dev", "900:32"), ("size", "1"), ("ro", "1")]),
        ]);
        let mounts = super::super::mounts::parse_mounts("1 0 900:1 / /mnt rw - ext4 /none rw\n");
        let disks = list(&sysfs, &Users::for_test(mounts, sysfs.clone())).unwrap();
        let straw = DiskInfo {
            path: "/dev/sda".into(),
            bytes: 1_024_000,
            model: Some("Disk of Straw".into()),
            serial: Some("7".into()),
            bus: Some("ata-2".into()),
            removable: true,
            read_only: false,
            logical_sector_bytes: 4096,
            partitions: vec![PartitionInfo {
                path: "/dev/sda1".into(),
                offset_bytes: 4096,
                bytes: 8192,
                mounted_at: vec!["/mnt".into()],
            }],
            mounted_at: vec!["/mnt".into()],
        };
        assert_eq!(disks.len(), 2, "{disks:?}");
        assert_eq!((disks[0].path.as_str(), disks[0].read_only), ("/dev/cciss/c0d0", true));
        assert_eq!(disks[1], straw);
    }

    #[test]
    fn this_machine_can_be_listed() {
        for disk in list_disks().unwrap() {
            assert!(disk.bytes > 0 && disk.path.starts_with("/dev/"), "{disk:?}");
        }
    }

    #[test]
    fn without_sysfs_it_is_an_error() {
        let sysfs = Sysfs::at("/nonexistent");
        let error = list(&sysfs, &Users::for_test(Vec::new(), sysfs.clone())).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::NotFound);
    }
}
