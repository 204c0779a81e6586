//! Command lines and sources that make no sense.

use crate::support::{Workspace, small_disk};

#[test]
fn usage_errors() {
    let workspace = Workspace::new();
    workspace.write("disk", small_disk(1));
    for arguments in [
        &["backup", "disk"][..],
        &["frobnicate"],
        &["backup", "disk", "--name", "a", "--compression", "20"],
        &["backup", "disk", "--name", "a", "--tag", "x"],
        &["backup", "disk", "--name", "a", "--parent", "x", "--no-parent"],
        &["backup", "disk", "--name", "with space"],
        &["backup", "disk", "--name", "a", "--tag", "bad key=1"],
        &["restore", "a@yesterday", "out"],
        &["verify", "--sample", "0"],
        &["verify", "--sample", "5", "--read-data"],
        &["images", "--repo", ""],
    ] {
        workspace.run(arguments).expect(2);
    }
    let mut command = workspace.command(["images"]);
    let output = command.env_remove("HOLOTYPE_REPO").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("HOLOTYPE_REPO"));
    assert!(workspace.run(["--help"]).expect(0).text().contains("130"));
    workspace.run(["--version"]).expect(0);
}

#[test]
fn sources_that_are_none() {
    let workspace = Workspace::new();
    workspace.run(["backup", "/dev/no-such-disk", "--name", "a"]).refused(1, &["/dev/no-such-disk", "No such file"]);
    workspace.run(["backup", ".", "--name", "a"]).refused(2, &["is a directory", "give the disk"]);
    workspace.run(["backup", "/dev/null", "--name", "a"]).refused(2, &["character device"]);
    assert!(workspace.images().is_empty());
}

#[test]
fn a_repository_is_not_backed_up_into_itself() {
    let workspace = Workspace::new();
    let inside = workspace.repository().join("config/repository");
    let inside = inside.to_str().unwrap();
    workspace.run(["backup", inside, "--name", "a"]).refused(1, &["cannot hold itself"]);
    std::os::unix::fs::symlink(inside, workspace.path("link")).unwrap();
    let run = workspace.run(["backup", "link", "--name", "a", "--json"]).expect(1);
    assert_eq!(run.json()["kind"], "own-disk");
}

#[test]
fn a_repository_is_made_once() {
    let workspace = Workspace::new();
    workspace.run(["init"]).refused(1, &["there is a repository already"]);
    std::fs::create_dir(workspace.path("other")).unwrap();
    workspace.write("other/file", "x");
    workspace.run(["init", "--repo", "other"]).refused(1, &["not empty"]);
    workspace.run(["init", "--repo", "no/such/place"]).expect(1);
    workspace.run(["images", "--repo", "other"]).refused(1, &["no repository"]);
}

#[test]
fn no_such_image() {
    let workspace = Workspace::new();
    workspace.run(["show", "nothing"]).refused(7, &["nothing", "holotype images"]);
    workspace.run(["restore", "nothing", "out"]).expect(7);
    assert!(!workspace.path("out").exists());
    workspace.write("disk", "x");
    workspace.run(["backup", "disk", "--name", "a", "--parent", "nothing"]).expect(7);
    workspace.run(["restore", "a@2000-01-01T00:00:00Z", "out"]).expect(7);
}

#[test]
fn texts_are_made() {
    let workspace = Workspace::empty();
    for shell in ["bash", "zsh", "fish"] {
        assert!(workspace.run(["completions", shell]).expect(0).text().contains("rebuild-index"), "{shell}");
    }
    workspace.run(["man", "man"]).expect(0);
    let page = String::from_utf8(workspace.read("man/holotype-backup.1")).unwrap();
    assert!(page.contains("compression") && !page.contains(workspace.repository().to_str().unwrap()));
    workspace.run(["disks"]).expect(0);
}
