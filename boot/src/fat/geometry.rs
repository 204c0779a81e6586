//! How a volume is divided: reserved sectors, two tables, (FAT12, FAT16) the root folder, clusters.

use crate::error::{BootError, Result};

/// Bytes of a sector.
pub const SECTOR_BYTES: u64 = 512;
/// Entries of the root folder of FAT12 and FAT16.
pub(super) const ROOT_ENTRIES: u64 = 512;
const ROOT_SECTORS: u64 = ROOT_ENTRIES * 32 / SECTOR_BYTES;
const TABLES: u64 = 2;

/// Which FAT; the number of clusters alone decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FatKind {
    /// Up to 4,084 clusters.
    Fat12,
    /// Up to 65,524 clusters.
    Fat16,
    /// More.
    Fat32,
}

impl FatKind {
    /// The kind of a volume with so many clusters.
    pub fn of_clusters(clusters: u64) -> Self {
        match clusters {
            0..=4084 => Self::Fat12,
            4085..=65_524 => Self::Fat16,
            _ => Self::Fat32,
        }
    }

    /// Bits of a table's entry.
    pub(super) fn bits(self) -> u64 {
        match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        }
    }

    fn root_sectors(self) -> u64 {
        if self == Self::Fat32 { 0 } else { ROOT_SECTORS }
    }
}

/// How a volume is divided, in sectors of 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub kind: FatKind,
    pub sectors: u64,
    pub cluster_sectors: u64,
    pub reserved_sectors: u64,
    pub table_sectors: u64,
    pub clusters: u64,
}

impl Geometry {
    /// The geometry of a volume with so many sectors. Clusters begin at a multiple of 2048 bytes.
    pub fn of_volume(sectors: u64) -> Result<Self> {
        let sizes: &[u64] = match (sectors * SECTOR_BYTES) >> 20 {
            0..=511 => &[4, 8, 16, 32],
            // 512 MiB and more: FAT32, with clusters of 4 KiB to 32 KiB as mkfs.vfat and Windows choose them.
            512..=8191 => &[8],
            8192..=16_383 => &[16],
            16_384..=32_767 => &[32],
            _ => &[64],
        };
        let is_large = (sectors * SECTOR_BYTES) >> 20 >= 512;
        let fits = |geometry: &Self| (geometry.kind == FatKind::Fat32) == is_large;
        let none = || BootError::new("FAT volume", format_args!("{sectors} sectors are too few or too many for one"));
        sizes.iter().filter_map(|size| Self::divide(sectors, *size)).find(fits).ok_or_else(none)
    }

    fn divide(sectors: u64, cluster_sectors: u64) -> Option<Self> {
        if u32::try_from(sectors).is_err() {
            return None;
        }
        [FatKind::Fat12, FatKind::Fat16, FatKind::Fat32].into_iter().find_map(|kind| {
            let reserved_least = if kind == FatKind::Fat32 { 32 } else { 1 };
            let guess = sectors.checked_sub(reserved_least + kind.root_sectors())? / cluster_sectors;
            let table_sectors = ((guess + 2) * kind.bits()).div_ceil(8 * SECTOR_BYTES);
            let before = TABLES * table_sectors + kind.root_sectors();
            let reserved_sectors = (before + reserved_least).next_multiple_of(4) - before;
            let clusters = sectors.checked_sub(before + reserved_sectors)? / cluster_sectors;
            let fits = clusters > 0 && FatKind::of_clusters(clusters) == kind;
            fits.then_some(Self { kind, sectors, cluster_sectors, reserved_sectors, table_sectors, clusters })
        })
    }

    pub fn cluster_bytes(&self) -> u64 {
        self.cluster_sectors * SECTOR_BYTES
    }

    pub fn root_offset(&self) -> u64 {
        (self.reserved_sectors + TABLES * self.table_sectors) * SECTOR_BYTES
    }

    pub fn data_offset(&self) -> u64 {
        self.root_offset() + self.kind.root_sectors() * SECTOR_BYTES
    }

    /// Where a cluster begins, counted in bytes from the volume's start. Clusters count from 2.
    pub fn cluster_offset(&self, cluster: u64) -> u64 {
        self.data_offset() + (cluster - 2) * self.cluster_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_an_entry_for_every_cluster() {
        for sectors in
            (100..70_000).step_by(37).chain([1 << 17, 1 << 20, (1 << 20) + 1, 1 << 25, 1 << 27, u32::MAX.into()])
        {
            let geometry = Geometry::of_volume(sectors).unwrap();
            assert!((geometry.clusters + 2) * geometry.kind.bits() <= geometry.table_sectors * SECTOR_BYTES * 8);
            assert_eq!(geometry.kind, FatKind::of_clusters(geometry.clusters));
            assert_eq!(geometry.data_offset() % 2048, 0);
            let end = geometry.cluster_offset(geometry.clusters + 2);
            assert!(end <= sectors * SECTOR_BYTES && sectors * SECTOR_BYTES - end < geometry.cluster_bytes());
        }
        assert!(Geometry::of_volume(10).is_err() && Geometry::of_volume(1 << 33).is_err());
    }
}
