//! Restores onto a target that holds something: comparing, and going on after a kill.

use crate::command::Workspace;
use crate::disk::*;
use crate::support::ImageFile;
use holotype_core::volume::ReadAt;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest that a chunk may be.
const CHUNK_BYTES: u64 = MIB;

fn flip(disk: &ImageFile, at: u64) {
    let byte = disk.read(at, 1)[0];
    disk.write(at, &[!byte]);
}

#[test]
fn only_what_differs_is_written() {
    let Some(usual) = Usual::new() else { return };
    let target = usual.workspace.path("target");
    fs::copy(usual.disk.path(), &target).unwrap();
    let report = usual.restore(&["a", "target", "--overwrite"]).expect(0).json();
    assert_eq!((&report["delta"], number(&report, "written_bytes")), (&true.into(), 0));
    assert_eq!(hash(&target), hash(usual.disk.path()));

    // In each partition, and in the table.
    let copy = ImageFile::open(&target);
    let used = used_ranges(&usual.free, usual.disk.image.bytes());
    let last_of = |part: &Range<u64>| used.iter().rfind(|range| range.start < part.end).unwrap().end.min(part.end) - 1;
    let places: Vec<u64> = usual.disk.parts.values().map(last_of).chain([1000]).collect();
    places.iter().for_each(|at| flip(&copy, *at));
    let report = usual.restore(&["a", "target", "--delta"]).expect(0).json();
    let written = number(&report, "written_bytes");
    assert!(written > 0 && written <= places.len() as u64 * CHUNK_BYTES, "{written}");
    assert_eq!(hash(&target), hash(usual.disk.path()));

    // Zeros that are none any more.
    let behind = 30 * MIB;
    copy.write(behind, &[1; 5000]);
    let written = number(&usual.restore(&["a", "target", "--delta"]).expect(0).json(), "written_bytes");
    assert!((5000..=256 << 10).contains(&written), "{written}");
    assert_eq!(hash(&target), hash(usual.disk.path()));

    // What is free is nobody's.
    let free = usual.free.iter().max_by_key(|run| run.len()).unwrap();
    flip(&copy, free.offset() + 5);
    let changed = hash(&target);
    let report = usual.restore(&["a", "target", "--overwrite", "--verify"]).expect(0).json();
    assert_eq!(number(&report, "written_bytes"), 0);
    assert_eq!(hash(&target), changed);

    // A target that is longer, or ends within the disk.
    fs::File::options().write(true).open(&target).unwrap().set_len(20 * MIB).unwrap();
    let report = usual.restore(&["a", "target", "--overwrite"]).expect(0).json();
    assert!(number(&report, "written_bytes") < number(&report, "target_bytes"));
    usual.check("target");
    fs::File::options().write(true).open(&target).unwrap().set_len(50 * MIB).unwrap();
    usual.restore(&["a", "target", "--overwrite"]).expect(0);
    assert_eq!(fs::metadata(&target).unwrap().len(), 40 * MIB);
    usual.check("target");
}

/// Starts a restore and kills it once `reached`; whether it was still at work.
fn killed(workspace: &Workspace, arguments: &[&str], reached: impl Fn() -> bool) -> bool {
    let mut command = workspace.command([&["restore", "a"], arguments].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !reached() && child.try_wait().unwrap().is_none() {
        assert!(started.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

fn taken(path: &Path) -> u64 {
    if path.exists() { blocks_bytes(path) } else { 0 }
}

#[test]
fn a_killed_restore_goes_on() {
    let workspace = Workspace::new();
    let bytes = 48 * MIB;
    let disk = Disk::noise(&workspace.path("disk"), bytes, 1);
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    let target = workspace.path("target");
    let mut caught = 0;
    for reached in [MIB, 12 * MIB, 30 * MIB] {
        caught += u32::from(killed(&workspace, &["target"], || taken(&target) >= reached));
        let report = workspace.run(["restore", "a", "target", "--overwrite", "--json"]).expect(0).json();
        let written = number(&report, "written_bytes");
        assert!(written < bytes - reached / 2, "{written} bytes written after {reached} were there");
        assert_eq!(hash(&target), hash(disk.path()));
        fs::remove_file(&target).unwrap();
    }
    assert!(caught > 0, "every restore was through before its kill");
}

#[test]
fn a_killed_restore_over_another_disk_goes_on() {
    let Some(usual) = Usual::new() else { return };
    let target = usual.noise("target", 40 * MIB);
    let first_of_noise = usual.disk.image.read(25 * MIB, 512);
    let mut caught = 0;
    for wait in [10, 40, 90, 150] {
        let started = Instant::now();
        let reached = || started.elapsed() > Duration::from_millis(wait);
        caught += u32::from(killed(&usual.workspace, &["target", "--overwrite"], reached));
    }
    assert!(caught > 0, "every restore was through before its kill");
    usual.restore(&["a", "target", "--overwrite"]).expect(0);
    assert_eq!(target.image.read(25 * MIB, 512), first_of_noise);
    usual.check("target");
}

/// Back to how it was, and forth again, on the disk itself.
#[test]
fn a_disk_goes_back_in_time() {
    let Some(usual) = Usual::new() else { return };
    let copy = usual.workspace.path("copy");
    let device = usual.disk.part(2);
    let at = usual.workspace.path("mounted");
    let mount = Kind::Ext4.mount(device.path(), &at, "rw");
    // Some files go, others come where those were.
    let gone: Vec<_> = usual.trees[1].iter().filter(|(_, facts)| !facts.starts_with("directory")).step_by(2).collect();
    gone.iter().filter(|(path, _)| !path.starts_with("lost+found")).for_each(|(path, _)| {
        fs::remove_file(at.join(path)).unwrap();
    });
    fs::write(at.join("new"), vec![5; 2 << 20]).unwrap();
    drop(mount);
    let now = Kind::Ext4.tree(device.path());
    drop(device);
    let report = usual.workspace.run(["backup", "disk", "--name", "a", "--json"]).expect(0).json();
    assert!(number(&report, "new_bytes") < 8 * MIB, "{report}");
    let images = usual.workspace.images();
    let free_now = free_runs(usual.disk.path());
    fs::copy(usual.disk.path(), &copy).unwrap();
    let times = [(&images[0], &usual.trees[1], &usual.free), (&images[1], &now, &free_now)];
    for (image, tree, free) in [0, 1, 0, 0].map(|time| times[time]) {
        let report = usual.restore(&[image, "copy", "--overwrite", "--verify"]).expect(0).json();
        assert_eq!(number(&report, "free_bytes"), free.bytes());
        assert!(number(&report, "written_bytes") < 12 * MIB, "{report}");
        usual.disk.check(&copy, 1, Kind::Ext4Of1K, &usual.trees[0]);
        usual.disk.check(&copy, 2, Kind::Ext4, tree);
        assert_eq!(&free_runs(&copy), free);
    }
}
