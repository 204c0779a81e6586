//! What uses a disk or a file: mounts and swap on it, on its partitions, and on what is built of them.

use super::mounts::{self, Mount};
use super::sysfs::{DeviceNumber, Sysfs, SysfsDevice};
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::path::PathBuf;

/// How [`Use::place`] writes swap, as `lsblk` does.
const SWAP: &str = "[SWAP]";

/// One use of a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Use {
    /// A mount point, or `[SWAP]`.
    pub place: String,
    /// Whether the device can be written to by it. Swap counts.
    pub read_write: bool,
}

impl Use {
    pub fn is_mount(&self) -> bool {
        self.place != SWAP
    }
}

/// The thing that may be in use.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    Device(DeviceNumber),
    File(FileNumber),
}

/// What tells two files apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileNumber {
    device: u64,
    inode: u64,
}

/// Everything that can use a device, as it was at one time.
pub(super) struct Users {
    mounts: Vec<Mount>,
    swaps: Vec<PathBuf>,
    sysfs: Sysfs,
}

impl Users {
    pub fn now() -> Self {
        Self { mounts: mounts::mounts(), swaps: mounts::swaps(), sysfs: Sysfs::default() }
    }

    #[cfg(all(test, target_os = "linux"))]
    pub fn for_test(mounts: Vec<Mount>, sysfs: Sysfs) -> Self {
        Self { mounts, swaps: Vec::new(), sysfs }
    }

    /// The uses of `subject`, each once.
    pub fn uses(&self, subject: Subject) -> Vec<Use> {
        let (devices, file) = match subject {
            Subject::Device(device) => (self.built_on([device].into()), None),
            Subject::File(file) => (self.built_on(self.loops_over(Subject::File(file))), Some(file)),
        };
        let mut uses = BTreeSet::new();
        for mount in &self.mounts {
            // btrfs mounts under a number of the kernel's own; the source names the device.
            if devices.contains(&mount.device) || block_device(&mount.source).is_some_and(|it| devices.contains(&it)) {
                uses.insert(Use { place: mount.at.clone(), read_write: mount.read_write });
            }
        }
        for swap in &self.swaps {
            let on_device = block_device(swap).is_some_and(|it| devices.contains(&it));
            let in_file = file.is_some() && fs::metadata(swap).ok().and_then(|it| file_number(&it)) == file;
            if on_device || in_file {
                uses.insert(Use { place: SWAP.into(), read_write: true });
            }
        }
        uses.into_iter().collect()
    }

    /// Paths of the loop devices over a file.
    pub fn loop_paths(&self, file: FileNumber) -> Vec<String> {
        let loops = self.loops_over(Subject::File(file));
        loops.into_iter().filter_map(|number| self.sysfs.device(number)).map(|device| device.path()).collect()
    }

    /// `devices`, their partitions, and everything above them.
    fn built_on(&self, devices: BTreeSet<DeviceNumber>) -> BTreeSet<DeviceNumber> {
        let mut all = BTreeSet::new();
        let mut to_see: Vec<_> = devices.into_iter().collect();
        while let Some(number) = to_see.pop() {
            if !all.insert(number) {
                continue;
            }
            if let Some(device) = self.sysfs.device(number) {
                let above = device.partitions().into_iter().chain(device.holders());
                to_see.extend(above.filter_map(|device| device.number()));
            }
            to_see.extend(self.loops_over(Subject::Device(number)));
        }
        all
    }

    fn loops_over(&self, subject: Subject) -> BTreeSet<DeviceNumber> {
        let is_over = |disk: &SysfsDevice| {
            let Some(below) = disk.backing_file().and_then(|path| fs::metadata(path).ok()) else { return false };
            match subject {
                Subject::Device(device) => device_number(&below) == Some(device),
                Subject::File(file) => file_number(&below) == Some(file),
            }
        };
        let disks = self.sysfs.disks().unwrap_or_default();
        disks.into_iter().filter(is_over).filter_map(|disk| disk.number()).collect()
    }
}

fn block_device(path: &std::path::Path) -> Option<DeviceNumber> {
    path.is_absolute().then(|| fs::metadata(path).ok()).flatten().and_then(|metadata| device_number(&metadata))
}

/// The number of a block device; absent for everything else.
pub(super) fn device_number(metadata: &Metadata) -> Option<DeviceNumber> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let device = metadata.rdev();
        let number = DeviceNumber { major: rustix::fs::major(device), minor: rustix::fs::minor(device) };
        metadata.file_type().is_block_device().then_some(number)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = metadata;
        None
    }
}

/// The number of a regular file; absent for everything else.
pub(super) fn file_number(metadata: &Metadata) -> Option<FileNumber> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        metadata.is_file().then(|| FileNumber { device: metadata.dev(), inode: metadata.ino() })
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::sysfs::tests::fake;
    use super::*;

    #[test]
    fn uses_are_found_through_partitions_and_volumes() {
        let (_root, sysfs) = fake(&[
            ("pci/ata1/block/sda", &[("dev", "900:0")]),
            ("pci/ata1/block/sda/sda1", &[("dev", "900:1"), ("partition", "1")]),
            (
                "pci/ata1/block/sda/sda2",
                &[("dev", "900:2"), ("partition", "2"), ("holders/dm-0", "-> virtual/block/dm-0")],
            ),
            ("virtual/block/dm-0", &[("dev", "901:0"), ("holders/md0", "-> virtual/block/md0")]),
            ("virtual/block/md0", &[("dev", "902:0"), ("holders/dm-0", "-> virtual/block/dm-0")]),
            ("pci/ata2/block/sdb", &[("dev", "900:16")]),
        ]);
        let mountinfo = "\
            1 0 900:1 / /boot rw - vfat /none rw\n\
            2 0 902:0 / /data rw - ext4 /none rw\n\
            3 0 902:0 / /data rw - ext4 /none rw\n\
            4 0 900:16 / /other ro - ext4 /none ro\n";
        let users = Users::for_test(mounts::parse_mounts(mountinfo), sysfs);
        let uses = |minor| {
            let uses = users.uses(Subject::Device(DeviceNumber { major: 900, minor }));
            uses.into_iter().map(|it| (it.place, it.read_write)).collect::<Vec<_>>()
        };
        let (boot, data) = (("/boot".to_owned(), true), ("/data".to_owned(), true));
        assert_eq!(uses(0), [boot.clone(), data.clone()]);
        assert_eq!(uses(1), [boot]);
        assert_eq!(uses(2), [data]);
        assert_eq!(uses(16), [("/other".to_owned(), false)]);
        assert_eq!(uses(99), []);
    }

    #[test]
    fn a_swap_file_is_in_use() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (_root, sysfs) = fake(&[]);
        let users = Users { mounts: Vec::new(), swaps: vec![file.path().to_owned()], sysfs };
        let number = file_number(&file.as_file().metadata().unwrap()).unwrap();
        assert_eq!(users.uses(Subject::File(number)), [Use { place: SWAP.into(), read_write: true }]);
        let other = tempfile::NamedTempFile::new().unwrap();
        let number = file_number(&other.as_file().metadata().unwrap()).unwrap();
        assert_eq!(users.uses(Subject::File(number)), []);
    }
}
