//! ext2, ext3 and ext4: free blocks by the block bitmaps.
//!
//! Source: Linux: Documentation/filesystems/ext4/.

mod groups;
mod journal;
mod superblock;

use super::{FreeRuns, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeMap, VolumeReader, bytes};
use groups::Group;
use superblock::{Superblock, compat, incompat};

/// Blocks that must be marked as used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    start: u64,
    length: u64,
    /// Part of the layout, used in a group whose bitmap was never written too.
    is_fixed: bool,
}

impl Run {
    fn fixed(start: u64, length: u64) -> Self {
        Self { start, length, is_fixed: true }
    }

    fn end(&self) -> Option<u64> {
        self.start.checked_add(self.length)
    }
}

/// Knows the volume by its superblock.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let superblock = Superblock::read(volume)?;
    Some(Identity {
        kind: VolumeKind::Ext,
        variant: superblock.variant().to_owned(),
        uuid: bytes::uuid(superblock.uuid),
        label: bytes::label(&superblock.label),
    })
}

/// Free clusters by the block bitmaps, less what the layout says is in use.
///
/// # Errors
/// Why it cannot be told which blocks are free.
pub fn map(volume: &VolumeReader<'_>, _options: &MapOptions) -> MapResult {
    let superblock = Superblock::read(volume).ok_or_else(|| Unmapped::inconsistent("it has no superblock of ext"))?;
    superblock.check(volume.bytes())?;
    let groups = groups::read_groups(volume, &superblock)?;
    let mut used = groups::fixed_blocks(&superblock, &groups);
    if superblock.compat & compat::HAS_JOURNAL != 0 {
        used.extend(journal::check_journal(volume, &superblock, &groups)?);
    }
    if superblock.has_incompat(incompat::MMP) {
        journal::check_mmp(volume, &superblock)?;
    }
    let used = sorted(used, &superblock)?;
    let free = free_runs(volume, &superblock, &groups, &used)?;
    Ok(VolumeMap {
        free,
        block_bytes: (superblock.block_bytes * superblock.cluster_ratio) as u32,
        method: format!("block bitmaps of {} groups", groups.len()),
        dropped: Vec::new(),
    })
}

/// The runs in order, once it is seen that they lie inside and none lies on another.
fn sorted(mut runs: Vec<Run>, superblock: &Superblock) -> Result<Vec<Run>, Unmapped> {
    runs.retain(|run| run.length > 0);
    runs.sort_unstable();
    // Of blocks with 1 KiB, block 0 is before the first group.
    let mut end = 0;
    for run in &runs {
        if run.start < end {
            return Err(Unmapped::inconsistent(format!("block {} has two uses", run.start)));
        }
        end = run.end().filter(|end| *end <= superblock.blocks).ok_or_else(|| {
            Unmapped::inconsistent(format!("metadata at block {} ends beyond the filesystem", run.start))
        })?;
    }
    Ok(runs)
}

fn free_runs(
    volume: &VolumeReader<'_>,
    superblock: &Superblock,
    groups: &[Group],
    used: &[Run],
) -> Result<FreeRuns, Unmapped> {
    let mut builder = FreeRuns::builder(volume.bytes());
    let mut free_clusters = 0;
    let mut numbers = (0..groups.len()).peekable();
    let mut add = |number: usize, bitmap: &mut [u8]| -> Result<(), Unmapped> {
        let group = &groups[number];
        let number = number as u64;
        mark_used(superblock, number, group.uninit, used, bitmap)?;
        let (start, end) = (superblock.group_start(number), superblock.group_end(number));
        let clusters = (end - start).div_ceil(superblock.cluster_ratio);
        let free = clear_bits(bitmap, clusters);
        if free != u64::from(group.free_clusters) {
            return Err(Unmapped::inconsistent(format!(
                "block group {number} claims {} free clusters, and its bitmap has {free}",
                group.free_clusters
            )));
        }
        free_clusters += free;
        // A cluster that is cut off by the filesystem's end is kept.
        let whole = (end - start) / superblock.cluster_ratio;
        let cluster_bytes = superblock.block_bytes * superblock.cluster_ratio;
        builder.push_clear_bits(bitmap, whole, start / superblock.cluster_ratio, cluster_bytes)
    };

    // Groups with a bitmap on disk come in order, and those without before their successors.
    let written = (0..groups.len()).filter(|number| !groups[*number].uninit);
    let mut order = written.clone();
    let blocks = written.map(|number| groups[number].block_bitmap);
    let mut unwritten = vec![0; superblock.block_bytes as usize];
    groups::read_blocks(volume, superblock, blocks, |_, bitmap| {
        let number = order.next().unwrap_or_default();
        while let Some(earlier) = numbers.next_if(|next| *next < number) {
            unwritten.fill(0);
            add(earlier, &mut unwritten)?;
        }
        numbers.next();
        let agrees = !superblock.has_metadata_csum() || groups[number].bitmap_agrees(superblock, bitmap);
        if !agrees && !cfg!(fuzzing) {
            let why = format!("the checksum of block group {number}'s block bitmap does not agree");
            return Err(Unmapped::inconsistent(why));
        }
        add(number, bitmap)
    })?;
    for rest in numbers {
        unwritten.fill(0);
        add(rest, &mut unwritten)?;
    }
    let free_blocks = free_clusters * superblock.cluster_ratio;
    if free_blocks != superblock.free_blocks {
        return Err(Unmapped::inconsistent(format!(
            "the superblock claims {} free blocks, and the bitmaps have {free_blocks}",
            superblock.free_blocks
        )));
    }
    Ok(builder.finish())
}

/// Sees that the group's bitmap has all of `used` marked; where it was never written, marks it.
fn mark_used(
    superblock: &Superblock,
    group: u64,
    unwritten: bool,
    used: &[Run],
    bitmap: &mut [u8],
) -> Result<(), Unmapped> {
    let (start, end) = (superblock.group_start(group), superblock.group_end(group));
    let first = used.partition_point(|run| run.start + run.length <= start);
    for run in used[first..].iter().take_while(|run| run.start < end) {
        let from = (run.start.max(start) - start) / superblock.cluster_ratio;
        let to = ((run.start + run.length).min(end) - start).div_ceil(superblock.cluster_ratio);
        for cluster in from..to {
            let (byte, bit) = ((cluster / 8) as usize, 1 << (cluster % 8));
            if unwritten && run.is_fixed {
                bitmap[byte] |= bit;
            } else if bitmap[byte] & bit == 0 {
                let block = start + cluster * superblock.cluster_ratio;
                return Err(Unmapped::inconsistent(format!("block {block} is metadata, and its bitmap calls it free")));
            }
        }
    }
    Ok(())
}

/// How many of the first `bits` are clear.
fn clear_bits(bitmap: &[u8], bits: u64) -> u64 {
    let whole = &bitmap[..(bits / 8) as usize];
    let zeros: u64 = whole.iter().map(|byte| u64::from(byte.count_zeros())).sum();
    let rest = bits % 8;
    let last = if rest == 0 { 0 } else { (!bitmap[(bits / 8) as usize] & ((1 << rest) - 1)).count_ones() };
    zeros + u64::from(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_bits_are_counted_within_their_bounds() {
        assert_eq!(clear_bits(&[0, 0xFF, 0b1010_1010], 24), 12);
        assert_eq!(clear_bits(&[0, 0xFF, 0b1010_1010], 19), 10);
        assert_eq!(clear_bits(&[0, 0xFF], 16), 8);
        assert_eq!(clear_bits(&[0b1000_0000], 7), 7);
        assert_eq!(clear_bits(&[], 0), 0);
    }
}
