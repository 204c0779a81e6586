//! GUID partition tables (UEFI specification 2.10, chapter 5.3).

use super::Guid;
use crate::extent::Extent;
use crate::volume::ReadAt;
use crc::{CRC_32_ISO_HDLC, Crc};

const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Bytes of the header that have a meaning.
const HEADER_BYTES: usize = 92;
/// Largest array of entries that is read: 1024 of 1 KiB, or 8192 of 128 bytes.
const MAX_ARRAY_BYTES: u64 = 1 << 20;
const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Why there is no GPT that could be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("primary: {primary}; backup: {backup}")]
pub struct GptError {
    /// What is wrong with the header in sector 1.
    pub primary: String,
    /// What is wrong with the header in the last sector.
    pub backup: String,
}

/// One entry, as its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GptEntry {
    /// Type.
    pub kind: Guid,
    /// The partition's own.
    pub guid: Guid,
    /// First and last sector.
    pub first_sector: u64,
    /// Last sector, included.
    pub last_sector: u64,
    /// Attributes, name, and whatever follows in longer entries.
    rest: Vec<u8>,
}

impl GptEntry {
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let word = |at: usize| bytes[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
        let guid = |at: usize| Guid(bytes[at..at + 16].try_into().unwrap_or_default());
        Self {
            kind: guid(0),
            guid: guid(16),
            first_sector: word(32),
            last_sector: word(40),
            rest: bytes[48..].to_vec(),
        }
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.kind.0);
        to.extend_from_slice(&self.guid.0);
        to.extend_from_slice(&self.first_sector.to_le_bytes());
        to.extend_from_slice(&self.last_sector.to_le_bytes());
        to.extend_from_slice(&self.rest);
    }

    /// Where it lies, or `None` where it ends before it begins.
    pub fn extent(&self, sector_bytes: u64) -> Option<Extent> {
        let start = self.first_sector.checked_mul(sector_bytes)?;
        Extent::between(start, self.last_sector.checked_add(1)?.checked_mul(sector_bytes)?).filter(|it| !it.is_empty())
    }

    /// Its name, up to the first zero; 36 UTF-16 units at most.
    pub fn name(&self) -> String {
        let units: Vec<u16> =
            self.rest[8..80].as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        String::from_utf16_lossy(&units[..end])
    }
}

/// A GPT: its header's values and all its entries, used or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpt {
    /// Sector size in which it counts, in bytes.
    pub sector_bytes: u32,
    /// The disk's own.
    pub disk_guid: Guid,
    /// First sector that partitions may have.
    pub first_usable_sector: u64,
    /// Last sector that partitions may have.
    pub last_usable_sector: u64,
    /// Sector of the primary array of entries.
    pub array_sector: u64,
    /// Sector of the backup header.
    pub backup_sector: u64,
    /// All entries.
    pub entries: Vec<GptEntry>,
    /// What is wrong with one of the two copies.
    pub notes: Vec<String>,
    entry_bytes: usize,
    revision: u32,
}

struct Header {
    gpt: Gpt,
    own_sector: u64,
    other_sector: u64,
    array_sector: u64,
}

impl Gpt {
    /// Reads the table of a disk: the primary one, else the backup.
    ///
    /// # Errors
    /// Where neither can be relied on.
    pub fn find(disk: &dyn ReadAt, sector_bytes: u32) -> Result<Self, GptError> {
        let mut first_error = None;
        let mut sizes = vec![sector_bytes, 512, 4096];
        sizes.dedup();
        for size in sizes {
            match Self::read(disk, size) {
                Ok(gpt) => return Ok(gpt),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.expect("one size was tried"))
    }

    /// Whether something that begins like a header stands where one would.
    pub fn signature_anywhere(disk: &dyn ReadAt) -> bool {
        [512, 4096].into_iter().any(|sector: u64| {
            let at = |offset: u64| {
                let mut signature = [0; 8];
                disk.read_exact_at(offset, &mut signature).is_ok() && signature == *SIGNATURE
            };
            at(sector) || disk.bytes().checked_sub(sector).is_some_and(at)
        })
    }

    /// Reads the table in sectors of this size.
    ///
    /// # Errors
    /// Where neither copy can be relied on.
    pub fn read(disk: &dyn ReadAt, sector_bytes: u32) -> Result<Self, GptError> {
        let sector = u64::from(sector_bytes);
        let last = (disk.bytes() / sector).saturating_sub(1);
        let primary = read_copy(disk, sector_bytes, 1);
        let alternate = primary.as_ref().map_or(last, |header| header.other_sector);
        let backup = read_copy(disk, sector_bytes, alternate);
        match (primary, backup) {
            (Ok(primary), backup) => {
                let mut gpt = primary.gpt;
                gpt.array_sector = primary.array_sector;
                gpt.backup_sector = last;
                match backup {
                    Ok(backup) if backup.gpt.entries != gpt.entries || backup.gpt.disk_guid != gpt.disk_guid => {
                        gpt.notes.push("the backup GPT differs from the primary one".to_owned());
                    }
                    Ok(_) if alternate != last => {
                        gpt.notes.push("the backup GPT is not at the end of the disk".to_owned());
                    }
                    Ok(_) => {}
                    Err(why) => gpt.notes.push(format!("the backup GPT cannot be used: {why}")),
                }
                Ok(gpt)
            }
            (Err(why), Ok(backup)) => {
                let mut gpt = backup.gpt;
                gpt.backup_sector = backup.own_sector;
                // Where the specification puts it; the backup does not say.
                gpt.array_sector = 2;
                gpt.notes.push(format!("the primary GPT cannot be used, its backup is: {why}"));
                Ok(gpt)
            }
            (Err(primary), Err(backup)) => Err(GptError { primary, backup }),
        }
    }

    /// Entries that stand for a partition, with their numbers from 1.
    pub fn used_entries(&self) -> impl Iterator<Item = (u32, &GptEntry)> {
        (1..).zip(&self.entries).filter(|(_, entry)| !entry.kind.is_zero())
    }

    /// Bytes of the array, rounded up to sectors.
    fn array_sectors(&self) -> u64 {
        ((self.entries.len() * self.entry_bytes) as u64).div_ceil(u64::from(self.sector_bytes))
    }

    /// First byte after the last partition.
    pub fn partitions_end(&self) -> u64 {
        let ends = self.used_entries().filter_map(|(_, entry)| entry.extent(u64::from(self.sector_bytes)));
        ends.map(|extent| extent.end()).max().unwrap_or(self.first_usable_sector * u64::from(self.sector_bytes))
    }

    /// The shortest disk that has room for all partitions, a usable sector and the backup table, in
    /// bytes.
    pub fn least_disk_bytes(&self) -> u64 {
        let sector = u64::from(self.sector_bytes);
        let end = self.partitions_end().next_multiple_of(sector).max((self.first_usable_sector + 1) * sector);
        end + (self.array_sectors() + 1) * sector
    }

    /// Moves the backup table to the end of a disk of this length, and lets partitions use what lies
    /// before it.
    ///
    /// # Errors
    /// In words, where the partitions leave no room for the tables.
    pub fn fit_to(mut self, disk_bytes: u64) -> Result<Self, String> {
        let least = self.least_disk_bytes();
        if disk_bytes < least {
            return Err(format!("its partitions and the backup table need {least} bytes"));
        }
        let sector = u64::from(self.sector_bytes);
        if let Some((number, _)) = self.used_entries().find(|(_, entry)| entry.extent(sector).is_none()) {
            return Err(format!("partition {number} ends before it begins"));
        }
        if self.array_sector < 2 {
            return Err("its entries lie over its header".to_owned());
        }
        // Else a partition, now or when it grows, lies on the entries.
        if self.array_sector.checked_add(self.array_sectors()).is_none_or(|end| end > self.first_usable_sector) {
            return Err("its entries lie where partitions may be".to_owned());
        }
        self.backup_sector = disk_bytes / sector - 1;
        self.last_usable_sector = self.backup_sector - self.array_sectors() - 1;
        Ok(self)
    }

    /// Lets the partition that lies last on the disk end where the usable sectors end, on a whole
    /// MiB where that leaves it no shorter. Gives its number and by how many bytes it grew.
    pub fn grow_last(&mut self) -> Option<(u32, u64)> {
        let sector = u64::from(self.sector_bytes);
        let (number, last) = (1..)
            .zip(&mut self.entries)
            .filter(|(_, entry)| !entry.kind.is_zero())
            .max_by_key(|(_, entry)| entry.last_sector)?;
        let aligned = (self.last_usable_sector + 1) * sector / (1 << 20) * (1 << 20) / sector;
        let end = if aligned > last.last_sector { aligned - 1 } else { self.last_usable_sector };
        let more = end.checked_sub(last.last_sector)?;
        last.last_sector = end;
        Some((number, more * sector))
    }

    /// Gives disk and partitions new GUIDs, from `random`.
    pub fn renew_guids(&mut self, random: &mut dyn FnMut() -> [u8; 16]) {
        self.disk_guid = Guid::from_random(random());
        for entry in self.entries.iter_mut().filter(|entry| !entry.kind.is_zero()) {
            entry.guid = Guid::from_random(random());
        }
    }

    /// Both copies, as bytes and where they go, ordered so that one sound copy stands at any time:
    /// backup array, backup header, primary array, primary header. For a table that was
    /// [fitted](Self::fit_to) to its disk.
    pub fn encode(&self) -> Vec<(u64, Vec<u8>)> {
        let sector = u64::from(self.sector_bytes);
        let mut array = Vec::with_capacity(self.entries.len() * self.entry_bytes);
        self.entries.iter().for_each(|entry| entry.encode(&mut array));
        let checksum = CRC.checksum(&array);
        let backup_array = self.backup_sector - self.array_sectors();
        array.resize((self.array_sectors() * sector) as usize, 0);
        let header = |own: u64, other: u64, array_sector: u64| {
            let mut bytes = Vec::with_capacity(sector as usize);
            bytes.extend_from_slice(SIGNATURE);
            bytes.extend_from_slice(&self.revision.to_le_bytes());
            bytes.extend_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
            bytes.extend_from_slice(&[0; 8]);
            for value in [own, other, self.first_usable_sector, self.last_usable_sector] {
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            bytes.extend_from_slice(&self.disk_guid.0);
            bytes.extend_from_slice(&array_sector.to_le_bytes());
            bytes.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&(self.entry_bytes as u32).to_le_bytes());
            bytes.extend_from_slice(&checksum.to_le_bytes());
            let own_checksum = CRC.checksum(&bytes);
            bytes[16..20].copy_from_slice(&own_checksum.to_le_bytes());
            bytes.resize(sector as usize, 0);
            bytes
        };
        vec![
            (backup_array * sector, array.clone()),
            (self.backup_sector * sector, header(self.backup_sector, 1, backup_array)),
            (self.array_sector * sector, array),
            (sector, header(1, self.backup_sector, self.array_sector)),
        ]
    }
}

fn read_copy(disk: &dyn ReadAt, sector_bytes: u32, own_sector: u64) -> Result<Header, String> {
    let sector = u64::from(sector_bytes);
    let mut header = [0; HEADER_BYTES];
    let offset = own_sector.checked_mul(sector).ok_or("it lies beyond the disk")?;
    disk.read_exact_at(offset, &mut header).map_err(|error| format!("sector {own_sector}: {error}"))?;
    let word = |at: usize| header[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
    let half = |at: usize| header[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
    if header[..8] != *SIGNATURE {
        return Err("no signature".to_owned());
    }
    let header_bytes = u64::from(half(12));
    if !(HEADER_BYTES as u64..=sector).contains(&header_bytes) {
        return Err(format!("a header of {header_bytes} bytes"));
    }
    let mut whole = vec![0; header_bytes as usize];
    disk.read_exact_at(offset, &mut whole).map_err(|error| format!("sector {own_sector}: {error}"))?;
    whole[16..20].fill(0);
    if CRC.checksum(&whole) != half(16) && !cfg!(fuzzing) {
        return Err("its checksum is another one".to_owned());
    }
    if word(24) != own_sector {
        return Err(format!("it says that it stands in sector {}", word(24)));
    }
    let (count, entry_bytes) = (u64::from(half(80)), u64::from(half(84)));
    if !(128..=4096).contains(&entry_bytes) || !entry_bytes.is_power_of_two() || count * entry_bytes > MAX_ARRAY_BYTES {
        return Err(format!("{count} entries of {entry_bytes} bytes"));
    }
    let array_sector = word(72);
    let mut array = vec![0; (count * entry_bytes) as usize];
    let array_offset = array_sector.checked_mul(sector).ok_or("its entries lie beyond the disk")?;
    disk.read_exact_at(array_offset, &mut array).map_err(|error| format!("its entries: {error}"))?;
    if CRC.checksum(&array) != half(88) && !cfg!(fuzzing) {
        return Err("the checksum of its entries is another one".to_owned());
    }
    let sectors = disk.bytes() / sector;
    let (first_usable, last_usable) = (word(40), word(48));
    if first_usable > last_usable || last_usable >= sectors.max(1) || word(32) >= sectors {
        return Err("it is of a longer disk".to_owned());
    }
    let entries: Vec<GptEntry> = array.chunks_exact(entry_bytes as usize).map(GptEntry::decode).collect();
    let used = entries.iter().filter(|entry| !entry.kind.is_zero());
    if let Some(entry) = used.into_iter().find(|it| it.first_sector < first_usable || it.last_sector > last_usable) {
        return Err(format!("a partition from sector {} lies beyond the usable ones", entry.first_sector));
    }
    let gpt = Gpt {
        sector_bytes,
        disk_guid: Guid(header[56..72].try_into().unwrap_or_default()),
        first_usable_sector: first_usable,
        last_usable_sector: last_usable,
        array_sector,
        backup_sector: 0,
        entries,
        notes: Vec::new(),
        entry_bytes: entry_bytes as usize,
        revision: half(8),
    };
    Ok(Header { gpt, own_sector, other_sector: word(32), array_sector })
}

#[cfg(test)]
impl Gpt {
    /// A table of entries of 128 bytes.
    pub(super) fn for_test(sectors: u64, entries: Vec<GptEntry>) -> Self {
        Self {
            sector_bytes: 512,
            disk_guid: Guid([9; 16]),
            first_usable_sector: 34,
            last_usable_sector: sectors - 34,
            array_sector: 2,
            backup_sector: sectors - 1,
            entries,
            notes: Vec::new(),
            entry_bytes: 128,
            revision: 0x1_0000,
        }
    }
}
