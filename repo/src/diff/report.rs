//! What a comparison found, added up.

use super::layout::LayoutChange;
use crate::image::OpenedImage;
use holotype_core::ImageId;
use holotype_core::extent::Extent;
use holotype_core::layout::{DiskLayout, VolumeInfo};
use jiff::Timestamp;
use serde::Serialize;

/// Ranges that are listed, at most: 24 MiB of memory. Further ones are only counted.
const MAX_RANGES: usize = 1 << 20;

/// How a range differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Another content; or one that could be read in one of the images only.
    Changed,
    /// The second image does not keep it: no filesystem uses it there, or the disk ends before.
    BecameFree,
    /// The first image does not keep it.
    BecameUsed,
}

/// A range that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DiffRange {
    /// First byte on the disk.
    pub offset_bytes: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// How it differs.
    pub kind: DifferenceKind,
}

/// Bytes by how they differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Bytes with another content.
    pub changed_bytes: u64,
    /// Bytes that only the first image keeps.
    pub became_free_bytes: u64,
    /// Bytes that only the second image keeps.
    pub became_used_bytes: u64,
}

impl Tally {
    fn add(&mut self, kind: DifferenceKind, bytes: u64) {
        *match kind {
            DifferenceKind::Changed => &mut self.changed_bytes,
            DifferenceKind::BecameFree => &mut self.became_free_bytes,
            DifferenceKind::BecameUsed => &mut self.became_used_bytes,
        } += bytes;
    }
}

/// One of the two images.
#[derive(Debug, Clone, Serialize)]
pub struct DiffImage {
    /// Its id.
    pub image: ImageId,
    /// Its name.
    pub name: String,
    /// When its backup began.
    pub time: Timestamp,
    /// Length of the disk in bytes.
    pub source_bytes: u64,
}

impl DiffImage {
    pub(super) fn of(image: &OpenedImage) -> Self {
        let summary = &image.summary;
        Self { image: image.id, name: summary.name.clone(), time: summary.time(), source_bytes: summary.source_bytes }
    }
}

/// A volume, and what differs in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeDiff {
    /// `partition 2`, `the whole disk`.
    pub title: String,
    /// Number of the partition; absent where the volume is the whole disk.
    pub partition: Option<u32>,
    /// The filesystem, as its tools name it.
    pub filesystem: Option<String>,
    /// The filesystem's label.
    pub label: Option<String>,
    /// Where it begins on the disk.
    pub offset_bytes: u64,
    /// Its length.
    pub bytes: u64,
    /// What differs.
    #[serde(flatten)]
    pub tally: Tally,
}

/// What [`crate::Repository::diff`] found.
#[derive(Debug, Clone, Serialize)]
pub struct DiffReport {
    /// The first image.
    pub first: DiffImage,
    /// The second image.
    pub second: DiffImage,
    /// All that differs.
    #[serde(flatten)]
    pub total: Tally,
    /// Volumes of the second image, else of the first, with a place on the disk.
    pub volumes: Vec<VolumeDiff>,
    /// What differs outside of these volumes: the partition table, gaps.
    pub outside: Tally,
    /// How partition table and volumes differ; empty where one of the images says nothing of them.
    pub layout: Vec<LayoutChange>,
    /// Ranges that differ, in order; neighbours of one kind are one.
    pub ranges: Vec<DiffRange>,
    /// How many more there are that are not in `ranges`.
    pub unlisted_ranges: u64,
    /// Wall time in seconds.
    pub elapsed_seconds: f64,
}

impl DiffReport {
    /// Whether a restore of either gives the same, but for what nobody uses.
    pub fn is_equal(&self) -> bool {
        self.total == Tally::default() && self.first.source_bytes == self.second.source_bytes
    }

    /// By how many bytes the second disk is longer; negative where it is shorter.
    pub fn growth_bytes(&self) -> i128 {
        i128::from(self.second.source_bytes) - i128::from(self.first.source_bytes)
    }
}

/// Takes ranges in order and adds them up.
pub(super) struct Collector {
    total: Tally,
    outside: Tally,
    volumes: Vec<(Extent, VolumeDiff)>,
    ranges: Vec<DiffRange>,
    unlisted: u64,
    last: Option<DiffRange>,
}

impl Collector {
    /// For a disk with these volumes.
    pub fn new(layout: Option<&DiskLayout>) -> Self {
        let of = |volume: &VolumeInfo| {
            // A logical volume lies in the partitions of its group, and is counted there.
            let extent = volume.extent().filter(|_| volume.logical_volume.is_none())?;
            let diff = VolumeDiff {
                title: volume.title(),
                partition: volume.partition,
                filesystem: volume.filesystem.clone(),
                label: volume.label.clone(),
                offset_bytes: extent.offset(),
                bytes: extent.len(),
                tally: Tally::default(),
            };
            Some((extent, diff))
        };
        let mut volumes: Vec<_> = layout.iter().flat_map(|layout| &layout.volumes).filter_map(of).collect();
        volumes.sort_by_key(|(extent, _)| *extent);
        let (total, outside) = (Tally::default(), Tally::default());
        Self { total, outside, volumes, ranges: Vec::new(), unlisted: 0, last: None }
    }

    /// Adds a range that begins where the one before ended, or later.
    pub fn add(&mut self, range: DiffRange) {
        self.total.add(range.kind, range.bytes);
        let mut rest = range.bytes;
        // Nodes' lengths are bounded by their disk's, so the end fits.
        if let Some(extent) = Extent::new(range.offset_bytes, range.bytes) {
            let first = self.volumes.partition_point(|(volume, _)| volume.end() <= extent.offset());
            for (volume, diff) in self.volumes[first..].iter_mut().take_while(|(it, _)| it.offset() < extent.end()) {
                let inside = volume.intersection(&extent).map_or(0, |common| common.len());
                diff.tally.add(range.kind, inside);
                rest = rest.saturating_sub(inside);
            }
        }
        self.outside.add(range.kind, rest);
        match &mut self.last {
            Some(last) if last.kind == range.kind && last.offset_bytes + last.bytes == range.offset_bytes => {
                last.bytes += range.bytes;
            }
            last => {
                let done = last.replace(range);
                self.list(done);
            }
        }
    }

    fn list(&mut self, range: Option<DiffRange>) {
        match range {
            Some(range) if self.ranges.len() < MAX_RANGES => self.ranges.push(range),
            Some(_) => self.unlisted += 1,
            None => {}
        }
    }

    pub fn finish(mut self, images: [DiffImage; 2], layout: Vec<LayoutChange>, elapsed_seconds: f64) -> DiffReport {
        let last = self.last.take();
        self.list(last);
        let [first, second] = images;
        DiffReport {
            first,
            second,
            total: self.total,
            volumes: self.volumes.into_iter().map(|(_, diff)| diff).collect(),
            outside: self.outside,
            layout,
            ranges: self.ranges,
            unlisted_ranges: self.unlisted,
            elapsed_seconds,
        }
    }
}
