//! Targets of another length or with other sectors, partitions that grow, new GUIDs.

use crate::disk::*;
use crate::support::{ImageFile, run};
use holotype_core::volume::ReadAt;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;

fn sgdisk_fields(path: &Path, number: u32, field: &str) -> String {
    let text = run("sgdisk", &[OsStr::new("-i"), number.to_string().as_ref(), path.as_os_str()]);
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_else(|| panic!("{field} in {text}"));
    line.trim_start_matches(':').trim().to_owned()
}

fn disk_guid(path: &Path) -> String {
    let text = run("sgdisk", &[OsStr::new("-p"), path.as_os_str()]);
    text.lines().find_map(|line| line.strip_prefix("Disk identifier (GUID): ")).unwrap().to_owned()
}

fn sfdisk(path: &Path) -> Value {
    let text = run("sfdisk", &[OsStr::new("-J"), path.as_os_str()]);
    serde_json::from_str::<Value>(&text).unwrap()["partitiontable"].clone()
}

/// The backup GPT's signature in the last sector.
fn ends_with_gpt(disk: &ImageFile, bytes: u64) -> bool {
    disk.read(bytes - 512, 8) == b"EFI PART"
}

#[test]
fn a_larger_disk() {
    let Some(usual) = Usual::new() else { return };
    for (name, more) in [("larger", &[][..]), ("grown", &["--grow"]), ("over noise", &["--overwrite", "--grow"])] {
        let bytes = 60 * MIB + 512;
        if name == "over noise" {
            usual.noise(name, bytes);
        }
        let size = bytes.to_string();
        let report = usual.restore(&[&["a", name, "--size", &size, "--verify"], more].concat()).expect(0).json();
        assert_eq!(report["table_changes"].as_array().unwrap().len(), 1 + usize::from(!more.is_empty()), "{report}");
        let path = usual.workspace.path(name);
        let disk = ImageFile::open(&path);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
        check_gpt(&path);
        assert!(ends_with_gpt(&disk, bytes));
        assert_eq!(disk.read(40 * MIB - 33 * 512, 33 * 512), [0; 33 * 512], "no second backup table");
        usual.check_files(&path);
        let third = disk.read(25 * MIB, 4 * MIB as usize);
        assert!(third == usual.disk.image.read(25 * MIB, third.len()));
        assert_eq!(disk_guid(&path), disk_guid(usual.disk.path()));
        let last = sgdisk_fields(&path, 3, "Last sector");
        match more {
            [] => assert_eq!(last, sgdisk_fields(usual.disk.path(), 3, "Last sector")),
            // On a whole MiB before the backup table.
            _ => assert_eq!(last, format!("{} (at 59.0 MiB)", 59 * MIB / 512 - 1)),
        }
    }
}

#[test]
fn a_partition_grows_where_the_disk_does_not() {
    let Some(usual) = Usual::new() else { return };
    let report = usual.restore(&["a", "grown", "--grow", "--verify"]).expect(0).json();
    assert_eq!(report["table_changes"].as_array().unwrap().len(), 1, "{report}");
    let path = usual.workspace.path("grown");
    check_gpt(&path);
    assert_eq!(sgdisk_fields(&path, 3, "Last sector"), format!("{} (at 39.0 MiB)", 39 * MIB / 512 - 1));
    usual.disk.check(&path, 2, Kind::Ext4, &usual.trees[1]);
}

#[test]
fn a_smaller_disk() {
    let Some(usual) = Usual::new() else { return };
    let run = usual.restore(&["a", "small", "--size", "20M"]).refused(6, &["20971520 bytes", "in use of the image"]);
    let words: Vec<&str> = run.stderr.split_whitespace().collect();
    let needed = words.iter().position(|word| *word == "needs").map(|at| words[at + 1]).unwrap();
    let bytes: u64 = needed.parse().unwrap();
    // The partitions, and the backup table behind them.
    assert_eq!(bytes, 29 * MIB + 33 * 512);
    let less = (bytes - 512).to_string();
    usual.restore(&["a", "small", "--size", &less]).refused(6, &[needed]);
    assert!(!usual.workspace.path("small").exists());
    usual.noise("over noise", bytes);
    for (name, more) in [("small", &[][..]), ("over noise", &["--overwrite"])] {
        usual.restore(&[&["a", name, "--size", needed, "--verify"], more].concat()).expect(0);
        let path = usual.workspace.path(name);
        let disk = ImageFile::open(&path);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
        check_gpt(&path);
        assert!(ends_with_gpt(&disk, bytes));
        usual.check_files(&path);
        assert!(disk.read(25 * MIB, 4 << 20) == usual.disk.image.read(25 * MIB, 4 << 20));
    }
    // A device of that length.
    let target = usual.noise("device", bytes);
    let device = Loop::whole(target.path(), 512);
    usual.restore(&["a", device.path(), "--overwrite", "--verify"]).expect(0);
    drop(device);
    check_gpt(target.path());
    usual.disk.check(target.path(), 2, Kind::Ext4, &usual.trees[1]);
}

#[test]
fn a_smaller_disk_of_an_mbr() {
    let Some(usual) = Usual::with(40 * MIB, Table::Mbr) else { return };
    usual.restore(&["a", "small", "--size", "28M"]).refused(6, &[&format!("needs {} bytes", 29 * MIB)]);
    usual.restore(&["a", "small", "--size", "29M"]).expect(0);
    let path = usual.workspace.path("small");
    assert_eq!(sfdisk(&path)["partitions"][2]["size"], 4 * MIB / 512);
    usual.disk.check(&path, 2, Kind::Ext4, &usual.trees[1]);
}

#[test]
fn an_mbr_grows() {
    let Some(usual) = Usual::with(40 * MIB, Table::Mbr) else { return };
    let report = usual.restore(&["a", "grown", "--size", "60M", "--grow"]).expect(0).json();
    assert!(report["table_changes"][0].as_str().unwrap().starts_with("partition 3 grew by"), "{report}");
    usual.restore(&["a", "same", "--size", "60M"]).expect(0);
    let [before, grown, same] =
        ["disk", "grown", "same"].map(|name| sfdisk(&usual.workspace.path(name))["partitions"].clone());
    assert_eq!(grown[2]["size"], (60 - 25) * MIB / 512);
    assert_eq!(same[2]["size"], before[2]["size"]);
    for number in [0, 1] {
        assert_eq!(grown[number]["start"], before[number]["start"]);
        assert_eq!(grown[number]["size"], before[number]["size"]);
    }
    let path = usual.workspace.path("grown");
    usual.check_files(&path);
}

#[test]
fn new_guids() {
    let Some(usual) = Usual::new() else { return };
    let report = usual.restore(&["a", "copy", "--new-guids", "--verify"]).expect(0).json();
    assert_eq!(report["table_changes"].as_array().unwrap().len(), 1, "{report}");
    let (copy, source) = (usual.workspace.path("copy"), usual.disk.path());
    check_gpt(&copy);
    assert_ne!(disk_guid(&copy), disk_guid(source));
    for number in [1, 2, 3] {
        let field = "Partition unique GUID";
        assert_ne!(sgdisk_fields(&copy, number, field), sgdisk_fields(source, number, field));
        for field in ["Partition GUID code", "First sector", "Last sector"] {
            assert_eq!(sgdisk_fields(&copy, number, field), sgdisk_fields(source, number, field));
        }
    }
    let table = 34 * 512;
    let mut used = used_ranges(&usual.free, usual.disk.image.bytes() - 33 * 512);
    used[0].start = table;
    assert_eq!(difference(&usual.disk.image, &ImageFile::open(&copy), &used), None);
    usual.disk.check(&copy, 2, Kind::Ext4, &usual.trees[1]);

    // In place, and in a longer file too.
    std::fs::copy(source, usual.workspace.path("longer")).unwrap();
    let longer = ["a", "longer", "--new-guids", "--overwrite", "--size", "50M", "--verify"];
    usual.restore(&longer).expect(0);
    let longer = usual.workspace.path("longer");
    check_gpt(&longer);
    assert_ne!(disk_guid(&longer), disk_guid(source));
}

#[test]
fn a_new_signature_of_an_mbr() {
    let Some(usual) = Usual::with(40 * MIB, Table::Mbr) else { return };
    usual.restore(&["a", "copy", "--new-guids"]).expect(0);
    let [before, copy] = ["disk", "copy"].map(|name| sfdisk(&usual.workspace.path(name)));
    assert_ne!(before["id"], copy["id"]);
    let mut used = used_ranges(&usual.free, usual.disk.image.bytes());
    used[0].start = 512;
    assert_eq!(difference(&usual.disk.image, &ImageFile::open(&usual.workspace.path("copy")), &used), None);
    let (disk, copy) = (usual.disk.image.read(0, 512), usual.workspace.read("copy"));
    assert!((0..512).filter(|at| disk[*at] != copy[*at]).all(|at| (440..444).contains(&at)));
}

#[test]
fn a_disk_with_other_sectors() {
    let Some(usual) = Usual::new() else { return };
    let target = usual.noise("target", 40 * MIB);
    let before = hash(target.path());
    let device = Loop::whole(target.path(), 4096);
    let words = ["has sectors of 4096 bytes", "a disk with sectors of 512 bytes"];
    usual.restore(&["a", device.path(), "--overwrite"]).refused(6, &words);
    usual.restore(&["a:1", device.path(), "--overwrite"]).refused(6, &words);
    drop(device);
    assert_eq!(hash(target.path()), before);

    // Blocks of 4 KiB mean the same on any disk.
    let device = Loop::whole(target.path(), 4096);
    usual.restore(&["a:2", device.path(), "--overwrite", "--verify"]).expect(0);
    Kind::Ext4.check(device.path());
    assert!(Kind::Ext4.tree(device.path()) == usual.trees[1]);
    drop(device);

    let mut whole = Disk::noise(&usual.workspace.path("whole"), 24 * MIB, 9);
    whole.parts.insert(1, 0..24 * MIB);
    let tree = whole.fill(1, Kind::Ext4, 4 * MIB);
    usual.workspace.run(["backup", "whole", "--name", "whole"]).expect(0);
    let device = Loop::whole(target.path(), 4096);
    usual.restore(&["whole", device.path(), "--overwrite", "--verify"]).expect(0);
    check(&device, Kind::Ext4, &tree);
}
