//! Real block devices and mounts. These tests need root, `losetup`, `mount` and `mke2fs`, and say
//! so where they are missing.

use crate::support::{Workspace, noise, small_disk, system};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A loop device, detached when dropped.
struct Loop(PathBuf);

impl Loop {
    fn new(file: &Path) -> Option<Self> {
        let path = system("losetup", &["--find".as_ref(), "--show".as_ref(), file.as_ref()]);
        if path.is_none() {
            eprintln!("skipped: no loop devices here (root and losetup needed)");
        }
        path.map(|path| Self(path.into()))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        system("losetup", &["--detach".as_ref(), self.0.as_ref()]);
    }
}

/// A mount, unmounted when dropped.
pub struct Mount(PathBuf);

impl Mount {
    pub fn new(arguments: &[&str], at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mut all: Vec<&std::ffi::OsStr> = arguments.iter().map(|argument| argument.as_ref()).collect();
        all.push(at.as_ref());
        let mounted = system("mount", &all);
        if mounted.is_none() {
            eprintln!("skipped: cannot mount here");
        }
        mounted.map(|_| Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        system("umount", &[self.0.as_ref()]);
    }
}

#[test]
fn a_disk_is_backed_up_and_written_to_another() {
    let workspace = Workspace::new();
    let disk = small_disk(1);
    let (source, target) = (workspace.write("source", &disk), workspace.write("target", noise(9, disk.len() + 4096)));
    let (Some(from), Some(to)) = (Loop::new(&source), Loop::new(&target)) else { return };
    workspace.run(["backup", from.path(), "--name", "a"]).expect(0);
    workspace.run(["restore", "a", to.path()]).refused(6, &["all that it holds would be lost", "say --overwrite"]);
    assert!(workspace.read("target") == noise(9, disk.len() + 4096));
    workspace.run(["restore", "a", to.path(), "--overwrite"]).expect(0);
    drop(to);
    assert!(workspace.read("target")[..disk.len()] == disk);

    let small = workspace.write("small", noise(9, 1 << 20));
    let Some(small) = Loop::new(&small) else { return };
    workspace.run(["restore", "a", small.path(), "--overwrite"]).refused(6, &["what is in use of the image needs"]);
}

#[test]
fn a_mounted_disk_is_told_of_and_not_overwritten_and_holds_no_repository_of_itself() {
    let workspace = Workspace::new();
    let file = workspace.path("file system");
    File::create(&file).unwrap().set_len(64 << 20).unwrap();
    if system("mke2fs", &["-q".as_ref(), "-F".as_ref(), file.as_ref()]).is_none() {
        eprintln!("skipped: no mke2fs here");
        return;
    }
    let Some(device) = Loop::new(&file) else { return };
    let Some(mount) = Mount::new(&[device.path()], workspace.path("mounted")) else { return };
    let run = workspace.run(["backup", device.path(), "--name", "a", "--json"]).expect(0);
    assert!(run.stderr.contains("is mounted read-write at"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "told once: {}", run.stderr);
    assert_eq!(run.json()["warnings"].as_array().unwrap().len(), 1);
    workspace.run(["restore", "a", device.path(), "--overwrite"]).refused(6, &["is in use at", "unmount"]);

    let own = mount.0.join("repo");
    let own = own.to_str().unwrap();
    let backup = ["backup", device.path(), "--name", "a", "--repo", own, "--init"];
    workspace.run(backup).refused(1, &["cannot hold itself"]);
    assert!(!mount.0.join("repo").exists(), "it is refused before anything is made");
    workspace.run(["init", "--repo", own, "--fast-derivation"]).expect(0);
    for source in [device.path(), file.to_str().unwrap()] {
        workspace.run(["backup", source, "--name", "a", "--repo", own]).refused(1, &["cannot hold itself"]);
    }
    workspace.write("other", small_disk(1));
    workspace.run(["backup", "other", "--name", "a", "--repo", own]).expect(0);
}
