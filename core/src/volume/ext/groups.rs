//! Block groups: their descriptors, and where all that is not data lies.
//!
//! Sources: Linux: Documentation/filesystems/ext4/{blockgroup,group_descr,bitmaps}.rst.

use super::Run;
use super::superblock::{Superblock, compat, incompat, ro_compat};
use crate::volume::bytes::{le_u16, le_u32};
use crate::volume::checksum::crc32c_raw;
use crate::volume::{Unmapped, VolumeReader};
use crc::{CRC_16_MODBUS, Crc};

/// Most bytes of metadata in one read.
const READ_BYTES: u64 = 1 << 20;
/// `bg_flags`: the block bitmap was never written.
const BLOCK_UNINIT: u16 = 0x2;
/// Where a descriptor's own checksum lies in it.
const CHECKSUM_AT: usize = 0x1E;

static CRC16: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);

/// What a group's descriptor says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
    pub(super) free_clusters: u32,
    /// The block bitmap was never written, and is what the layout says.
    pub(super) uninit: bool,
    bitmap_checksum: u32,
}

impl Group {
    fn parse(raw: &[u8]) -> Option<Self> {
        let wide = raw.len() >= 64;
        let high = |at| Some(if wide { u64::from(le_u32(raw, at)?) << 32 } else { 0 });
        let high_half = |at| Some(if wide { u32::from(le_u16(raw, at)?) << 16 } else { 0 });
        Some(Self {
            block_bitmap: u64::from(le_u32(raw, 0)?) | high(0x20)?,
            inode_bitmap: u64::from(le_u32(raw, 0x4)?) | high(0x24)?,
            inode_table: u64::from(le_u32(raw, 0x8)?) | high(0x28)?,
            free_clusters: u32::from(le_u16(raw, 0xC)?) | high_half(0x2C)?,
            uninit: le_u16(raw, 0x12)? & BLOCK_UNINIT != 0,
            bitmap_checksum: u32::from(le_u16(raw, 0x18)?) | high_half(0x38)?,
        })
    }

    /// Whether the block bitmap's checksum agrees; of narrow descriptors its lower half.
    pub(super) fn bitmap_agrees(&self, superblock: &Superblock, bitmap: &[u8]) -> bool {
        let covered = bitmap.get(..(superblock.clusters_per_group / 8) as usize).unwrap_or(bitmap);
        let computed = crc32c_raw(superblock.checksum_seed, &[covered]);
        let mask = if superblock.desc_bytes >= 64 { !0 } else { 0xFFFF };
        computed & mask == self.bitmap_checksum
    }
}

/// Whether a descriptor's checksum agrees.
fn descriptor_agrees(superblock: &Superblock, group: u32, raw: &[u8]) -> Option<bool> {
    let number = group.to_le_bytes();
    let (before, after) = (raw.get(..CHECKSUM_AT)?, raw.get(CHECKSUM_AT + 2..)?);
    let computed = if superblock.has_metadata_csum() {
        crc32c_raw(superblock.checksum_seed, &[&number, before, &[0; 2], after]) as u16
    } else {
        let mut digest = CRC16.digest();
        for part in [&superblock.uuid[..], &number, before, after] {
            digest.update(part);
        }
        digest.finalize()
    };
    Some(computed == le_u16(raw, CHECKSUM_AT)?)
}

/// Reads blocks in the order given and calls `visit` with each; neighbours come in one read.
pub(super) fn read_blocks(
    volume: &VolumeReader<'_>,
    superblock: &Superblock,
    blocks: impl Iterator<Item = u64>,
    mut visit: impl FnMut(u64, &mut [u8]) -> Result<(), Unmapped>,
) -> Result<(), Unmapped> {
    let block_bytes = superblock.block_bytes;
    let mut blocks = blocks.peekable();
    while let Some(first) = blocks.next() {
        let mut count = 1;
        while (count + 1) * block_bytes <= READ_BYTES && first.checked_add(count) == blocks.peek().copied() {
            blocks.next();
            count += 1;
        }
        let offset = first.saturating_mul(block_bytes);
        let mut bytes = volume.read(offset, count * block_bytes)?;
        for (number, block) in (first..).zip(bytes.chunks_exact_mut(block_bytes as usize)) {
            visit(number, block)?;
        }
    }
    Ok(())
}

/// Every group's descriptor.
pub(super) fn read_groups(volume: &VolumeReader<'_>, superblock: &Superblock) -> Result<Vec<Group>, Unmapped> {
    let per_block = superblock.block_bytes / superblock.desc_bytes;
    let count = superblock.groups();
    let mut groups = Vec::new();
    let locations = (0..count.div_ceil(per_block)).map(|index| descriptor_block(superblock, index));
    read_blocks(volume, superblock, locations, |_, block| {
        for raw in block.chunks_exact(superblock.desc_bytes as usize) {
            if groups.len() as u64 == count {
                break;
            }
            let number = groups.len() as u32;
            if superblock.has_group_checksums()
                && descriptor_agrees(superblock, number, raw) != Some(true)
                && !cfg!(fuzzing)
            {
                let why = format!("the checksum of block group {number}'s descriptor does not agree");
                return Err(Unmapped::inconsistent(why));
            }
            let mut group =
                Group::parse(raw).ok_or_else(|| Unmapped::inconsistent("a group descriptor is too short"))?;
            group.uninit &= superblock.has_group_checksums();
            groups.push(group);
        }
        Ok(())
    })?;
    if groups.first().is_some_and(|group| group.uninit) {
        return Err(Unmapped::inconsistent("the first block group's bitmap claims to be unwritten"));
    }
    Ok(groups)
}

/// Where the `index`th block of group descriptors lies.
fn descriptor_block(superblock: &Superblock, index: u64) -> u64 {
    if !superblock.has_incompat(incompat::META_BG) || index < superblock.first_meta_bg {
        return super_start(superblock, 0) + 1 + index;
    }
    let group = index * (superblock.block_bytes / superblock.desc_bytes);
    super_start(superblock, group) + u64::from(has_super(superblock, group))
}

/// Where a group's copy of the superblock lies or would lie: at its start, but for the first group
/// where blocks have 1 KiB and groups begin at block 0 (bigalloc).
fn super_start(superblock: &Superblock, group: u64) -> u64 {
    let behind_boot = group == 0 && superblock.block_bytes == 1024 && superblock.first_data_block == 0;
    superblock.group_start(group) + u64::from(behind_boot)
}

/// Whether a group has a copy of the superblock.
fn has_super(superblock: &Superblock, group: u64) -> bool {
    if group == 0 {
        return true;
    }
    if superblock.compat & compat::SPARSE_SUPER2 != 0 {
        return superblock.backup_groups.iter().any(|backup| u64::from(*backup) == group);
    }
    group == 1
        || !superblock.has_ro_compat(ro_compat::SPARSE_SUPER)
        || [3, 5, 7].iter().any(|base| is_power(group, *base))
}

fn is_power(mut number: u64, base: u64) -> bool {
    while number > 1 && number.is_multiple_of(base) {
        number /= base;
    }
    number == 1
}

/// All blocks that are not data: superblocks, descriptors, blocks reserved for them, bitmaps, tables
/// of inodes, the block of multiple-mount protection. In no order.
pub(super) fn fixed_blocks(superblock: &Superblock, groups: &[Group]) -> Vec<Run> {
    let per_block = superblock.block_bytes / superblock.desc_bytes;
    let all_descriptor_blocks = superblock.groups().div_ceil(per_block);
    let meta_bg = superblock.has_incompat(incompat::META_BG);
    let inode_table_blocks = (superblock.inodes_per_group * superblock.inode_bytes).div_ceil(superblock.block_bytes);
    let mut fixed = Vec::with_capacity(groups.len() * 4);
    if super_start(superblock, 0) != superblock.first_data_block {
        fixed.push(Run::fixed(0, 1));
    }
    for (number, group) in (0..).zip(groups) {
        let start = super_start(superblock, number);
        let has_super = has_super(superblock, number);
        let index = number / per_block;
        if !meta_bg || index < superblock.first_meta_bg {
            let descriptors = if meta_bg { superblock.first_meta_bg } else { all_descriptor_blocks };
            if has_super {
                fixed.push(Run::fixed(start, 1 + descriptors + superblock.reserved_gdt_blocks));
            }
        } else {
            // A meta block group has its descriptors in its first, second and last group.
            let in_meta_group = number % per_block;
            let has_descriptors = in_meta_group <= 1 || in_meta_group == per_block - 1;
            fixed.push(Run::fixed(start, u64::from(has_super) + u64::from(has_descriptors)));
        }
        fixed.push(Run::fixed(group.block_bitmap, 1));
        fixed.push(Run::fixed(group.inode_bitmap, 1));
        fixed.push(Run::fixed(group.inode_table, inode_table_blocks));
    }
    if superblock.has_incompat(incompat::MMP) {
        fixed.push(Run::fixed(superblock.mmp_block, 1));
    }
    fixed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers() {
        let found: Vec<u64> = (1..=130).filter(|n| [3, 5, 7].iter().any(|base| is_power(*n, *base))).collect();
        assert_eq!(found, [1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
        assert!(!is_power(0, 3));
    }
}
