//! The journal, and the block of multiple-mount protection: whether they say that nobody is at work.
//!
//! Sources: Linux: Documentation/filesystems/ext4/{journal,inodes,ifork,mmp}.rst.

use super::Run;
use super::groups::Group;
use super::superblock::Superblock;
use crate::volume::bytes::{be_u32, le_u16, le_u32};
use crate::volume::checksum::crc32c_raw;
use crate::volume::{Cause, Unmapped, VolumeReader};

/// The inode of an internal journal.
const JOURNAL_INODE: u32 = 8;
/// Most blocks of a journal that mke2fs makes.
const MAX_JOURNAL_BLOCKS: u64 = 10_240_000;
/// Most blocks of extents or of block numbers that lead to the journal.
const MAX_TREE_BLOCKS: u64 = 1 << 17;
/// `i_flags`: the inode has a tree of extents.
const EXTENTS: u32 = 0x8_0000;
const EXTENT_MAGIC: u16 = 0xF30A;
/// An extent that is longer is one that was never written, of this many blocks less.
const MOST_WRITTEN_BLOCKS: u16 = 0x8000;

/// The journal's blocks, tree included, once it is seen to be empty.
pub(super) fn check_journal(
    volume: &VolumeReader<'_>,
    superblock: &Superblock,
    groups: &[Group],
) -> Result<Vec<Run>, Unmapped> {
    let impossible = || Unmapped::inconsistent("the journal's inode cannot be");
    if superblock.journal_inode == 0 {
        return Err(Unmapped::feature("its journal lies on another device"));
    }
    if superblock.journal_inode != JOURNAL_INODE {
        return Err(impossible());
    }
    let index = u64::from(JOURNAL_INODE) - 1;
    let table = groups.get((index / superblock.inodes_per_group) as usize).ok_or_else(impossible)?.inode_table;
    let offset = table
        .checked_mul(superblock.block_bytes)
        .and_then(|table| table.checked_add(index % superblock.inodes_per_group * superblock.inode_bytes))
        .ok_or_else(impossible)?;
    let inode = volume.read(offset, 128)?;
    let map = inode.get(0x28..0x28 + 60).ok_or_else(impossible)?;
    let field = |at| le_u32(&inode, at).ok_or_else(impossible);
    let bytes = u64::from(field(0x4)?) | u64::from(field(0x6C)?) << 32;
    let blocks = bytes / superblock.block_bytes;
    if blocks == 0 || blocks > MAX_JOURNAL_BLOCKS.min(superblock.blocks) {
        return Err(impossible());
    }
    let mut walk = Walk { volume, superblock, runs: Vec::new(), first: None, data_left: blocks, tree_blocks: 0 };
    if field(0x20)? & EXTENTS != 0 {
        walk.extents(map, None)?;
    } else {
        walk.list(map.get(..48).ok_or_else(impossible)?, 0)?;
        for (level, pointer) in (1..).zip(map.get(48..).ok_or_else(impossible)?.as_chunks::<4>().0) {
            if walk.data_left > 0 {
                walk.list(pointer, level)?;
            }
        }
    }
    if walk.data_left > 0 {
        return Err(Unmapped::inconsistent("the journal has holes"));
    }
    check_empty(volume, superblock, walk.first.ok_or_else(impossible)?, blocks)?;
    Ok(walk.runs)
}

/// Whether the journal's superblock, in its first block, says that it is empty. Its numbers are big
/// endian.
fn check_empty(volume: &VolumeReader<'_>, superblock: &Superblock, block: u64, blocks: u64) -> Result<(), Unmapped> {
    let raw = volume.read(block.saturating_mul(superblock.block_bytes), 1024)?;
    let field = |at| be_u32(&raw, at).ok_or_else(|| Unmapped::inconsistent("the journal's superblock is too short"));
    let is_superblock = field(0)? == 0xC03B_3998 && matches!(field(4)?, 3 | 4);
    if !is_superblock || u64::from(field(0xC)?) != superblock.block_bytes || u64::from(field(0x10)?) > blocks {
        return Err(Unmapped::inconsistent("the journal's superblock cannot be"));
    }
    let (start, error) = (field(0x1C)?, field(0x20)?);
    if start != 0 {
        return Err(Unmapped::new(Cause::Dirty, "its journal is not empty"));
    }
    if error != 0 {
        return Err(Unmapped::new(Cause::Dirty, "its journal was aborted after an error"));
    }
    Ok(())
}

/// Finds the blocks of the journal's file.
struct Walk<'a> {
    volume: &'a VolumeReader<'a>,
    superblock: &'a Superblock,
    runs: Vec<Run>,
    /// The file's first block.
    first: Option<u64>,
    /// Blocks of the file that were not found yet.
    data_left: u64,
    tree_blocks: u64,
}

impl Walk<'_> {
    fn data(&mut self, start: u64, length: u64) -> Result<(), Unmapped> {
        if start == 0 || length == 0 {
            return Err(Unmapped::inconsistent("the journal has holes"));
        }
        self.first.get_or_insert(start);
        self.add(start, length);
        // Preallocated blocks beyond the file's end are allowed, but no more than a journal has.
        self.data_left = self.data_left.saturating_sub(length);
        if self.runs.len() as u64 > MAX_JOURNAL_BLOCKS {
            return Err(Unmapped::inconsistent("the journal is larger than a journal can be"));
        }
        Ok(())
    }

    fn add(&mut self, start: u64, length: u64) {
        match self.runs.last_mut() {
            Some(last) if last.end() == Some(start) => last.length += length,
            _ => self.runs.push(Run { start, length, is_fixed: false }),
        }
    }

    /// A block of the tree, which is the journal's too.
    fn tree_block(&mut self, block: u64) -> Result<Vec<u8>, Unmapped> {
        self.tree_blocks += 1;
        if self.tree_blocks > MAX_TREE_BLOCKS || block == 0 {
            return Err(Unmapped::inconsistent("the way to the journal's blocks cannot be"));
        }
        self.add(block, 1);
        let offset = block.saturating_mul(self.superblock.block_bytes);
        self.volume.read(offset, self.superblock.block_bytes)
    }

    /// A node of the tree of extents; `depth` is what the parent says, `None` in the inode.
    fn extents(&mut self, node: &[u8], depth: Option<u16>) -> Result<(), Unmapped> {
        let impossible = || Unmapped::inconsistent("the journal's extents cannot be");
        let field = |at| le_u16(node, at).ok_or_else(impossible);
        let (entries, found_depth) = (field(2)?, field(6)?);
        let fits = depth.map_or(found_depth <= 5, |depth| depth == found_depth);
        if field(0)? != EXTENT_MAGIC || !fits || entries == 0 {
            return Err(impossible());
        }
        let records = node.get(12..12 + usize::from(entries) * 12).ok_or_else(impossible)?;
        for record in records.as_chunks::<12>().0 {
            let half = |at| le_u16(record, at).map(u64::from).ok_or_else(impossible);
            let word = |at| le_u32(record, at).map(u64::from).ok_or_else(impossible);
            if found_depth > 0 {
                let child = self.tree_block(word(4)? | half(8)? << 32)?;
                self.extents(&child, Some(found_depth - 1))?;
            } else {
                let length = half(4)?;
                if length > u64::from(MOST_WRITTEN_BLOCKS) {
                    return Err(Unmapped::inconsistent("the journal has blocks that were never written"));
                }
                self.data(word(8)? | half(6)? << 32, length)?;
            }
        }
        Ok(())
    }

    /// A list of block numbers, as before extents: of data at level 0, of lists above.
    fn list(&mut self, numbers: &[u8], level: u32) -> Result<(), Unmapped> {
        for number in numbers.as_chunks::<4>().0 {
            if self.data_left == 0 {
                break;
            }
            let block = u32::from_le_bytes(*number).into();
            if level == 0 {
                self.data(block, 1)?;
            } else {
                let child = self.tree_block(block)?;
                self.list(&child, level - 1)?;
            }
        }
        Ok(())
    }
}

/// Whether the block of multiple-mount protection says that nobody has it mounted or checks it.
pub(super) fn check_mmp(volume: &VolumeReader<'_>, superblock: &Superblock) -> Result<(), Unmapped> {
    let offset = superblock.mmp_block.saturating_mul(superblock.block_bytes);
    let raw = volume.read(offset, 1024)?;
    let field = |at| {
        le_u32(&raw, at).ok_or_else(|| Unmapped::inconsistent("the block of multiple-mount protection is too short"))
    };
    if field(0)? != 0x004D_4D50 {
        return Err(Unmapped::inconsistent("the block of multiple-mount protection has no signature"));
    }
    let computed = crc32c_raw(superblock.checksum_seed, &[&raw[..0x3FC]]);
    if superblock.has_metadata_csum() && computed != field(0x3FC)? && !cfg!(fuzzing) {
        return Err(Unmapped::inconsistent("the checksum of the block of multiple-mount protection does not agree"));
    }
    if field(4)? != 0xFF4D_4D50 {
        return Err(Unmapped::new(Cause::Dirty, "multiple-mount protection says that it is mounted, or being checked"));
    }
    Ok(())
}
