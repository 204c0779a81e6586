//! Keys: second factors, recovery, writers, changes.

use crate::support::{PASSWORD, Workspace, small_disk};
use std::os::unix::fs::PermissionsExt;

fn key_ids(workspace: &Workspace, label: &str) -> Vec<String> {
    let keys = workspace.run(["key", "list", "--json"]).expect(0).json();
    let keys = keys.as_array().unwrap().iter().filter(|key| key["label"] == label);
    keys.map(|key| key["slot"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_recovery_key_opens_alone() {
    let workspace = Workspace::empty();
    workspace.run(["init", "--recovery-key", "safe.key", "--fast-derivation", "-q"]).expect(0);
    let text = String::from_utf8(workspace.read("safe.key")).unwrap();
    let id = workspace.run(["stats", "--json"]).json()["repository"].as_str().unwrap().to_owned();
    assert!(text.starts_with("# Holotype recovery key of repository ") && text.contains(&id), "{text}");
    let mode = std::fs::metadata(workspace.path("safe.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    workspace.run_without_password(["images", "--key-file", "safe.key"]).expect(0);
    workspace.write("changed.key", text.replacen('#', "##", 1));
    workspace.run_without_password(["images", "--key-file", "changed.key"]).expect(5);
    // Never written over another file, and then nothing is made.
    let again = ["init", "--repo", "other", "--recovery-key", "safe.key", "--fast-derivation"];
    workspace.run(again).refused(1, &["safe.key", "give another path"]);
    assert_eq!(String::from_utf8(workspace.read("safe.key")).unwrap(), text);
    assert!(!workspace.path("other").exists());
}

#[test]
fn a_second_factor_is_needed() {
    let workspace = Workspace::empty();
    workspace.run(["init", "--new-key-file", "second.key", "--fast-derivation"]).expect(0);
    workspace.run(["images"]).expect(5);
    workspace.run_without_password(["images", "--key-file", "second.key"]).expect(5);
    workspace.run(["images", "--key-file", "second.key"]).expect(0);

    workspace.run(["init", "--repo", "alone", "--key-file", "second.key", "--no-password"]).expect(0);
    workspace.run_without_password(["images", "--repo", "alone", "--key-file", "second.key"]).expect(0);
    workspace.run(["init", "--repo", "none", "--no-password"]).refused(2, &["--key-file"]);
    workspace.write("short.key", "0123456789");
    workspace.run(["init", "--repo", "short", "--key-file", "short.key"]).refused(2, &["at least 32"]);
}

#[test]
fn a_writer_adds_images_and_opens_none() {
    let workspace = Workspace::new();
    let disk = small_disk(1);
    workspace.write("disk", &disk);
    workspace.run(["key", "add", "--role", "writer"]).refused(2, &["--new-key-file"]);
    let add = ["key", "add", "--role", "writer", "--label", "pc-07", "--new-key-file", "pc.key"];
    workspace.run(add).expect(0);
    let writer = |arguments: &[&str]| workspace.run_without_password([arguments, &["--key-file", "pc.key"]].concat());
    writer(&["backup", "disk", "--name", "pc-07"]).expect(0);
    let again = writer(&["backup", "disk", "--name", "pc-07", "--json"]).expect(0).json();
    assert_eq!(again["new_bytes"], 0, "it deduplicates against its own");
    for refused in [&["images"][..], &["show", "pc-07"], &["restore", "pc-07", "out"], &["verify"]] {
        writer(refused).refused(1, &["a writer key may not"]);
    }
    writer(&["key", "add", "--role", "full", "--new-key-file", "evil.key"]).refused(1, &["may not add keys"]);
    assert!(!workspace.path("out").exists() && !workspace.path("evil.key").exists());
    assert!(workspace.run(["restore", "pc-07", "-"]).expect(0).stdout == disk);
    workspace.verify_clean();

    let id = &key_ids(&workspace, "pc-07")[0];
    workspace.run(["key", "remove", &id[..8]]).expect(0);
    writer(&["backup", "disk", "--name", "pc-07"]).expect(5);
    workspace.run(["key", "remove", &id[..8]]).refused(1, &["no such key"]);
    workspace.run(["key", "remove", "a"]).refused(2, &["at least 4"]);
}

#[test]
fn a_password_is_changed() {
    let workspace = Workspace::new();
    workspace.write("disk", small_disk(1));
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    workspace.run(["key", "passwd"]).refused(2, &["--new-password-file"]);
    workspace.write("new", "battery staple\n");
    workspace.run(["key", "passwd", "--new-password-file", "new", "--fast-derivation"]).expect(0);
    workspace.run(["images"]).expect(5);
    workspace.run(["verify", "--read-data", "--password-file", "new"]).expect(0);
    let listed = workspace.run(["key", "list", "--password-file", "new"]).expect(0).text();
    assert!(listed.contains("first") && listed.lines().count() == 2, "{listed}");
}

#[test]
fn a_second_factor_stays_when_the_password_changes() {
    let workspace = Workspace::empty();
    workspace.run(["init", "--new-key-file", "second.key", "--fast-derivation"]).expect(0);
    workspace.write("new", "battery staple");
    let change = ["key", "passwd", "--new-password-file", "new", "--fast-derivation", "--key-file", "second.key"];
    workspace.run(change).expect(0);
    workspace.run(["images", "--password-file", "new"]).expect(5);
    workspace.run(["images", "--password-file", "new", "--key-file", "second.key"]).expect(0);
}

#[test]
fn the_last_full_key_stays() {
    let workspace = Workspace::new();
    let id = key_ids(&workspace, "first").remove(0);
    workspace.run(["key", "remove", &id]).refused(2, &["last full key"]);
    workspace.write("second", "second\n");
    let add = ["key", "add", "--role", "full", "--label", "b", "--new-password-file", "second", "--fast-derivation"];
    workspace.run(add).expect(0);
    workspace.run(["key", "remove", &id, "--password-file", "second"]).expect(0);
    workspace.write("first", PASSWORD);
    workspace.run(["images", "--password-file", "first"]).expect(5);
}
