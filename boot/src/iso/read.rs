//! Looks at the descriptors of an ISO image that nobody vouches for.

use super::SECTOR_BYTES;
use std::io::{Read, Seek, SeekFrom};

/// What is wrong, in a sentence.
pub type IsoFinding = String;

/// Where the ESP's volume is in an image, in bytes, and what is wrong; `None` where it is no ISO image.
pub fn check_iso<R: Read + Seek>(device: &mut R) -> Option<(Option<u64>, Vec<IsoFinding>)> {
    let primary = sector(device, 16)?;
    if primary.get(..7)? != b"\x01CD001\x01" {
        return None;
    }
    let mut findings = Vec::new();
    let end = device.seek(SeekFrom::End(0)).unwrap_or(0);
    let sectors = u32_at(&primary, 80);
    if u64::from(sectors) * SECTOR_BYTES > end {
        findings.push("ISO image: it ends too early".to_owned());
    }
    let boot = sector(device, 17).filter(|boot| boot.starts_with(b"\0CD001\x01EL TORITO SPECIFICATION"));
    let Some(catalogue) = boot.and_then(|boot| sector(device, u32_at(&boot, 71).into())) else {
        findings.push("ISO image: it has no boot record".to_owned());
        return Some((None, findings));
    };
    let words = catalogue[..32].chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    if words.fold(0_u16, u16::wrapping_add) != 0 || catalogue[30..32] != [0x55, 0xaa] || catalogue[32] != 0x88 {
        findings.push("ISO image: its boot catalogue is damaged".to_owned());
    }
    if catalogue[65] != 0xef || catalogue[96] != 0x88 {
        findings.push("ISO image: its boot catalogue has no entry for UEFI".to_owned());
        return Some((None, findings));
    }
    let place = u64::from(u32_at(&catalogue, 104)) * SECTOR_BYTES;
    let bios = sector(device, u32_at(&catalogue, 40).into());
    if bios.is_none_or(|bios| u32_at(&bios, 12) != u32_at(&catalogue, 40)) {
        findings.push("ISO image: its BIOS boot file is damaged".to_owned());
    }
    Some((Some(place), findings))
}

fn sector<R: Read + Seek>(device: &mut R, number: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 2048];
    device.seek(SeekFrom::Start(number * SECTOR_BYTES)).ok()?;
    device.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |part| u32::from_le_bytes([part[0], part[1], part[2], part[3]]))
}
