//! Every filesystem on every kind of disk: backed up, and restored onto a disk full of other bytes and
//! into a new file.

use crate::command::Workspace;
use crate::disk::*;
use crate::support::{ImageFile, run};
use holotype_core::volume::ReadAt;
use serde_json::Value;
use std::ops::Range;
use std::path::Path;

/// The image's volume of this partition, or of the whole disk.
fn volume(shown: &Value, partition: Option<u32>) -> &Value {
    let volumes = shown["layout"]["volumes"].as_array().unwrap();
    let is_it = |volume: &&Value| volume["partition"].as_u64() == partition.map(u64::from);
    volumes.iter().find(is_it).unwrap_or_else(|| panic!("no partition {partition:?} in {shown}"))
}

/// Backs the disk up as `a`, with these volumes mapped, and restores it twice; gives both copies.
fn there_and_back(workspace: &Workspace, disk: &ImageFile, mapped: &[(Option<u32>, &str)]) -> [std::path::PathBuf; 2] {
    let before = hash(&disk.path);
    let free = free_runs(&disk.path);
    let report = workspace.run(["backup", "disk", "--name", "a", "--json"]).expect(0).json();
    assert_eq!(hash(&disk.path), before, "a backup changes nothing");
    assert_eq!(report["warnings"].as_array().unwrap().len(), 0, "{report}");
    assert_eq!(number(&report, "free_bytes"), free.bytes());
    assert!(number(&report, "read_bytes") <= disk.bytes() - free.bytes());
    let shown = workspace.run(["show", "a", "--json"]).expect(0).json();
    for (partition, filesystem) in mapped {
        let volume = volume(&shown, *partition);
        assert_eq!(volume["filesystem"], *filesystem, "{volume}");
        let map = &volume["map"]["mapped"];
        assert!(map["method"].is_string() && number(map, "free_bytes") > 0, "{volume}");
    }

    // All that is free is noise of the source, and other noise of the target.
    let other = Disk::noise(&workspace.path("other"), disk.bytes(), 77);
    let other_before = workspace.path("other before");
    std::fs::copy(other.path(), &other_before).unwrap();
    let options = ["restore", "a", "other", "--overwrite", "--no-delta", "--free", "keep", "--json"];
    let restored = workspace.run(options).expect(0).json();
    assert_eq!(number(&restored, "free_bytes"), free.bytes());
    assert_eq!(number(&restored, "written_bytes"), disk.bytes() - free.bytes());
    assert_eq!(restored["delta"], false);
    workspace.run(["restore", "a", "new"]).expect(0);

    let new = ImageFile::open(&workspace.path("new"));
    let used = used_ranges(&free, disk.bytes());
    for copy in [&other.image, &new] {
        assert_eq!(copy.bytes(), disk.bytes());
        assert_eq!(difference(disk, copy, &used), None, "{}", copy.path.display());
    }
    let free = ranges(&free);
    assert_eq!(difference(&other.image, &ImageFile::open(&other_before), &free), None, "what is free was kept");
    assert_eq!(difference(&new, &zeros(&workspace.path(""), disk.bytes()), &free), None, "what is free is a hole");
    [other.path().to_owned(), new.path.clone()]
}

fn on_a_partition(kind: Kind, table: Table) {
    if !kind.can() {
        return;
    }
    let workspace = Workspace::new();
    let mib = kind.bytes() / MIB;
    let path = workspace.path("disk");
    let bytes = (mib + 20) * MIB;
    let (main, parts): (u32, &[(u32, &str, u64, u64)]) = match table {
        Table::Mbr => (5, &[(1, "82", 1, 6), (2, "5", 8, mib + 9), (5, "7", 9, mib), (6, "83", 10 + mib, 4)]),
        _ => (2, &[(1, "8200", 1, 6), (2, "8300", 8, mib), (3, "0700", 9 + mib, 4)]),
    };
    let disk = Disk::new(&path, bytes, table, parts);
    run("mkswap", &[disk.part(1).path()]);
    let tree = disk.fill(main, kind, 12 * MIB);
    let copies = there_and_back(&workspace, &disk.image, &[(Some(1), "swap"), (Some(main), kind.name())]);
    for copy in &copies {
        disk.check(copy, main, kind, &tree);
        run("swaplabel", &[Loop::new(copy, &disk.parts[&1], disk.sector_bytes).path()]);
        if table == Table::Gpt {
            check_gpt(copy);
        }
    }
}

fn on_a_whole_disk(kind: Kind) {
    if !kind.can() {
        return;
    }
    let workspace = Workspace::new();
    let mut disk = Disk::noise(&workspace.path("disk"), kind.bytes(), 5);
    let whole: Range<u64> = 0..kind.bytes();
    disk.parts.insert(1, whole);
    let tree = disk.fill(1, kind, 12 * MIB);
    for copy in there_and_back(&workspace, &disk.image, &[(None, kind.name())]) {
        disk.check(&copy, 1, kind, &tree);
    }
}

#[test]
fn ext4_of_1k_on_gpt() {
    on_a_partition(Kind::Ext4Of1K, Table::Gpt);
}

#[test]
fn ext4_on_gpt_of_4096() {
    on_a_partition(Kind::Ext4, Table::GptOf4096);
}

#[test]
fn ext4_on_a_whole_disk() {
    on_a_whole_disk(Kind::Ext4);
}

#[test]
fn ext2_on_mbr() {
    on_a_partition(Kind::Ext2, Table::Mbr);
}

#[test]
fn xfs_on_gpt() {
    on_a_partition(Kind::Xfs, Table::Gpt);
}

#[test]
fn btrfs_on_gpt() {
    on_a_partition(Kind::Btrfs, Table::Gpt);
}

#[test]
fn ntfs_on_mbr() {
    on_a_partition(Kind::Ntfs, Table::Mbr);
}

#[test]
fn fat32_on_mbr() {
    on_a_partition(Kind::Fat32, Table::Mbr);
}

#[test]
fn exfat_on_gpt_of_4096() {
    on_a_partition(Kind::Exfat, Table::GptOf4096);
}

#[test]
fn exfat_on_a_whole_disk() {
    on_a_whole_disk(Kind::Exfat);
}

/// Runs a command of LVM on one device alone.
fn lvm(folder: &Path, device: &str, command: &str) -> String {
    let folder = folder.display();
    let config = format!(
        "devices {{ global_filter=[\"a|^{device}$|\",\"r|.*|\"] use_devicesfile=0 obtain_device_list_from_udev=0 \
         external_device_info_source=\"none\" hints=\"none\" }} \
         global {{ locking_dir=\"{folder}/lock\" use_lvmpolld=0 event_activation=0 }} \
         activation {{ udev_sync=0 udev_rules=0 monitoring=0 }} backup {{ backup=0 archive=0 }}"
    );
    let mut arguments: Vec<&str> = command.split(' ').collect();
    arguments.extend(["--driverloaded", "n", "--config", &config]);
    run("lvm", &arguments)
}

/// A logical volume that is never activated: its extents lie together, behind the metadata.
#[test]
fn ext4_on_lvm_on_gpt() {
    if !Kind::Ext4.can() || !crate::support::can(&["lvm"]) {
        return;
    }
    let workspace = Workspace::new();
    let mut disk = Disk::new(&workspace.path("disk"), 60 * MIB, Table::Gpt, &[(1, "8e00", 1, 56)]);
    let device = disk.part(1);
    let tool = |device: &Loop, command: &str| lvm(&workspace.path(""), device.path(), command);
    tool(&device, &format!("pvcreate -y {}", device.path()));
    tool(&device, &format!("vgcreate -y -s 1m group {}", device.path()));
    tool(&device, "lvcreate -y -an -Wn -Zn -L 24M -n root group");
    let start = tool(&device, "pvs --noheadings --units b --nosuffix -o pe_start");
    drop(device);
    let start = disk.parts[&1].start + start.trim().parse::<u64>().unwrap();
    disk.parts.insert(99, start..start + 24 * MIB);
    let tree = disk.fill(99, Kind::Ext4, 8 * MIB);
    let copies = there_and_back(&workspace, &disk.image, &[(Some(1), "LVM2")]);
    let shown = workspace.run(["show", "a", "--json"]).expect(0).json();
    let volumes = shown["layout"]["volumes"].as_array().unwrap();
    let logical = volumes.iter().find(|volume| volume["logical_volume"] == "group/root").unwrap();
    assert_eq!(logical["filesystem"], "ext4");
    assert!(number(&logical["map"]["mapped"], "free_bytes") > 0, "{logical}");
    for copy in &copies {
        disk.check(copy, 99, Kind::Ext4, &tree);
        let device = Loop::new(copy, &disk.parts[&1], 512);
        tool(&device, "vgck group");
    }
}
