//! `holotype copy`: between directories, with another password or a writer's key on the other side.

use crate::support::{Workspace, small_disk};

#[test]
fn images_go_into_another_repository() {
    let workspace = Workspace::new();
    let disk = small_disk(21);
    workspace.write("disk", &disk);
    workspace.run(["backup", "disk", "--name", "lab/pc", "--tag", "room=3"]).expect(0);
    workspace.write("other-password", "another password\n");
    let other = ["--repo", "other", "--password-file", "other-password"];
    workspace.run_without_password([&["init", "--fast-derivation"][..], &other].concat()).expect(0);
    let copy = ["copy", "lab/pc", "--to", "other", "--to-password-file", "other-password"];
    let copied = workspace.run([&copy[..], &["--json"]].concat()).expect(0).json();
    assert_eq!(copied[0]["copied"]["name"], "lab/pc");
    let shown = workspace.run_without_password([&["images", "--json"][..], &other].concat()).expect(0).json();
    assert_eq!((shown[0]["name"].as_str(), shown[0]["tags"]["room"].as_str()), (Some("lab/pc"), Some("3")));
    assert_eq!(shown[0]["time"], workspace.run(["show", "lab/pc", "--json"]).expect(0).json()["time"]);
    let back = workspace.run_without_password([&["restore", "lab/pc", "-"][..], &other].concat()).expect(0);
    assert!(back.stdout == disk);
    assert!(workspace.run(copy).expect(0).text().contains("is there already"));
    let again = workspace.run([&copy[..], &["--again", "--name", "second"]].concat()).expect(0).text();
    assert!(again.contains("copied second") && again.contains("0 B of"), "{again}");
    workspace.run_without_password([&["verify", "--read-data"][..], &other].concat()).expect(0);

    // A writer's key on the other side is enough.
    let writer = ["key", "add", "--role", "writer", "--new-key-file", "writer.key"];
    workspace.run_without_password([&writer[..], &other].concat()).expect(0);
    workspace.run(["copy", "lab/pc", "--to", "other", "--to-key-file", "writer.key", "--name", "third"]).expect(0);

    workspace.run(["copy", "lab/pc", "--to", "other"]).refused(5, &["password"]);
    workspace.run(["copy", "nothing", "--to", "other", "--to-password-file", "other-password"]).expect(7);
    workspace.run(["copy", "lab/pc", "--to", "repo"]).refused(2, &["there already", "another repository"]);
    workspace.run(["copy", "lab/pc", "--to", "nowhere"]).expect(1);
}
