//! What the kernel knows of a block device (kernel: Documentation/ABI/stable/sysfs-block).

use crate::error::{BootError, Result};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

#[derive(Debug, Default)]
pub struct DeviceFacts {
    /// Major and minor number, and the kernel's count of disks where it has one (5.15 and later): together they are never
    /// given to two disks.
    pub number: String,
    pub is_partition: bool,
    pub read_only: bool,
    pub removable: bool,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub partitions: Vec<String>,
    /// Mount points, swap, and what is built on it.
    pub in_use: Vec<String>,
}

impl DeviceFacts {
    /// Of the block device at `path`.
    pub fn of(path: &Path) -> Result<Self> {
        let metadata = fs::metadata(path).map_err(|error| BootError::io(path, "look at the device", &error))?;
        if !metadata.file_type().is_block_device() {
            return Err(BootError::new(path.display(), "it is no disk")
                .advise("give a disk as /dev/sdX; an image file is made by holotype boot create"));
        }
        let number = |number: u64| format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number));
        let link = PathBuf::from("/sys/dev/block").join(number(metadata.rdev()));
        let folder = fs::canonicalize(&link).map_err(|error| BootError::io(&link, "look at the device", &error))?;
        Ok(Self::read(
            &folder,
            &fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(),
            &fs::read_to_string("/proc/swaps").unwrap_or_default(),
        ))
    }

    fn read(folder: &Path, mounts: &str, swaps: &str) -> Self {
        let text = |name: &str| {
            fs::read_to_string(folder.join(name))
                .ok()
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let name =
            |folder: &Path| folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let inner = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut parts: Vec<PathBuf> = inner.filter(|path| path.join("partition").exists()).collect();
        parts.sort();
        let mut in_use = Vec::new();
        for part in [folder.to_owned()].iter().chain(&parts) {
            let number = fs::read_to_string(part.join("dev")).unwrap_or_default();
            in_use.extend(mount_points(mounts, number.trim()).map(|at| format!("mounted at {at}")));
            let device = format!("/dev/{}", name(part));
            if swaps.lines().any(|line| line.split_whitespace().next() == Some(device.as_str())) {
                in_use.push(format!("{device} is swap space"));
            }
            let holders = fs::read_dir(part.join("holders")).into_iter().flatten().flatten();
            in_use.extend(holders.map(|holder| format!("{} is built on it", holder.file_name().to_string_lossy())));
        }
        let is_usb = folder.to_string_lossy().contains("/usb");
        let numbers = [text("dev"), text("diskseq")];
        Self {
            number: numbers.into_iter().flatten().collect::<Vec<_>>().join(" "),
            is_partition: folder.join("partition").exists(),
            read_only: text("ro").as_deref() == Some("1"),
            // USB disks say 0, and are pulled out all the same.
            removable: text("removable").as_deref() == Some("1") || is_usb,
            model: text("device/model"),
            serial: text("device/serial").or_else(|| text("serial")).or_else(|| usb_serial(folder)),
            partitions: parts.iter().map(|part| name(part)).collect(),
            in_use,
        }
    }
}

/// The serial number of the USB device that a disk is on.
fn usb_serial(folder: &Path) -> Option<String> {
    if !folder.to_string_lossy().contains("/usb") {
        return None;
    }
    let found = folder.ancestors().take(10).find_map(|above| fs::read_to_string(above.join("serial")).ok())?;
    Some(found.trim().to_owned()).filter(|text| !text.is_empty())
}

fn mount_points<'a>(mounts: &'a str, number: &'a str) -> impl Iterator<Item = &'a str> {
    mounts.lines().filter_map(move |line| {
        let mut fields = line.split(' ').skip(2);
        let device = fields.next()?;
        (device == number && !number.is_empty()).then(|| fields.nth(1))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("sdz");
        for (name, text) in [
            ("dev", "8:240"),
            ("diskseq", "17"),
            ("ro", "0"),
            ("removable", "1"),
            ("sdz1/dev", "8:241"),
            ("sdz1/partition", "1"),
            ("device/model", "Stick  "),
        ] {
            fs::create_dir_all(disk.join(name).parent().unwrap()).unwrap();
            fs::write(disk.join(name), format!("{text}\n")).unwrap();
        }
        let mounts = "22 1 8:241 / /media/stick rw - vfat /dev/sdz1 rw\n23 1 8:24 / /other rw - ext4 /dev/x rw\n";
        let facts = DeviceFacts::read(&disk, mounts, "Filename Type\n/dev/sdz partition 1 0 -2\n");
        assert_eq!(facts.in_use, ["/dev/sdz is swap space", "mounted at /media/stick"]);
        assert!(facts.removable && !facts.read_only && !facts.is_partition);
        assert_eq!(facts.number, "8:240 17");
        assert_eq!((facts.model.as_deref(), facts.partitions.len()), (Some("Stick"), 1));
    }

    #[test]
    fn a_file_is_no_disk() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(DeviceFacts::of(file.path()).is_err());
    }
}
