//! Filesystems on the PC's disks.

use super::super::text;
use holotype_repo::core::volume::{Identity, VolumeKind, VolumeReader, identify};
use holotype_repo::disk::SourceBytes;
use holotype_repo::os::{DiskInfo, FileSource, list_disks};
use std::path::{Path, PathBuf};

/// Names of a medium's partitions in its GPT, and of its ISO.
const ESP_NAME: &str = "HOLOTYPE-ESP";
const DATA_NAME: &str = "HOLOTYPE-DATA";
const DATA_LABEL: &str = "HOLODATA";
const VOLUME_ID: &str = "HOLOTYPE";

/// A filesystem that a repository can stand on, or be put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// As `/dev/sda1`; the disk itself where it has no partitions.
    pub device: PathBuf,
    /// The disk that it is on.
    pub disk: PathBuf,
    /// As `blkid` prints it; empty where it has none.
    pub uuid: String,
    /// Empty where it has none.
    pub label: String,
    /// As the kernel names it: `ext4`, `vfat`, `ntfs3`.
    pub filesystem: String,
    /// Its length.
    pub bytes: u64,
    /// Whether it is on a boot medium of Holotype.
    pub is_medium: bool,
}

/// Filesystems on all disks that can be mounted, in the order of their disks.
pub fn partitions() -> Vec<Partition> {
    found().into_iter().filter(|it| it.name.as_deref() != Some(ESP_NAME)).map(|it| it.partition).collect()
}

/// The medium's own data partition, where it has one.
pub fn medium_data() -> Option<Partition> {
    let is_data = |it: &Found| match &it.name {
        Some(name) => name == DATA_NAME,
        None => it.partition.label == DATA_LABEL && it.partition.is_medium,
    };
    found().into_iter().find(is_data).map(|it| it.partition)
}

/// The medium's partition that the firmware starts from, where it can be written: a stick has one, a CD has none.
pub fn medium_start() -> Option<Partition> {
    found().into_iter().find(|it| it.name.as_deref() == Some(ESP_NAME)).map(|it| it.partition)
}

/// Disks that are boot media of Holotype, each once: they are never offered as targets.
pub fn medium_disks() -> Vec<PathBuf> {
    let mut disks: Vec<PathBuf> =
        found().into_iter().filter(|it| it.partition.is_medium).map(|it| it.partition.disk).collect();
    disks.dedup();
    disks
}

struct Found {
    partition: Partition,
    /// In the GPT.
    name: Option<String>,
}

fn found() -> Vec<Found> {
    let disks = list_disks().unwrap_or_default();
    disks.iter().flat_map(of_disk).collect()
}

fn of_disk(disk: &DiskInfo) -> Vec<Found> {
    let whole = [(disk.path.clone(), disk.bytes)];
    let parts = disk.partitions.iter().map(|it| (it.path.clone(), it.bytes));
    let mut found: Vec<Found> =
        whole.into_iter().chain(parts).filter_map(|(path, bytes)| look_at(disk, path, bytes)).collect();
    let is_medium = found.iter().any(|it| match it.name.as_deref() {
        Some(name) => name == ESP_NAME || name == DATA_NAME,
        None => it.partition.filesystem == "iso9660" && it.partition.label == VOLUME_ID,
    });
    found.iter_mut().for_each(|it| it.partition.is_medium = is_medium);
    found
}

fn look_at(disk: &DiskInfo, path: String, bytes: u64) -> Option<Found> {
    let source = FileSource::open(Path::new(&path)).ok()?;
    let device = SourceBytes(&source);
    let volume = VolumeReader::whole(&device, disk.logical_sector_bytes);
    let identity = identify(&volume)?;
    let filesystem = kernel_name(&identity)?.to_owned();
    let label = identity.label.or_else(|| (filesystem == "iso9660").then(|| iso_label(&volume)).flatten());
    let name = gpt_name(&path);
    let partition = Partition {
        device: path.into(),
        disk: disk.path.clone().into(),
        uuid: identity.uuid.unwrap_or_default(),
        label: text::printable(&label.unwrap_or_default(), 256),
        filesystem,
        bytes,
        is_medium: false,
    };
    Some(Found { partition, name })
}

/// Volume id of an ISO 9660 filesystem: 32 characters, padded with spaces, at byte 40 of the primary volume descriptor in
/// sector 16 (ECMA-119, section 8.4).
fn iso_label(volume: &VolumeReader<'_>) -> Option<String> {
    let bytes = volume.peek::<32>((32 << 10) + 40)?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// The partition's name in the GPT, as the kernel tells it.
fn gpt_name(device: &str) -> Option<String> {
    let name = Path::new(device).file_name()?.to_str()?;
    let uevent = text::read(format!("/sys/class/block/{name}/uevent"))?;
    uevent.lines().find_map(|line| line.strip_prefix("PARTNAME=")).map(str::to_owned)
}

/// The filesystem's name in the kernel, of those that can be mounted.
fn kernel_name(identity: &Identity) -> Option<&'static str> {
    match identity.kind {
        VolumeKind::Ext => Some(match identity.variant.as_str() {
            "ext2" => "ext2",
            "ext3" => "ext3",
            _ => "ext4",
        }),
        VolumeKind::Ntfs => Some("ntfs3"),
        VolumeKind::Fat => Some("vfat"),
        VolumeKind::ExFat => Some("exfat"),
        VolumeKind::Xfs => Some("xfs"),
        VolumeKind::Btrfs => Some("btrfs"),
        VolumeKind::Other("iso9660") => Some("iso9660"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_iso() {
        let mut iso = vec![0; 64 << 10];
        iso[(32 << 10) + 1..][..5].copy_from_slice(b"CD001");
        iso[(32 << 10) + 40..][..32].copy_from_slice(format!("{VOLUME_ID:<32}").as_bytes());
        let volume = VolumeReader::whole(&iso, 512);
        assert_eq!(kernel_name(&identify(&volume).unwrap()), Some("iso9660"));
        assert_eq!(iso_label(&volume).as_deref(), Some(VOLUME_ID));
    }
}
