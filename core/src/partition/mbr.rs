//! The master boot record and the chain of extended boot records.

use crate::extent::Extent;
use crate::volume::ReadAt;

/// Bytes of the record, whatever the sectors are.
const RECORD_BYTES: usize = 512;
/// Where the disk signature stands.
const SIGNATURE_AT: usize = 440;
/// Where the first of four entries of 16 bytes stands.
const ENTRIES_AT: usize = 446;
/// Most logical partitions that are followed.
const MAX_LOGICAL: u32 = 128;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MbrEntry {
    /// 1 to 4, logical ones from 5.
    pub number: u32,
    /// Type byte.
    pub kind: u8,
    /// Where it lies.
    pub extent: Extent,
}

impl MbrEntry {
    /// Whether it stands for a GPT.
    pub fn is_protective(&self) -> bool {
        self.kind == 0xEE
    }
}

/// A master boot record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mbr {
    /// Sector size in which it counts.
    pub sector_bytes: u32,
    /// Disk signature.
    pub signature: u32,
    /// Partitions, without the extended ones that hold others.
    pub entries: Vec<MbrEntry>,
    /// Where the extended boot records lie, in bytes.
    pub extended_records: Vec<u64>,
}

struct RawEntry {
    status: u8,
    kind: u8,
    start: u64,
    sectors: u64,
}

fn raw_entries(record: &[u8; RECORD_BYTES]) -> [RawEntry; 4] {
    std::array::from_fn(|at| {
        let entry = &record[ENTRIES_AT + 16 * at..][..16];
        let word = |at: usize| u64::from(u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]));
        RawEntry { status: entry[0], kind: entry[4], start: word(8), sectors: word(12) }
    })
}

impl RawEntry {
    fn is_extended(&self) -> bool {
        matches!(self.kind, 0x05 | 0x0F | 0x85)
    }

    fn extent(&self, base_sectors: u64, sector_bytes: u64) -> Option<Extent> {
        Extent::new((base_sectors + self.start).checked_mul(sector_bytes)?, self.sectors.checked_mul(sector_bytes)?)
    }
}

fn read_record(disk: &dyn ReadAt, offset: u64) -> Option<[u8; RECORD_BYTES]> {
    let mut record = [0; RECORD_BYTES];
    disk.read_exact_at(offset, &mut record).ok()?;
    (record[510..] == [0x55, 0xAA]).then_some(record)
}

impl Mbr {
    /// Where in the record the disk signature stands.
    pub const SIGNATURE: std::ops::Range<usize> = SIGNATURE_AT..SIGNATURE_AT + 4;

    /// Reads the record and follows extended partitions. `None` where there is none: boot sectors of
    /// filesystems have the same end mark, but not four sound entries.
    ///
    /// # Errors
    /// In words, where there is one and its chain of logical partitions cannot be followed.
    pub fn read(disk: &dyn ReadAt, sector_bytes: u32) -> Result<Option<Self>, String> {
        let Some(record) = read_record(disk, 0) else { return Ok(None) };
        let entries = raw_entries(&record);
        let sound = |entry: &RawEntry| {
            matches!(entry.status, 0 | 0x80)
                && (entry.kind == 0 || entry.sectors > 0)
                // A filesystem that lies on the whole disk and says so in a table of its own.
                && (entry.kind == 0 || entry.start > 0)
        };
        if !entries.iter().all(sound) {
            return Ok(None);
        }
        let signature = record[SIGNATURE_AT..][..4].try_into().map_or(0, u32::from_le_bytes);
        let sector = u64::from(sector_bytes);
        let mut found = Vec::new();
        let mut extended_records = Vec::new();
        for (number, entry) in (1..).zip(&entries) {
            if entry.kind == 0 {
                continue;
            }
            if entry.is_extended() {
                follow(disk, entry, sector, &mut found, &mut extended_records)?;
                continue;
            }
            let extent = match entry.extent(0, sector) {
                // A protective entry may claim 2^32 - 1 sectors of any disk.
                Some(extent) if entry.kind == 0xEE => Extent::between(extent.offset(), extent.end().min(disk.bytes())),
                other => other,
            };
            let extent = extent.ok_or_else(|| format!("MBR partition {number} begins beyond the disk"))?;
            found.push(MbrEntry { number, kind: entry.kind, extent });
        }
        Ok(Some(Self { sector_bytes, signature, entries: found, extended_records }))
    }

    /// Whether one of the entries protects a GPT.
    pub fn is_protective(&self) -> bool {
        self.entries.iter().any(MbrEntry::is_protective)
    }

    /// Lets the protective entry of a record protect this many sectors.
    pub fn protect(record: &mut [u8], sectors: u32) {
        for at in 0..4 {
            let entry = &mut record[ENTRIES_AT + 16 * at..][..16];
            if entry[4] == 0xEE {
                entry[12..16].copy_from_slice(&sectors.to_le_bytes());
            }
        }
    }

    /// Lets the partition that lies last end with a disk of this length, or as late as an MBR can
    /// say, on a whole MiB. Changes `record`, the first sector. Gives its number and by how many bytes
    /// it grew; `None` where there is no more room.
    ///
    /// # Errors
    /// In words, where the last partition is a logical one.
    pub fn grow_last(&self, record: &mut [u8], disk_bytes: u64) -> Result<Option<(u32, u64)>, String> {
        let Some(last) = self.entries.iter().max_by_key(|entry| entry.extent.end()) else { return Ok(None) };
        if last.number > 4 {
            return Err(format!("partition {} is a logical one and cannot grow", last.number));
        }
        let sector = u64::from(self.sector_bytes);
        let most = last.extent.offset() + u64::from(u32::MAX) * sector;
        let end = disk_bytes.min(most) / (1 << 20) * (1 << 20);
        let Some(more) = end.checked_sub(last.extent.end()).filter(|more| *more > 0) else { return Ok(None) };
        // Fits: `most` bounds it.
        let sectors = ((end - last.extent.offset()) / sector) as u32;
        let entry = &mut record[ENTRIES_AT + 16 * (last.number as usize - 1)..][..16];
        entry[12..16].copy_from_slice(&sectors.to_le_bytes());
        Ok(Some((last.number, more)))
    }
}

/// Follows the chain of an extended partition: each record names one logical partition, relative to
/// itself, and the next record, relative to the extended partition.
fn follow(
    disk: &dyn ReadAt,
    extended: &RawEntry,
    sector: u64,
    found: &mut Vec<MbrEntry>,
    records: &mut Vec<u64>,
) -> Result<(), String> {
    let within = extended.extent(0, sector).ok_or("an extended partition overflows")?;
    let mut at = extended.start;
    let mut last = None;
    let mut number = found.iter().map(|entry| entry.number).filter(|number| *number >= 5).max().unwrap_or(4);
    loop {
        // Records come in the order of their places, so a chain cannot loop.
        if last.is_some_and(|last| at <= last) {
            return Err("the chain of logical partitions leads back".to_owned());
        }
        last = Some(at);
        let Some(record) = at.checked_mul(sector).and_then(|offset| read_record(disk, offset)) else {
            return Err(format!("the extended boot record in sector {at} is none"));
        };
        records.push(at * sector);
        let [logical, next, ..] = raw_entries(&record);
        if logical.kind != 0 && logical.sectors > 0 {
            number += 1;
            if number > 4 + MAX_LOGICAL {
                return Err(format!("more than {MAX_LOGICAL} logical partitions"));
            }
            let extent = logical.extent(at, sector).filter(|extent| within.contains(extent));
            let extent = extent.ok_or_else(|| format!("logical partition {number} leaves its extended partition"))?;
            found.push(MbrEntry { number, kind: logical.kind, extent });
        }
        if next.kind == 0 || next.sectors == 0 {
            return Ok(());
        }
        if !next.is_extended() {
            return Err(format!("the extended boot record in sector {at} leads to no other"));
        }
        at = extended.start + next.start;
    }
}
