//! Allocation groups: their free space by the tree that is sorted by block (bnobt).
//!
//! Source: xfsprogs: xfs_format.h; XFS Algorithms & Data Structures, "Allocation Groups".

use super::superblock::{Superblock, agrees};
use crate::volume::bytes::{array, be_u16, be_u32, be_u64};
use crate::volume::{Unmapped, VolumeReader};

/// Most levels of a tree of free space.
const MOST_LEVELS: u32 = 9;
/// Most free runs of one group: 256 MiB of memory.
const MOST_RUNS: usize = 16 << 20;
/// Bytes of a tree block before its records.
const BLOCK_HEADER_BYTES: usize = 56;

/// A run of blocks of an allocation group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Run {
    fn one(block: u32) -> Self {
        Self { start: block.into(), length: 1 }
    }

    fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// What a group's header says that the whole filesystem's counters need.
pub(super) struct Group {
    /// In order.
    pub(super) free: Vec<Run>,
    /// What counts as free in the superblock: besides, the list of blocks kept ready for trees, and
    /// the blocks of the trees that came from it.
    pub(super) counted_free: u64,
}

/// A group's free runs, once it is seen that its header and its tree agree.
pub(super) fn read_group(volume: &VolumeReader<'_>, superblock: &Superblock, ag: u64) -> Result<Group, Unmapped> {
    let wrong = |what: &str| Unmapped::inconsistent(format!("allocation group {ag}: {what}"));
    let length = superblock.ag_length(ag);
    let sector = superblock.sector_bytes;
    // Behind the superblock's copy: the headers of free space and of inodes, and the list.
    let raw = volume.read(superblock.offset(ag, 0) + sector, 3 * sector)?;
    let (agf, rest) = raw.split_at(sector as usize);
    let agfl = &rest[sector as usize..];
    let word = |at| be_u32(agf, at).ok_or_else(|| wrong("its header is cut off"));
    if word(0)? != 0x5841_4746 || word(4)? != 1 {
        return Err(wrong("its header has no signature"));
    }
    if !agrees(agf, 216) && !cfg!(fuzzing) {
        return Err(wrong("its header's checksum does not agree"));
    }
    if u64::from(word(8)?) != ag || u64::from(word(12)?) != length || array(agf, 64) != Some(superblock.meta_uuid) {
        return Err(wrong("its header is another's"));
    }
    let (root, levels) = (word(16)?, word(28)?);
    let (listed, free_blocks, longest, tree_blocks) = (word(48)?, word(52)?, word(56)?, word(60)?);
    if levels == 0 || levels > MOST_LEVELS {
        return Err(wrong("its tree's height cannot be"));
    }
    let mut walk = Walk { volume, superblock, ag, length, free: Vec::new(), blocks: Vec::new() };
    walk.block(root, levels - 1, true)?;
    let Walk { free, blocks, .. } = walk;
    let found: u64 = free.iter().map(|run| run.length).sum();
    if found != u64::from(free_blocks) {
        return Err(wrong(&format!("it claims {free_blocks} free blocks, and its tree has {found}")));
    }
    if free.iter().map(|run| run.length).max().unwrap_or(0) != u64::from(longest) {
        return Err(wrong("its longest free run is not the one that it claims"));
    }

    // What lies at known places is in use: headers, log, the tree, the roots of the others, the list.
    let mut used = vec![Run { start: 0, length: (4 * sector).div_ceil(superblock.block_bytes) }];
    if superblock.log_ag == ag {
        used.push(Run { start: superblock.log_start, length: superblock.log_blocks });
    }
    used.extend(blocks.into_iter().map(Run::one));
    // By size, and where there are such trees by owner and by count of references.
    let roots = [(20, 32), (24, 36), (88, 92)];
    for (root, levels) in roots {
        if word(levels)? != 0 {
            used.push(Run::one(word(root)?));
        }
    }
    used.extend(free_list(superblock, ag, agfl, word(40)?, word(44)?, listed)?);
    if let Some(run) = used.iter().find(|run| overlaps(&free, run)) {
        return Err(wrong(&format!("block {} is metadata, and in a free run", run.start)));
    }
    Ok(Group { free, counted_free: u64::from(free_blocks) + u64::from(listed) + u64::from(tree_blocks) })
}

/// Whether any of `free`, which are in order, has a block of `run`.
fn overlaps(free: &[Run], run: &Run) -> bool {
    let next = free.partition_point(|free| free.end() <= run.start);
    free.get(next).is_some_and(|free| free.start < run.end())
}

/// The blocks that are kept ready for trees: a ring of numbers, of which `count` from the `first`th
/// to the `last`th are.
fn free_list(
    superblock: &Superblock,
    ag: u64,
    raw: &[u8],
    first: u32,
    last: u32,
    count: u32,
) -> Result<Vec<Run>, Unmapped> {
    const HEADER_BYTES: usize = 36;
    let wrong = |what: &str| Unmapped::inconsistent(format!("allocation group {ag}: its list of free blocks {what}"));
    if be_u32(raw, 0) != Some(0x5841_464C) {
        return Err(wrong("has no signature"));
    }
    if !agrees(raw, 32) && !cfg!(fuzzing) {
        return Err(wrong("has a checksum that does not agree"));
    }
    if be_u32(raw, 4).map(u64::from) != Some(ag) || array(raw, 8) != Some(superblock.meta_uuid) {
        return Err(wrong("is another's"));
    }
    let ring = raw[HEADER_BYTES..].as_chunks::<4>().0;
    let size = ring.len() as u32;
    let active = if last >= first { last.wrapping_sub(first) } else { size.wrapping_sub(first).wrapping_add(last) };
    if first >= size || last >= size || (count != 0 && active.wrapping_add(1) != count) {
        return Err(wrong("has bounds that cannot be"));
    }
    let numbers = ring.iter().cycle().skip(first as usize).take(count as usize);
    Ok(numbers.map(|number| Run::one(u32::from_be_bytes(*number))).collect())
}

/// Collects what the tree's leaves hold.
struct Walk<'a> {
    volume: &'a VolumeReader<'a>,
    superblock: &'a Superblock,
    ag: u64,
    /// Blocks of the group.
    length: u64,
    free: Vec<Run>,
    /// The tree's own blocks.
    blocks: Vec<u32>,
}

impl Walk<'_> {
    /// The block `number` of the group, `level` above the leaves. Ends: levels go down, and every
    /// leaf has records behind those of the leaf before.
    fn block(&mut self, number: u32, level: u32, is_root: bool) -> Result<(), Unmapped> {
        let ag = self.ag;
        let wrong = |what: &str| Unmapped::inconsistent(format!("allocation group {ag}, tree block {number}: {what}"));
        if u64::from(number) >= self.length {
            return Err(wrong("it lies beyond the group"));
        }
        let offset = self.superblock.offset(ag, number.into());
        let raw = self.volume.read(offset, self.superblock.block_bytes)?;
        if be_u32(&raw, 0) != Some(0x4142_3342) {
            return Err(wrong("it has no signature"));
        }
        if !agrees(&raw, 52) && !cfg!(fuzzing) {
            return Err(wrong("its checksum does not agree"));
        }
        let is_ours = be_u16(&raw, 4).map(u32::from) == Some(level)
            && be_u64(&raw, 16) == Some(offset / 512)
            && array(&raw, 32) == Some(self.superblock.meta_uuid)
            && be_u32(&raw, 48).map(u64::from) == Some(ag);
        if !is_ours {
            return Err(wrong("it is another's"));
        }
        self.blocks.push(number);
        let count = usize::from(be_u16(&raw, 6).unwrap_or_default());
        let room = raw.len() - BLOCK_HEADER_BYTES;
        let most = room / if level == 0 { 8 } else { 12 };
        if count > most || (count == 0 && !(is_root && level == 0)) {
            return Err(wrong("its number of records cannot be"));
        }
        let records = raw[BLOCK_HEADER_BYTES..].as_chunks::<8>().0;
        if level > 0 {
            // Behind the room for keys, which are not needed.
            let children = raw[BLOCK_HEADER_BYTES + 8 * most..].as_chunks::<4>().0;
            for child in &children[..count] {
                self.block(u32::from_be_bytes(*child), level - 1, false)?;
            }
            return Ok(());
        }
        for record in &records[..count] {
            let half = |at| be_u32(record, at).map(u64::from).unwrap_or_default();
            let run = Run { start: half(0), length: half(4) };
            // Neighbours would be one run.
            let follows = self.free.last().is_none_or(|before| before.end() < run.start);
            if run.length == 0 || !follows || run.end() > self.length || self.free.len() >= MOST_RUNS {
                return Err(wrong(&format!("the free run at block {} cannot be", run.start)));
            }
            self.free.push(run);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_seen_at_both_ends() {
        let free = [Run { start: 10, length: 5 }, Run { start: 20, length: 1 }];
        let found = |start, length| overlaps(&free, &Run { start, length });
        assert!(found(14, 1) && found(5, 6) && found(20, 1) && found(0, 100) && found(16, 5));
        assert!(!found(15, 5) && !found(0, 10) && !found(21, 50));
    }
}
