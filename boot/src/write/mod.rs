//! Writing an image to a stick or a disk: plan, show, apply.

mod apply;
mod device;

pub use apply::Written;

use crate::error::{BootError, Result};
use device::DeviceFacts;
use serde::Serialize;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Sticks are smaller; what is larger is likely somebody's disk.
pub const EXPECTED_MOST_BYTES: u64 = 300_000_000_000;

/// What would be written where. Making it changes nothing.
#[derive(Debug, Clone, Serialize)]
pub struct WritePlan {
    /// The image.
    pub medium: PathBuf,
    /// How long it is.
    pub medium_bytes: u64,
    /// Where it is written: everything there is lost.
    pub device: PathBuf,
    /// What the kernel numbers it by.
    pub device_number: String,
    /// How long that is.
    pub device_bytes: u64,
    /// Its model, where the kernel knows it.
    pub model: Option<String>,
    /// Its serial number, where the kernel knows it.
    pub serial: Option<String>,
    /// Whether it can be pulled out.
    pub removable: bool,
    /// Names of the partitions on it now.
    pub partitions: Vec<String>,
    /// What a person should think about first, each in a sentence. Where there is nothing, it looks like a stick.
    pub concerns: Vec<String>,
}

impl WritePlan {
    /// Looks at image and device.
    ///
    /// # Errors
    /// Where one of them is not there, the device is too small, read-only, no whole disk, or in use.
    pub fn make(medium: &Path, device: &Path) -> Result<Self> {
        let open = |path: &Path| File::open(path).map_err(|error| BootError::io(path, "open it", &error));
        let length = |path: &Path| {
            let end = open(path)?.seek(SeekFrom::End(0));
            end.map_err(|error| BootError::io(path, "find its length", &error))
        };
        let medium_bytes = length(medium)?;
        let facts = DeviceFacts::of(device)?;
        let device_bytes = length(device)?;
        let refused = |why: String, advice: &str| Err(BootError::new(device.display(), why).advise(advice));
        if facts.is_partition {
            return refused("it is a partition".into(), "give the whole disk");
        }
        if facts.read_only {
            return refused("it is write-protected".into(), "move its switch, or take another");
        }
        if let Some(use_) = facts.in_use.first() {
            return refused(format!("it is in use: {use_}"), "unmount it first, or take another");
        }
        check_size(device, device_bytes, medium_bytes)?;
        let mut concerns = Vec::new();
        if !facts.removable {
            concerns.push("it cannot be pulled out: it may be a disk of this computer".to_owned());
        }
        if device_bytes > EXPECTED_MOST_BYTES {
            concerns.push("it is larger than sticks are".to_owned());
        }
        if !facts.partitions.is_empty() {
            concerns.push(format!("what is on {} is lost", facts.partitions.join(", ")));
        }
        Ok(Self {
            medium: medium.to_owned(),
            medium_bytes,
            device: device.to_owned(),
            device_number: facts.number,
            device_bytes,
            model: facts.model,
            serial: facts.serial,
            removable: facts.removable,
            partitions: facts.partitions,
            concerns,
        })
    }

    /// Whether what is there now is the device that was shown.
    fn check_same(&self, now: &Self) -> Result<()> {
        let identity =
            |plan: &Self| (plan.device_number.clone(), plan.device_bytes, plan.model.clone(), plan.serial.clone());
        if identity(self) == identity(now) {
            return Ok(());
        }
        let why = format!("another device is there now: {}, in place of {}", now.told(), self.told());
        Err(BootError::new(self.device.display(), why).advise("nothing was written; look at it anew"))
    }

    fn told(&self) -> String {
        let or = |text: &Option<String>, none: &str| text.as_ref().map_or(none.to_owned(), ToString::to_string);
        let (model, serial) = (or(&self.model, "no model"), or(&self.serial, "no serial number"));
        format!("{model}, {serial}, {} bytes (number {})", self.device_bytes, self.device_number)
    }
}

fn check_size(device: &Path, device_bytes: u64, medium_bytes: u64) -> Result<()> {
    if device_bytes >= medium_bytes {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let why = format!(
        "it is too small: it has {device_bytes} bytes ({} MiB), and the image needs {medium_bytes} ({} MiB)",
        device_bytes >> 20,
        mib(medium_bytes)
    );
    Err(BootError::new(device.display(), why).advise(format_args!(
        "take a larger one, or make the image for it: holotype boot create usb with --size {device_bytes}, or without a \
         data partition"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn plan(folder: &Path) -> WritePlan {
        WritePlan {
            medium: folder.join("medium"),
            medium_bytes: 5000,
            device: folder.join("device"),
            device_number: "8:16 4".into(),
            device_bytes: 8000,
            model: Some("Stick".into()),
            serial: None,
            removable: true,
            partitions: Vec::new(),
            concerns: Vec::new(),
        }
    }

    #[test]
    fn another_device_is_told_of() {
        let shown = plan(Path::new("/dev"));
        shown.check_same(&WritePlan { partitions: vec!["sdz1".into()], ..shown.clone() }).unwrap();
        for other in [
            WritePlan { device_number: "8:16 5".into(), ..shown.clone() },
            WritePlan { device_bytes: 9000, ..shown.clone() },
            WritePlan { serial: Some("123".into()), ..shown.clone() },
            WritePlan { model: Some("Disk".into()), ..shown.clone() },
        ] {
            let told = shown.check_same(&other).unwrap_err().to_string();
            for expected in [shown.told(), other.told(), "nothing was written".into()] {
                assert!(told.contains(&expected), "{told}");
            }
        }
    }

    #[test]
    fn what_is_too_small_is_told_with_both_sizes() {
        let device = Path::new("/dev/sdz");
        assert!(check_size(device, 1000, 1000).is_ok());
        let told = check_size(device, 16_008_609_791, 16_008_609_792).unwrap_err().to_string();
        for expected in
            ["/dev/sdz: it is too small", "16008609791 bytes (15266 MiB)", "16008609792 (15267 MiB)", "--size"]
        {
            assert!(told.contains(expected), "{told}");
        }
    }
}
