//! Names in a folder: a short one (8 + 3 characters) for each, and a long one where the short one says less.
//!
//! | entry | fields |
//! |---|---|
//! | short, 32 bytes | 0 name (11), 11 attributes, 13 tenths, 14 time, 16 date of making, 18 date of use, 20 cluster (high), 22 time, 24 date of writing, 26 cluster (low), 28 bytes (4) |
//! | long, 32 bytes | 0 number (bit 6: last), 1 characters 1–5, 11 attributes 0F, 13 sum of the short name, 14 characters 6–11, 28 characters 12–13; UTF-16, a zero, then FFFF |
//!
//! Long entries stand before their short one, last part first. Dates are 1980-01-01, 00:00.

use crate::error::{BootError, Result};
use std::collections::BTreeSet;

pub const FOLDER: u8 = 0x10;
pub const FILE: u8 = 0x20;
pub const LABEL: u8 = 0x08;
/// 1980-01-01.
const DATE: u16 = 0x0021;

/// A short entry.
pub fn short_entry(name: &[u8; 11], attributes: u8, cluster: u32, bytes: u32) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(name);
    entry[11] = attributes;
    for at in [16, 18, 24] {
        entry[at..at + 2].copy_from_slice(&DATE.to_le_bytes());
    }
    let cluster = cluster.to_le_bytes();
    entry[20..22].copy_from_slice(&cluster[2..]);
    entry[26..28].copy_from_slice(&cluster[..2]);
    entry[28..].copy_from_slice(&bytes.to_le_bytes());
    entry
}

/// The long entries of `name`, in their order on disk; none where the short name says the same.
pub fn long_entries(name: &str, short: &[u8; 11]) -> Vec<[u8; 32]> {
    if shown(short) == name {
        return Vec::new();
    }
    let sum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut units: Vec<u16> = name.encode_utf16().collect();
    if !units.len().is_multiple_of(13) {
        units.push(0);
    }
    units.resize(units.len().next_multiple_of(13), 0xffff);
    let parts = units.chunks(13).enumerate().map(|(at, part)| {
        let mut entry = [0; 32];
        let last = if (at + 1) * 13 == units.len() { 0x40 } else { 0 };
        entry[0] = (at as u8 + 1) | last;
        entry[11] = 0x0f;
        entry[13] = sum;
        let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
        for (place, unit) in places.into_iter().zip(part) {
            entry[place..place + 2].copy_from_slice(&unit.to_le_bytes());
        }
        entry
    });
    let mut entries: Vec<_> = parts.collect();
    entries.reverse();
    entries
}

/// The short name as people see it.
pub fn shown(short: &[u8; 11]) -> String {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>().trim_end().to_owned();
    let (name, extension) = (text(&short[..8]), text(&short[8..]));
    if extension.is_empty() { name } else { format!("{name}.{extension}") }
}

/// A short name for `name` that is not among `taken` yet: the same in capitals where that fits, else with `~1`.
pub fn short_name(name: &str, taken: &mut BTreeSet<[u8; 11]>) -> Result<[u8; 11]> {
    let is_long = name.encode_utf16().count() > 255;
    if name.is_empty()
        || is_long
        || name.chars().any(|c| c.is_control() || "\"*/:<>?\\|".contains(c))
        || name.ends_with(['.', ' '])
    {
        return Err(BootError::new(format_args!("file {name:?}"), "a FAT volume cannot have a file of this name"));
    }
    let (stem, extension) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((name, ""));
    let plain = |text: &str| -> Vec<u8> {
        text.bytes()
            .filter(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'()-@^_`{}~".contains(byte))
            .map(|byte| byte.to_ascii_uppercase())
            .collect()
    };
    let (stem_bytes, extension_bytes) = (plain(stem), plain(extension));
    let fits = stem_bytes.len() == stem.len() && extension_bytes.len() == extension.len();
    let exact = (fits && stem_bytes.len() <= 8 && extension_bytes.len() <= 3).then(|| stem_bytes.clone());
    let numbered = (1..=99_999).map(|number: u32| {
        let tail = format!("~{number}");
        let mut stem = stem_bytes.clone();
        stem.truncate(8 - tail.len());
        [stem, tail.into_bytes()].concat()
    });
    for stem in exact.into_iter().chain(numbered) {
        let mut short = [b' '; 11];
        short[..stem.len()].copy_from_slice(&stem);
        let extension = &extension_bytes[..extension_bytes.len().min(3)];
        short[8..8 + extension.len()].copy_from_slice(extension);
        if taken.insert(short) {
            return Ok(short);
        }
    }
    Err(BootError::new(format_args!("file {name:?}"), "there are too many files of this kind of name in one folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(name: &str, taken: &mut BTreeSet<[u8; 11]>) -> String {
        String::from_utf8(short_name(name, taken).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn names_get_short() {
        let mut taken = BTreeSet::new();
        assert_eq!(short("BOOTX64.EFI", &mut taken), "BOOTX64 EFI");
        assert_eq!(short("grub.cfg", &mut taken), "GRUB    CFG");
        assert_eq!(short("profile.cpio", &mut taken), "PROFIL~1CPI");
        assert_eq!(short("profile.cpix", &mut taken), "PROFIL~2CPI");
        assert_eq!(short(".disk", &mut taken), "DISK~1     ");
        for refused in ["", "a/b", "a\n", "a.", "a "] {
            assert!(short_name(refused, &mut taken).is_err(), "{refused}");
        }
    }

    #[test]
    fn long_entries_stay() {
        let entries = long_entries("profile.cpio", b"PROFIL~1CPI");
        assert_eq!(entries.len(), 1);
        let hex: String = entries[0].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "41700072006f00660069000f00586c0065002e0063007000690000006f000000");
        assert!(long_entries("GRUB.CFG", b"GRUB    CFG").is_empty());
        let two = long_entries("a-long-name.ext", b"A-LONG~1EXT");
        assert_eq!((two.len(), two[0][0], two[1][0]), (2, 0x42, 1));
    }
}
