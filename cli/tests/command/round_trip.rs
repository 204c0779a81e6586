//! What goes in comes out: files, links, streams.

use crate::support::{Workspace, noise, small_disk};

#[test]
fn a_file_comes_back_by_name_time_and_id() {
    let workspace = Workspace::new();
    let (old, new) = (small_disk(1), small_disk(2));
    workspace.write("disk", &old);
    let first = workspace.run(["backup", "disk", "--name", "lab/pc", "--json"]).expect(0).json();
    workspace.write("disk", &new);
    let second = workspace.run(["backup", "disk", "--name", "lab/pc", "--tag", "room=3", "--json"]).expect(0).json();
    assert_eq!(second["parent"], first["image"], "the newest of the name is the parent");

    workspace.run(["restore", "lab/pc", "by-name"]).expect(0);
    assert!(workspace.read("by-name") == new);
    let at_time = format!("lab/pc@{}", first["time"].as_str().unwrap());
    workspace.run(["restore", &at_time, "by-time"]).expect(0);
    assert!(workspace.read("by-time") == old);
    workspace.run(["restore", &first["image"].as_str().unwrap()[..6], "by-id"]).expect(0);
    assert!(workspace.read("by-id") == old);

    let shown = workspace.run(["show", "lab/pc"]).expect(0).text();
    assert!(shown.contains("room=3") && shown.contains("4.00 MiB"), "{shown}");
    workspace.verify_clean();
}

#[test]
fn streams_go_in_and_out() {
    let workspace = Workspace::new();
    let disk = small_disk(3);
    workspace.run_with_stdin(["backup", "-", "--name", "stream"], &disk).expect(0);
    let run = workspace.run(["restore", "stream", "-"]).expect(0);
    assert!(run.stdout == disk && run.stderr.is_empty(), "{}", run.stderr);
    workspace.run_with_stdin(["backup", "-", "--name", "empty"], b"").expect(0);
    assert_eq!(workspace.run(["restore", "empty", "-"]).expect(0).stdout, b"");
}

#[test]
fn a_link_is_followed() {
    let workspace = Workspace::new();
    let disk = small_disk(4);
    std::os::unix::fs::symlink(workspace.write("disk", &disk), workspace.path("link")).unwrap();
    workspace.run(["backup", "link", "--name", "linked"]).expect(0);
    assert!(workspace.run(["restore", "linked", "-"]).expect(0).stdout == disk);
}

#[test]
fn options_of_a_backup() {
    let workspace = Workspace::empty();
    workspace.write("disk", vec![7; 1 << 20]);
    workspace.run(["backup", "disk", "--name", "a"]).refused(1, &["repo", "no repository"]);
    workspace.run(["backup", "disk", "--name", "a", "--init", "--dry-run"]).expect(2);
    assert!(!workspace.repository().exists());
    workspace.run(["init", "--fast-derivation"]).expect(0);
    workspace.run(["backup", "disk", "--name", "a", "--dry-run"]).expect(0);
    assert!(workspace.images().is_empty(), "a dry run stores nothing");
    workspace.run(["backup", "disk", "--name", "a", "--init", "--compression", "none", "--raw"]).expect(0);
    workspace.run(["backup", "disk", "--name", "b", "--compression", "19"]).expect(0);
    let first = workspace.images()[0].clone();
    let run = workspace.run(["backup", "disk", "--name", "b", "--parent", &first[..8], "--json"]).expect(0).json();
    assert_eq!((&run["parent"], &run["new_chunks"]), (&first.into(), &0.into()));
    let run = workspace.run(["backup", "disk", "--name", "b", "--no-parent", "--json"]).expect(0).json();
    assert!(run["parent"].is_null());
    let listed = workspace.run(["images", "--name", "a", "--json"]).expect(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[test]
fn a_quiet_run_says_nothing_and_a_loud_one_only_to_standard_error() {
    let workspace = Workspace::new();
    workspace.write("disk", noise(5, 100_000));
    let run = workspace.run(["-q", "backup", "disk", "--name", "a"]).expect(0);
    assert_eq!((run.text().as_str(), run.stderr.as_str()), ("", ""));
    let run = workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    assert!(run.text().starts_with("image ") && run.stderr.is_empty(), "{run:?}");
    workspace.run(["-vv", "images", "--json"]).expect(0).json();
}

#[test]
fn the_index_is_rebuilt() {
    let workspace = Workspace::new();
    workspace.write("disk", small_disk(6));
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    let entries = |run: serde_json::Value| run["index_entries"].as_u64().unwrap();
    let before = entries(workspace.run(["stats", "--json"]).expect(0).json());
    assert!(before > 0);
    assert_eq!(entries(workspace.run(["rebuild-index", "--json"]).expect(0).json()), before);
    let cache = workspace.path("other cache");
    let cache = cache.to_str().unwrap();
    assert_eq!(entries(workspace.run(["stats", "--cache-dir", cache, "--json"]).expect(0).json()), before);
    assert_eq!(std::fs::read_dir(cache).unwrap().count(), 1, "a folder by the repository's id");
}
