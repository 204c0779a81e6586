//! Several processes at once.

use crate::support::{Workspace, finish, noise};

#[test]
fn backups_share_a_repository_and_a_cache() {
    let workspace = Workspace::new();
    let shared = noise(1, 6 << 20);
    let disks: Vec<Vec<u8>> = (0..3).map(|seed| [shared.clone(), noise(10 + seed, 3 << 20)].concat()).collect();
    for (number, disk) in disks.iter().enumerate() {
        workspace.write(&format!("disk{number}"), disk);
    }
    let spawn = |number| {
        let (disk, name) = (format!("disk{number}"), format!("pc-{number}"));
        workspace.command(["backup", &disk, "--name", &name, "--cache-dir", "cache"]).spawn().unwrap()
    };
    let children: Vec<_> = (0..disks.len()).map(spawn).collect();
    for child in children {
        finish(child).expect(0);
    }
    for (number, disk) in disks.iter().enumerate() {
        let run = workspace.run(["restore", &format!("pc-{number}"), "-", "--cache-dir", "cache"]).expect(0);
        assert!(run.stdout == *disk, "pc-{number}");
    }
    assert_eq!(workspace.images().len(), disks.len());
    workspace.verify_clean();
}

#[test]
fn one_of_two_that_make_a_repository_wins() {
    let workspace = Workspace::empty();
    let children: Vec<_> = (0..4).map(|_| workspace.command(["init", "--fast-derivation"]).spawn().unwrap()).collect();
    let made = children.into_iter().map(finish).filter(|run| run.code == 0).count();
    assert_eq!(made, 1);
    workspace.run(["images"]).expect(0);
    assert_eq!(workspace.run(["stats", "--json"]).expect(0).json()["keys"], 1);
}
