//! Targets of a restore that are refused.

use crate::support::{Workspace, small_disk};

#[test]
fn a_file_that_holds_something_wants_a_word() {
    let workspace = Workspace::new();
    let disk = small_disk(1);
    workspace.write("disk", &disk);
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    workspace.write("target", "precious");
    let run = workspace.run(["restore", "a", "target", "--json"]).refused(6, &["say --overwrite"]);
    assert_eq!(run.json()["kind"], "target-refused");
    assert_eq!(workspace.read("target"), b"precious");
    workspace.run(["restore", "a", ".", "--overwrite"]).refused(6, &["is a directory"]);
    workspace.run(["restore", "a", "target", "--overwrite"]).expect(0);
    assert!(workspace.read("target") == disk);
    workspace.write("empty", "");
    workspace.run(["restore", "a", "empty"]).expect(0);
    let inside = workspace.repository().join("packs/new");
    workspace.run(["restore", "a", inside.to_str().unwrap()]).refused(6, &["inside of the repository"]);
    workspace.run(["restore", "a", "/dev/no-such-disk"]).refused(1, &["no such device"]);
    workspace.run(["restore", "a", "no/such/place"]).expect(1);
    workspace.run(["restore", "a", "-", "--json"]).refused(2, &["standard output"]);
}
