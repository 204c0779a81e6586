//! Partition tables: GPT, MBR with logical partitions, both at once (hybrid), or none.
//!
//! Read with bounds and loop checks; what is not certain is said and keeps whole disks from being
//! mapped. Tables can be written anew for a target of another length, or with new identities.

mod gpt;
mod guid;
mod mbr;

pub use gpt::{Gpt, GptEntry, GptError};
pub use guid::Guid;
pub use mbr::{Mbr, MbrEntry};

use crate::extent::Extent;
use crate::volume::ReadAt;

/// Forms of partition tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TableKind {
    /// GUID partition table with a protective MBR.
    Gpt,
    /// Master boot record, with logical partitions where there are extended ones.
    Mbr,
    /// GPT, and an MBR that names some of its partitions.
    Hybrid,
}

impl TableKind {
    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpt => "GPT",
            Self::Mbr => "MBR",
            Self::Hybrid => "hybrid GPT and MBR",
        }
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, as the system counts: from 1, logical ones from 5.
    pub number: u32,
    /// Where it lies.
    pub extent: Extent,
    /// Type: a GUID, or two hexadecimal digits.
    pub kind: String,
    /// GPT's own GUID; of MBR, `SIGNATURE-NUMBER` as Linux names it.
    pub uuid: Option<String>,
    /// GPT's name.
    pub name: Option<String>,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// Its form.
    pub kind: TableKind,
    /// Sector size in which it counts, in bytes.
    pub sector_bytes: u32,
    /// Disk GUID, or the MBR's signature as eight hexadecimal digits.
    pub disk_id: String,
    /// Partitions in the order of their places; none overlaps another, none leaves the disk.
    pub partitions: Vec<Partition>,
    /// What is not as it should be and does not matter for reading: a damaged copy of the table.
    pub notes: Vec<String>,
}

/// What stands at the start of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A table.
    Table(PartitionTable),
    /// None: perhaps a filesystem on the whole disk.
    None,
    /// Something that may be a table, and may not be relied on.
    Unclear(String),
}

/// Most partitions that are looked at.
const MAX_PARTITIONS: usize = 512;

/// Looks for a table on a disk with logical sectors of `sector_bytes`. A file may hold the image of a
/// disk with other sectors, so where no GPT is found in these, the other usual size is tried.
pub fn find(disk: &dyn ReadAt, sector_bytes: u32) -> Found {
    let mbr = match Mbr::read(disk, sector_bytes) {
        Ok(Some(mbr)) => mbr,
        Ok(None) if Gpt::signature_anywhere(disk) => {
            return Found::Unclear("GPT headers without a protective MBR".to_owned());
        }
        Ok(None) => return Found::None,
        Err(why) => return Found::Unclear(why),
    };
    if mbr.is_protective() {
        return match Gpt::find(disk, sector_bytes) {
            Ok(gpt) => match Mbr::read(disk, gpt.sector_bytes) {
                Ok(mbr) => from_gpt(disk, &gpt, &mbr.unwrap_or_default()),
                Err(why) => Found::Unclear(why),
            },
            Err(error) => Found::Unclear(format!("a protective MBR, but no GPT: {error}")),
        };
    }
    if mbr.entries.is_empty() {
        return Found::None;
    }
    if Gpt::signature_anywhere(disk) {
        return Found::Unclear("an MBR with partitions, and GPT headers that it does not protect".to_owned());
    }
    let partitions = mbr.entries.iter().map(|entry| Partition {
        number: entry.number,
        extent: entry.extent,
        kind: format!("{:02x}", entry.kind),
        uuid: Some(format!("{:08x}-{:02x}", mbr.signature, entry.number)),
        name: None,
    });
    checked(TableKind::Mbr, mbr.sector_bytes, format!("{:08x}", mbr.signature), partitions.collect(), disk, Vec::new())
}

fn from_gpt(disk: &dyn ReadAt, gpt: &Gpt, mbr: &Mbr) -> Found {
    let sector = u64::from(gpt.sector_bytes);
    let mut partitions = Vec::new();
    for (number, entry) in gpt.used_entries() {
        let Some(extent) = entry.extent(sector) else {
            return Found::Unclear(format!("GPT partition {number} ends before it begins"));
        };
        partitions.push(Partition {
            number,
            extent,
            kind: entry.kind.to_string(),
            uuid: Some(entry.guid.to_string()),
            name: Some(entry.name()).filter(|name| !name.is_empty()),
        });
    }
    let mut kind = TableKind::Gpt;
    for entry in mbr.entries.iter().filter(|entry| !entry.is_protective()) {
        kind = TableKind::Hybrid;
        let same = partitions.iter().any(|partition| partition.extent == entry.extent);
        let outside = partitions.iter().all(|partition| partition.extent.intersection(&entry.extent).is_none());
        if !same && !outside {
            return Found::Unclear(format!("MBR partition {} and the GPT contradict each other", entry.number));
        }
    }
    checked(kind, gpt.sector_bytes, gpt.disk_guid.to_string(), partitions, disk, gpt.notes.clone())
}

/// Refuses partitions that overlap or leave the disk.
fn checked(
    kind: TableKind,
    sector_bytes: u32,
    disk_id: String,
    mut partitions: Vec<Partition>,
    disk: &dyn ReadAt,
    notes: Vec<String>,
) -> Found {
    if partitions.len() > MAX_PARTITIONS {
        return Found::Unclear(format!("{} partitions, more than {MAX_PARTITIONS}", partitions.len()));
    }
    partitions.sort_by_key(|partition| (partition.extent, partition.number));
    for pair in partitions.windows(2) {
        if pair[0].extent.end() > pair[1].extent.offset() {
            return Found::Unclear(format!("partitions {} and {} overlap", pair[0].number, pair[1].number));
        }
    }
    if let Some(last) = partitions.last().filter(|last| last.extent.end() > disk.bytes()) {
        return Found::Unclear(format!("partition {} ends beyond the disk", last.number));
    }
    Found::Table(PartitionTable { kind, sector_bytes, disk_id, partitions, notes })
}

#[cfg(test)]
mod tests;
