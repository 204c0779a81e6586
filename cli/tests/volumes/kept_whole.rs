//! Volumes that are kept whole, and why; files that are left out; sources that change.

use crate::command::{Workspace, finish};
use crate::disk::*;
use crate::support::{ImageFile, can, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Backs up `disk` as `a`, every byte, and restores it; gives the only volume's map.
fn whole(workspace: &Workspace, more: &[&str], words: Option<&[&str]>) -> Value {
    let run = workspace.run([&["backup", "disk", "--name", "a", "--json"], more].concat()).expect(0);
    let report = run.json();
    assert_eq!(number(&report, "free_bytes"), 0, "{report}");
    match words {
        Some(words) => words.iter().for_each(|word| assert!(run.stderr.contains(word), "{word}: {}", run.stderr)),
        None => assert_eq!(run.stderr, ""),
    }
    assert_eq!(report["warnings"].as_array().unwrap().len(), usize::from(words.is_some()), "{report}");
    workspace.run(["restore", "a", "copy", "--verify"]).expect(0);
    assert_eq!(hash(&workspace.path("copy")), hash(&workspace.path("disk")));
    report["layout"]["volumes"][0]["map"]["unmapped"].clone()
}

/// A whole disk `name` with ext4.
fn ext4(workspace: &Workspace, name: &str) -> Option<Disk> {
    if !Kind::Ext4.can() {
        return None;
    }
    let mut disk = Disk::noise(&workspace.path(name), 24 * MIB, 4);
    disk.parts.insert(1, 0..24 * MIB);
    disk.fill(1, Kind::Ext4, 4 * MIB);
    Some(disk)
}

#[test]
fn a_dirty_journal() {
    let workspace = Workspace::new();
    let Some(disk) = ext4(&workspace, "mounted disk") else { return };
    let device = disk.part(1);
    let at = workspace.path("mounted");
    let mount = Kind::Ext4.mount(device.path(), &at, "rw");
    fs::write(at.join("new"), [7; 50_000]).unwrap();
    run("sync", &["-f", at.to_str().unwrap()]);
    fs::copy(disk.path(), workspace.path("disk")).unwrap();
    drop((mount, device));
    let map = whole(&workspace, &[], Some(&["the whole disk (ext4) is kept whole", "journal"]));
    assert_eq!(map["cause"], "dirty");
}

#[test]
fn an_encrypted_volume() {
    if !can(&["cryptsetup"]) {
        return;
    }
    let workspace = Workspace::new();
    let disk = Disk::noise(&workspace.path("disk"), 24 * MIB, 6);
    let key = workspace.write("key", [9; 32]);
    let command = "luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000";
    let mut arguments: Vec<&str> = command.split(' ').collect();
    arguments.extend([disk.path().to_str().unwrap(), key.to_str().unwrap()]);
    run("cryptsetup", &arguments);
    assert_eq!(whole(&workspace, &[], None)["cause"], "encrypted");
}

#[test]
fn everything_where_it_is_asked_for() {
    let workspace = Workspace::new();
    if ext4(&workspace, "disk").is_none() {
        return;
    }
    let map = whole(&workspace, &["--raw"], None);
    assert_eq!(map["cause"], "raw");
    // Of the same disk, the next one is none.
    let report = workspace.run(["backup", "disk", "--name", "a", "--json"]).expect(0).json();
    assert!(number(&report, "free_bytes") > 0);
    assert!(number(&report, "new_bytes") < 8 * MIB, "what is in use is there already: {report}");
    workspace.run(["restore", "a", "copy", "--overwrite"]).expect(0);
    assert_eq!(hash(&workspace.path("copy")), hash(&workspace.path("disk")), "free bytes were there, and stayed");
}

#[test]
fn system_files_of_windows() {
    if !Kind::Ntfs.can() {
        return;
    }
    let workspace = Workspace::new();
    let disk = Disk::new(&workspace.path("disk"), 48 * MIB, Table::Mbr, &[(1, "7", 1, 40)]);
    disk.fill(1, Kind::Ntfs, 4 * MIB);
    let at = workspace.path("mounted");
    let device = disk.part(1);
    let mount = Kind::Ntfs.mount(device.path(), &at, "rw");
    for (name, byte) in [("pagefile.sys", 1), ("swapfile.sys", 2), ("hiberfil.sys", 0), ("page file.sys", 3)] {
        fs::write(at.join(name), vec![byte; 3 << 20]).unwrap();
    }
    drop((mount, device));
    let tree = Kind::Ntfs.tree(disk.part(1).path());
    let kept = workspace.run(["backup", "disk", "--name", "kept", "--json"]).expect(0).json();
    let drop_both = ["backup", "disk", "--name", "a", "--drop", "pagefile,hiberfil", "--json"];
    let report = workspace.run(drop_both).expect(0).json();
    let dropped = report["layout"]["volumes"][0]["map"]["mapped"]["dropped"].as_array().unwrap();
    let mut names: Vec<&str> = dropped.iter().map(|file| file[0].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["hiberfil.sys", "pagefile.sys", "swapfile.sys"]);
    let more: u64 = dropped.iter().map(|file| file[1].as_u64().unwrap()).sum();
    assert!(more >= 9 * MIB - 4096, "{report}");
    // The edges of the volume stay, whosever they are.
    let left_out = number(&report, "free_bytes") - number(&kept, "free_bytes");
    assert!(left_out <= more && left_out > more - 2 * MIB, "{left_out} of {more}");
    Disk::noise(&workspace.path("copy"), 48 * MIB, 8);
    workspace.run(["restore", "a", "copy", "--overwrite"]).expect(0);
    let copy = Loop::new(&workspace.path("copy"), &disk.parts[&1], 512);
    Kind::Ntfs.check(copy.path());
    let back = Kind::Ntfs.tree(copy.path());
    assert_eq!(back.len(), tree.len(), "they are there, with other content");
    for (path, facts) in &tree {
        let is_dropped = names.contains(&path.to_str().unwrap());
        assert_eq!(back[path] == *facts, !is_dropped, "{}", path.display());
        if is_dropped {
            let length = |facts: &str| facts.split(' ').nth(1).unwrap().to_owned();
            assert_eq!(length(&back[path]), length(facts));
        }
    }
}

#[test]
fn a_source_that_changes_meanwhile() {
    let workspace = Workspace::new();
    let disk = Disk::noise(&workspace.path("disk"), 48 * MIB, 1);
    let file = fs::File::options().write(true).open(disk.path()).unwrap();
    let mut child = workspace.command(["backup", "disk", "--name", "a", "--json"]).spawn().unwrap();
    // From before it begins until after it has ended, so whenever it looks.
    let mut byte = 0u8;
    while child.try_wait().unwrap().is_none() {
        byte = byte.wrapping_add(1);
        file.write_all_at(&[byte], 40 * MIB).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let run = finish(child).refused(3, &["disk changed while it was read", "may not be consistent"]);
    let report = run.json();
    assert_eq!((&report["changed"], number(&report, "unreadable_bytes")), (&true.into(), 0));
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1);
    workspace.verify_clean();
    let shown = workspace.run(["show", "a", "--json"]).expect(0).json();
    assert!(shown["warnings"][0].as_str().unwrap().contains("changed while it was read"), "{shown}");
    // What is in it is what was read.
    workspace.run(["restore", "a", "copy", "--verify"]).expect(0);
    let places = [0..40 * MIB, 40 * MIB + 1..48 * MIB];
    assert_eq!(difference(&disk.image, &ImageFile::open(&workspace.path("copy")), &places), None);
}

/// Btrfs does not say of itself that it is mounted.
#[test]
fn a_mounted_disk() {
    if !Kind::Btrfs.can() {
        return;
    }
    let workspace = Workspace::new();
    let mut disk = Disk::noise(&workspace.path("disk"), 128 * MIB, 3);
    disk.parts.insert(1, 0..128 * MIB);
    disk.fill(1, Kind::Btrfs, 4 * MIB);
    let device = disk.part(1);
    let mount = Kind::Btrfs.mount(device.path(), &workspace.path("mounted"), "rw");
    for source in [device.path(), "disk"] {
        let run = workspace.run(["backup", source, "--name", "a", "--json"]).expect(0);
        assert!(run.stderr.contains("is mounted read-write at"), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "told once: {}", run.stderr);
        let report = run.json();
        assert_eq!(number(&report, "free_bytes"), 0, "{report}");
        assert_eq!(report["layout"]["volumes"][0]["map"]["unmapped"]["cause"], "mounted");
        workspace.run(["restore", "a", source, "--overwrite"]).refused(6, &["is in use at"]);
    }
    drop(mount);
    let report = workspace.run(["backup", device.path(), "--name", "a", "--json"]).expect(0).json();
    assert!(number(&report, "free_bytes") > 0);
}

/// One partition is in use, and the other is not.
#[test]
fn a_mounted_partition_of_a_disk() {
    if !Kind::Ext2.can() || !can(&["mkswap"]) {
        return;
    }
    let workspace = Workspace::new();
    let parts = [(1, "8300", 1, 16), (2, "8200", 18, 8)];
    let disk = Disk::new(&workspace.path("disk"), 30 * MIB, Table::Gpt, &parts);
    disk.fill(1, Kind::Ext2, 4 * MIB);
    run("mkswap", &[disk.part(2).path()]);
    let device = disk.part(1);
    let _mount = Kind::Ext2.mount(device.path(), &workspace.path("mounted"), "rw");
    let run = workspace.run(["backup", "disk", "--name", "a", "--json"]).expect(0);
    assert!(run.stderr.contains("is mounted read-write at"), "{}", run.stderr);
    let report = run.json();
    let causes = &report["layout"]["volumes"];
    assert!(!causes[0]["map"]["unmapped"].is_null(), "{report}");
    workspace.run(["restore", "a", "copy"]).expect(0);
    let between = disk.parts[&1].end;
    let used = [0..between, between..disk.parts[&2].start];
    assert_eq!(difference(&disk.image, &ImageFile::open(&workspace.path("copy")), &used), None);
}
