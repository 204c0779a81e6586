//! Disks that are long and have little on them, as fuzz inputs.
//!
//! An input is 9 bytes of header (flags; length in sectors of 512 bytes; a second length, for who
//! wants one), and then records: first sector (32 bits), a part with its length before it ([`Input::part`]).
//! A part of 5 bytes is a fill: the byte, and how many sectors of it. All else is zeros.

use crate::input::{Input, part};
use holotype_core::volume::ReadAt;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const SECTOR: usize = 512;
/// Longest disk, in sectors: 1 GiB.
const MAX_SECTORS: u32 = 2 << 20;
/// Fills of one disk; each is looked at by each read.
const MAX_FILLS: usize = 64;
/// Longest seed in bytes: libFuzzer makes no longer inputs than its longest seed.
const MAX_SEED_BYTES: usize = 256 << 10;

/// A disk of up to 1 GiB; what is not zero is kept by sectors.
#[derive(Default)]
pub struct SparseDisk {
    bytes: u64,
    fills: Vec<(u64, u64, u8)>,
    sectors: BTreeMap<u64, [u8; SECTOR]>,
}

/// The header of an input.
pub struct Header {
    /// Bits that a target takes for options.
    pub flags: u8,
    /// 512 or 4096, by the highest flag.
    pub sector_bytes: u32,
    /// A second length in bytes, at most 1 GiB.
    pub other_bytes: u64,
}

impl SparseDisk {
    /// The disk that an input stands for.
    pub fn of(data: &[u8]) -> (Header, Self) {
        let mut input = Input::new(data);
        let flags = input.u8();
        let mut length = || u64::from(input.u32() % (MAX_SECTORS + 1)) * SECTOR as u64;
        let mut disk = Self { bytes: length(), ..Self::default() };
        let sector_bytes = if flags & 0x80 == 0 { 512 } else { 4096 };
        let header = Header { flags, sector_bytes, other_bytes: length() };
        while !input.is_empty() {
            let offset = u64::from(input.u32()) * SECTOR as u64;
            match input.part() {
                [byte, count @ ..] if count.len() == 4 => {
                    let sectors = count.try_into().map_or(0, u32::from_le_bytes);
                    if disk.fills.len() < MAX_FILLS {
                        disk.fills.push((offset, offset + u64::from(sectors) * SECTOR as u64, *byte));
                    }
                }
                bytes => disk.write(offset, bytes),
            }
        }
        (header, disk)
    }

    /// The same content on a disk of another length.
    pub fn resized(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Writes at a place; what lies beyond the end is kept and not seen.
    pub fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let mut at = offset;
        while !bytes.is_empty() {
            let inside = (at % SECTOR as u64) as usize;
            let (now, rest) = bytes.split_at(bytes.len().min(SECTOR - inside));
            let start = at - inside as u64;
            let fill = self.fills.iter().rev().find(|(from, to, _)| (*from..*to).contains(&start));
            let fill = fill.map_or(0, |(_, _, byte)| *byte);
            let sector = self.sectors.entry(start).or_insert([fill; SECTOR]);
            sector[inside..inside + now.len()].copy_from_slice(now);
            at += now.len() as u64;
            bytes = rest;
        }
    }
}

impl ReadAt for SparseDisk {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset_bytes.checked_add(buffer.len() as u64).filter(|end| *end <= self.bytes);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.fill(0);
        for (from, to, byte) in &self.fills {
            let (from, to) = ((*from).max(offset_bytes), (*to).min(end));
            if from < to {
                buffer[(from - offset_bytes) as usize..(to - offset_bytes) as usize].fill(*byte);
            }
        }
        let first = offset_bytes - offset_bytes % SECTOR as u64;
        for (start, sector) in self.sectors.range(first..end) {
            let (from, to) = ((*start).max(offset_bytes), (start + SECTOR as u64).min(end));
            buffer[(from - offset_bytes) as usize..(to - offset_bytes) as usize]
                .copy_from_slice(&sector[(from - start) as usize..(to - start) as usize]);
        }
        Ok(())
    }
}

/// An input of these flags for a disk of `bytes` with `records`, offset in bytes (a multiple of 512) and content.
pub fn input(flags: u8, bytes: u64, records: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let sectors = u32::try_from(bytes / SECTOR as u64).expect("seeds are small");
    let mut input = [&[flags][..], &sectors.to_le_bytes(), &sectors.to_le_bytes()].concat();
    for (offset, bytes) in records {
        input.extend(u32::try_from(offset / SECTOR as u64).expect("seeds are small").to_le_bytes());
        input.extend(part(bytes));
    }
    input
}

/// What programs write to a new file of `mib` MiB as an input: each of `commands`, words with `{}` for
/// the file, some with text for standard input. `None` where a program is missing or fails.
pub fn made(flags: u8, mib: u64, commands: &[(&str, &str)]) -> Option<Vec<u8>> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("holotype-fuzz-seed-{}-{number}", std::process::id()));
    let seed = make(&path, mib << 20, commands).and_then(|()| records_of(&path).ok());
    let _ = std::fs::remove_file(&path);
    Some(input(flags, mib << 20, &seed?))
}

/// What stands in a file, as an input.
pub fn of_file(flags: u8, path: &Path) -> Vec<u8> {
    let bytes = std::fs::metadata(path).expect("a file").len();
    input(flags, bytes, &records_of(path).expect("a readable file"))
}

fn make(path: &Path, bytes: u64, commands: &[(&str, &str)]) -> Option<()> {
    File::create(path).and_then(|file| file.set_len(bytes)).ok()?;
    for (command, text) in commands {
        let mut words = command.split_whitespace();
        let mut child = Command::new(words.next()?)
            .args(words.map(|word| word.replace("{}", &path.to_string_lossy())))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // Who takes no text may have ended already.
        let _ = child.stdin.take().map(|mut stdin| io::Write::write_all(&mut stdin, text.as_bytes()));
        child.wait().ok().filter(std::process::ExitStatus::success)?;
    }
    Some(())
}

/// Runs of sectors that are not zeros, as far as a seed has room; sectors of one byte are fills.
fn records_of(path: &Path) -> io::Result<Vec<(u64, Vec<u8>)>> {
    const BLOCK: usize = 64 << 10;
    let mut file = File::open(path)?;
    let mut records: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut fills: Vec<(u64, u8, u32)> = Vec::new();
    let mut block = Vec::with_capacity(BLOCK);
    let (mut at, mut total) = (0, 0);
    while file.by_ref().take(BLOCK as u64).read_to_end(&mut block)? > 0 {
        for (offset, sector) in (at..).step_by(SECTOR).zip(block.chunks(SECTOR)) {
            match sector[0] {
                0 if sector.iter().all(|byte| *byte == 0) => continue,
                byte if sector.iter().all(|other| *other == byte) => {
                    match fills
                        .last_mut()
                        .filter(|(from, of, count)| *of == byte && from + u64::from(*count) * SECTOR as u64 == offset)
                    {
                        Some((_, _, count)) => *count += 1,
                        None => fills.push((offset, byte, 1)),
                    }
                }
                _ if total > MAX_SEED_BYTES => {}
                _ => {
                    total += SECTOR + 6;
                    match records.last_mut().filter(|(from, bytes)| {
                        from + bytes.len() as u64 == offset && bytes.len() + SECTOR <= usize::from(u16::MAX)
                    }) {
                        Some((_, bytes)) => bytes.extend_from_slice(sector),
                        None => records.push((offset, sector.to_vec())),
                    }
                }
            }
        }
        at += block.len() as u64;
        block.clear();
    }
    fills.truncate(MAX_FILLS);
    let fill = |(offset, byte, count): (u64, u8, u32)| (offset, [&[byte][..], &count.to_le_bytes()].concat());
    Ok(fills.into_iter().map(fill).chain(records).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_what_its_records_say() {
        let fill = [&[0xFF][..], &4u32.to_le_bytes()].concat();
        let data = input(0x81, 8192, &[(1024, fill), (1536, vec![7; 10]), (7680, vec![9; 1000])]);
        let (header, disk) = SparseDisk::of(&data);
        assert_eq!((header.flags, header.sector_bytes, header.other_bytes), (0x81, 4096, 8192));
        let mut whole = vec![1; 8192];
        disk.read_exact_at(0, &mut whole).unwrap();
        let mut expected = vec![0; 8192];
        expected[1024..3072].fill(0xFF);
        expected[1536..1546].fill(7);
        expected[7680..].fill(9);
        assert!(whole == expected);
        let mut some = vec![1; 700];
        disk.read_exact_at(1500, &mut some).unwrap();
        assert!(some == expected[1500..2200]);
        assert!(disk.read_exact_at(8000, &mut some).is_err());
    }
}
