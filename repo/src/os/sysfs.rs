//! What the kernel tells of block devices under `/sys` (kernel: Documentation/ABI/stable/sysfs-block).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `size` and `start` count in these, whatever the device's sectors are.
const SYSFS_SECTOR_BYTES: u64 = 512;

/// What the kernel puts behind the path of a loop's file that was removed.
const REMOVED: &str = " (deleted)";

/// Major and minor number of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeviceNumber {
    pub major: u32,
    pub minor: u32,
}

impl FromStr for DeviceNumber {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once(':').ok_or(())?;
        Ok(Self { major: major.parse().map_err(drop)?, minor: minor.parse().map_err(drop)? })
    }
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// The tree at `/sys`, or a copy of it in tests.
#[derive(Debug, Clone)]
pub(super) struct Sysfs {
    root: PathBuf,
}

impl Default for Sysfs {
    fn default() -> Self {
        Self::at("/sys")
    }
}

impl Sysfs {
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The device of a number.
    pub fn device(&self, number: DeviceNumber) -> Option<SysfsDevice> {
        SysfsDevice::at(&self.root.join(format!("dev/block/{number}")))
    }

    /// Every whole disk: everything that is no partition.
    ///
    /// # Errors
    /// Where `/sys/block` cannot be listed.
    pub fn disks(&self) -> std::io::Result<Vec<SysfsDevice>> {
        let entries = fs::read_dir(self.root.join("block"))?;
        Ok(entries.flatten().filter_map(|entry| SysfsDevice::at(&entry.path())).collect())
    }
}

/// A disk's or partition's directory.
#[derive(Debug, Clone)]
pub(super) struct SysfsDevice {
    directory: PathBuf,
}

impl SysfsDevice {
    fn at(directory: &Path) -> Option<Self> {
        fs::canonicalize(directory).ok().map(|directory| Self { directory })
    }

    /// A text file under the device's directory, trimmed; absent where it is empty.
    fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.directory.join(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn number_in<T: FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    fn flag(&self, path: &str) -> bool {
        self.number_in::<u32>(path) == Some(1)
    }

    /// The kernel's name, for instance `sda1`.
    pub fn name(&self) -> String {
        // The kernel writes `!` for the slashes of names like `cciss/c0d0`.
        self.directory.file_name().unwrap_or_default().to_string_lossy().replace('!', "/")
    }

    /// Its place in `/dev`.
    pub fn path(&self) -> String {
        format!("/dev/{}", self.name())
    }

    pub fn number(&self) -> Option<DeviceNumber> {
        self.number_in("dev")
    }

    pub fn bytes(&self) -> Option<u64> {
        self.number_in::<u64>("size")?.checked_mul(SYSFS_SECTOR_BYTES)
    }

    /// Where a partition begins on its disk.
    pub fn offset_bytes(&self) -> Option<u64> {
        self.number_in::<u64>("start")?.checked_mul(SYSFS_SECTOR_BYTES)
    }

    /// How much was written to it, flushed and discarded since the system started
    /// (kernel: Documentation/block/stat.rst): another text after each write.
    pub fn writes_seen(&self) -> Option<String> {
        let stat = self.text("stat")?;
        let columns: Vec<&str> = stat.split_ascii_whitespace().collect();
        // Writes, and sectors written; discards, and sectors discarded.
        let seen = [4, 6, 11, 13].map(|column| columns.get(column).copied().unwrap_or("0"));
        Some(seen.join(" "))
    }

    pub fn is_partition(&self) -> bool {
        self.directory.join("partition").exists()
    }

    /// The whole disk: the device itself, or the disk of a partition.
    pub fn disk(&self) -> Self {
        match self.directory.parent() {
            Some(parent) if self.is_partition() => Self { directory: parent.to_owned() },
            _ => self.clone(),
        }
    }

    pub fn read_only(&self) -> bool {
        self.flag("ro")
    }

    pub fn removable(&self) -> bool {
        self.flag("removable")
    }

    pub fn logical_sector_bytes(&self) -> Option<u32> {
        self.disk().number_in("queue/logical_block_size")
    }

    pub fn physical_sector_bytes(&self) -> Option<u32> {
        self.disk().number_in("queue/physical_block_size")
    }

    pub fn model(&self) -> Option<String> {
        let disk = self.disk();
        let backing_file = || Some(format!("loop over {}", disk.backing_file()?.display()));
        disk.text("device/model").or_else(|| disk.text("device/name")).or_else(backing_file)
    }

    pub fn serial(&self) -> Option<String> {
        let disk = self.disk();
        // SCSI's Unit Serial Number page: 4 bytes of header, then ASCII.
        let scsi = || {
            let page = fs::read(disk.directory.join("device/vpd_pg80")).ok()?;
            let serial = String::from_utf8_lossy(page.get(4..)?).trim_matches(['\0', ' ', '\n']).to_owned();
            (!serial.is_empty()).then_some(serial)
        };
        disk.text("device/serial").or_else(|| disk.text("serial")).or_else(scsi).or_else(|| disk.text("device/wwid"))
    }

    /// Bus and port, read off the path of the device: `ata-1`, `usb-2-1.4`, `nvme-0000:01:00.0`.
    pub fn bus(&self) -> Option<String> {
        let disk = self.disk();
        let steps: Vec<String> = disk.directory.iter().map(|step| step.to_string_lossy().into_owned()).collect();
        let after = |step: &str, prefix: &str| {
            let number = step.strip_prefix(prefix)?;
            number.starts_with(|c: char| c.is_ascii_digit()).then(|| number.to_owned())
        };
        // Innermost last: a USB bridge is nearer to the disk than the PCI device that it hangs on.
        for (place, step) in steps.iter().enumerate().rev() {
            let above = place.checked_sub(1).and_then(|above| steps.get(above));
            if step == "nvme" {
                return Some(format!("nvme-{}", above.map_or("", String::as_str)));
            }
            if let Some(port) = after(step, "ata") {
                return Some(format!("ata-{port}"));
            }
            // Interfaces are called like `2-1.4:1.0`: bus and ports, then configuration and interface.
            if let Some((port, interface)) = step.split_once(':')
                && port.contains('-')
                && interface.contains('.')
                && above.is_some_and(|above| above == port)
            {
                return Some(format!("usb-{port}"));
            }
            for bus in ["virtio", "mmc", "loop", "session"] {
                if let Some(port) = after(step, bus) {
                    let bus = if bus == "session" { "iscsi" } else { bus };
                    return Some(format!("{bus}-{port}"));
                }
            }
        }
        let is_scsi_address = |step: &&String| step.split(':').filter(|part| part.parse::<u32>().is_ok()).count() == 4;
        steps.iter().find(is_scsi_address).map(|address| format!("scsi-{address}"))
    }

    /// The file under a loop device, as the kernel names it.
    pub fn backing_file(&self) -> Option<PathBuf> {
        let bytes = fs::read(self.directory.join("loop/backing_file")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let path = text.strip_suffix('\n').unwrap_or(&text);
        let path = path.strip_suffix(REMOVED).unwrap_or(path);
        (!path.is_empty()).then(|| PathBuf::from(path))
    }

    /// The partitions of a disk, by their place.
    pub fn partitions(&self) -> Vec<SysfsDevice> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut partitions: Vec<_> = entries
            .filter(|entry| entry.path().join("partition").exists())
            .map(|entry| SysfsDevice { directory: entry.path() })
            .collect();
        partitions.sort_by_cached_key(|partition| (partition.offset_bytes(), partition.name()));
        partitions
    }

    /// What is built on the device: device-mapper and md devices.
    pub fn holders(&self) -> Vec<SysfsDevice> {
        let entries = fs::read_dir(self.directory.join("holders")).into_iter().flatten().flatten();
        entries.filter_map(|entry| SysfsDevice::at(&entry.path())).collect()
    }
}

#[cfg(all(test, unix))]
pub(super) mod tests {
    use super::*;

    /// Writes a tree like `/sys`: (path of a device under `devices`, files with their contents).
    pub fn fake(devices: &[(&str, &[(&str, &str)])]) -> (tempfile::TempDir, Sysfs) {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for directory in ["block", "dev/block"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for (device, files) in devices {
            let directory = at("devices").join(device);
            for (file, contents) in *files {
                let file = directory.join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                match contents.strip_prefix("-> ") {
                    Some(holder) => std::os::unix::fs::symlink(at("devices").join(holder), file).unwrap(),
                    None => fs::write(file, contents).unwrap(),
                }
            }
            let name = directory.file_name().unwrap();
            if !directory.join("partition").exists() {
                std::os::unix::fs::symlink(&directory, at("block").join(name)).unwrap();
            }
            if let Ok(number) = fs::read_to_string(directory.join("dev")) {
                std::os::unix::fs::symlink(&directory, at("dev/block").join(number.trim())).unwrap();
            }
        }
        let sysfs = Sysfs::at(root.path());
        (root, sysfs)
    }

    fn device(path: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, SysfsDevice) {
        let (root, sysfs) = fake(&[(path, files)]);
        let device = sysfs.disks().unwrap().remove(0);
        (root, device)
    }

    #[test]
    fn buses_are_read_off_the_path() {
        for (path, bus) in [
            ("pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0/block/sda", Some("ata-3")),
            ("pci0000:00/0000:00:14.0/usb2/2-1/2-1.4/2-1.4:1.0/host6/target6:0:0/6:0:0:0/block/sdb", Some("usb-2-1.4")),
            ("pci0000:00/0000:00:1d.0/0000:01:00.0/nvme/nvme0/nvme0n1", Some("nvme-0000:01:00.0")),
            ("pci0000:00/0000:00:02.0/virtio1/block/vda", Some("virtio-1")),
            ("platform/soc/mmc_host/mmc0/mmc0:0001/block/mmcblk0", Some("mmc-0:0001")),
            ("pci0000:00/0000:00:10.0/host2/target2:0:0/2:0:1:0/block/sda", Some("scsi-2:0:1:0")),
            ("virtual/block/loop7", Some("loop-7")),
            ("virtual/block/md0", None),
        ] {
            let (_root, device) = device(path, &[("size", "8")]);
            assert_eq!(device.bus().as_deref(), bus, "{path}");
        }
    }

    #[test]
    fn serials_come_from_where_the_driver_puts_them() {
        for (file, contents, serial) in [
            ("device/serial", "S4EV NX0 \n", Some("S4EV NX0")),
            ("serial", "virtio-7\n", Some("virtio-7")),
            ("device/vpd_pg80", "\0\u{1}\0\u{8}WD-1234 ", Some("WD-1234")),
            ("device/vpd_pg80", "\0", None),
            ("device/wwid", "naa.5000\n", Some("naa.5000")),
            ("device/serial", "\n", None),
        ] {
            let (_root, device) = device("x/block/sda", &[(file, contents)]);
            assert_eq!(device.serial().as_deref(), serial, "{file}");
        }
    }

    #[test]
    fn hostile_numbers_are_absent() {
        let (_root, device) = device("x/block/sda", &[("size", "18446744073709551615"), ("dev", "8")]);
        assert_eq!(device.bytes(), None);
        assert_eq!(device.number(), None);
    }

    #[test]
    fn loops_tell_their_file() {
        for (text, path) in [("/a b\n", "/a b"), ("/a (deleted)\n", "/a")] {
            let (_root, device) = device("virtual/block/loop0", &[("loop/backing_file", text)]);
            assert_eq!(device.backing_file().unwrap(), Path::new(path));
            assert_eq!(device.model().unwrap(), format!("loop over {path}"));
        }
    }

    #[test]
    fn partitions_ask_their_disk() {
        let (_root, sysfs) = fake(&[
            ("pci/ata1/block/sda", &[("dev", "8:0"), ("device/model", "DISK\n"), ("queue/logical_block_size", "4096")]),
            ("pci/ata1/block/sda/sda2", &[("dev", "8:2"), ("partition", "2"), ("start", "2048"), ("size", "100")]),
            ("pci/ata1/block/sda/sda1", &[("dev", "8:1"), ("partition", "1"), ("start", "4096"), ("size", "100")]),
        ]);
        let partition = sysfs.device(DeviceNumber { major: 8, minor: 2 }).unwrap();
        assert_eq!(partition.model().as_deref(), Some("DISK"));
        assert_eq!(partition.logical_sector_bytes(), Some(4096));
        assert_eq!(partition.bus().as_deref(), Some("ata-1"));
        assert_eq!(partition.disk().name(), "sda");
        let names: Vec<_> = partition.disk().partitions().iter().map(SysfsDevice::name).collect();
        assert_eq!(names, ["sda2", "sda1"], "by place");
    }
}
