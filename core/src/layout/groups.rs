//! Volume groups of LVM: the physical volumes of a disk are looked at together, and the filesystems
//! in their logical volumes like any other.

use super::{MapInfo, VolumeInfo, whole_blocks};
use crate::volume::lvm::{self, Group, LogicalReader, LogicalVolume, PhysicalVolume};
use crate::volume::{self, Cause, FreeRuns, MapOptions, MapResult, Unmapped, VolumeMap, VolumeReader};
use std::collections::BTreeMap;

/// Allocation units of LVM are kept in `u32` like all others; extents may be larger.
fn block_bytes(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What was found on the physical volumes of a disk: a map for each, in their order, and the logical
/// volumes with the number of the first physical volume of their group.
pub(super) struct Found {
    pub maps: Vec<MapResult>,
    pub logical: Vec<(usize, VolumeInfo)>,
}

/// Looks at every physical volume of a disk. A volume with a reason to keep all of it gives that
/// reason to its whole group.
pub(super) fn look(readers: &[VolumeReader<'_>], keep: &[Option<Unmapped>], options: &MapOptions) -> Found {
    let mut maps: Vec<MapResult> = Vec::new();
    let mut groups: BTreeMap<String, Vec<(usize, PhysicalVolume)>> = BTreeMap::new();
    for (at, reader) in readers.iter().enumerate() {
        maps.push(match lvm::read_physical_volume(reader) {
            Ok(physical) => {
                groups.entry(physical.volume_group_uuid.clone()).or_default().push((at, physical));
                Err(Unmapped::new(Cause::Unknown, "its group was not looked at"))
            }
            Err(why) => Err(why),
        });
    }
    let mut logical = Vec::new();
    for members in groups.into_values() {
        let (places, physical): (Vec<usize>, Vec<PhysicalVolume>) = members.into_iter().unzip();
        let of_group: Vec<VolumeReader<'_>> = places.iter().map(|place| readers[*place]).collect();
        let kept = places.iter().find_map(|place| keep[*place].clone());
        let read = lvm::read_group(&physical);
        match read {
            Err(why) => places.iter().for_each(|place| maps[*place] = Err(kept.clone().unwrap_or(why.clone()))),
            Ok(group) => {
                let (free, infos) = group_free(&group, &of_group, kept.as_ref(), options);
                logical.extend(infos.into_iter().map(|info| (places[0], info)));
                for ((place, physical), free) in places.iter().zip(&physical).zip(free) {
                    maps[*place] = kept.clone().map_or_else(
                        || {
                            Ok(VolumeMap {
                                free,
                                block_bytes: block_bytes(physical.extent_bytes),
                                method: format!("extents of volume group {}, and its logical volumes", group.name),
                                dropped: Vec::new(),
                            })
                        },
                        Err,
                    );
                }
            }
        }
    }
    Found { maps, logical }
}

/// What is free on each physical volume of a group, and its logical volumes.
fn group_free(
    group: &Group,
    readers: &[VolumeReader<'_>],
    kept: Option<&Unmapped>,
    options: &MapOptions,
) -> (Vec<FreeRuns>, Vec<VolumeInfo>) {
    let mut free = group.free.clone();
    let mut infos = Vec::new();
    for volume in &group.logical_volumes {
        let mut info = VolumeInfo {
            logical_volume: Some(format!("{}/{}", group.name, volume.name)),
            offset_bytes: None,
            uuid: Some(volume.uuid.clone()),
            ..VolumeInfo::of_disk(volume.bytes)
        };
        let map = match kept {
            Some(why) => identify(volume, readers, &mut info, options).and(Err(why.clone())),
            None => identify(volume, readers, &mut info, options)
                .and_then(|map| add(volume, &map, readers, &mut free).map(|free_bytes| (map, free_bytes))),
        };
        info.map = map.map_or_else(MapInfo::unmapped, |(map, free_bytes)| MapInfo::mapped(map, free_bytes));
        infos.push(info);
    }
    (free, infos)
}

fn identify(
    volume: &LogicalVolume,
    readers: &[VolumeReader<'_>],
    info: &mut VolumeInfo,
    options: &MapOptions,
) -> MapResult {
    let missing = || Unmapped::new(Cause::Unreadable, "a part of it is on another disk");
    let reader = LogicalReader::new(volume, readers).ok_or_else(missing)?;
    let sector_bytes = readers.first().map_or(512, |reader| reader.sector_bytes());
    let detected = volume::detect(&VolumeReader::whole(&reader, sector_bytes), options);
    info.identify(detected.identity);
    detected.map
}

/// Adds what is free in a logical volume to what is free on its physical volumes.
fn add(
    volume: &LogicalVolume,
    map: &VolumeMap,
    readers: &[VolumeReader<'_>],
    free: &mut [FreeRuns],
) -> Result<u64, Unmapped> {
    let mut whole = FreeRuns::builder(volume.bytes);
    for run in whole_blocks(&map.free, volume.bytes) {
        whole.push(run.offset(), run.len())?;
    }
    let whole = whole.finish();
    let runs = volume.to_physical(&whole, readers.iter().map(VolumeReader::bytes))?;
    for ((of_volume, more), reader) in free.iter_mut().zip(runs).zip(readers) {
        let mut both = FreeRuns::builder(reader.bytes());
        for run in of_volume.iter().chain(more.iter()) {
            both.push(run.offset(), run.len())?;
        }
        *of_volume = both.finish();
    }
    Ok(whole.bytes())
}
