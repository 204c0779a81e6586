//! Destinations that are full or read-only. These tests need root, and say so where it is missing.

use crate::devices::Mount;
use crate::support::{Workspace, noise, system};
use std::ffi::OsStr;

#[test]
fn a_full_destination_is_told_and_leaves_a_clean_repository() {
    let workspace = Workspace::empty();
    let Some(_mount) = Mount::new(&["-t", "tmpfs", "-o", "size=8m", "none"], workspace.repository()) else { return };
    workspace.run(["init", "--fast-derivation"]).expect(0);
    workspace.write("disk", noise(1, 32 << 20));
    let run = workspace.run(["backup", "disk", "--name", "a", "--json"]).refused(1, &["to be stored", "free space"]);
    assert_eq!(run.json()["kind"], "no-space");
    assert!(workspace.images().is_empty());
    let packs = std::fs::read_dir(workspace.repository().join("packs")).unwrap().count();
    assert_eq!(packs, 0, "it was told before anything was stored");
    workspace.verify_clean();

    let remount = ["-o", "remount,size=80m"].map(OsStr::new);
    system("mount", &[remount[0], remount[1], workspace.repository().as_ref()]).unwrap();
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    workspace.verify_clean();

    let Some(_target) = Mount::new(&["-t", "tmpfs", "-o", "size=8m", "none"], workspace.path("small")) else { return };
    let run = workspace.run(["restore", "a", "small/out", "--json"]).expect(1);
    assert_eq!(run.json()["kind"], "no-space");
}

#[test]
fn a_read_only_repository_is_restored_from_and_not_written() {
    let workspace = Workspace::new();
    let disk = noise(1, 1 << 20);
    workspace.write("disk", &disk);
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    let repository = workspace.repository();
    let Some(_mount) = Mount::new(&["--bind", repository.to_str().unwrap()], repository.clone()) else { return };
    let remount = ["-o", "remount,ro,bind"].map(OsStr::new);
    system("mount", &[remount[0], remount[1], repository.as_ref()]).unwrap();
    let run = workspace.run(["backup", "disk", "--name", "a", "--json"]).refused(1, &["Read-only"]);
    assert_eq!(run.json()["kind"], "no-space");
    let run = workspace.run(["restore", "a", "-"]).expect(0);
    assert!(run.stdout == disk && run.stderr.contains("no lease"), "{}", run.stderr);
    workspace.run(["images"]).expect(0);
    workspace.run(["verify", "--read-data"]).expect(0);
}
