//! LVM2: physical volumes, the group they form, and its logical volumes.
//!
//! A disk that is a physical volume has a label, a header, and one or two areas with the text that
//! describes the whole group. Free are the physical extents that no logical volume has, and what
//! the filesystem in a logical volume calls free, translated to the disks. Everything else is kept:
//! label, metadata areas, what is before the first extent and after the last.
//!
//! Only linear and striped volumes are looked into. One other segment in the group (a snapshot, a
//! thin pool, a mirror, a RAID, a cache, a move that was not finished) leaves the whole group
//! unmapped.
//!
//! Source: lvm2, `lib/format_text/`; pvs(8), lvs(8), vgcfgbackup(8).

mod label;
mod layout;
mod text;

pub use layout::{LogicalReader, LogicalVolume};

use super::{Cause, FreeRuns, Identity, Unmapped, VolumeKind, VolumeReader};
use crate::extent::Extent;
use label::SECTOR_BYTES;
use layout::{Area, Segment};
use std::collections::BTreeMap;
use text::{Section, Value};

/// Most stripes of a segment (lvm2, `lib/metadata/metadata-exported.h`).
const MAX_STRIPES: u64 = 128;

/// A physical volume, and the description of its group that it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalVolume {
    /// Its uuid, as `pvs` prints it.
    pub uuid: String,
    /// Name of its volume group.
    pub volume_group_name: String,
    /// Uuid of its volume group, as `vgs` prints it.
    pub volume_group_uuid: String,
    /// Which version of the group's description this is.
    pub seqno: u64,
    /// Start of the first physical extent, in bytes from the volume's start.
    pub pe_start_bytes: u64,
    /// Size of a physical extent.
    pub extent_bytes: u64,
    /// Number of physical extents.
    pub pe_count: u64,
    /// Length of the physical volume as its header says; its place may be larger.
    pub device_bytes: u64,
    /// Length of its place in bytes.
    volume_bytes: u64,
    group: Section,
    /// BLAKE3 of the group's description, to tell whether two volumes have the same.
    text_hash: [u8; 32],
}

/// A volume group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its uuid, as `vgs` prints it.
    pub uuid: String,
    /// Its logical volumes, by name.
    pub logical_volumes: Vec<LogicalVolume>,
    /// For each physical volume given: the extents that no logical volume has, in bytes from its start.
    pub free: Vec<FreeRuns>,
    /// Uuids of its physical volumes that were not given.
    pub missing: Vec<String>,
}

/// Knows a physical volume by its label.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let sector = label::find(volume)?;
    let uuid = label::uuid(&sector[label::header_at(&sector)?..]);
    Some(Identity { kind: VolumeKind::Lvm, variant: "LVM2".into(), uuid, label: None })
}

/// Reads label, header and metadata areas.
///
/// # Errors
/// Where the physical volume is damaged, larger than its place, or belongs to no group.
pub fn read_physical_volume(volume: &VolumeReader<'_>) -> Result<PhysicalVolume, Unmapped> {
    let header = label::header(volume)?;
    let text = label::group_text(volume, &header)?;
    let root = text::parse(&text)?;
    if root.text("contents")? != "Text Format Volume Group" || root.number("version")? != 1 {
        return Err(Unmapped::feature("the LVM metadata has an unknown format"));
    }
    root.only(&["contents", "version", "description", "creation_host", "creation_time"], "the LVM metadata")?;
    let mut groups = root.sections().iter();
    let (Some((name, group)), None) = (groups.next(), groups.next()) else {
        return Err(Unmapped::inconsistent("the LVM metadata is not that of one volume group"));
    };
    let mut own = Vec::new();
    for section in group.section("physical_volumes")?.sections().values() {
        if section.text("id")? == header.uuid {
            own.push(section);
        }
    }
    let &[own] = own.as_slice() else {
        return Err(Unmapped::inconsistent("the physical volume is not in the description of its own group"));
    };
    let too_much = || Unmapped::inconsistent("the physical extents reach further than any disk");
    let sectors = |number: u64| number.checked_mul(SECTOR_BYTES).ok_or_else(too_much);
    let extent_bytes = sectors(group.number("extent_size")?)?;
    let pe_start_bytes = sectors(own.number("pe_start")?)?;
    let pe_count = own.number("pe_count")?;
    let data = pe_count.checked_mul(extent_bytes).and_then(|bytes| Extent::new(pe_start_bytes, bytes));
    let data = data.ok_or_else(too_much)?;
    if data.end() > volume.bytes() {
        let why = format!("its physical extents end at byte {}, and its place has {}", data.end(), volume.bytes());
        return Err(Unmapped::new(Cause::Truncated, why));
    }
    if extent_bytes == 0 || pe_start_bytes != header.data_start_bytes {
        return Err(Unmapped::inconsistent("header and metadata of the physical volume do not agree"));
    }
    let labels = Extent::new(0, 4 * SECTOR_BYTES).ok_or_else(too_much)?;
    if header.reserved.iter().chain([&labels]).any(|area| area.intersection(&data).is_some()) {
        return Err(Unmapped::inconsistent("physical extents lie over the physical volume's own metadata"));
    }
    Ok(PhysicalVolume {
        uuid: header.uuid,
        volume_group_name: name.clone(),
        volume_group_uuid: group.text("id")?.to_owned(),
        seqno: group.number("seqno")?,
        pe_start_bytes,
        extent_bytes,
        pe_count,
        device_bytes: header.device_bytes,
        volume_bytes: volume.bytes(),
        group: group.clone(),
        text_hash: *blake3::hash(&text).as_bytes(),
    })
}

/// A physical volume as the group's description has it.
struct Member {
    uuid: String,
    pe_count: u64,
    /// Which of the physical volumes given.
    at_hand: Option<usize>,
    /// First extent and count of extents of each area that a logical volume has.
    used: Vec<(u64, u64)>,
}

/// The logical volumes of a group, and the extents that none of them has. `physical_volumes` are
/// those of the group that are at hand.
///
/// # Errors
/// Where the descriptions differ, are damaged, or have something in them that is not looked into.
pub fn read_group(physical_volumes: &[PhysicalVolume]) -> Result<Group, Unmapped> {
    let first = physical_volumes.first().ok_or_else(|| Unmapped::inconsistent("a group of no physical volumes"))?;
    let name = &first.volume_group_name;
    if physical_volumes.iter().any(|other| other.volume_group_uuid != first.volume_group_uuid) {
        return Err(Unmapped::inconsistent("the physical volumes are of several groups"));
    }
    if physical_volumes.iter().any(|other| (other.seqno, other.text_hash) != (first.seqno, first.text_hash)) {
        let why = format!("the physical volumes of group {name} carry different descriptions of it");
        return Err(Unmapped::inconsistent(why));
    }
    let group = &first.group;
    check_group(group, name)?;
    let mut members = members(physical_volumes, group)?;
    let mut logical_volumes = Vec::new();
    if let Some(section) = group.sections().get("logical_volumes") {
        for (name, section) in section.sections() {
            logical_volumes.push(logical_volume(name, section, physical_volumes, &mut members)?);
        }
    }
    let mut free = vec![FreeRuns::none(); physical_volumes.len()];
    for member in members.values_mut() {
        let unused = unused_extents(member, name)?;
        let Some(index) = member.at_hand else { continue };
        let volume = &physical_volumes[index];
        let mut runs = FreeRuns::builder(volume.volume_bytes);
        // Within the extents of this volume, which end inside its place: nothing overflows.
        for (start, count) in unused {
            runs.push(volume.pe_start_bytes + start * volume.extent_bytes, count * volume.extent_bytes)?;
        }
        free[index] = runs.finish();
    }
    let missing = members.into_values().filter(|member| member.at_hand.is_none()).map(|member| member.uuid).collect();
    Ok(Group { name: name.clone(), uuid: first.volume_group_uuid.clone(), logical_volumes, free, missing })
}

/// Whether everything that is said of the group itself is known.
fn check_group(group: &Section, name: &str) -> Result<(), Unmapped> {
    let of = format!("the volume group {name}");
    let known = [
        "id",
        "seqno",
        "format",
        "status",
        "flags",
        "tags",
        "system_id",
        "lock_type",
        "extent_size",
        "max_lv",
        "max_pv",
        "metadata_copies",
        "allocation_policy",
        "profile",
    ];
    group.only(&known, &of)?;
    group.words("status", &["RESIZEABLE", "READ", "WRITE"], &of)?;
    group.words("flags", &["NOAUTOACTIVATE"], &of)?;
    if group.text("format")? != "lvm2" || group.optional_text("lock_type")?.is_some_and(|lock| lock != "none") {
        return Err(Unmapped::feature(format!("{of} is shared by several hosts, or has an unknown format")));
    }
    match group.sections().keys().find(|name| !["physical_volumes", "logical_volumes"].contains(&name.as_str())) {
        None => Ok(()),
        Some(other) => Err(Unmapped::feature(format!("{of} has {other}, which is not supported"))),
    }
}

/// The physical volumes of the group, by the names that its text gives them.
fn members<'a>(physical_volumes: &[PhysicalVolume], group: &'a Section) -> Result<BTreeMap<&'a str, Member>, Unmapped> {
    let known = [
        "id",
        "device",
        "device_id",
        "device_id_type",
        "status",
        "flags",
        "tags",
        "dev_size",
        "pe_start",
        "pe_count",
        "ba_start",
        "ba_size",
    ];
    let mut members = BTreeMap::new();
    for (name, section) in group.section("physical_volumes")?.sections() {
        let of = format!("the physical volume {name}");
        section.only(&known, &of)?;
        section.words("status", &["ALLOCATABLE"], &of)?;
        section.words("flags", &[], &of)?;
        let uuid = section.text("id")?.to_owned();
        let mut at_hand = physical_volumes.iter().enumerate().filter(|(_, volume)| volume.uuid == uuid);
        let index = at_hand.next().map(|(index, _)| index);
        if at_hand.next().is_some() {
            return Err(Unmapped::inconsistent(format!("two physical volumes have the uuid {uuid}")));
        }
        let pe_count = section.number("pe_count")?;
        members.insert(name.as_str(), Member { uuid, pe_count, at_hand: index, used: Vec::new() });
    }
    Ok(members)
}

/// Reads a logical volume and notes the extents that it has.
fn logical_volume(
    name: &str,
    section: &Section,
    physical_volumes: &[PhysicalVolume],
    members: &mut BTreeMap<&str, Member>,
) -> Result<LogicalVolume, Unmapped> {
    let of = format!("the logical volume {name}");
    // Looked at first: the type of a segment says more than a key that only such volumes have.
    for segment in section.sections().values() {
        match segment.text("type")? {
            "striped" | "linear" => {}
            "snapshot" => return Err(Unmapped::new(Cause::Snapshots, format!("{of} is a snapshot"))),
            other => return Err(Unmapped::feature(format!("{of} is of type {other}"))),
        }
    }
    let known = [
        "id",
        "status",
        "flags",
        "tags",
        "creation_time",
        "creation_host",
        "segment_count",
        "allocation_policy",
        "profile",
        "read_ahead",
        "major",
        "minor",
    ];
    section.only(&known, &of)?;
    section.words("status", &["READ", "WRITE", "VISIBLE", "FIXED_MINOR"], &of)?;
    section.words("flags", &["ACTIVATION_SKIP", "NOAUTOACTIVATE"], &of)?;
    let broken = || Unmapped::inconsistent(format!("the segments of {of} are not right"));
    let extent_bytes = physical_volumes.first().ok_or_else(broken)?.extent_bytes;
    if section.number("segment_count")? != section.sections().len() as u64 {
        return Err(broken());
    }
    let mut volume = LogicalVolume {
        name: name.to_owned(),
        uuid: section.text("id")?.to_owned(),
        bytes: 0,
        missing: Vec::new(),
        segments: Vec::new(),
    };
    for number in 1..=section.sections().len() {
        let segment = section.section(&format!("segment{number}"))?;
        segment
            .only(&["start_extent", "extent_count", "type", "tags", "stripe_count", "stripe_size", "stripes"], &of)?;
        let count = segment.number("extent_count")?;
        let stripes = segment.number("stripe_count")?;
        let list = segment.list("stripes")?;
        if !(1..=MAX_STRIPES).contains(&stripes) || list.len() as u64 != 2 * stripes || !count.is_multiple_of(stripes) {
            return Err(broken());
        }
        let stripe_bytes = if stripes == 1 {
            extent_bytes
        } else {
            let bytes = segment.number("stripe_size")?.checked_mul(SECTOR_BYTES).ok_or_else(broken)?;
            if bytes == 0 || !extent_bytes.is_multiple_of(bytes) {
                return Err(broken());
            }
            bytes
        };
        let mut areas = Vec::new();
        for area in list.as_chunks::<2>().0 {
            let [Value::Text(member), Value::Number(start)] = area else { return Err(broken()) };
            let start = u64::try_from(*start).map_err(|_| broken())?;
            let member = members.get_mut(member.as_str()).ok_or_else(broken)?;
            if start.checked_add(count / stripes).is_none_or(|end| end > member.pe_count) {
                return Err(broken());
            }
            member.used.push((start, count / stripes));
            let offset_bytes = match member.at_hand {
                // Inside the extents of the volume, as was just seen: nothing overflows.
                Some(index) => physical_volumes[index].pe_start_bytes + start * extent_bytes,
                None => 0,
            };
            if member.at_hand.is_none() && !volume.missing.contains(&member.uuid) {
                volume.missing.push(member.uuid.clone());
            }
            areas.push(Area { physical_volume: member.at_hand, offset_bytes });
        }
        let bytes = count.checked_mul(extent_bytes).ok_or_else(broken)?;
        let start_bytes = segment.number("start_extent")?.checked_mul(extent_bytes).ok_or_else(broken)?;
        if start_bytes != volume.bytes || bytes == 0 {
            return Err(broken());
        }
        volume.bytes = volume.bytes.checked_add(bytes).ok_or_else(broken)?;
        volume.segments.push(Segment { start_bytes, bytes, stripe_bytes, areas });
    }
    Ok(volume)
}

/// First extent and count of the gaps between what logical volumes have.
fn unused_extents(member: &mut Member, group: &str) -> Result<Vec<(u64, u64)>, Unmapped> {
    member.used.sort_unstable();
    let mut gaps = Vec::new();
    let mut next = 0;
    for &(start, count) in &member.used {
        let gap = start.checked_sub(next).ok_or_else(|| {
            Unmapped::inconsistent(format!("two logical volumes of group {group} have the same physical extents"))
        })?;
        if gap > 0 {
            gaps.push((next, gap));
        }
        next = start + count;
    }
    if next < member.pe_count {
        gaps.push((next, member.pe_count - next));
    }
    Ok(gaps)
}
