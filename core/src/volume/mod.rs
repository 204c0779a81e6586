//! Volumes: what is on a partition, and which of its bytes no filesystem uses.
//!
//! One file per filesystem, read-only, every byte hostile. Each has an `identify` that knows the
//! volume by its signature, and a `map` that finds the bytes that may be dropped. The rule: a
//! block may be dropped only if no correct mount, recovery included, can depend on it. Feature bits
//! are on an allow-list, checksums and counters agree, the volume is clean; else the volume is
//! [`Unmapped`], and all of it is kept.

pub mod btrfs;
mod bytes;
mod checksum;
mod detect;
pub mod encrypted;
pub mod exfat;
pub mod ext;
pub mod fat;
mod free_runs;
pub mod lvm;
pub mod ntfs;
pub mod other;
pub mod raid;
mod read;
pub mod swap;
pub mod xfs;

pub use detect::{Detected, detect, has_signature, identify};
pub use free_runs::{FreeRuns, FreeRunsBuilder};
pub use read::{MAX_READ_BYTES, ReadAt, VolumeReader};

use std::fmt;

/// What a volume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum VolumeKind {
    /// ext2, ext3 or ext4.
    Ext,
    /// NTFS.
    Ntfs,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// exFAT.
    ExFat,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// Linux swap.
    Swap,
    /// A physical volume of LVM2.
    Lvm,
    /// LUKS, version 1 or 2.
    Luks,
    /// BitLocker.
    BitLocker,
    /// A member of a Linux software RAID.
    Raid,
    /// Something with a signature that is known and content that is not looked into.
    Other(&'static str),
    /// Nothing that is known.
    Unknown,
}

impl VolumeKind {
    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext => "ext",
            Self::Ntfs => "NTFS",
            Self::Fat => "FAT",
            Self::ExFat => "exFAT",
            Self::Xfs => "XFS",
            Self::Btrfs => "Btrfs",
            Self::Swap => "swap",
            Self::Lvm => "LVM2",
            Self::Luks => "LUKS",
            Self::BitLocker => "BitLocker",
            Self::Raid => "Linux RAID",
            Self::Other(name) => name,
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for VolumeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a signature tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What it is.
    pub kind: VolumeKind,
    /// The name that its tools give this form of it, for instance `ext4` or `FAT32`.
    pub variant: String,
    /// UUID or serial number, written as the filesystem's own tools (`blkid`) write it.
    pub uuid: Option<String>,
    /// Label, where there is one.
    pub label: Option<String>,
}

/// Named system files whose content may be dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// Windows' `pagefile.sys` and `swapfile.sys`.
    pub pagefile: bool,
    /// Windows' `hiberfil.sys`; never of a volume that is hibernated.
    pub hiberfil: bool,
}

/// How to map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MapOptions {
    /// System files to drop.
    pub drops: Drops,
}

/// Why a volume has no map: all of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmapped {
    /// The kind of reason.
    pub cause: Cause,
    /// What was found, in words for the operator.
    pub why: String,
}

/// Kinds of reasons to keep all of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// It was asked for (`--raw`).
    Raw,
    /// Not cleanly unmounted: recovery may need any block.
    Dirty,
    /// Hibernated: a memory image depends on the blocks.
    Hibernated,
    /// Snapshots depend on freed blocks.
    Snapshots,
    /// A feature that is not on the allow-list.
    Feature,
    /// Checksums or counters do not agree, or a value is impossible.
    Inconsistent,
    /// It is larger than the place it is in.
    Truncated,
    /// A part of its metadata could not be read.
    Unreadable,
    /// Encrypted: nobody can tell what is free.
    Encrypted,
    /// Its form is not looked into.
    Unknown,
    /// It was mounted read-write while it was read.
    Mounted,
}

impl Cause {
    /// One word for reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Dirty => "dirty",
            Self::Hibernated => "hibernated",
            Self::Snapshots => "snapshots",
            Self::Feature => "feature",
            Self::Inconsistent => "inconsistent",
            Self::Truncated => "truncated",
            Self::Unreadable => "unreadable",
            Self::Encrypted => "encrypted",
            Self::Unknown => "unknown",
            Self::Mounted => "mounted",
        }
    }
}

impl Unmapped {
    /// All of the volume is kept, for this reason.
    pub fn new(cause: Cause, why: impl Into<String>) -> Self {
        Self { cause, why: why.into() }
    }

    /// A feature that is not on the allow-list.
    pub fn feature(why: impl Into<String>) -> Self {
        Self::new(Cause::Feature, why)
    }

    /// A value that cannot be.
    pub fn inconsistent(why: impl Into<String>) -> Self {
        Self::new(Cause::Inconsistent, why)
    }
}

impl fmt::Display for Unmapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// A file whose content was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedFile {
    /// Its name.
    pub name: String,
    /// How many of its bytes.
    pub bytes: u64,
}

/// The map of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeMap {
    /// What may be dropped, in bytes from the volume's start.
    pub free: FreeRuns,
    /// The unit in which the filesystem allocates, in bytes.
    pub block_bytes: u32,
    /// How the map was made, in words for the operator: `block bitmaps of 32 groups`.
    pub method: String,
    /// Files whose content was dropped, which are in `free` too.
    pub dropped: Vec<DroppedFile>,
}

/// What every filesystem's map gives.
pub type MapResult = Result<VolumeMap, Unmapped>;
