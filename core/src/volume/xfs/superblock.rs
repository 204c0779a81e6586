//! The superblock: geometry, features, counters. Numbers are big endian, checksums little.

use crate::volume::bytes::{array, be_u16, be_u32, be_u64, le_u32};
use crate::volume::checksum::crc32c;
use crate::volume::{Cause, Unmapped, VolumeReader};

/// What there is of the superblock, in bytes; its sector is zero behind it.
const SUPERBLOCK_BYTES: usize = 512;
const CHECKSUM_AT: usize = 224;
/// Smallest allocation group that mkfs makes, in bytes.
const LEAST_AG_BYTES: u64 = 16 << 20;
/// Largest log, in bytes.
const MOST_LOG_BYTES: u64 = 1 << 31;

/// `sb_versionnum`: blocks shared in the way of IRIX.
const VERSION_SHARED: u16 = 0x200;
/// `sb_versionnum`: the log's second format.
const VERSION_LOG_2: u16 = 0x400;

/// finobt, rmapbt, reflink, inobtcount.
const RO_COMPAT_ALLOWED: u32 = 0x1 | 0x2 | 0x4 | 0x8;
const META_UUID: u32 = 0x4;
const NEEDS_REPAIR: u32 = 0x10;
/// ftype, spinodes, meta_uuid, bigtime, needsrepair (which is inconsistent), nrext64, exchange,
/// parent.
const INCOMPAT_ALLOWED: u32 = 0x1 | 0x2 | META_UUID | 0x8 | NEEDS_REPAIR | 0x20 | 0x40 | 0x80;

/// What the primary superblock says; xfsprogs: xfs_format.h (`struct xfs_dsb`).
#[derive(Debug, Clone)]
pub(super) struct Superblock {
    pub(super) block_bytes: u64,
    pub(super) sector_bytes: u64,
    /// Blocks of the data device.
    pub(super) blocks: u64,
    /// Blocks of every allocation group but the last.
    pub(super) ag_blocks: u64,
    pub(super) ag_count: u64,
    /// Where the log lies: group, and block in it.
    pub(super) log_ag: u64,
    pub(super) log_start: u64,
    pub(super) log_blocks: u64,
    pub(super) free_blocks: u64,
    /// What `blkid` shows.
    pub(super) uuid: [u8; 16],
    /// What metadata carries.
    pub(super) meta_uuid: [u8; 16],
    pub(super) label: [u8; 12],
    version: u16,
    ag_block_log: u32,
    has_internal_log: bool,
    realtime_blocks: u64,
    in_progress: bool,
    /// compat, ro_compat, incompat, log_incompat.
    features: [u32; 4],
}

impl Superblock {
    /// The superblock, where there is one.
    pub(super) fn read(volume: &VolumeReader<'_>) -> Option<Self> {
        Self::parse(&volume.peek::<SUPERBLOCK_BYTES>(0)?)
    }

    fn parse(raw: &[u8; SUPERBLOCK_BYTES]) -> Option<Self> {
        let block_bytes = be_u32(raw, 4)?;
        let sector_bytes = be_u16(raw, 102)?;
        let is_size = |bytes: u32, log: u8, least: u32, most: u32| {
            bytes.is_power_of_two() && bytes.trailing_zeros() == log.into() && (least..=most).contains(&bytes)
        };
        if !raw.starts_with(b"XFSB")
            || !is_size(block_bytes, raw[120], 512, 65536)
            || !is_size(sector_bytes.into(), raw[121], 512, 32768)
        {
            return None;
        }
        let features = [be_u32(raw, 208)?, be_u32(raw, 212)?, be_u32(raw, 216)?, be_u32(raw, 220)?];
        let uuid = array(raw, 32)?;
        let ag_block_log = raw[124].min(63).into();
        let log = be_u64(raw, 48)?;
        let superblock = Self {
            block_bytes: block_bytes.into(),
            sector_bytes: sector_bytes.into(),
            blocks: be_u64(raw, 8)?,
            ag_blocks: be_u32(raw, 84)?.into(),
            ag_count: be_u32(raw, 88)?.into(),
            log_ag: log >> ag_block_log,
            log_start: log & ((1u64 << ag_block_log) - 1),
            log_blocks: be_u32(raw, 96)?.into(),
            free_blocks: be_u64(raw, 144)?,
            uuid,
            meta_uuid: if features[2] & META_UUID != 0 { array(raw, 248)? } else { uuid },
            label: array(raw, 108)?,
            version: be_u16(raw, 100)?,
            ag_block_log,
            has_internal_log: log != 0,
            realtime_blocks: be_u64(raw, 16)?,
            in_progress: raw[126] != 0,
            features,
        };
        (superblock.blocks > 0 && superblock.ag_blocks > 0 && superblock.ag_count > 0).then_some(superblock)
    }

    /// Whether its form is one that is known, and its numbers can be.
    pub(super) fn check(&self, volume: &VolumeReader<'_>) -> Result<(), Unmapped> {
        self.check_features(volume)?;
        self.check_geometry(volume.bytes())
    }

    fn check_features(&self, volume: &VolumeReader<'_>) -> Result<(), Unmapped> {
        if self.version & 0xF != 5 {
            return Err(Unmapped::feature(format!("it has the format version {}, not 5", self.version & 0xF)));
        }
        if self.version & VERSION_SHARED != 0 || self.version & VERSION_LOG_2 == 0 {
            return Err(Unmapped::feature(format!("its version bits {:#x} are not known", self.version)));
        }
        let allowed = [0, RO_COMPAT_ALLOWED, INCOMPAT_ALLOWED, 0];
        let names = ["compatible", "read-only compatible", "incompatible", "log"];
        for ((name, found), allowed) in names.iter().zip(self.features).zip(allowed) {
            let unknown = found & !allowed;
            if unknown != 0 {
                return Err(Unmapped::feature(format!("it has {name} features that are not known: {unknown:#x}")));
            }
        }
        let raw = volume.read(0, self.sector_bytes)?;
        if !agrees(&raw, CHECKSUM_AT) && !cfg!(fuzzing) {
            return Err(Unmapped::inconsistent("the superblock's checksum does not agree"));
        }
        if self.features[2] & NEEDS_REPAIR != 0 {
            return Err(Unmapped::inconsistent("it is marked as in need of repair"));
        }
        if self.in_progress {
            return Err(Unmapped::new(Cause::Dirty, "it was not made to its end"));
        }
        if !self.has_internal_log {
            return Err(Unmapped::feature("its log lies on another device"));
        }
        if self.realtime_blocks != 0 {
            return Err(Unmapped::feature("it has a realtime device"));
        }
        Ok(())
    }

    fn check_geometry(&self, volume_bytes: u64) -> Result<(), Unmapped> {
        let impossible = |what: &str| Err(Unmapped::inconsistent(format!("the superblock's {what} cannot be")));
        if self.block_bytes < 1024 || self.sector_bytes > self.block_bytes {
            return impossible("size of blocks");
        }
        if self.blocks.checked_mul(self.block_bytes).is_none_or(|bytes| bytes > volume_bytes) {
            let why = format!(
                "it has {} blocks of {} bytes, and its place has {volume_bytes} bytes",
                self.blocks, self.block_bytes
            );
            return Err(Unmapped::new(Cause::Truncated, why));
        }
        let log_of = u64::BITS - (self.ag_blocks - 1).leading_zeros();
        if self.ag_blocks * self.block_bytes < LEAST_AG_BYTES || self.ag_block_log != log_of {
            return impossible("size of allocation groups");
        }
        if self.blocks.div_ceil(self.ag_blocks) != self.ag_count {
            return impossible("number of allocation groups");
        }
        let log_fits = self.log_ag < self.ag_count
            && self.log_blocks > 0
            && self.log_start + self.log_blocks <= self.ag_length(self.log_ag);
        if !log_fits || self.log_blocks * self.block_bytes > MOST_LOG_BYTES {
            return impossible("log");
        }
        Ok(())
    }

    /// Blocks of an allocation group.
    pub(super) fn ag_length(&self, ag: u64) -> u64 {
        self.ag_blocks.min(self.blocks - ag * self.ag_blocks)
    }

    /// Where a block of an allocation group lies, in bytes.
    pub(super) fn offset(&self, ag: u64, block: u64) -> u64 {
        (ag * self.ag_blocks + block) * self.block_bytes
    }
}

/// Whether the CRC-32C of a structure that has it at `at` agrees; it counts as zero there.
pub(super) fn agrees(raw: &[u8], at: usize) -> bool {
    let parts = (raw.get(..at), raw.get(at + 4..), le_u32(raw, at));
    matches!(parts, (Some(before), Some(after), Some(stored)) if crc32c(&[before, &[0; 4], after]) == stored)
}
