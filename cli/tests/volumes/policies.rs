//! What becomes of free bytes; reading back; receipts; streams.

use crate::command::Workspace;
use crate::disk::*;
use crate::support::{ImageFile, can, run};
use holotype_core::volume::ReadAt;
use std::path::Path;

/// What free bytes of a restored copy are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Free {
    Zeros,
    AsBefore,
}

#[track_caller]
fn free_is(usual: &Usual, path: &Path, before: &ImageFile, free: Free) {
    let zeros = zeros(&usual.workspace.path(""), usual.disk.image.bytes());
    let other = if free == Free::Zeros { &zeros } else { before };
    assert_eq!(difference(&ImageFile::open(path), other, &ranges(&usual.free)), None, "{free:?}");
}

#[test]
fn what_is_free_becomes_what_was_asked_for() {
    let Some(usual) = Usual::new() else { return };
    let bytes = 40 * MIB;
    let free_bytes = usual.free.bytes();
    let before = usual.noise("before", bytes).image;
    for (policy, mode, free) in [
        (None, "--delta", Free::AsBefore),
        (None, "--no-delta", Free::AsBefore),
        (Some("keep"), "--no-delta", Free::AsBefore),
        (Some("zero"), "--delta", Free::Zeros),
        (Some("zero"), "--no-delta", Free::Zeros),
        (Some("hole"), "--delta", Free::Zeros),
        (Some("hole"), "--no-delta", Free::Zeros),
        (Some("discard"), "--delta", Free::Zeros),
    ] {
        std::fs::copy(&before.path, usual.workspace.path("target")).unwrap();
        let mut arguments = vec!["a", "target", "--overwrite", mode, "--verify"];
        arguments.extend(policy.iter().flat_map(|policy| ["--free", policy]));
        let report = usual.restore(&arguments).expect(0).json();
        assert_eq!(number(&report, "free_bytes"), free_bytes);
        let target = usual.workspace.path("target");
        free_is(&usual, &target, &before, free);
        usual.check("target");
        let taken = blocks_bytes(&target);
        match policy {
            Some("hole" | "discard") => assert!(taken <= bytes - free_bytes + MIB, "{policy:?} {mode}: {taken}"),
            None | Some("keep") => assert!(taken >= free_bytes, "{policy:?} {mode}: {taken}"),
            _ => {}
        }
        // Once more changes nothing, whatever was asked for before.
        let again = usual.restore(&["a", "target", "--overwrite"]).expect(0).json();
        assert_eq!(number(&again, "written_bytes"), 0, "{policy:?} {mode}");
    }
    for policy in ["hole", "keep", "zero", "discard"] {
        let name = format!("new {policy}");
        usual.restore(&["a", &name, "--free", policy, "--verify"]).expect(0);
        free_is(&usual, &usual.workspace.path(&name), &before, Free::Zeros);
        usual.check(&name);
        let taken = blocks_bytes(&usual.workspace.path(&name));
        assert!(taken <= number(&usual.report, "data_bytes") + MIB, "{policy}: {taken}");
    }
}

/// The superblock of an array of version 1.0, as it lies near the end of a member.
fn raid_superblock(member_bytes: u64) -> (u64, Vec<u8>) {
    let at = (member_bytes / 512 - 16) & !7;
    let mut block = vec![0; 256 + 2 * 2];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &0xA92B_4EFCu32.to_le_bytes());
    put(4, &1u32.to_le_bytes());
    put(16, &[7; 16]);
    put(32, b"former");
    put(72, &1u32.to_le_bytes());
    put(80, &(at - 8).to_le_bytes());
    put(92, &2u32.to_le_bytes());
    put(136, &(at - 8).to_le_bytes());
    put(144, &at.to_le_bytes());
    put(220, &2u32.to_le_bytes());
    let sum: u64 = block.chunks(4).map(|word| u64::from(u32::from_le_bytes(word.try_into().unwrap()))).sum();
    let sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
    block[216..220].copy_from_slice(&(sum as u32).to_le_bytes());
    (at * 512, block)
}

/// What a target was before is nowhere to be seen, although what is free there stays.
#[test]
fn no_earlier_life_of_the_target_shows() {
    if !Kind::Ext4.can() || !can(&["blkid", "wipefs"]) {
        return;
    }
    let workspace = Workspace::new();
    for bytes in [6 * MIB, 24 * MIB, 80 * MIB] {
        let mut disk = Disk::noise(&workspace.path("disk"), bytes, 1);
        disk.parts.insert(1, 0..bytes);
        disk.fill(1, Kind::Ext4, bytes / 8);
        workspace.run(["backup", "disk", "--name", "a"]).expect(0);
        let target = Disk::noise(&workspace.path("target"), bytes, 2);
        let (at, superblock) = raid_superblock(bytes);
        target.image.write(at, &superblock);
        let type_of = |path: &Path| run("blkid", &["-p", "-o", "value", "-s", "TYPE", path.to_str().unwrap()]);
        assert_eq!(type_of(target.path()), "linux_raid_member\n");
        workspace.run(["restore", "a", "target", "--overwrite"]).expect(0);
        assert_eq!(type_of(target.path()), "ext4\n", "{bytes} bytes");
        let signatures = |path: &Path| run("wipefs", &["-n", "-i", "-p", path.to_str().unwrap()]);
        assert_eq!(signatures(target.path()), signatures(disk.path()));
    }
}

#[test]
fn a_device_is_told_what_is_free() {
    let Some(usual) = Usual::new() else { return };
    for (policy, free) in [("discard", Free::Zeros), ("hole", Free::Zeros), ("keep", Free::AsBefore)] {
        let target = usual.noise("target", 40 * MIB);
        let before = usual.noise("before", 40 * MIB);
        let device = Loop::whole(target.path(), 512);
        usual.restore(&["a", device.path(), "--overwrite", "--free", policy, "--verify"]).expect(0);
        drop(device);
        free_is(&usual, target.path(), &before.image, free);
        usual.check("target");
        if free == Free::Zeros {
            assert!(blocks_bytes(target.path()) <= 40 * MIB - usual.free.bytes() + MIB, "{policy}");
        }
    }
}

#[test]
fn receipts_of_restores() {
    let Some(usual) = Usual::new() else { return };
    let report = usual.restore(&["a", "copy", "--verify", "--receipt", "receipt"]).expect(0).json();
    assert_eq!(report["verified"], true);
    let workspace = &usual.workspace;
    let receipt = workspace.run(["receipt", "check", "receipt", "--json"]).expect(0).json();
    assert_eq!((&receipt["content_hash"], &receipt["read_back"]), (&report["content_hash"], &true.into()));
    assert_eq!(receipt["image"], report["image"]);
    let signer = receipt["signer"].as_str().unwrap();
    let without_repo = |arguments: &[&str]| {
        let mut command = workspace.command([&["receipt", "check"], arguments].concat());
        crate::command::finish(command.env_remove("HOLOTYPE_REPO").spawn().unwrap())
    };
    let told = without_repo(&["receipt"]).expect(0).text();
    assert!(told.contains("good, by the key that it names"), "{told}");
    without_repo(&["receipt", "--signer", signer]).expect(0);

    // The same content, whatever the way that it came there and whatever free bytes are.
    for (name, more) in [("copy", &["--overwrite"][..]), ("zeros", &["--free", "zero"])] {
        assert_eq!(
            usual.restore(&[&["a", name], more].concat()).expect(0).json()["content_hash"],
            report["content_hash"]
        );
    }
    assert_ne!(usual.restore(&["a:2", "part"]).expect(0).json()["content_hash"], report["content_hash"]);

    let text = String::from_utf8(workspace.read("receipt")).unwrap();
    let hash = report["content_hash"].as_str().unwrap();
    let other = hash.replace(&hash[..1], if hash.starts_with('a') { "b" } else { "a" });
    for (from, to) in [(hash, other.as_str()), ("copy", "cope"), ("yes", "no")] {
        if text.contains(from) {
            workspace.write("tampered", text.replacen(from, to, 1));
            workspace.run(["receipt", "check", "tampered"]).expect(1);
            without_repo(&["tampered"]).expect(1);
        }
    }
    workspace.write("cut", &text[..text.len() / 2]);
    without_repo(&["cut"]).expect(1);
    // Another repository has another key.
    let other = Workspace::new();
    std::fs::copy(workspace.path("receipt"), other.path("receipt")).unwrap();
    other.run(["receipt", "check", "receipt"]).expect(1);
    // None is written where nothing was restored, nor over one that is there.
    usual.restore(&["a", "copy", "--receipt", "second"]).refused(6, &["say --overwrite"]);
    assert!(!workspace.path("second").exists());
    usual.restore(&["a", "copy", "--overwrite", "--receipt", "receipt"]).expect(1);
    assert_eq!(workspace.read("receipt"), text.as_bytes());
}

#[test]
fn a_stream_has_everything_in_use() {
    let Some(usual) = Usual::new() else { return };
    let run = usual.workspace.run(["restore", "a", "-"]).expect(0);
    assert_eq!(run.stdout.len() as u64, 40 * MIB);
    usual.workspace.write("streamed", run.stdout);
    usual.check("streamed");
    for refused in [&["--verify"][..], &["--new-guids"], &["--delta"], &["--table-only"], &["--size", "60M"]] {
        usual.workspace.run([&["restore", "a", "-"], refused].concat()).expect(2);
    }
}
