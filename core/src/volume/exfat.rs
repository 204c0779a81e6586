//! exFAT.
//!
//! Facts: Microsoft's "exFAT file system specification", revision 1.00. The allocation bitmap, a
//! chain of clusters that the root directory names, has one bit a cluster; only a clear bit is
//! free. Both boot regions, the table and all else outside of the cluster heap are kept.

use super::bytes::{le_u16, le_u32, le_u64};
use super::{Cause, FreeRuns, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeMap, VolumeReader};
use crate::extent::Extent;

/// Bytes of one directory entry.
const ENTRY_BYTES: usize = 32;

/// Sectors of one boot region; the last holds the checksum of the others. The backup follows.
const BOOT_REGION_SECTORS: u64 = 12;

/// Largest root directory, in bytes, as the specification has it.
const MAX_DIRECTORY_BYTES: u64 = 256 << 20;

/// Most bytes of an up-case table: two for each of 65,536 characters.
const MAX_UPCASE_BYTES: u64 = 128 << 10;

/// How much of a bitmap is looked at in one go.
const PIECE_BYTES: u64 = 1 << 20;

/// The most clusters that there can be.
const MAX_CLUSTERS: u32 = 0xFFFF_FFF5;

/// What the boot sector says. All values are checked against each other, none against the volume.
#[derive(Debug)]
struct Boot {
    sector_bytes: u64,
    cluster_bytes: u64,
    fat_offset: u64,
    heap_offset: u64,
    clusters: u64,
    root_cluster: u32,
    total_bytes: u64,
    serial: u32,
    flags: u16,
    tables: u8,
    revision: u16,
}

impl Boot {
    fn read(volume: &VolumeReader<'_>) -> Option<Self> {
        Self::parse(&volume.peek::<512>(0)?)
    }

    fn parse(sector: &[u8; 512]) -> Option<Self> {
        let (sector_shift, cluster_shift, percent_in_use) = (sector[108], sector[109], sector[112]);
        let sane = sector[..3] == [0xEB, 0x76, 0x90]
            && &sector[3..11] == b"EXFAT   "
            && sector[11..64].iter().all(|byte| *byte == 0)
            && sector[510..] == [0x55, 0xAA]
            && (9..=12).contains(&sector_shift)
            && cluster_shift <= 25 - sector_shift
            && (1..=2).contains(&sector[110])
            && matches!(percent_in_use, 0..=100 | 0xFF);
        if !sane {
            return None;
        }
        let sector_bytes = 1u64 << sector_shift;
        let total_bytes = le_u64(sector, 72)?.checked_mul(sector_bytes)?;
        let (fat_sector, fat_sectors) = (u64::from(le_u32(sector, 80)?), u64::from(le_u32(sector, 84)?));
        let (heap_sector, clusters) = (u64::from(le_u32(sector, 88)?), le_u32(sector, 92)?);
        let root_cluster = le_u32(sector, 96)?;
        let cluster_bytes = sector_bytes << cluster_shift;
        let heap_end = u64::from(clusters).checked_mul(cluster_bytes)?.checked_add(heap_sector * sector_bytes)?;
        let clusters_in_range = (1..=MAX_CLUSTERS).contains(&clusters);
        let consistent = clusters_in_range
            && fat_sector >= 2 * BOOT_REGION_SECTORS
            && fat_sectors * sector_bytes >= (u64::from(clusters) + 2) * 4
            && fat_sector + fat_sectors * u64::from(sector[110]) <= heap_sector
            && heap_end <= total_bytes
            && (2..u64::from(clusters) + 2).contains(&u64::from(root_cluster));
        consistent.then_some(Self {
            sector_bytes,
            cluster_bytes,
            fat_offset: fat_sector * sector_bytes,
            heap_offset: heap_sector * sector_bytes,
            clusters: clusters.into(),
            root_cluster,
            total_bytes,
            serial: le_u32(sector, 100)?,
            flags: le_u16(sector, 106)?,
            tables: sector[110],
            revision: le_u16(sector, 104)?,
        })
    }

    /// Where a cluster lies, or nothing where there is none of this number.
    fn cluster(&self, cluster: u32) -> Result<Extent, Unmapped> {
        let index = u64::from(cluster).checked_sub(2).filter(|index| *index < self.clusters);
        index
            .and_then(|index| Extent::new(self.heap_offset + index * self.cluster_bytes, self.cluster_bytes))
            .ok_or_else(|| Unmapped::inconsistent(format!("a chain leads to cluster {cluster}, which there is not")))
    }

    /// The clusters of a chain, neighbours as one run. `clusters` is how many it must have, or a
    /// bound where the length is not known; it bounds a loop too.
    fn chain(
        &self,
        volume: &VolumeReader<'_>,
        first: u32,
        clusters: u64,
        exact: bool,
    ) -> Result<Vec<Extent>, Unmapped> {
        let mut runs: Vec<Extent> = Vec::new();
        let mut cluster = first;
        for number in 0..clusters.min(self.clusters) {
            let extent = self.cluster(cluster)?;
            match runs.last_mut().filter(|last| last.end() == extent.offset()) {
                Some(last) => *last = Extent::new(last.offset(), last.len() + extent.len()).unwrap_or(extent),
                None => runs.push(extent),
            }
            let mut entry = [0; 4];
            volume.read_into(self.fat_offset + u64::from(cluster) * 4, &mut entry)?;
            cluster = u32::from_le_bytes(entry);
            if cluster == u32::MAX {
                if exact && number + 1 != clusters {
                    return Err(Unmapped::inconsistent("a chain of clusters ends too early"));
                }
                return Ok(runs);
            }
        }
        Err(Unmapped::inconsistent("a chain of clusters does not end where it should"))
    }

    /// Main and backup boot region: each agrees with its checksum, and both with each other.
    fn check_boot_regions(&self, volume: &VolumeReader<'_>) -> Result<(), Unmapped> {
        let region_bytes = BOOT_REGION_SECTORS * self.sector_bytes;
        let sums = [0, 1].map(|region| {
            let bytes = volume.read(region * region_bytes, region_bytes)?;
            let (sectors, stored) = bytes.split_at((region_bytes - self.sector_bytes) as usize);
            // Volume flags and percent in use change without a new checksum.
            let computed = checksum(0, sectors.iter().enumerate().filter(|(at, _)| !matches!(at, 106 | 107 | 112)));
            if stored.as_chunks::<4>().0.iter().any(|word| *word != computed.to_le_bytes()) && !cfg!(fuzzing) {
                let which = ["main", "backup"][region as usize];
                return Err(Unmapped::inconsistent(format!(
                    "its {which} boot region does not agree with its checksum"
                )));
            }
            Ok(computed)
        });
        let [main, backup] = sums;
        if main? != backup? && !cfg!(fuzzing) {
            return Err(Unmapped::inconsistent("its two boot regions differ"));
        }
        Ok(())
    }
}

/// The specification's sum of boot regions and up-case tables: rotated right by one, plus the byte.
fn checksum<'a>(start: u32, bytes: impl Iterator<Item = (usize, &'a u8)>) -> u32 {
    bytes.fold(start, |sum, (_, byte)| sum.rotate_right(1).wrapping_add(u32::from(*byte)))
}

/// What of the root directory's entries matters here.
#[derive(Debug, Default)]
struct Root {
    /// First cluster and length in bytes.
    bitmap: Option<(u32, u64)>,
    /// First cluster, length in bytes, checksum.
    upcase: Option<(u32, u64, u32)>,
    label: Option<String>,
}

impl Root {
    /// Reads the entries of a root directory that lies in `runs`, up to its end marker.
    fn read(volume: &VolumeReader<'_>, boot: &Boot, runs: &[Extent]) -> Result<Self, Unmapped> {
        let mut root = Self::default();
        for run in runs {
            for offset in (run.offset()..run.end()).step_by(boot.cluster_bytes.min(PIECE_BYTES) as usize) {
                let length = (run.end() - offset).min(boot.cluster_bytes).min(PIECE_BYTES);
                for entry in volume.read(offset, length)?.as_chunks::<ENTRY_BYTES>().0 {
                    if entry[0] == 0 {
                        return Ok(root);
                    }
                    root.take(entry)?;
                }
            }
        }
        Ok(root)
    }

    fn take(&mut self, entry: &[u8; ENTRY_BYTES]) -> Result<(), Unmapped> {
        let missing = || Unmapped::inconsistent("a directory entry is too short");
        let twice = |what: &str| Unmapped::inconsistent(format!("it has two {what}"));
        let first_cluster = le_u32(entry, 20).ok_or_else(missing)?;
        let length = le_u64(entry, 24).ok_or_else(missing)?;
        match entry[0] {
            // Not in use; files, their streams and names.
            0x01..=0x7F | 0x85 | 0xC0 | 0xC1 => {}
            0x81 if entry[1] & 1 != 0 => {
                return Err(Unmapped::feature("it has two allocation bitmaps (TexFAT)"));
            }
            0x81 => {
                if self.bitmap.replace((first_cluster, length)).is_some() {
                    return Err(twice("allocation bitmaps"));
                }
            }
            0x82 => {
                let sum = le_u32(entry, 4).ok_or_else(missing)?;
                if self.upcase.replace((first_cluster, length, sum)).is_some() {
                    return Err(twice("up-case tables"));
                }
            }
            0x83 => {
                let units = entry[2..].as_chunks::<2>().0.iter().take(usize::from(entry[1]).min(11));
                let units: Vec<u16> = units.map(|unit| u16::from_le_bytes(*unit)).collect();
                self.label = Some(String::from_utf16_lossy(&units)).filter(|label| !label.is_empty());
            }
            // The volume's GUID; vendors' extensions of a file.
            0xA0 | 0xE0 | 0xE1 => {}
            kind => {
                return Err(Unmapped::feature(format!(
                    "its root directory has an entry of the unknown kind {kind:02X}h"
                )));
            }
        }
        Ok(())
    }
}

/// What the volume says of itself, where it is exFAT.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let boot = Boot::read(volume)?;
    let most = MAX_DIRECTORY_BYTES / boot.cluster_bytes;
    let root = boot.chain(volume, boot.root_cluster, most, false).and_then(|runs| Root::read(volume, &boot, &runs));
    Some(Identity {
        kind: VolumeKind::ExFat,
        variant: "exFAT".to_owned(),
        uuid: (boot.serial != 0).then(|| format!("{:04X}-{:04X}", boot.serial >> 16, boot.serial & 0xFFFF)),
        label: root.ok().and_then(|root| root.label),
    })
}

/// Which clusters the allocation bitmap calls free.
///
/// # Errors
/// Where the volume is dirty, or its boot regions, bitmap, or system clusters contradict each other.
pub fn map(volume: &VolumeReader<'_>, _options: &MapOptions) -> MapResult {
    let boot = Boot::read(volume).ok_or_else(|| Unmapped::inconsistent("its boot sector is not one of exFAT"))?;
    if boot.total_bytes > volume.bytes() {
        let why = format!("it claims {} bytes, and its place has {}", boot.total_bytes, volume.bytes());
        return Err(Unmapped::new(Cause::Truncated, why));
    }
    boot.check_boot_regions(volume)?;
    if boot.revision != 0x0100 {
        return Err(Unmapped::feature(format!("its revision is {:04X}h, not 1.00", boot.revision)));
    }
    // Bit 3, "clear to zero", has no meaning; a set bit 0 means the second table.
    if boot.tables != 1 || boot.flags & 1 != 0 {
        return Err(Unmapped::feature("it has two tables (TexFAT)"));
    }
    if boot.flags & 2 != 0 {
        return Err(Unmapped::new(Cause::Dirty, "it was not unmounted cleanly; fsck.exfat or chkdsk repairs that"));
    }
    if boot.flags & 4 != 0 {
        return Err(Unmapped::new(Cause::Dirty, "it is marked for a check after disk errors"));
    }
    if boot.flags & !0xF != 0 {
        return Err(Unmapped::feature(format!("its volume flags {:04X}h have an unknown one", boot.flags)));
    }
    // The first two entries of the table are fixed.
    if volume.peek::<8>(boot.fat_offset) != Some([0xF8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]) {
        return Err(Unmapped::inconsistent("its table does not begin as one"));
    }
    let most = MAX_DIRECTORY_BYTES / boot.cluster_bytes;
    let root_runs = boot.chain(volume, boot.root_cluster, most, false)?;
    let root = Root::read(volume, &boot, &root_runs)?;

    let (first, length) = root.upcase.map(|(first, length, _)| (first, length)).unwrap_or_default();
    if !(1..=MAX_UPCASE_BYTES).contains(&length) {
        return Err(Unmapped::inconsistent("it has no up-case table of a possible length"));
    }
    let upcase_runs = boot.chain(volume, first, length.div_ceil(boot.cluster_bytes), true)?;
    let mut sum = 0;
    for piece in pieces(&upcase_runs, length) {
        sum = checksum(sum, volume.read(piece.offset(), piece.len())?.iter().enumerate());
    }
    if root.upcase.is_none_or(|(_, _, stored)| stored != sum) && !cfg!(fuzzing) {
        return Err(Unmapped::inconsistent("its up-case table does not agree with its checksum"));
    }

    let (first, length) = root.bitmap.ok_or_else(|| Unmapped::inconsistent("it has no allocation bitmap"))?;
    let needed = boot.clusters.div_ceil(8);
    if length < needed || length > needed.next_multiple_of(boot.cluster_bytes) {
        let why = format!("its bitmap has {length} bytes, and its clusters need {needed}");
        return Err(Unmapped::inconsistent(why));
    }
    let bitmap_runs = boot.chain(volume, first, length.div_ceil(boot.cluster_bytes), true)?;
    let free = read_bitmap(volume, &boot, &bitmap_runs)?;

    let mut own = [root_runs, upcase_runs, bitmap_runs].concat();
    own.sort_unstable();
    if own.array_windows().any(|[run, next]| run.end() > next.offset()) {
        return Err(Unmapped::inconsistent("a cluster of its metadata has two uses"));
    }
    if own.iter().any(|run| free.within(*run).next().is_some()) {
        return Err(Unmapped::inconsistent("its bitmap calls clusters of its own metadata free"));
    }
    Ok(VolumeMap {
        free,
        block_bytes: boot.cluster_bytes as u32,
        method: format!("allocation bitmap of {} clusters", boot.clusters),
        dropped: Vec::new(),
    })
}

/// The first `length` bytes of these runs in pieces that can be read at once.
fn pieces(runs: &[Extent], length: u64) -> impl Iterator<Item = Extent> + '_ {
    let mut left = length;
    let in_pieces = |run: &Extent| {
        let run = *run;
        (run.offset()..run.end())
            .step_by(PIECE_BYTES as usize)
            .filter_map(move |at| Extent::between(at, run.end().min(at + PIECE_BYTES)))
    };
    runs.iter().flat_map(in_pieces).map_while(move |piece| {
        let piece = Extent::new(piece.offset(), piece.len().min(left))?;
        left -= piece.len();
        (!piece.is_empty()).then_some(piece)
    })
}

fn read_bitmap(volume: &VolumeReader<'_>, boot: &Boot, runs: &[Extent]) -> Result<FreeRuns, Unmapped> {
    // Bits stand for clusters from the heap's start on, which need not be a multiple of one.
    let mut relative = FreeRuns::builder(boot.clusters * boot.cluster_bytes);
    let mut first = 0;
    for piece in pieces(runs, boot.clusters.div_ceil(8)) {
        let bits = volume.read(piece.offset(), piece.len())?;
        let units = (piece.len() * 8).min(boot.clusters - first);
        relative.push_clear_bits(&bits, units, first, boot.cluster_bytes)?;
        first += units;
    }
    if first != boot.clusters {
        return Err(Unmapped::inconsistent("its bitmap is shorter than its clusters need"));
    }
    let mut free = FreeRuns::builder(boot.total_bytes);
    for run in relative.finish().iter() {
        free.push(boot.heap_offset + run.offset(), run.len())?;
    }
    Ok(free.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_rotates() {
        assert_eq!(checksum(0, [1u8, 0, 0].iter().enumerate()), 0x4000_0000);
        assert_eq!(checksum(0, [1u8, 1].iter().enumerate()), 0x8000_0001);
    }

    #[test]
    fn pieces_end_with_the_length() {
        let run = |from, to| Extent::between(from, to).unwrap();
        let runs = [run(0, PIECE_BYTES + 10), run(1 << 30, (1 << 30) + 512)];
        let all: Vec<_> = pieces(&runs, PIECE_BYTES + 17).collect();
        let expected = [run(0, PIECE_BYTES), run(PIECE_BYTES, PIECE_BYTES + 10), run(1 << 30, (1 << 30) + 7)];
        assert_eq!(all, expected);
        assert_eq!(pieces(&runs, 0).count(), 0);
        assert_eq!(pieces(&runs, u64::MAX).map(|piece| piece.len()).sum::<u64>(), PIECE_BYTES + 522);
    }

    #[test]
    fn labels() {
        let mut entry = [0; ENTRY_BYTES];
        (entry[0], entry[1], entry[2], entry[4]) = (0x83, 2, b'h', 0xE4);
        let mut root = Root::default();
        root.take(&entry).unwrap();
        assert_eq!(root.label.as_deref(), Some("hä"));
        entry[1] = 255;
        root.take(&entry).unwrap();
        entry[0] = 0x84;
        assert_eq!(root.take(&entry).unwrap_err().cause, Cause::Feature);
    }
}
