//! Reads a GUID partition table that nobody vouches for, and says what is wrong with it (UEFI specification, 5.3).

use crate::error::BootError;
use crate::error::Result;
use std::io::{Read, Seek, SeekFrom};

const SECTOR: u64 = 512;
const MAX_ENTRIES: u32 = 1024;
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPartition {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub offset_bytes: u64,
    /// How long it is.
    pub bytes: u64,
}

/// What is wrong with a table, in a sentence.
pub type TableFinding = String;

struct Header {
    entries_at: u64,
    entries: Vec<u8>,
    entry_bytes: usize,
    backup_sector: u64,
}

/// The partitions, and what is wrong with table or copy. Nothing where there is no table at all.
///
/// # Errors
/// Where the device cannot be read.
pub fn read_table<R: Read + Seek>(device: &mut R) -> Result<(Vec<FoundPartition>, Vec<TableFinding>)> {
    let end = device.seek(SeekFrom::End(0)).map_err(|error| BootError::new("medium", error))?;
    let mut findings = Vec::new();
    let first = header(device, 1, end).map_err(|why| findings.push(format!("partition table: {why}"))).ok();
    let copy_at = first.as_ref().map_or((end / SECTOR).saturating_sub(1), |header| header.backup_sector);
    let copy =
        header(device, copy_at, end).map_err(|why| findings.push(format!("copy of the partition table: {why}"))).ok();
    if let (Some(first), Some(copy)) = (&first, &copy)
        && first.entries != copy.entries
    {
        findings.push("partition table: its copy is another".into());
    }
    let partitions = first.or(copy).map(|header| partitions(&header, end, &mut findings)).unwrap_or_default();
    Ok((partitions, findings))
}

fn read<R: Read + Seek>(device: &mut R, offset: u64, bytes: usize) -> Result<Vec<u8>, String> {
    let mut content = vec![0; bytes];
    let done = device.seek(SeekFrom::Start(offset)).and_then(|_| device.read_exact(&mut content));
    done.map_err(|error| format!("it cannot be read: {error}")).map(|()| content)
}

fn header<R: Read + Seek>(device: &mut R, sector: u64, end: u64) -> Result<Header, String> {
    let offset = sector.checked_mul(SECTOR).filter(|offset| *offset < end).ok_or("it is beyond the medium's end")?;
    let mut bytes = read(device, offset, 512)?;
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    if !bytes.starts_with(b"EFI PART") {
        return Err("there is none".into());
    }
    let (length, sum) = (u32_at(&bytes, 12) as usize, u32_at(&bytes, 16));
    bytes[16..20].fill(0);
    if !(92..=512).contains(&length) || CRC.checksum(&bytes[..length]) != sum {
        return Err("its checksum is wrong".into());
    }
    if u64_at(&bytes, 24) != sector {
        return Err("it says to be elsewhere".into());
    }
    let (entries_at, count, entry_bytes) = (u64_at(&bytes, 72), u32_at(&bytes, 80), u32_at(&bytes, 84));
    if count > MAX_ENTRIES
        || !(128..=4096).contains(&entry_bytes)
        || entry_bytes % 128 != 0
        || entries_at >= end / SECTOR
    {
        return Err("its entries make no sense".into());
    }
    let entries = read(device, entries_at * SECTOR, (count * entry_bytes) as usize)?;
    if CRC.checksum(&entries) != u32_at(&bytes, 88) {
        return Err("the checksum of its entries is wrong".into());
    }
    Ok(Header { entries_at, entries, entry_bytes: entry_bytes as usize, backup_sector: u64_at(&bytes, 32) })
}

fn partitions(header: &Header, end: u64, findings: &mut Vec<String>) -> Vec<FoundPartition> {
    let mut found: Vec<FoundPartition> = Vec::new();
    for entry in header.entries.chunks_exact(header.entry_bytes).filter(|entry| entry[..16] != [0; 16]) {
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| entry[at + byte]));
        let units: Vec<u16> =
            entry[56..128].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let name: String =
            String::from_utf16_lossy(&units).chars().take_while(|c| *c != '\0').filter(|c| !c.is_control()).collect();
        let (first, last) = (u64_at(32), u64_at(40));
        if first < header.entries_at.min(34) || last < first || last >= end / SECTOR {
            findings.push(format!("partition {name}: it does not lie on the medium; was that cut off?"));
            continue;
        }
        found.push(FoundPartition { name, offset_bytes: first * SECTOR, bytes: (last - first + 1) * SECTOR });
    }
    let mut ranges: Vec<(u64, u64)> =
        found.iter().map(|place| (place.offset_bytes, place.offset_bytes + place.bytes)).collect();
    ranges.sort_unstable();
    if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        findings.push("partition table: partitions overlap".into());
    }
    found
}
