//! FAT12, FAT16 and FAT32.
//!
//! Facts: Microsoft's "FAT: General Overview of On-Disk Format" (version 1.03) and its later
//! edition, the "FAT File System Specification"; the state byte of the boot sector is a convention
//! of Windows NT that Linux follows. The table has one entry a cluster, and only entry 0 is free:
//! bad clusters and every other value count as used.

use super::bytes::{array, le_u16, le_u32};
use super::{Cause, FreeRuns, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeMap, VolumeReader};

/// Bytes of one directory entry.
const ENTRY_BYTES: usize = 32;

/// How much of the table is looked at in one go: whole entries of every width.
const PIECE_BYTES: u64 = 3 << 18;

/// As `blkid`: how many clusters of a FAT32 root directory are searched for a label.
const MAX_LABEL_CLUSTERS: u32 = 100;

/// Identifier of BitLocker To Go, at byte 424: such a volume has the boot sector of a FAT32 one.
const BITLOCKER_TO_GO: [u8; 16] =
    [0x3B, 0xD6, 0x67, 0x49, 0x29, 0x2E, 0xD8, 0x4A, 0x83, 0x99, 0xF6, 0xA3, 0x39, 0xE3, 0xD0, 0x01];

/// Width of a table entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

impl Width {
    fn name(self) -> &'static str {
        match self {
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
        }
    }

    fn bits(self) -> u64 {
        match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        }
    }

    /// Bits that count in an entry: four of FAT32's 32 are reserved.
    fn mask(self) -> u32 {
        match self {
            Self::Fat12 => 0xFFF,
            Self::Fat16 => 0xFFFF,
            Self::Fat32 => 0x0FFF_FFFF,
        }
    }

    /// Bytes of a table of this many entries.
    fn table_bytes(self, entries: u64) -> u64 {
        (entries * self.bits()).div_ceil(8)
    }

    /// Entry `index` of this piece of a table.
    fn entry(self, table: &[u8], index: usize) -> Option<u32> {
        match self {
            Self::Fat12 => {
                let both = u32::from(le_u16(table, index + index / 2)?);
                Some(if index.is_multiple_of(2) { both & 0xFFF } else { both >> 4 })
            }
            Self::Fat16 => le_u16(table, index * 2).map(u32::from),
            Self::Fat32 => le_u32(table, index * 4).map(|entry| entry & self.mask()),
        }
    }
}

/// What the boot sector says. All values are checked against each other, none against the volume.
#[derive(Debug)]
struct Boot {
    width: Width,
    cluster_bytes: u64,
    /// Offset of the first table.
    table_offset: u64,
    /// Length of one table, and how many of them.
    table_bytes: u64,
    tables: u64,
    /// Offset and length of the root directory of FAT12 and FAT16.
    root_offset: u64,
    root_bytes: u64,
    /// Offset of cluster 2, and how many clusters there are.
    data_offset: u64,
    clusters: u64,
    total_bytes: u64,
    media: u8,
    /// The byte whose bit 0 says "dirty" and bit 1 "test the surface".
    state: u8,
    serial: Option<u32>,
    // FAT32 only:
    root_cluster: u32,
    flags: u16,
    /// Offset of the FSInfo sector, where there is one.
    info_offset: Option<u64>,
}

impl Boot {
    fn read(volume: &VolumeReader<'_>) -> Option<Self> {
        // ext leaves the boot sector to others: its superblock, from byte 1024 on, has a magic number,
        // a block size of 2^(10 + n) bytes and a revision of 0 or 1 (Linux: Documentation/filesystems/ext4/).
        let ext = volume.peek::<1024>(1024).is_some_and(|superblock| {
            le_u16(&superblock, 56) == Some(0xEF53)
                && le_u32(&superblock, 24).is_some_and(|power| power <= 6)
                && le_u32(&superblock, 76).is_some_and(|revision| revision <= 1)
        });
        if ext { None } else { Self::parse(&volume.peek::<512>(0)?) }
    }

    fn parse(sector: &[u8; 512]) -> Option<Self> {
        let jump = matches!(sector[..3], [0xEB, _, 0x90] | [0xE9, _, _]);
        let other = matches!(&sector[3..11], b"NTFS    " | b"EXFAT   " | b"-FVE-FS-")
            || sector[424..440] == BITLOCKER_TO_GO
            || sector[510..] != [0x55, 0xAA];
        let sector_bytes = u64::from(le_u16(sector, 11)?);
        let cluster_sectors = u64::from(sector[13]);
        let reserved_sectors = u64::from(le_u16(sector, 14)?);
        let tables = u64::from(sector[16]);
        let root_entries = u64::from(le_u16(sector, 17)?);
        let media = sector[21];
        let sane = sector_bytes.is_power_of_two()
            && (512..=4096).contains(&sector_bytes)
            && cluster_sectors.is_power_of_two()
            && reserved_sectors >= 1
            && (1..=2).contains(&tables)
            && (media == 0xF0 || media >= 0xF8);
        if !jump || other || !sane {
            return None;
        }
        // The 16-bit length of a table is zero only on FAT32: Windows and Linux both decide by it.
        let (short_total, short_table) = (le_u16(sector, 19)?, le_u16(sector, 22)?);
        let is_32 = short_table == 0;
        let total_sectors = if short_total == 0 { le_u32(sector, 32)? } else { short_total.into() };
        let table_sectors = if is_32 { le_u32(sector, 36)? } else { short_table.into() };
        let version = if is_32 { le_u16(sector, 42)? } else { 0 };
        let root_sectors = (root_entries * ENTRY_BYTES as u64).div_ceil(sector_bytes);
        let data_sector = reserved_sectors + tables * u64::from(table_sectors) + root_sectors;
        let clusters = u64::from(total_sectors).checked_sub(data_sector)? / cluster_sectors;
        let width = match clusters {
            _ if is_32 => Width::Fat32,
            0..4085 => Width::Fat12,
            4085..65525 => Width::Fat16,
            _ => return None,
        };
        let root_cluster = if is_32 { le_u32(sector, 44)? } else { 0 };
        let info_sector = if is_32 { le_u16(sector, 48)? } else { 0 };
        let consistent = clusters > 0
            && table_sectors > 0
            && version == 0
            && clusters + 2 <= u64::from(width.mask())
            && is_32 == (root_entries == 0)
            && (!is_32 || (short_total == 0 && (2..clusters + 2).contains(&u64::from(root_cluster))));
        if !consistent {
            return None;
        }
        let extended = if is_32 { 64 } else { 36 };
        // blkid takes FAT32's serial number whatever the signature before it says.
        let has_serial = is_32 || matches!(sector[extended + 2], 0x28 | 0x29);
        let table_bytes = u64::from(table_sectors) * sector_bytes;
        Some(Self {
            width,
            cluster_bytes: cluster_sectors * sector_bytes,
            table_offset: reserved_sectors * sector_bytes,
            table_bytes,
            tables,
            root_offset: reserved_sectors * sector_bytes + tables * table_bytes,
            root_bytes: root_entries * ENTRY_BYTES as u64,
            data_offset: data_sector * sector_bytes,
            clusters,
            total_bytes: u64::from(total_sectors) * sector_bytes,
            media,
            state: sector[extended + 1],
            serial: le_u32(sector, extended + 3).filter(|serial| has_serial && *serial != 0),
            root_cluster,
            flags: if is_32 { le_u16(sector, 40)? } else { 0 },
            info_offset: (!matches!(info_sector, 0 | 0xFFFF)).then_some(u64::from(info_sector) * sector_bytes),
        })
    }

    fn cluster_offset(&self, cluster: u64) -> u64 {
        self.data_offset + (cluster - 2) * self.cluster_bytes
    }

    /// The label in the root directory.
    fn label(&self, volume: &VolumeReader<'_>) -> Option<String> {
        if self.width != Width::Fat32 {
            return label_in(&volume.read(self.root_offset, self.root_bytes).ok()?).flatten();
        }
        let mut cluster = self.root_cluster;
        for _ in 0..MAX_LABEL_CLUSTERS {
            if !(2..self.clusters + 2).contains(&u64::from(cluster)) {
                break;
            }
            let entries = volume.read(self.cluster_offset(cluster.into()), self.cluster_bytes).ok()?;
            if let Some(found) = label_in(&entries) {
                return found;
            }
            let entry = volume.peek::<4>(self.table_offset + u64::from(cluster) * 4)?;
            cluster = u32::from_le_bytes(entry) & self.width.mask();
        }
        None
    }

    /// Dirty bits, of the boot sector and of entry 1. FAT12 has none in its table.
    fn check_clean(&self, second: u32) -> Result<(), Unmapped> {
        let (clean, no_errors) = match self.width {
            Width::Fat12 => (0, 0),
            Width::Fat16 => (0x8000, 0x4000),
            Width::Fat32 => (0x0800_0000, 0x0400_0000),
        };
        if self.state & 1 != 0 || second & clean != clean {
            return Err(Unmapped::new(Cause::Dirty, "it was not unmounted cleanly; fsck.fat or chkdsk repairs that"));
        }
        if self.state & 2 != 0 || second & no_errors != no_errors {
            return Err(Unmapped::new(Cause::Dirty, "it is marked for a check after disk errors"));
        }
        Ok(())
    }

    /// The FSInfo sector of FAT32: its count is a hint and may be stale, but not impossible.
    fn check_info(&self, volume: &VolumeReader<'_>) -> Result<(), Unmapped> {
        let Some(offset) = self.info_offset else { return Ok(()) };
        let sector = volume.read(offset, 512)?;
        let signatures = [(0, 0x4161_5252), (484, 0x6141_7272), (508, 0xAA55_0000)]
            .map(|(at, word)| le_u32(&sector, at) == Some(word));
        let free = le_u32(&sector, 488).unwrap_or(0);
        if offset + 512 > self.table_offset || signatures.contains(&false) {
            return Err(Unmapped::inconsistent("its FSInfo sector is not one"));
        }
        if free != u32::MAX && u64::from(free) > self.clusters {
            return Err(Unmapped::inconsistent(format!("its FSInfo sector counts {free} free clusters")));
        }
        Ok(())
    }
}

/// The label among these entries: `None` where it may yet come, `Some(None)` where the directory
/// ends without one.
fn label_in(entries: &[u8]) -> Option<Option<String>> {
    const LABEL: u8 = 0x08;
    const DIRECTORY: u8 = 0x10;
    const LONG_NAME: u8 = 0x0F;
    for entry in entries.as_chunks::<ENTRY_BYTES>().0 {
        match entry[0] {
            0 => return Some(None),
            0xE5 => continue,
            _ => {}
        }
        let attributes = entry[11];
        let has_cluster = entry[20..22] != [0; 2] || entry[26..28] != [0; 2];
        if attributes & 0x3F == LONG_NAME || attributes & (LABEL | DIRECTORY) != LABEL || has_cluster {
            continue;
        }
        let mut name: [u8; 11] = array(entry, 0)?;
        if name[0] == 0x05 {
            name[0] = 0xE5; // stands for it, which would mean "deleted"
        }
        let name = String::from_utf8_lossy(name.trim_ascii_end()).into_owned();
        return Some(Some(name).filter(|name| !name.is_empty()));
    }
    None
}

/// What the volume says of itself, where it is FAT.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let boot = Boot::read(volume)?;
    Some(Identity {
        kind: VolumeKind::Fat,
        variant: boot.width.name().to_owned(),
        uuid: boot.serial.map(|serial| format!("{:04X}-{:04X}", serial >> 16, serial & 0xFFFF)),
        label: boot.label(volume),
    })
}

/// Which clusters have entry 0 in every table.
///
/// # Errors
/// Where the volume is dirty or a table contradicts itself, the other one, or the boot sector.
pub fn map(volume: &VolumeReader<'_>, _options: &MapOptions) -> MapResult {
    let boot = Boot::read(volume).ok_or_else(|| Unmapped::inconsistent("its boot sector is not one of FAT"))?;
    if boot.total_bytes > volume.bytes() {
        let why = format!("it claims {} bytes, and its place has {}", boot.total_bytes, volume.bytes());
        return Err(Unmapped::new(Cause::Truncated, why));
    }
    // Linux ends FAT12 at 4084 clusters, Windows at 4086: between them they read different tables.
    if matches!(boot.clusters, 4085..=4086) && boot.width != Width::Fat32 {
        return Err(Unmapped::feature("with its number of clusters, some take it for FAT12 and some for FAT16"));
    }
    let used_bytes = boot.width.table_bytes(boot.clusters + 2);
    if used_bytes > boot.table_bytes {
        return Err(Unmapped::inconsistent("its table is too short for its clusters"));
    }
    if boot.flags & 0x80 != 0 {
        return Err(Unmapped::feature("only one of its tables is in use (mirroring is off)"));
    }
    boot.check_info(volume)?;
    let clusters = read_tables(volume, &boot, used_bytes)?;
    if boot.width == Width::Fat32 && !clusters.is_used(u64::from(boot.root_cluster)) {
        return Err(Unmapped::inconsistent("the first cluster of its root directory is free"));
    }
    if clusters.used.iter().zip(&clusters.followed).any(|(used, followed)| followed & !used != 0) {
        return Err(Unmapped::inconsistent("a chain of clusters leads to a free one"));
    }
    // Bits stand for clusters from the data area's start on, which need not be a multiple of one.
    let mut relative = FreeRuns::builder(boot.clusters * boot.cluster_bytes);
    relative.push_clear_bits(&clusters.used, boot.clusters, 0, boot.cluster_bytes)?;
    let mut free = FreeRuns::builder(boot.total_bytes);
    for run in relative.finish().iter() {
        free.push(boot.data_offset + run.offset(), run.len())?;
    }
    Ok(VolumeMap {
        free: free.finish(),
        block_bytes: boot.cluster_bytes as u32,
        method: format!("{} of {} clusters", boot.width.name(), boot.clusters),
        dropped: Vec::new(),
    })
}

/// One bit a cluster, from cluster 2 on.
struct Clusters {
    used: Vec<u8>,
    /// Those that another one's entry leads to.
    followed: Vec<u8>,
}

impl Clusters {
    fn is_used(&self, cluster: u64) -> bool {
        let bit = cluster - 2;
        self.used[(bit / 8) as usize] >> (bit % 8) & 1 == 1
    }

    /// Takes the entry of a cluster in.
    fn take(&mut self, boot: &Boot, cluster: u64, entry: u32) -> Result<(), Unmapped> {
        let bit = cluster - 2;
        self.used[(bit / 8) as usize] |= u8::from(entry != 0) << (bit % 8);
        // From xFF7 on: bad, or the last of its chain.
        if entry == 0 || entry >= boot.width.mask() - 8 {
            return Ok(());
        }
        if !(2..boot.clusters + 2).contains(&u64::from(entry)) {
            let why = format!("cluster {cluster} is followed by {entry}, which there is not");
            return Err(Unmapped::inconsistent(why));
        }
        let next = u64::from(entry) - 2;
        let (byte, mask) = (&mut self.followed[(next / 8) as usize], 1 << (next % 8));
        if *byte & mask != 0 {
            return Err(Unmapped::inconsistent(format!("two chains lead to cluster {entry}")));
        }
        *byte |= mask;
        Ok(())
    }
}

/// Reads every table once, side by side.
fn read_tables(volume: &VolumeReader<'_>, boot: &Boot, used_bytes: u64) -> Result<Clusters, Unmapped> {
    // At most one bit for 512 bytes of a volume that is there.
    let bitmap_bytes = boot.clusters.div_ceil(8) as usize;
    let mut clusters = Clusters { used: vec![0; bitmap_bytes], followed: vec![0; bitmap_bytes] };
    let entries = boot.clusters + 2;
    let mut first = 0;
    for at in (0..used_bytes).step_by(PIECE_BYTES as usize) {
        let length = PIECE_BYTES.min(used_bytes - at);
        let piece = volume.read(boot.table_offset + at, length)?;
        let copy = match boot.tables {
            1 => None,
            _ => Some(volume.read(boot.table_offset + boot.table_bytes + at, length)?),
        };
        let short = || Unmapped::inconsistent("its table is too short for its clusters");
        let in_piece = (length * 8 / boot.width.bits()).min(entries - first);
        for index in 0..in_piece {
            let entry = boot.width.entry(&piece, index as usize).ok_or_else(short)?;
            if let Some(copy) = &copy {
                let other = boot.width.entry(copy, index as usize).ok_or_else(short)?;
                if (entry == 0) != (other == 0) {
                    let why = format!("its tables disagree on whether cluster {} is free", first + index);
                    return Err(Unmapped::inconsistent(why));
                }
            }
            match first + index {
                // The media byte, and ones above it.
                0 if entry != (boot.width.mask() & !0xFF | u32::from(boot.media)) => {
                    return Err(Unmapped::inconsistent("its table does not begin with its media byte"));
                }
                0 => {}
                1 => boot.check_clean(entry)?,
                cluster => clusters.take(boot, cluster, entry)?,
            }
        }
        first += in_piece;
    }
    Ok(clusters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_12_bits() {
        let table = [0xF8, 0xFF, 0xFF, 0x03, 0x40, 0x00, 0xFF, 0x0F];
        let entries: Vec<_> = (0..6).map(|index| Width::Fat12.entry(&table, index)).collect();
        assert_eq!(entries, [Some(0xFF8), Some(0xFFF), Some(3), Some(4), Some(0xFFF), None]);
        assert_eq!(Width::Fat12.table_bytes(5), 8);
    }

    #[test]
    fn labels() {
        let mut entries = vec![0; 96];
        assert_eq!(label_in(&entries), Some(None));
        entries[..12].copy_from_slice(b"FILE    TXT\x20");
        assert_eq!(label_in(&entries[..32]), None);
        entries[32..44].copy_from_slice(b"MY LABEL   \x08");
        assert_eq!(label_in(&entries), Some(Some("MY LABEL".to_owned())));
        entries[43] = 0x0F;
        assert_eq!(label_in(&entries), Some(None));
    }
}
