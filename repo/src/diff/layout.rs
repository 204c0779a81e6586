//! How the layouts of two disks differ.

use holotype_core::layout::{DiskLayout, VolumeInfo};
use serde::Serialize;

/// What of a layout differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LayoutChangeKind {
    /// The form of the partition table.
    Table,
    /// The disk's GUID or signature.
    DiskId,
    /// A volume that only the second image has.
    Added,
    /// A volume that only the first image has.
    Removed,
    /// Where a volume begins, in bytes.
    Moved,
    /// A volume's length, in bytes.
    Resized,
    /// The partition's type.
    PartitionType,
    /// The filesystem.
    Filesystem,
    /// The filesystem's UUID.
    Uuid,
    /// The filesystem's label.
    Label,
}

/// One difference between two layouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayoutChange {
    /// `the disk`, or a volume's title: `partition 2`.
    pub subject: String,
    /// What differs.
    pub kind: LayoutChangeKind,
    /// What the first image says.
    pub before: Option<String>,
    /// What the second image says.
    pub after: Option<String>,
}

/// Every difference, of the disk first, then by volumes. A volume is the same one where its partition
/// number, or its logical name, is.
pub(super) fn changes(first: &DiskLayout, second: &DiskLayout) -> Vec<LayoutChange> {
    use LayoutChangeKind as Kind;
    let mut found = Vec::new();
    let mut compare = |subject: &str, kind, before: Option<String>, after: Option<String>| {
        if before != after {
            found.push(LayoutChange { subject: subject.to_owned(), kind, before, after });
        }
    };
    let table = |layout: &DiskLayout| layout.table.as_ref().map(|table| table.kind.clone());
    let disk_id = |layout: &DiskLayout| layout.table.as_ref().map(|table| table.disk_id.clone());
    compare("the disk", Kind::Table, table(first), table(second));
    compare("the disk", Kind::DiskId, disk_id(first), disk_id(second));
    let key = |volume: &VolumeInfo| (volume.partition, volume.logical_volume.clone());
    let same_in = |layout: &'_ DiskLayout, volume: &VolumeInfo| {
        layout.volumes.iter().find(|other| key(other) == key(volume)).cloned()
    };
    for volume in &first.volumes {
        let title = volume.title();
        let Some(now) = same_in(second, volume) else {
            compare(&title, Kind::Removed, Some(summary(volume)), None);
            continue;
        };
        let figure = |number: Option<u64>| number.map(|number| number.to_string());
        compare(&title, Kind::Moved, figure(volume.offset_bytes), figure(now.offset_bytes));
        compare(&title, Kind::Resized, figure(Some(volume.bytes)), figure(Some(now.bytes)));
        compare(&title, Kind::PartitionType, volume.partition_type.clone(), now.partition_type);
        compare(&title, Kind::Filesystem, volume.filesystem.clone(), now.filesystem);
        compare(&title, Kind::Uuid, volume.uuid.clone(), now.uuid);
        compare(&title, Kind::Label, volume.label.clone(), now.label);
    }
    for volume in second.volumes.iter().filter(|volume| same_in(first, volume).is_none()) {
        compare(&volume.title(), Kind::Added, None, Some(summary(volume)));
    }
    found
}

/// Filesystem and length of a volume that only one image has.
fn summary(volume: &VolumeInfo) -> String {
    format!("{} of {} bytes", volume.filesystem.as_deref().unwrap_or("unknown"), volume.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use holotype_core::layout::{MapInfo, TableInfo};

    fn volume(partition: u32, offset: u64, filesystem: &str) -> VolumeInfo {
        VolumeInfo {
            partition: Some(partition),
            logical_volume: None,
            offset_bytes: Some(offset),
            bytes: 100,
            partition_type: None,
            partition_uuid: None,
            partition_name: None,
            filesystem: Some(filesystem.to_owned()),
            uuid: None,
            label: None,
            map: MapInfo::Unmapped { cause: "raw".into(), why: String::new() },
        }
    }

    #[test]
    fn each_difference_is_told_once() {
        let table = TableInfo { kind: "GPT".into(), sector_bytes: 512, disk_id: "1".into(), notes: Vec::new() };
        let volumes = vec![volume(1, 10, "ext4"), volume(2, 200, "xfs")];
        let first = DiskLayout { table: Some(table.clone()), unclear: None, volumes };
        assert_eq!(changes(&first, &first), []);
        let changed = VolumeInfo { label: Some("new".into()), ..volume(1, 20, "ext4") };
        let table = TableInfo { disk_id: "2".into(), ..table };
        let second = DiskLayout { table: Some(table), unclear: None, volumes: vec![changed, volume(3, 200, "xfs")] };
        let found: Vec<_> = changes(&first, &second).into_iter().map(|it| (it.subject, it.kind, it.after)).collect();
        let expected = [
            ("the disk", LayoutChangeKind::DiskId, Some("2")),
            ("partition 1", LayoutChangeKind::Moved, Some("20")),
            ("partition 1", LayoutChangeKind::Label, Some("new")),
            ("partition 2", LayoutChangeKind::Removed, None),
            ("partition 3", LayoutChangeKind::Added, Some("xfs of 100 bytes")),
        ];
        assert_eq!(found, expected.map(|(subject, kind, after)| (subject.to_owned(), kind, after.map(str::to_owned))));
    }
}
