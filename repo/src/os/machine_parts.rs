//! What this machine is made of, as far as Linux tells: for the server's list of machines. It identifies nobody.

use super::{DiskInfo, list_disks};
use crate::error::Result;
use serde::Serialize;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// Network cards that are told of, at most.
const MAX_MACS: usize = 64;
/// Addresses and disks that are told of, at most.
const MAX_ITEMS: usize = 128;
/// Longest text of firmware and drives that is told.
const MAX_CHARACTERS: usize = 100;
/// What firmware says where nobody filled it in.
const PLACEHOLDERS: &[&str] =
    &["", "0", "none", "n/a", "default string", "not specified", "system serial number", "to be filled by o.e.m."];

/// Addresses, numbers and disks, named as the server names them.
#[derive(Debug, Default, Serialize)]
pub struct MachineParts {
    /// IPv4 and IPv6 addresses, without loopback.
    pub ip_addresses: Vec<IpAddr>,
    /// Addresses of network cards.
    pub mac_addresses: Vec<String>,
    /// UUID by the firmware; only root can read it.
    pub smbios_uuid: Option<String>,
    /// Serial number by the firmware; only root can read it.
    pub serial: Option<String>,
    /// Disks.
    pub disks: Vec<Disk>,
}

/// A disk.
#[derive(Debug, Serialize)]
pub struct Disk {
    path: String,
    model: Option<String>,
    serial: Option<String>,
    bytes: u64,
    logical_sector_bytes: u64,
    physical_sector_bytes: u64,
}

impl MachineParts {
    /// What tells machines apart: without addresses that change and without disks.
    pub fn identity() -> Self {
        Self::identity_in(Path::new("/sys/class"))
    }

    /// Everything.
    pub fn read() -> Result<Self> {
        let disks = list_disks()?.into_iter().take(MAX_ITEMS).map(disk).collect();
        Ok(Self { ip_addresses: ip_addresses(), disks, ..Self::identity() })
    }

    fn identity_in(class: &Path) -> Self {
        let firmware = |name: &str| Some(text(&class.join("dmi/id").join(name)).trim().to_owned());
        let usable = |text: &String| !PLACEHOLDERS.contains(&text.to_ascii_lowercase().as_str());
        Self {
            mac_addresses: mac_addresses(&class.join("net")),
            smbios_uuid: firmware("product_uuid").filter(|uuid| is_uuid(uuid)),
            serial: firmware("product_serial").filter(usable).map(|serial| told(&serial)).filter(usable),
            ..Self::default()
        }
    }
}

/// Empty where it is not there or not for us.
fn text(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// As the server takes texts: bounded, without control characters, no space at the ends.
fn told(text: &str) -> String {
    let plain: String = text.chars().filter(|letter| !letter.is_control()).take(MAX_CHARACTERS).collect();
    plain.trim().to_owned()
}

/// Cards that are devices; bridges, tunnels and the like come and go.
fn mac_addresses(net: &Path) -> Vec<String> {
    let entries = fs::read_dir(net).into_iter().flatten().flatten().map(|entry| entry.path());
    let cards = entries.filter(|card| card.join("device").exists());
    let mut macs: Vec<String> = cards.map(|card| text(&card.join("address")).trim().to_ascii_lowercase()).collect();
    macs.retain(|mac| mac.len() == 17 && mac.split(':').count() == 6 && mac != "00:00:00:00:00:00");
    macs.sort();
    macs.dedup();
    macs.truncate(MAX_MACS);
    macs
}

/// Of the form, and neither all zeros nor all ones, which firmware without one shows.
fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    lengths == [8, 4, 4, 4, 12]
        && digits.iter().all(u8::is_ascii_hexdigit)
        && digits.iter().any(|digit| !digit.eq_ignore_ascii_case(&digits[0]))
}

fn ip_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let addresses = interfaces.iter().filter(|interface| !interface.is_loopback()).map(|interface| interface.ip());
    let mut addresses: Vec<IpAddr> = addresses.collect();
    addresses.sort();
    addresses.dedup();
    addresses.truncate(MAX_ITEMS);
    addresses
}

fn disk(disk: DiskInfo) -> Disk {
    let logical_sector_bytes = u64::from(disk.logical_sector_bytes);
    // A slash in a device's name is an exclamation mark there.
    let name = disk.path.trim_start_matches("/dev/").replace('/', "!");
    let physical = text(&Path::new("/sys/class/block").join(name).join("queue/physical_block_size"));
    Disk {
        path: told(&disk.path),
        model: disk.model.as_deref().map(told),
        serial: disk.serial.as_deref().map(told),
        bytes: disk.bytes,
        logical_sector_bytes,
        physical_sector_bytes: physical.trim().parse().unwrap_or(logical_sector_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_that_knows_nothing_tells_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let parts = MachineParts::identity_in(directory.path());
        assert_eq!((parts.smbios_uuid, parts.serial, parts.mac_addresses.len()), (None, None, 0));
        put("dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n");
        put("dmi/id/product_serial", "To Be Filled By O.E.M.\n");
        put("net/lo/address", "00:00:00:00:00:00\n");
        put("net/br0/address", "02:00:00:00:00:01\n");
        put("net/eth0/address", "02:00:00:00:00:02\n");
        put("net/eth0/device/vendor", "");
        let parts = MachineParts::identity_in(directory.path());
        assert_eq!((parts.smbios_uuid, parts.serial), (None, None));
        assert_eq!(parts.mac_addresses, ["02:00:00:00:00:02"]);
        put("dmi/id/product_uuid", "4C4C4544-0043-3010-8052-B4C04F564231\n");
        put("dmi/id/product_serial", " S/N\u{1}4711 \n");
        let parts = MachineParts::identity_in(directory.path());
        assert_eq!(parts.smbios_uuid.as_deref(), Some("4C4C4544-0043-3010-8052-B4C04F564231"));
        assert_eq!(parts.serial.as_deref(), Some("S/N4711"));
    }
}
