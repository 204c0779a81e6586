//! The superblock: geometry, features, state.

use crate::volume::bytes::{array, le_u16, le_u32, le_u64};
use crate::volume::checksum::crc32c_raw;
use crate::volume::{Cause, Unmapped, VolumeReader};

/// Where the superblock lies, in bytes from the volume's start; it is as long.
pub(super) const SUPERBLOCK_BYTES: usize = 1024;
/// Most groups that are looked at: 512 TiB with blocks of 4 KiB.
const MAX_GROUPS: u64 = 4 << 20;

/// Smallest group that mke2fs makes, in blocks.
const LEAST_GROUP_BLOCKS: u64 = 256;

const STATE_CLEAN: u16 = 1;

/// `s_feature_compat`.
pub(super) mod compat {
    pub(in super::super) const HAS_JOURNAL: u32 = 0x4;
    /// dir_prealloc, has_journal, ext_attr, resize_inode, dir_index, sparse_super2, fast_commit,
    /// stable_inodes, orphan_file.
    pub(super) const ALLOWED: u32 = 0x1 | 0x4 | 0x8 | 0x10 | 0x20 | SPARSE_SUPER2 | 0x400 | 0x800 | 0x1000;
    pub(in super::super) const SPARSE_SUPER2: u32 = 0x200;
}

/// `s_feature_incompat`.
pub(super) mod incompat {
    pub(super) const RECOVER: u32 = 0x4;
    pub(in super::super) const JOURNAL_DEV: u32 = 0x8;
    pub(in super::super) const META_BG: u32 = 0x10;
    pub(in super::super) const BIT64: u32 = 0x80;
    pub(in super::super) const MMP: u32 = 0x100;
    pub(super) const CSUM_SEED: u32 = 0x2000;
    /// filetype, recover (which is dirty), meta_bg, extents, 64bit, mmp, flex_bg, ea_inode,
    /// metadata_csum_seed, large_dir, inline_data, encrypt, casefold.
    pub(super) const ALLOWED: u32 = 0x2
        | RECOVER
        | META_BG
        | 0x40
        | BIT64
        | MMP
        | 0x200
        | 0x400
        | CSUM_SEED
        | 0x4000
        | 0x8000
        | 0x1_0000
        | 0x2_0000;
}

/// `s_feature_ro_compat`.
pub(super) mod ro_compat {
    pub(in super::super) const SPARSE_SUPER: u32 = 0x1;
    pub(in super::super) const GDT_CSUM: u32 = 0x10;
    pub(super) const BIGALLOC: u32 = 0x200;
    pub(in super::super) const METADATA_CSUM: u32 = 0x400;
    pub(super) const ORPHAN_PRESENT: u32 = 0x1_0000;
    /// sparse_super, large_file, btree_dir, huge_file, uninit_bg, dir_nlink, extra_isize, quota,
    /// bigalloc, metadata_csum, read-only, project, verity, orphan_present (which is dirty).
    pub(super) const ALLOWED: u32 = SPARSE_SUPER
        | 0x2
        | 0x4
        | 0x8
        | GDT_CSUM
        | 0x20
        | 0x40
        | 0x100
        | BIGALLOC
        | METADATA_CSUM
        | 0x1000
        | 0x2000
        | 0x8000
        | ORPHAN_PRESENT;
}

/// What the primary superblock says. Counts are of blocks unless they say otherwise.
///
/// Fields as in Linux: Documentation/filesystems/ext4/super.rst.
#[derive(Debug, Clone)]
pub(super) struct Superblock {
    pub(super) block_bytes: u64,
    pub(super) blocks: u64,
    pub(super) free_blocks: u64,
    pub(super) first_data_block: u64,
    pub(super) blocks_per_group: u64,
    pub(super) clusters_per_group: u64,
    /// Blocks per cluster: 1 but for bigalloc.
    pub(super) cluster_ratio: u64,
    pub(super) inodes: u64,
    pub(super) inodes_per_group: u64,
    pub(super) inode_bytes: u64,
    pub(super) desc_bytes: u64,
    pub(super) reserved_gdt_blocks: u64,
    /// First group-descriptor block, as an index, that lies in its meta block group.
    pub(super) first_meta_bg: u64,
    /// Groups with copies of the superblock, for sparse_super2.
    pub(super) backup_groups: [u32; 2],
    pub(super) journal_inode: u32,
    pub(super) mmp_block: u64,
    pub(super) compat: u32,
    pub(super) incompat: u32,
    pub(super) ro_compat: u32,
    pub(super) uuid: [u8; 16],
    pub(super) label: [u8; 16],
    /// What metadata checksums begin with.
    pub(super) checksum_seed: u32,
    state: u16,
    last_orphan: u32,
    flags: u32,
    checksum_type: u8,
    checksum_agrees: bool,
}

impl Superblock {
    /// The superblock, where there is one.
    pub(super) fn read(volume: &VolumeReader<'_>) -> Option<Self> {
        Self::parse(&volume.peek::<SUPERBLOCK_BYTES>(SUPERBLOCK_BYTES as u64)?)
    }

    fn parse(raw: &[u8; SUPERBLOCK_BYTES]) -> Option<Self> {
        let revision = le_u32(raw, 0x4C)?;
        let (log_block, log_cluster) = (le_u32(raw, 0x18)?, le_u32(raw, 0x1C)?);
        if le_u16(raw, 0x38)? != 0xEF53 || log_block > 6 || revision > 1 {
            return None;
        }
        // Revision 0 had neither features nor a size of inodes.
        let dynamic = |value: u32| if revision == 0 { 0 } else { value };
        let incompat = dynamic(le_u32(raw, 0x5C + 4)?);
        let ro_compat = dynamic(le_u32(raw, 0x64)?);
        let wide = incompat & incompat::BIT64 != 0;
        let high = |at| Some(if wide { u64::from(le_u32(raw, at)?) << 32 } else { 0 });
        let uuid: [u8; 16] = array(raw, 0x68)?;
        let seed = if incompat & incompat::CSUM_SEED != 0 { le_u32(raw, 0x270)? } else { crc32c_raw(!0, &[&uuid]) };
        let bigalloc = ro_compat & ro_compat::BIGALLOC != 0;
        let superblock = Self {
            block_bytes: 1024 << log_block,
            blocks: u64::from(le_u32(raw, 0x4)?) | high(0x150)?,
            free_blocks: u64::from(le_u32(raw, 0xC)?) | high(0x158)?,
            first_data_block: le_u32(raw, 0x14)?.into(),
            blocks_per_group: le_u32(raw, 0x20)?.into(),
            clusters_per_group: le_u32(raw, if bigalloc { 0x24 } else { 0x20 })?.into(),
            cluster_ratio: if bigalloc {
                1u64.checked_shl(log_cluster.wrapping_sub(log_block)).unwrap_or(0)
            } else {
                1
            },
            inodes: le_u32(raw, 0)?.into(),
            inodes_per_group: le_u32(raw, 0x28)?.into(),
            inode_bytes: if revision == 0 { 128 } else { le_u16(raw, 0x58)?.into() },
            desc_bytes: if wide { le_u16(raw, 0xFE)?.into() } else { 32 },
            reserved_gdt_blocks: le_u16(raw, 0xCE)?.into(),
            first_meta_bg: le_u32(raw, 0x104)?.into(),
            backup_groups: [le_u32(raw, 0x24C)?, le_u32(raw, 0x250)?],
            journal_inode: le_u32(raw, 0xE0)?,
            mmp_block: le_u64(raw, 0x168)?,
            compat: dynamic(le_u32(raw, 0x5C)?),
            incompat,
            ro_compat,
            uuid,
            label: array(raw, 0x78)?,
            checksum_seed: seed,
            state: le_u16(raw, 0x3A)?,
            last_orphan: le_u32(raw, 0xE8)?,
            flags: le_u32(raw, 0x160)?,
            checksum_type: raw[0x175],
            checksum_agrees: crc32c_raw(!0, &[&raw[..0x3FC]]) == le_u32(raw, 0x3FC)?,
        };
        let has_inodes = superblock.inodes > 0 && superblock.inodes_per_group > 0;
        let plausible = superblock.blocks > 0
            && (has_inodes || superblock.has_incompat(incompat::JOURNAL_DEV))
            && superblock.blocks_per_group > 0
            && superblock.first_data_block <= 1;
        plausible.then_some(superblock)
    }

    pub(super) fn has_incompat(&self, bit: u32) -> bool {
        self.incompat & bit != 0
    }

    pub(super) fn has_ro_compat(&self, bit: u32) -> bool {
        self.ro_compat & bit != 0
    }

    /// Whether descriptors and bitmaps have checksums with CRC-32C.
    pub(super) fn has_metadata_csum(&self) -> bool {
        self.has_ro_compat(ro_compat::METADATA_CSUM)
    }

    /// Whether descriptors have a checksum, and with it the flags of groups a meaning.
    pub(super) fn has_group_checksums(&self) -> bool {
        self.has_ro_compat(ro_compat::METADATA_CSUM | ro_compat::GDT_CSUM)
    }

    /// The name that `blkid` gives it.
    pub(super) fn variant(&self) -> &'static str {
        // filetype, recover, meta_bg; sparse_super, large_file, btree_dir: all that ext3 knew.
        let beyond_ext3 = self.incompat & !0x16 != 0 || self.ro_compat & !0x7 != 0;
        if self.has_incompat(incompat::JOURNAL_DEV) {
            "jbd"
        } else if beyond_ext3 || (self.compat & compat::HAS_JOURNAL == 0 && self.has_incompat(incompat::RECOVER)) {
            "ext4"
        } else if self.compat & compat::HAS_JOURNAL != 0 {
            "ext3"
        } else {
            "ext2"
        }
    }

    /// Whether its form is one that is known, it was cleanly unmounted, and its numbers can be.
    pub(super) fn check(&self, volume_bytes: u64) -> Result<(), Unmapped> {
        self.check_features()?;
        self.check_geometry(volume_bytes)?;
        self.check_state()
    }

    fn check_features(&self) -> Result<(), Unmapped> {
        if self.has_incompat(incompat::JOURNAL_DEV) {
            return Err(Unmapped::feature("it is the journal of another filesystem"));
        }
        for (name, found, allowed) in [
            ("compatible", self.compat, compat::ALLOWED),
            ("incompatible", self.incompat, incompat::ALLOWED),
            ("read-only compatible", self.ro_compat, ro_compat::ALLOWED),
        ] {
            let unknown = found & !allowed;
            if unknown != 0 {
                return Err(Unmapped::feature(format!("it has {name} features that are not known: {unknown:#x}")));
            }
        }
        // Of next3's snapshots: is one, to be fixed, exclude bitmap to be fixed.
        if self.flags & 0x70 != 0 {
            return Err(Unmapped::feature("it is, or has, a snapshot of next3"));
        }
        if self.has_metadata_csum() {
            if self.checksum_type != 1 {
                return Err(Unmapped::feature(format!("its kind of checksum, {}, is not known", self.checksum_type)));
            }
            if !self.checksum_agrees && !cfg!(fuzzing) {
                return Err(Unmapped::inconsistent("the superblock's checksum does not agree"));
            }
        }
        Ok(())
    }

    fn check_state(&self) -> Result<(), Unmapped> {
        let dirty = |why| Err(Unmapped::new(Cause::Dirty, why));
        if self.has_incompat(incompat::RECOVER) {
            return dirty("its journal was not replayed: it was not cleanly unmounted");
        }
        if self.state != STATE_CLEAN {
            return dirty("its state is not clean: it was not cleanly unmounted, or errors were found");
        }
        if self.last_orphan != 0 || self.has_ro_compat(ro_compat::ORPHAN_PRESENT) {
            return dirty("it has orphaned files that the next mount removes");
        }
        Ok(())
    }

    fn check_geometry(&self, volume_bytes: u64) -> Result<(), Unmapped> {
        let impossible = |what: &str| Err(Unmapped::inconsistent(format!("the superblock's {what} cannot be")));
        // With blocks of 1 KiB the superblock lies in block 1, where the first group begins; with
        // clusters (bigalloc) groups begin at block 0 all the same.
        let bigalloc = self.has_ro_compat(ro_compat::BIGALLOC);
        if self.first_data_block != u64::from(self.block_bytes == 1024 && !bigalloc) {
            return impossible("first block");
        }
        if self.cluster_ratio == 0 || self.cluster_ratio > 1 << 20 || (bigalloc && self.cluster_ratio < 2) {
            return impossible("cluster size");
        }
        if self.blocks_per_group < LEAST_GROUP_BLOCKS
            || !self.clusters_per_group.is_multiple_of(8)
            || self.clusters_per_group > 8 * self.block_bytes
            || self.blocks_per_group != self.clusters_per_group * self.cluster_ratio
        {
            return impossible("size of groups");
        }
        if !self.inode_bytes.is_power_of_two() || !(128..=self.block_bytes).contains(&self.inode_bytes) {
            return impossible("size of inodes");
        }
        let least_desc_bytes = if self.has_incompat(incompat::BIT64) { 64 } else { 32 };
        if !self.desc_bytes.is_power_of_two() || !(least_desc_bytes..=1024).contains(&self.desc_bytes) {
            return impossible("size of group descriptors");
        }
        if self.blocks <= self.first_data_block || self.free_blocks > self.blocks {
            return impossible("number of blocks");
        }
        if self.blocks.checked_mul(self.block_bytes).is_none_or(|bytes| bytes > volume_bytes) {
            let why = format!(
                "it has {} blocks of {} bytes, and its place has {volume_bytes} bytes",
                self.blocks, self.block_bytes
            );
            return Err(Unmapped::new(Cause::Truncated, why));
        }
        // Two bitmaps and a table of inodes at least.
        if self.groups() > MAX_GROUPS || self.groups() * 3 > self.blocks {
            return impossible("number of groups");
        }
        if self.inodes_per_group == 0
            || self.inodes_per_group > 8 * self.block_bytes
            || self.inodes_per_group * self.groups() != self.inodes
        {
            return impossible("number of inodes");
        }
        if self.has_incompat(incompat::META_BG) && self.reserved_gdt_blocks != 0 {
            return impossible("number of reserved group-descriptor blocks");
        }
        Ok(())
    }

    /// Number of block groups.
    pub(super) fn groups(&self) -> u64 {
        (self.blocks - self.first_data_block).div_ceil(self.blocks_per_group)
    }

    /// First block of a group.
    pub(super) fn group_start(&self, group: u64) -> u64 {
        self.first_data_block + group * self.blocks_per_group
    }

    /// First block after a group.
    pub(super) fn group_end(&self, group: u64) -> u64 {
        self.group_start(group + 1).min(self.blocks)
    }
}
