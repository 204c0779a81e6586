//! A kernel, its initramfs and its command line as one UEFI program: systemd's stub with sections added (UAPI group's
//! "Unified Kernel Image" specification; Microsoft's PE format).
//!
//! | section | holds |
//! |---|---|
//! | `.osrel` | `os-release` text |
//! | `.cmdline` | the kernel's command line |
//! | `.linux` | the kernel |
//! | `.initrd` | initramfs archives, one after the other |
//! | `holotype` | the manifest, of the sections above |
//!
//! A section's header has 40 bytes: 0 name, 8 bytes in memory, 12 place in memory, 16 bytes in the file, 20 place in the
//! file, 36 flags (readable, initialised data: 40000040). Sections in memory begin at multiples of 4096 after the last
//! one; where they overlap, firmware says "Unsupported".

use crate::error::{BootError, Result};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

const MEMORY_ALIGNMENT: u32 = 4096;
const FLAGS: u32 = 0x4000_0040;
const HEADER_BYTES: usize = 40;
/// Bytes in which all headers are.
const MAX_HEAD_BYTES: u64 = 64 << 10;
/// Sections that are added.
const OWN: [&str; 5] = [".osrel", ".cmdline", ".linux", ".initrd", MANIFEST_SECTION];

/// The section with the manifest.
pub const MANIFEST_SECTION: &str = "holotype";

fn strange() -> BootError {
    BootError::new("systemd's UEFI stub", "it is not as known here").advise("install the package systemd-boot-efi")
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    bytes.get(at..at + 2).map(|part| u16::from_le_bytes([part[0], part[1]])).ok_or_else(strange)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    bytes.get(at..at + 4).map(|part| u32::from_le_bytes([part[0], part[1], part[2], part[3]])).ok_or_else(strange)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Adds sections to a stub.
///
/// # Errors
/// Where the stub is none, has no room for their headers, or they are too large.
pub fn add_sections(stub: &[u8], sections: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let pe = u32_at(stub, 0x3c)? as usize;
    if !stub.starts_with(b"MZ") || pe > stub.len() || !stub[pe..].starts_with(b"PE\0\0") {
        return Err(strange());
    }
    let (count, optional_bytes) = (usize::from(u16_at(stub, pe + 6)?), usize::from(u16_at(stub, pe + 20)?));
    let optional = pe + 24;
    let file_alignment = u32_at(stub, optional + 36)?.max(512);
    let header_end = u32_at(stub, optional + 60)? as usize;
    let headers = optional + optional_bytes;
    let new_headers = headers + count * HEADER_BYTES;
    if !file_alignment.is_power_of_two() || u16_at(stub, optional)? != 0x20b || header_end > stub.len() {
        return Err(strange());
    }
    if new_headers + sections.len() * HEADER_BYTES > header_end {
        return Err(BootError::new("systemd's UEFI stub", "it has no room for more sections"));
    }
    let mut end = 0;
    for at in (headers..new_headers).step_by(HEADER_BYTES) {
        end = end.max(u32_at(stub, at + 12)?.checked_add(u32_at(stub, at + 8)?).ok_or_else(strange)?);
    }
    let mut image = stub.to_vec();
    let mut added = 0_u32;
    for (number, (name, content)) in sections.iter().enumerate() {
        let too_large = || BootError::new(format_args!("section {name}"), "it is too large for a UEFI program");
        let length = u32::try_from(content.len()).map_err(|_| too_large())?;
        let place = end.checked_next_multiple_of(MEMORY_ALIGNMENT).ok_or_else(too_large)?;
        image.resize(image.len().next_multiple_of(file_alignment as usize), 0);
        let file_place = u32::try_from(image.len()).map_err(|_| too_large())?;
        image.extend_from_slice(content);
        image.resize(image.len().next_multiple_of(file_alignment as usize), 0);
        let file_length = u32::try_from(image.len()).map_err(|_| too_large())? - file_place;
        let at = new_headers + number * HEADER_BYTES;
        let mut header = [0; HEADER_BYTES];
        put(&mut header, 0, &name.as_bytes()[..name.len().min(8)]);
        for (at, value) in [(8, length), (12, place), (16, file_length), (20, file_place), (36, FLAGS)] {
            put(&mut header, at, &value.to_le_bytes());
        }
        put(&mut image, at, &header);
        end = place.checked_add(length).ok_or_else(too_large)?;
        added = added.checked_add(file_length).ok_or_else(too_large)?;
    }
    let total = u16::try_from(count + sections.len()).map_err(|_| strange())?;
    put(&mut image, pe + 6, &total.to_le_bytes());
    let initialised = u32_at(stub, optional + 8)?.saturating_add(added);
    put(&mut image, optional + 8, &initialised.to_le_bytes());
    let size = end.checked_next_multiple_of(MEMORY_ALIGNMENT).ok_or_else(strange)?;
    put(&mut image, optional + 56, &size.to_le_bytes());
    Ok(image)
}

/// Sections by name.
pub type Sections = BTreeMap<String, Vec<u8>>;

/// Sections of a program that nobody vouches for, by name; `None` where it is no such program. What ends too early
/// is a sentence beside them.
pub fn read_sections<R: Read + Seek>(program: &mut R) -> Option<(Sections, Vec<String>)> {
    let end = program.seek(SeekFrom::End(0)).ok()?;
    let mut head = Vec::new();
    program.seek(SeekFrom::Start(0)).ok()?;
    program.by_ref().take(MAX_HEAD_BYTES).read_to_end(&mut head).ok()?;
    let pe = u32_at(&head, 0x3c).ok()? as usize;
    if !head.starts_with(b"MZ") || !head.get(pe..)?.starts_with(b"PE\0\0") {
        return None;
    }
    let (count, optional_bytes) = (u16_at(&head, pe + 6).ok()?, usize::from(u16_at(&head, pe + 20).ok()?));
    let headers = head.get(pe + 24 + optional_bytes..)?.chunks_exact(HEADER_BYTES).take(count.into());
    let (mut sections, mut findings, mut total) = (BTreeMap::new(), Vec::new(), 0);
    for header in headers {
        let name: String = header[..8].iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
        let name = name.escape_debug().to_string();
        let (bytes, place) = (u64::from(u32_at(header, 8).ok()?), u64::from(u32_at(header, 20).ok()?));
        total += bytes;
        let mut content = Vec::new();
        let read = (place + bytes <= end && total <= end).then(|| {
            program.seek(SeekFrom::Start(place)).and_then(|_| program.by_ref().take(bytes).read_to_end(&mut content))
        });
        match read {
            Some(Ok(_)) => drop(sections.insert(name, content)),
            // Sections of the stub may be longer in memory than in the file.
            _ if name.starts_with('.') && !OWN.contains(&name.as_str()) => total -= bytes,
            _ => findings.push(format!("section {name}: it ends too early")),
        }
    }
    Some((sections, findings))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least that is a stub: headers of 1024 bytes, one section at 4096.
    fn stub() -> Vec<u8> {
        let mut stub = vec![0; 1024];
        put(&mut stub, 0, b"MZ");
        put(&mut stub, 0x3c, &0x40_u32.to_le_bytes());
        put(&mut stub, 0x40, b"PE\0\0");
        put(&mut stub, 0x46, &1_u16.to_le_bytes());
        put(&mut stub, 0x54, &240_u16.to_le_bytes());
        put(&mut stub, 0x58, &0x20b_u16.to_le_bytes());
        put(&mut stub, 0x58 + 36, &512_u32.to_le_bytes());
        put(&mut stub, 0x58 + 60, &1024_u32.to_le_bytes());
        put(&mut stub, 0x58 + 240 + 8, &5000_u32.to_le_bytes());
        put(&mut stub, 0x58 + 240 + 12, &4096_u32.to_le_bytes());
        stub
    }

    #[test]
    fn sections_lie_one_after_the_other() {
        let image = add_sections(&stub(), &[(".cmdline", b"quiet"), (".linux", &[7; 5000])]).unwrap();
        let hex: String = image[0x58 + 280..0x58 + 360].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "2e636d646c696e65050000000030000000020000000400000000000000000000000000004000 0040\
             2e6c696e75780000881300000040000000140000000600000000000000000000000000004000 0040"
                .replace(' ', "")
        );
        assert_eq!(u16_at(&image, 0x46).unwrap(), 3);
        assert_eq!(u32_at(&image, 0x58 + 56).unwrap(), 0x6000);
        assert_eq!((&image[1024..1029], image[1536], image.len()), (b"quiet".as_slice(), 7, 1536 + 5120));
    }

    #[test]
    fn what_is_no_stub_is_refused() {
        for end in 0..1024 {
            assert!(add_sections(&stub()[..end], &[(".linux", b"x")]).is_err(), "{end}");
        }
        let many = [(".linux", b"x".as_slice()); 40];
        assert!(add_sections(&stub(), &many).is_err());
    }
}
