//! Plan: what a restore will do to its target, before anything is touched.

use super::image_bytes::ImageBytes;
use super::options::{FreePolicy, PartitionChoice, RestoreOptions, RestoreScope, WriteMode};
use super::table::{self, TablePlan};
use crate::disk::{Content, Target, TargetInfo, WriteOrder};
use crate::error::{Error, ErrorKind, Result};
use crate::image::OpenedImage;
use crate::image::layout;
use crate::manifest::{Extent as ManifestExtent, LeafExtent, LeafPlace, ManifestReader};
use holotype_core::extent::Extent;
use holotype_core::layout::{DiskLayout, SurveyOptions, VolumeInfo, survey};
use holotype_core::padding::is_zero;
use holotype_core::partition::{self, Found};
use holotype_core::volume::ReadAt;
use std::io;

/// A backup GPT header lies in the last sector, of at most this length.
const DISK_END_BYTES: u64 = 4096;

/// A range of the image and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub image: Extent,
    pub target_offset: u64,
}

/// Bytes that do not come from the image as they are: partition tables for another disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patch {
    pub offset: u64,
    pub bytes: Vec<u8>,
}

/// What will be done to the target.
#[derive(Debug)]
pub(crate) struct RestorePlan {
    /// In the order of the image; disjoint in it.
    pub pieces: Vec<Piece>,
    /// Written last, in this order.
    pub patches: Vec<Patch>,
    /// How long the target has to be.
    pub target_bytes: u64,
    pub content: Content,
    pub delta: bool,
    pub free: FreePolicy,
    pub table_changes: Vec<String>,
}

/// The parts of an image that a plan is made from.
pub(super) struct Opened<'a> {
    pub image: &'a OpenedImage,
    pub reader: &'a ManifestReader<'a>,
    pub leaves: &'a [LeafPlace],
    pub bytes: &'a ImageBytes<'a>,
}

impl RestorePlan {
    pub fn new(opened: &Opened<'_>, target: &dyn Target, options: &RestoreOptions) -> Result<Self> {
        let layout = layout::from_extensions(&opened.image.detail.extensions)?;
        // Streams, and images of the first programs, tell nothing; their bytes do.
        let layout = layout.filter(|layout| !layout.volumes.is_empty() || layout.unclear.is_some());
        let layout = layout.unwrap_or_else(|| {
            let options = SurveyOptions { raw: true, ..SurveyOptions::default() };
            survey(opened.bytes, opened.image.detail.logical_sector_bytes, &options).layout
        });
        let planner = Planner { opened, target, info: target.info(), options, layout };
        planner.check_options()?;
        planner.check_sectors()?;
        match &options.scope {
            RestoreScope::Disk => planner.disk(),
            RestoreScope::Partitions(choices) => planner.partitions(choices),
            RestoreScope::Table => planner.table(),
            RestoreScope::Volume(number) => planner.volume(*number),
        }
    }

    /// Bytes of the target that are restored, without patches.
    pub fn piece_bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.image.len()).sum()
    }
}

struct Planner<'a> {
    opened: &'a Opened<'a>,
    target: &'a dyn Target,
    info: TargetInfo,
    options: &'a RestoreOptions,
    layout: DiskLayout,
}

impl Planner<'_> {
    fn invalid(&self, why: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidInput, format!("image {}", self.opened.image.id.short()), why)
    }

    fn refused(&self, why: impl Into<String>) -> Error {
        Error::new(ErrorKind::TargetRefused, self.target.describe(), why)
    }

    fn image_bytes(&self) -> u64 {
        self.opened.image.summary.source_bytes
    }

    fn sector_bytes(&self) -> u32 {
        let table = self.layout.table.as_ref();
        table.map_or(self.opened.image.detail.logical_sector_bytes, |table| table.sector_bytes)
    }

    fn check_options(&self) -> Result<()> {
        let stream = self.target.order() == WriteOrder::Ascending;
        let whole = self.options.scope == RestoreScope::Disk;
        if stream && !matches!(self.options.scope, RestoreScope::Disk | RestoreScope::Volume(_)) {
            return Err(self.invalid("a stream takes a whole disk or one volume"));
        }
        if stream && (self.options.new_guids || self.options.verify || self.options.mode == WriteMode::Delta) {
            return Err(self.invalid("a stream cannot be read back, nor its table be written anew"));
        }
        if self.options.grow && !whole && self.options.scope != RestoreScope::Table {
            return Err(self.invalid("only where the whole disk or its table is restored can a partition grow"));
        }
        if self.options.new_guids && !whole && self.options.scope != RestoreScope::Table {
            return Err(self.invalid("only where the whole disk or its table is restored can it have new GUIDs"));
        }
        Ok(())
    }

    /// Partition tables count in sectors, so a disk with others would find its partitions elsewhere.
    fn check_sectors(&self) -> Result<()> {
        let Some(target_sector) = self.info.logical_sector_bytes else { return Ok(()) };
        let image_sector = self.sector_bytes();
        if target_sector == image_sector || self.fits_any_sector() {
            return Ok(());
        }
        let why = format!(
            "has sectors of {target_sector} bytes, and the image is of a disk with sectors of {image_sector} bytes: \
             its partition table and filesystems count in those"
        );
        Err(self.refused(why).advise("restore to a disk with the same sectors, or to a file"))
    }

    /// Whether nothing that is restored counts in sectors: filesystems that count in blocks of their
    /// own, of 4 KiB or more, and no partition table.
    fn fits_any_sector(&self) -> bool {
        let layout = &self.layout;
        let counts_in_blocks = |volume: &VolumeInfo| {
            let name = volume.filesystem.as_deref().unwrap_or_default();
            let blocks = match &volume.map {
                holotype_core::layout::MapInfo::Mapped { block_bytes, .. } => *block_bytes >= 4096,
                holotype_core::layout::MapInfo::Unmapped { .. } => false,
            };
            blocks && (name.starts_with("ext") || name == "btrfs")
        };
        match &self.options.scope {
            RestoreScope::Disk => {
                layout.table.is_none()
                    && layout.unclear.is_none()
                    && !layout.volumes.is_empty()
                    && layout.volumes.iter().all(counts_in_blocks)
            }
            RestoreScope::Table => false,
            RestoreScope::Partitions(choices) => {
                choices.iter().all(|choice| self.find_volume(choice.source).is_ok_and(counts_in_blocks))
            }
            RestoreScope::Volume(number) => self.find_volume(*number).is_ok_and(counts_in_blocks),
        }
    }

    fn find_volume(&self, number: u32) -> Result<&VolumeInfo> {
        let layout = &self.layout;
        let mut volumes = layout.volumes.iter().filter(|volume| volume.logical_volume.is_none());
        volumes.find(|volume| volume.partition == Some(number)).ok_or_else(|| {
            let numbers: Vec<String> = layout.volumes.iter().filter_map(|it| Some(it.partition?.to_string())).collect();
            let why = format!("it has no partition {number}; it has: {}", numbers.join(", "));
            self.invalid(why).advise("`holotype show` lists them")
        })
    }

    fn volume_extent(&self, number: u32) -> Result<Extent> {
        let volume = self.find_volume(number)?;
        let extent = volume.extent().filter(|extent| extent.end() <= self.image_bytes());
        extent.ok_or_else(|| self.invalid(format!("partition {number} lies beyond its end")))
    }

    /// What all plans have in common.
    fn finish(&self, pieces: Vec<Piece>, table: TablePlan, target_bytes: u64, keep: bool) -> RestorePlan {
        let holds_something = self.info.content_bytes > 0;
        let delta = match self.options.mode {
            WriteMode::Delta => holds_something,
            WriteMode::Auto => holds_something && self.target.order() == WriteOrder::Any,
            WriteMode::Everything => false,
        };
        let free = self.options.free.unwrap_or(if holds_something { FreePolicy::Keep } else { FreePolicy::Hole });
        let replaced = !keep && !delta && free != FreePolicy::Keep;
        RestorePlan {
            pieces,
            patches: table.patches,
            target_bytes,
            content: if replaced { Content::Replaced } else { Content::Kept },
            delta,
            free,
            table_changes: table.changes,
        }
    }

    fn disk(&self) -> Result<RestorePlan> {
        let image_bytes = self.image_bytes();
        let target_bytes = self.info.bytes.or(self.options.file_bytes).unwrap_or(image_bytes);
        if self.target.order() == WriteOrder::Ascending && target_bytes != image_bytes {
            return Err(self.invalid("a stream is as long as the image"));
        }
        let mut table = match target_bytes != image_bytes || self.options.grow || self.options.new_guids {
            true => table::plan(self.opened.bytes, self.sector_bytes(), target_bytes, self.options)
                .map_err(|why| self.refused(why))?,
            false => TablePlan::default(),
        };
        if target_bytes > image_bytes && !table.has_gpt {
            // Where a GPT of an earlier life has its backup, which would contradict the image's table.
            let bytes = (target_bytes - image_bytes).min(DISK_END_BYTES);
            table.patches.push(Patch { offset: target_bytes - bytes, bytes: vec![0; bytes as usize] });
        }
        if target_bytes < image_bytes {
            let least = self.used_end(&table.replaced)?.max(table.least_bytes);
            if target_bytes < least {
                let why = format!(
                    "has {target_bytes} bytes, and what is in use of the image needs {least} bytes (the image has {image_bytes})"
                );
                return Err(self
                    .refused(why)
                    .advise("give a larger disk, or make its last partition smaller before the backup"));
            }
        }
        let whole = Extent::between(0, image_bytes.min(target_bytes)).expect("from zero on");
        let pieces = without(whole, table.patches.iter().filter_map(Patch::extent));
        Ok(self.finish(pieces, table, target_bytes, false))
    }

    fn volume(&self, number: u32) -> Result<RestorePlan> {
        let image = self.volume_extent(number)?;
        let target_bytes = self.info.bytes.or(self.options.file_bytes).unwrap_or(image.len());
        if target_bytes < image.len() {
            let why = format!("has {target_bytes} bytes, and partition {number} needs {} bytes", image.len());
            return Err(self.refused(why).advise("give a larger target"));
        }
        let pieces = vec![Piece { image, target_offset: 0 }];
        Ok(self.finish(pieces, TablePlan::default(), target_bytes, false))
    }

    fn table(&self) -> Result<RestorePlan> {
        let content_bytes = self.info.content_bytes;
        let own = self.info.bytes.or(self.options.file_bytes).or((content_bytes > 0).then_some(content_bytes));
        let target_bytes = own.unwrap_or(self.image_bytes());
        let table = table::plan(self.opened.bytes, self.sector_bytes(), target_bytes, self.options)
            .map_err(|why| self.refused(why))?;
        if target_bytes < table.least_bytes {
            let why = format!("has {target_bytes} bytes, and the partitions need {} bytes", table.least_bytes);
            return Err(self.refused(why).advise("give a larger disk"));
        }
        Ok(self.finish(Vec::new(), table, target_bytes, true))
    }

    fn partitions(&self, choices: &[PartitionChoice]) -> Result<RestorePlan> {
        let target = TargetBytes(self.target, self.info.content_bytes);
        let advice = "restore the table first, or make partitions there";
        let found = match partition::find(&target, self.info.logical_sector_bytes.unwrap_or(self.sector_bytes())) {
            Found::Table(found) => found,
            Found::None => return Err(self.refused("has no partition table").advise(advice)),
            Found::Unclear(why) => return Err(self.refused(format!("its partition table: {why}")).advise(advice)),
        };
        let mut pieces: Vec<Piece> = Vec::new();
        let mut taken = std::collections::BTreeSet::new();
        for choice in choices {
            let image = self.volume_extent(choice.source)?;
            let place = found.partitions.iter().find(|partition| partition.number == choice.target);
            let place =
                place.ok_or_else(|| self.refused(format!("has no partition {}", choice.target)).advise(advice))?;
            if place.extent.len() < image.len() {
                let (has, needs) = (place.extent.len(), image.len());
                let why = format!(
                    "its partition {} has {has} bytes, and partition {} needs {needs} bytes",
                    choice.target, choice.source
                );
                return Err(self.refused(why).advise("give a larger partition"));
            }
            if !taken.insert(choice.target) || pieces.iter().any(|piece| piece.image == image) {
                return Err(self.invalid("a partition is named twice"));
            }
            pieces.push(Piece { image, target_offset: place.extent.offset() });
        }
        pieces.sort_by_key(|piece| piece.image);
        Ok(self.finish(pieces, TablePlan::default(), self.info.content_bytes, true))
    }

    /// The first byte after the last one that is in use, outside of what is written anew anyway.
    fn used_end(&self, replaced: &[Extent]) -> Result<u64> {
        let in_use = Extent::between(0, self.image_bytes()).expect("from zero on");
        let kept = without(in_use, replaced.iter().copied());
        for leaf in self.opened.leaves.iter().rev() {
            let mut end = leaf.offset + leaf.bytes;
            for extent in self.opened.reader.leaf(leaf)?.iter().rev() {
                let start = end - extent.bytes();
                let used = match extent {
                    LeafExtent::Chunk { .. } | LeafExtent::Other(ManifestExtent::Unreadable { .. }) => true,
                    LeafExtent::Other(_) => false,
                };
                let range = Extent::between(start, end).expect("in order");
                for part in kept.iter().rev().filter_map(|piece| piece.image.intersection(&range)).filter(|_| used) {
                    if let Some(end) = self.last_nonzero(part, extent)? {
                        return Ok(end);
                    }
                }
                end = start;
            }
        }
        Ok(0)
    }

    /// The first byte after the last one of `part` that is not zero.
    fn last_nonzero(&self, part: Extent, extent: &LeafExtent) -> Result<Option<u64>> {
        if let LeafExtent::Other(_) = extent {
            return Ok(Some(part.end()));
        }
        let mut bytes = vec![0; part.len() as usize];
        let failed = |error| Error::io(format!("image {}", self.opened.image.id.short()), "read its end", error);
        self.opened.bytes.read_exact_at(part.offset(), &mut bytes).map_err(failed)?;
        if is_zero(&bytes) {
            return Ok(None);
        }
        Ok(bytes.iter().rposition(|byte| *byte != 0).map(|at| part.offset() + at as u64 + 1))
    }
}

impl Patch {
    pub fn extent(&self) -> Option<Extent> {
        Extent::new(self.offset, self.bytes.len() as u64)
    }
}

/// `whole` without `holes`, as pieces that stay at their places.
fn without(whole: Extent, holes: impl Iterator<Item = Extent>) -> Vec<Piece> {
    let mut holes: Vec<Extent> = holes.filter_map(|hole| hole.intersection(&whole)).collect();
    holes.sort_unstable();
    let mut pieces = Vec::new();
    let mut at = whole.offset();
    let mut push = |from: u64, to: u64| {
        if let Some(image) = Extent::between(from, to).filter(|image| !image.is_empty()) {
            pieces.push(Piece { image, target_offset: from });
        }
    };
    for hole in holes {
        push(at, hole.offset());
        at = at.max(hole.end());
    }
    push(at, whole.end());
    pieces
}

/// A target as its partition table is read.
struct TargetBytes<'a>(&'a dyn Target, u64);

impl ReadAt for TargetBytes<'_> {
    fn bytes(&self) -> u64 {
        self.1
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        super::compare::read_exact(self.0, offset_bytes, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_anew_is_left_out() {
        let extent = |from, to| Extent::between(from, to).unwrap();
        let pieces =
            without(extent(0, 100), [extent(90, 120), extent(0, 1), extent(10, 20), extent(15, 30)].into_iter());
        let ranges: Vec<_> = pieces.iter().map(|piece| (piece.image.offset(), piece.image.end())).collect();
        assert_eq!(ranges, [(1, 10), (30, 90)]);
        assert!(pieces.iter().all(|piece| piece.target_offset == piece.image.offset()));
        assert_eq!(without(extent(0, 5), [extent(0, 5)].into_iter()), []);
    }
}
