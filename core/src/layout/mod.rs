//! The layout of a disk: its partition table, its volumes, and what may be dropped.

mod groups;

use crate::extent::Extent;
use crate::padding::BLOCK_BYTES;
use crate::partition::{self, Found, PartitionTable};
use crate::volume::{
    self, Cause, FreeRuns, FreeRunsBuilder, Identity, MapOptions, MapResult, ReadAt, Unmapped, VolumeKind, VolumeMap,
    VolumeReader,
};
use bincode::{Decode, Encode};
use serde::Serialize;

/// What an image tells of its disk's layout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct DiskLayout {
    /// The partition table, where there is one that can be relied on.
    pub table: Option<TableInfo>,
    /// Why the partition table, or what looks like one, is not relied on.
    pub unclear: Option<String>,
    /// Volumes in the order of their places; logical ones after what holds them.
    pub volumes: Vec<VolumeInfo>,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct TableInfo {
    /// `GPT`, `MBR`, or both.
    pub kind: String,
    /// Sector size in which it counts, in bytes.
    pub sector_bytes: u32,
    /// Disk GUID or signature.
    pub disk_id: String,
    /// What is wrong with it and does not matter.
    pub notes: Vec<String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct VolumeInfo {
    /// Number of the partition; absent where the volume is the whole disk.
    pub partition: Option<u32>,
    /// `GROUP/NAME` of a logical volume.
    pub logical_volume: Option<String>,
    /// Where it begins on the disk; absent for logical volumes, which may be in pieces.
    pub offset_bytes: Option<u64>,
    /// Its length.
    pub bytes: u64,
    /// The partition's type.
    pub partition_type: Option<String>,
    /// The partition's GUID.
    pub partition_uuid: Option<String>,
    /// The partition's name.
    pub partition_name: Option<String>,
    /// The filesystem, as its tools name it; absent where it is not known.
    pub filesystem: Option<String>,
    /// The filesystem's UUID.
    pub uuid: Option<String>,
    /// The filesystem's label.
    pub label: Option<String>,
    /// How its map was made, or why it has none.
    pub map: MapInfo,
}

/// How a volume's map was made, or why it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum MapInfo {
    /// What nobody uses was dropped.
    Mapped {
        /// How the map was made.
        method: String,
        /// Unit of allocation in bytes.
        block_bytes: u32,
        /// Bytes that were dropped.
        free_bytes: u64,
        /// Files whose content was dropped, and how many bytes.
        dropped: Vec<(String, u64)>,
    },
    /// All of it was kept.
    Unmapped {
        /// One word: `dirty`, `encrypted`, ….
        cause: String,
        /// A sentence for the operator.
        why: String,
    },
}

impl VolumeInfo {
    /// Where it lies; absent for logical volumes.
    pub fn extent(&self) -> Option<Extent> {
        Extent::new(self.offset_bytes?, self.bytes)
    }

    /// How an operator calls it: `partition 2`, `the whole disk`, `logical volume vg/root`.
    pub fn title(&self) -> String {
        match (&self.logical_volume, self.partition) {
            (Some(name), _) => format!("logical volume {name}"),
            (None, Some(number)) => format!("partition {number}"),
            (None, None) => "the whole disk".to_owned(),
        }
    }

    /// What the operator is told of a volume that is kept whole and needs not be. A mounted disk is
    /// told of once, by the source.
    pub fn warning(&self) -> Option<String> {
        let MapInfo::Unmapped { cause, why } = &self.map else { return None };
        let expected = [Cause::Raw, Cause::Encrypted, Cause::Unknown, Cause::Mounted].map(Cause::word);
        let name = self.filesystem.as_deref().unwrap_or("unknown");
        (!expected.contains(&cause.as_str())).then(|| format!("{} ({name}) is kept whole: {why}", self.title()))
    }
}

/// What a survey is told.
#[derive(Debug, Clone, Default)]
pub struct SurveyOptions {
    /// How volumes are mapped.
    pub map: MapOptions,
    /// Name the volumes, but keep every sector.
    pub raw: bool,
    /// Places that somebody writes to meanwhile, and who: `mounted at /srv`.
    pub in_use: Vec<(Extent, String)>,
}

/// What a survey found.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// For the image.
    pub layout: DiskLayout,
    /// What may be dropped, in bytes from the disk's start.
    pub free: FreeRuns,
    /// Where volumes begin and end: blocks are counted from there.
    pub boundaries: Vec<u64>,
}

/// Looks at a disk with logical sectors of `sector_bytes`.
///
/// Only what is certain leads to free runs; whatever is not understood is kept.
pub fn survey(disk: &dyn ReadAt, sector_bytes: u32, options: &SurveyOptions) -> Survey {
    let whole = VolumeReader::whole(disk, sector_bytes);
    let free = FreeRuns::builder(disk.bytes());
    let mut work = Work { disk, options, free, survey: Survey::default(), physical: Vec::new() };
    match partition::find(disk, sector_bytes) {
        Found::None => work.volume(whole, VolumeInfo::of_disk(disk.bytes())),
        Found::Unclear(why) => work.survey.layout.unclear = Some(why),
        Found::Table(table) if volume::has_signature(&whole) => {
            let why = format!("{} partitions, and a filesystem's signature on the whole disk", table.kind.name());
            work.survey.layout.unclear = Some(why);
            work.partitions(&table, true);
        }
        Found::Table(table) => work.partitions(&table, false),
    }
    work.groups();
    work.survey.free = work.free.finish();
    work.survey
}

struct Work<'a> {
    disk: &'a dyn ReadAt,
    options: &'a SurveyOptions,
    free: FreeRunsBuilder,
    survey: Survey,
    /// Physical volumes of LVM, and their places among the survey's volumes.
    physical: Vec<(usize, VolumeReader<'a>)>,
}

impl<'a> Work<'a> {
    fn partitions(&mut self, table: &PartitionTable, unclear: bool) {
        self.survey.layout.table = Some(TableInfo {
            kind: table.kind.name().to_owned(),
            sector_bytes: table.sector_bytes,
            disk_id: table.disk_id.clone(),
            notes: table.notes.clone(),
        });
        for partition in &table.partitions {
            let Some(reader) = VolumeReader::new(self.disk, partition.extent, table.sector_bytes) else { continue };
            let info = VolumeInfo {
                partition: Some(partition.number),
                offset_bytes: Some(partition.extent.offset()),
                partition_type: Some(partition.kind.clone()),
                partition_uuid: partition.uuid.clone(),
                partition_name: partition.name.clone(),
                ..VolumeInfo::of_disk(partition.extent.len())
            };
            self.survey.boundaries.extend([partition.extent.offset(), partition.extent.end()]);
            match unclear {
                true => self.add(info, None, Err(Unmapped::new(Cause::Unknown, "the disk's layout is not clear"))),
                false => self.volume(reader, info),
            }
        }
        self.survey.boundaries.dedup();
    }

    fn volume(&mut self, reader: VolumeReader<'a>, info: VolumeInfo) {
        let detected = volume::detect(&reader, &self.options.map);
        if detected.identity.as_ref().is_some_and(|identity| identity.kind == VolumeKind::Lvm) {
            self.physical.push((self.survey.layout.volumes.len(), reader));
        }
        let map = match self.reason_to_keep(reader.extent()) {
            Some(reason) => Err(reason),
            None => detected.map,
        };
        self.add(info, detected.identity, map);
    }

    /// Maps the physical volumes of LVM, all together.
    fn groups(&mut self) {
        let physical = std::mem::take(&mut self.physical);
        let readers: Vec<VolumeReader<'_>> = physical.iter().map(|(_, reader)| *reader).collect();
        let keep: Vec<Option<Unmapped>> = readers.iter().map(|reader| self.reason_to_keep(reader.extent())).collect();
        let found = groups::look(&readers, &keep, &self.options.map);
        for ((place, _), map) in physical.iter().zip(found.maps) {
            let volume = &self.survey.layout.volumes[*place];
            let (start, bytes) = (volume.offset_bytes.unwrap_or(0), volume.bytes);
            self.survey.layout.volumes[*place].map = self.add_free(start, bytes, map);
        }
        // From the last on, so that the places before stay what they are.
        for (first, info) in found.logical.into_iter().rev() {
            self.survey.layout.volumes.insert(physical[first].0 + 1, info);
        }
    }

    fn reason_to_keep(&self, extent: Extent) -> Option<Unmapped> {
        if self.options.raw {
            return Some(Unmapped::new(Cause::Raw, "every sector was asked for"));
        }
        let user = self.options.in_use.iter().find(|(used, _)| used.intersection(&extent).is_some());
        user.map(|(_, who)| Unmapped::new(Cause::Mounted, who.clone()))
    }

    fn add(&mut self, mut info: VolumeInfo, identity: Option<Identity>, map: MapResult) {
        info.identify(identity);
        info.map = self.add_free(info.offset_bytes.unwrap_or(0), info.bytes, map);
        self.survey.layout.volumes.push(info);
    }

    /// Takes a map of the volume of `bytes` that begins at `start` into the disk's.
    fn add_free(&mut self, start: u64, bytes: u64, map: MapResult) -> MapInfo {
        let taken = map.and_then(|map| {
            let mut free_bytes = 0;
            for run in whole_blocks(&map.free, bytes) {
                free_bytes += run.len();
                self.free.push(start + run.offset(), run.len())?;
            }
            Ok(MapInfo::mapped(map, free_bytes))
        });
        taken.unwrap_or_else(MapInfo::unmapped)
    }
}

/// So much of a volume is kept at its beginning and at its end, though no filesystem uses it. It is
/// there that RAID, ZFS, encryption and other filesystems have their signatures: one that an earlier
/// life of the target left there would make a restored volume look like a part of that.
const EDGE_BYTES: u64 = 1 << 20;
/// Of a small volume, a part of this many.
const EDGE_PART: u64 = 64;

/// The whole blocks in free runs of a volume, counted from its start and without its edges: what lies
/// between free runs is cut into chunks of whole blocks then.
fn whole_blocks(free: &FreeRuns, volume_bytes: u64) -> impl Iterator<Item = Extent> + '_ {
    let block = BLOCK_BYTES as u64;
    let edge = EDGE_BYTES.min(volume_bytes / EDGE_PART);
    let blocks =
        move |run: Extent| Extent::between(run.offset().checked_next_multiple_of(block)?, run.end() / block * block);
    let inside = Extent::between(edge, volume_bytes - edge).into_iter().flat_map(|inside| free.within(inside));
    inside.filter_map(blocks).filter(|run| !run.is_empty())
}

impl VolumeInfo {
    fn identify(&mut self, identity: Option<Identity>) {
        if let Some(identity) = identity {
            self.filesystem = Some(identity.variant);
            self.uuid = identity.uuid;
            self.label = identity.label;
        }
    }

    fn of_disk(bytes: u64) -> Self {
        Self {
            partition: None,
            logical_volume: None,
            offset_bytes: Some(0),
            bytes,
            partition_type: None,
            partition_uuid: None,
            partition_name: None,
            filesystem: None,
            uuid: None,
            label: None,
            map: MapInfo::unmapped(Unmapped::new(Cause::Unknown, "not looked at")),
        }
    }
}

impl MapInfo {
    fn mapped(map: VolumeMap, free_bytes: u64) -> Self {
        Self::Mapped {
            method: map.method,
            block_bytes: map.block_bytes,
            free_bytes,
            dropped: map.dropped.into_iter().map(|file| (file.name, file.bytes)).collect(),
        }
    }

    fn unmapped(reason: Unmapped) -> Self {
        Self::Unmapped { cause: reason.cause.word().to_owned(), why: reason.why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_and_parts_of_blocks_are_kept() {
        let blocks = |bytes: u64, runs: &[(u64, u64)]| -> Vec<(u64, u64)> {
            let mut free = FreeRuns::builder(bytes);
            runs.iter().for_each(|(start, end)| free.push(*start, end - start).unwrap());
            whole_blocks(&free.finish(), bytes).map(|run| (run.offset(), run.end())).collect()
        };
        let mib = 1 << 20;
        assert_eq!(blocks(640 << 10, &[(0, 640 << 10)]), [(12 << 10, 628 << 10)]);
        assert_eq!(blocks(128 * mib, &[(0, 128 * mib)]), [(mib, 127 * mib)]);
        assert_eq!(
            blocks(128 * mib, &[(0, 9000), (5 * mib - 1, 5 * mib + 8191), (127 * mib, 128 * mib)]),
            [(5 * mib, 5 * mib + 4096)]
        );
        assert_eq!(blocks(100, &[(0, 100)]), []);
    }
}
