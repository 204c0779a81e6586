//! Single partitions, one volume alone, the table alone.

use crate::disk::*;
use crate::support::{ImageFile, run};
use holotype_core::volume::ReadAt;
use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;

/// A disk with a table of its own and noise everywhere, and a copy of it.
fn target(usual: &Usual, table: Table) -> (Disk, ImageFile) {
    let kind = if table == Table::Mbr { "83" } else { "8300" };
    let parts = [(1, kind, 1, 5), (2, kind, 6, 20), (3, kind, 26, 16), (4, kind, 42, 15)];
    let disk = Disk::new(&usual.workspace.path("target"), 60 * MIB, table, &parts);
    let before = usual.workspace.path("target before");
    std::fs::copy(disk.path(), &before).unwrap();
    (disk, ImageFile::open(&before))
}

/// Ranges of a partition's used bytes, from its own start.
fn used_of(usual: &Usual, number: u32) -> Vec<Range<u64>> {
    let part = &usual.disk.parts[&number];
    let of_part = |range: Range<u64>| range.start.max(part.start)..range.end.min(part.end);
    let used = used_ranges(&usual.free, usual.disk.image.bytes()).into_iter().map(of_part);
    used.filter(|range| !range.is_empty()).map(|range| range.start - part.start..range.end - part.start).collect()
}

/// What is used of a partition stands there, from `offset` on.
#[track_caller]
fn holds(usual: &Usual, number: u32, copy: &ImageFile, offset: u64) {
    let start = usual.disk.parts[&number].start;
    for used in used_of(usual, number) {
        let length = (used.end - used.start) as usize;
        let there = copy.read(offset + used.start, length);
        assert!(there == usual.disk.image.read(start + used.start, length), "partition {number}, {used:?}");
    }
}

fn into_partitions(table: Table) {
    let Some(usual) = Usual::with(40 * MIB, table) else { return };
    let (disk, before) = target(&usual, table);
    let untouched = hash(disk.path());
    for (choice, code, words) in [
        ("2:1", 6, "its partition 1 has 5242880 bytes, and partition 2 needs 16777216 bytes"),
        ("2:4", 6, "its partition 4 has 15728640 bytes"),
        ("2:7", 6, "has no partition 7"),
        ("9:2", 2, "it has no partition 9; it has: 1, 2, 3"),
    ] {
        usual.restore(&["a", "target", "--overwrite", "--partition", choice]).refused(code, &[words]);
    }
    usual.restore(&["a", "target", "--partition", "2"]).refused(6, &["say --overwrite"]);
    usual.restore(&["a", "target", "--overwrite", "--partition", "0"]).expect(2);
    let twice = ["a", "target", "--overwrite", "--partition", "2", "--partition", "3:2"];
    usual.restore(&twice).refused(2, &["a partition is named twice"]);
    usual.restore(&["a", "target", "--overwrite", "--partition", "2", "--grow"]).refused(2, &["can a partition grow"]);
    assert_eq!(hash(disk.path()), untouched);
    usual.noise("no table", 60 * MIB);
    let choice = ["--overwrite", "--partition", "2"];
    usual.restore(&[&["a", "no table"][..], &choice].concat()).refused(6, &["has no partition table"]);
    usual.restore(&[&["a", "no file"][..], &choice].concat()).refused(6, &["has no partition table"]);

    // Over what was there, so that even zeros are written; and then two, one into another place.
    let whole = disk.image.bytes();
    for (choices, to) in [(&["2"][..], &[(2u32, 2u32)][..]), (&["2:3", "1:4"], &[(2, 3), (1, 4)])] {
        std::fs::copy(&before.path, disk.path()).unwrap();
        let choices = choices.iter().flat_map(|choice| ["--partition", choice]);
        let arguments: Vec<&str> = ["a", "target", "--overwrite", "--verify"].into_iter().chain(choices).collect();
        let report = usual.restore(&arguments).expect(0).json();
        assert!(number(&report, "free_bytes") > 0, "{report}");
        let mut at = 0;
        let mut others = Vec::new();
        let mut places: Vec<Range<u64>> = Vec::new();
        for (source, target) in to {
            let start = disk.parts[target].start;
            let length = usual.disk.parts[source].end - usual.disk.parts[source].start;
            holds(&usual, *source, &disk.image, start);
            let part = Loop::new(disk.path(), &disk.parts[target], 512);
            let at = *source as usize - 1;
            check(&part, usual.kinds[at], &usual.trees[at]);
            places.push(start..start + length);
        }
        places.sort_by_key(|place| place.start);
        for place in places.into_iter().chain(std::iter::once(whole..whole)) {
            others.push(at..place.start);
            at = place.end;
        }
        assert_eq!(difference(&disk.image, &before, &others), None);
    }
}

#[test]
fn into_partitions_of_a_gpt() {
    into_partitions(Table::Gpt);
}

#[test]
fn into_partitions_of_an_mbr() {
    into_partitions(Table::Mbr);
}

#[test]
fn one_volume_alone() {
    let Some(usual) = Usual::new() else { return };
    usual.restore(&["a:2", "alone"]).expect(0);
    let alone = ImageFile::open(&usual.workspace.path("alone"));
    holds(&usual, 2, &alone, 0);
    check(&Loop::whole(&alone.path, 512), Kind::Ext4, &usual.trees[1]);
    assert!(blocks_bytes(&alone.path) < 14 * MIB, "what is free is a hole");

    let streamed = usual.workspace.run(["restore", "a:2", "-"]).expect(0).stdout;
    let streamed = ImageFile::open(&usual.workspace.write("streamed", streamed));
    holds(&usual, 2, &streamed, 0);
    check(&Loop::whole(&streamed.path, 512), Kind::Ext4, &usual.trees[1]);

    usual.restore(&["a:3", "third"]).expect(0);
    assert!(usual.workspace.read("third") == usual.disk.image.read(25 * MIB, 4 * MIB as usize));

    usual.restore(&["a:4", "none"]).refused(2, &["it has no partition 4"]);
    usual.restore(&["a:2", "none", "--size", "15M"]).refused(6, &["has 15728640 bytes, and partition 2 needs"]);
    usual.restore(&["a:2", "none", "--partition", "1"]).refused(2, &["is one volume alone"]);
    assert!(!usual.workspace.path("none").exists());
    usual.restore(&["a:2", "longer", "--size", "20M"]).expect(0);
    assert_eq!(usual.workspace.read("longer").len() as u64, 20 * MIB);
    check(&Loop::whole(&usual.workspace.path("longer"), 512), Kind::Ext4, &usual.trees[1]);
}

/// What `sgdisk` tells of a disk and its three partitions.
fn told(path: &Path) -> String {
    let info = |number: &str| run("sgdisk", &[OsStr::new("-i"), number.as_ref(), path.as_os_str()]);
    ["1", "2", "3"].map(info).concat()
}

#[test]
fn the_table_alone() {
    let Some(usual) = Usual::new() else { return };
    let sectors = |count: u64| count * 512;
    for (name, bytes, more) in
        [("same", 40 * MIB, &[][..]), ("larger", 60 * MIB, &[]), ("grown", 60 * MIB, &["--grow"])]
    {
        let target = usual.noise(name, bytes);
        let before = usual.workspace.path("before");
        std::fs::copy(target.path(), &before).unwrap();
        let arguments = [&["a", name, "--overwrite", "--table-only"], more].concat();
        let report = usual.restore(&arguments).expect(0).json();
        assert!(number(&report, "written_bytes") <= 2 * sectors(33) + 512, "{report}");
        check_gpt(target.path());
        if more.is_empty() {
            assert_eq!(told(target.path()), told(usual.disk.path()));
        } else {
            assert!(told(target.path()).contains("Last sector: 120831 (at 59.0 MiB)"), "{}", told(target.path()));
        }
        let between = std::iter::once(sectors(34)..bytes - sectors(33)).collect::<Vec<_>>();
        assert_eq!(difference(&target.image, &ImageFile::open(&before), &between), None);
        // And then the content, partition by partition.
        if bytes == 40 * MIB {
            let partitions = ["--partition", "1", "--partition", "2", "--partition", "3"];
            usual.restore(&[&["a", name, "--overwrite"], &partitions[..]].concat()).expect(0);
            usual.check_files(target.path());
        }
    }
    usual.restore(&["a", "new", "--table-only"]).expect(0);
    let new = usual.workspace.path("new");
    check_gpt(&new);
    assert_eq!(std::fs::metadata(&new).unwrap().len(), 40 * MIB);
    assert!(blocks_bytes(&new) <= 128 << 10);
    usual.noise("small", 20 * MIB);
    usual.restore(&["a", "small", "--overwrite", "--table-only"]).refused(6, &["the partitions need"]);
}

#[test]
fn the_table_of_an_mbr_alone() {
    if !Kind::Ext4.can() {
        return;
    }
    let workspace = crate::command::Workspace::new();
    let parts = [(1, "83", 1, 4), (2, "5", 5, 20), (5, "83", 6, 4), (6, "7", 11, 4)];
    let disk = Disk::new(&workspace.path("disk"), 30 * MIB, Table::Mbr, &parts);
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    let target = Disk::noise(&workspace.path("target"), 30 * MIB, 3);
    workspace.run(["restore", "a", "target", "--overwrite", "--table-only"]).expect(0);
    let dump = |path: &Path| {
        let text = run("sfdisk", &[OsStr::new("-d"), path.as_os_str()]);
        text.replace(path.to_str().unwrap(), "disk")
    };
    assert_eq!(dump(target.path()), dump(disk.path()));
    let refused = ["restore", "a", "other", "--table-only", "--grow"];
    workspace.run(refused).refused(6, &["partition 6 is a logical one and cannot grow"]);
    workspace.write("plain", vec![7; 100_000]);
    workspace.run(["backup", "plain", "--name", "plain"]).expect(0);
    workspace.run(["restore", "plain", "other", "--table-only"]).refused(6, &["the image has no partition table"]);
}
