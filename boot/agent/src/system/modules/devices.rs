//! Devices as the kernel tells them.

use super::super::text;
use netlink_sys::{Socket, SocketAddr};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;

/// `NETLINK_KOBJECT_UEVENT` (include/uapi/linux/netlink.h).
const KOBJECT_UEVENT: isize = 15;
/// Most folders that a walk through sysfs goes into.
const MOST_FOLDERS: usize = 200_000;

/// Calls `visit` with every folder below `root`; symbolic links are not followed.
fn walk(root: &Path, visit: &mut dyn FnMut(&Path)) {
    let mut open = vec![root.to_owned()];
    let mut seen = 0;
    while let Some(folder) = open.pop() {
        seen += 1;
        if seen > MOST_FOLDERS {
            return;
        }
        visit(&folder);
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        open.extend(entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir())).map(|it| it.path()));
    }
}

/// What each device below `root` (`/sys/devices`) asks for, each once.
pub(super) fn aliases(root: &Path) -> BTreeSet<String> {
    let mut aliases = BTreeSet::new();
    walk(root, &mut |folder| {
        aliases.extend(text::read(folder.join("modalias")).filter(|alias| !alias.is_empty()));
    });
    aliases
}

/// Class of PCI devices that disks are at (PCI Code and ID Assignment 1.11).
pub const STORAGE: u8 = 1;
/// Class of network adapters.
pub const NETWORK: u8 = 2;

/// A PCI device that no driver took.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unserved {
    /// Vendor and device, as `10ec:8125`.
    pub id: String,
    /// Class and subclass, as `0x0104`.
    pub class: u16,
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.class {
            0x0100 => "SCSI controller",
            0x0101 => "IDE controller",
            0x0104 => "RAID controller",
            0x0106 => "SATA controller",
            0x0107 => "SAS controller",
            0x0108 => "NVMe controller",
            0x0200 => "Ethernet adapter",
            class if class >> 8 == u16::from(NETWORK) => "network adapter",
            _ => "storage controller",
        };
        write!(f, "{kind}, PCI {}, class {:04x}", self.id, self.class)
    }
}

/// The PCI devices of a class below `root` that no driver serves, and what to do; absent where each has one.
pub fn missing_sentence(root: &Path, class: u8) -> Option<String> {
    let missing: Vec<String> = without_driver(root, class).iter().map(|it| format!("({it})")).collect();
    let these = match &missing[..] {
        [] => return None,
        [_] => "a device of this PC",
        _ => "devices of this PC",
    };
    Some(format!(
        "this medium has no driver for {these} {}. Make the medium with all drivers (--modules all), with firmware \
         (--firmware), or with a newer kernel.",
        missing.join(", ")
    ))
}

/// PCI devices of a class (1 storage, 2 network) below `root` that have no driver.
pub fn without_driver(root: &Path, class: u8) -> Vec<Unserved> {
    let mut found = Vec::new();
    walk(root, &mut |folder| {
        let number = |name: &str| {
            let text = text::read(folder.join(name))?;
            u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
        };
        if folder.join("driver").exists() {
            return;
        }
        let (Some(vendor), Some(device), Some(of_class)) = (number("vendor"), number("device"), number("class")) else {
            return;
        };
        if of_class >> 16 == u32::from(class) {
            let class = u16::try_from(of_class >> 8 & 0xffff).unwrap_or_default();
            found.push(Unserved { id: format!("{vendor:04x}:{device:04x}"), class });
        }
    });
    found.sort();
    found
}

/// Devices that the kernel announces.
pub(super) struct Announcements(Socket);

impl Announcements {
    /// # Errors
    /// What the kernel says.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(KOBJECT_UEVENT)?;
        // Many devices come at once when a controller gets its driver.
        let _ = socket.set_rx_buf_sz(1u32 << 20);
        socket.bind(&SocketAddr::new(0, 1))?;
        Ok(Self(socket))
    }

    /// What the next announced device asks for. `None` where the kernel announces nothing any more.
    pub fn next(&self) -> Option<String> {
        loop {
            match self.0.recv_from_full() {
                Ok((message, sender)) if sender.port_number() == 0 => match alias_of(&message) {
                    Some(alias) => return Some(alias),
                    None => continue,
                },
                // From another program than the kernel; interrupted; more than the buffer holds.
                Ok(_) => {}
                Err(error) if matches!(error.raw_os_error(), Some(4 | 105)) => {}
                Err(_) => return None,
            }
        }
    }
}

/// The alias of an announcement: `add@/devices/…`, then `KEY=VALUE`, all ended by zero bytes.
fn alias_of(message: &[u8]) -> Option<String> {
    let mut parts = message.split(|byte| *byte == 0);
    parts.next().filter(|head| head.starts_with(b"add@"))?;
    let alias = parts.find_map(|part| part.strip_prefix(b"MODALIAS="))?;
    std::str::from_utf8(alias).ok().filter(|alias| !alias.is_empty() && alias.len() <= 4096).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_at_any_depth_and_links_are_not_followed() {
        let sys = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = sys.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        write("pci0/0000:00:01.0/modalias", "pci:v1\n");
        write("pci0/0000:00:01.0/usb1/1-1/modalias", "usb:v1\n");
        write("virtual/empty/modalias", "\n");
        for (name, content) in [("vendor", "0x10ec\n"), ("device", "0x8125\n"), ("class", "0x020000\n")] {
            write(&format!("pci0/0000:00:02.0/{name}"), content);
            write(&format!("pci0/0000:00:03.0/{name}"), content);
        }
        write("pci0/0000:00:03.0/driver/bind", "");
        std::os::unix::fs::symlink(sys.path(), sys.path().join("pci0/loop")).unwrap();
        assert_eq!(aliases(sys.path()).into_iter().collect::<Vec<_>>(), ["pci:v1", "usb:v1"]);
        assert_eq!(without_driver(sys.path(), NETWORK), [Unserved { id: "10ec:8125".into(), class: 0x0200 }]);
        assert!(missing_sentence(sys.path(), STORAGE).is_none());
        for (name, content) in [("vendor", "0x1000\n"), ("device", "0x0016\n"), ("class", "0x010400\n")] {
            write(&format!("pci0/0000:00:04.0/{name}"), content);
        }
        let told = missing_sentence(sys.path(), STORAGE).unwrap();
        assert!(told.contains("a device of this PC (RAID controller, PCI 1000:0016, class 0104)"), "{told}");
        let told = missing_sentence(sys.path(), NETWORK).unwrap();
        assert!(told.contains("(Ethernet adapter, PCI 10ec:8125, class 0200)") && told.contains("--modules all"));
    }

    #[test]
    fn announcements() {
        assert_eq!(alias_of(b"add@/devices/x\0ACTION=add\0MODALIAS=usb:v1\0SEQNUM=1\0").as_deref(), Some("usb:v1"));
        for other in [b"remove@/d\0MODALIAS=usb:v1\0".as_slice(), b"add@/d\0SEQNUM=1\0", b"", b"add@/d\0MODALIAS=\xff"]
        {
            assert_eq!(alias_of(other), None);
        }
    }
}
