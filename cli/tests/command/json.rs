//! Shapes of the JSON that each command prints.

use crate::support::{Workspace, small_disk};
use serde_json::Value;

#[track_caller]
fn has(value: &Value, keys: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for key in keys {
        assert!(object.contains_key(*key), "no `{key}` in {value}");
    }
}

#[test]
fn one_value_for_each_command() {
    let workspace = Workspace::empty();
    let made = workspace.run(["init", "--fast-derivation", "--json"]).expect(0).json();
    has(&made, &["repository", "path", "recovery_key"]);
    workspace.write("disk", small_disk(1));
    let report = workspace.run(["backup", "disk", "--name", "a", "--tag", "k=v", "--json"]).expect(0).json();
    let keys = "image name time parent source_bytes read_bytes data_bytes zero_bytes free_bytes unreadable_bytes \
                unreadable chunks new_chunks new_bytes stored_bytes elapsed_seconds warnings";
    has(&report, &keys.split_whitespace().collect::<Vec<_>>());
    assert_eq!(report["source_bytes"], small_disk(1).len());
    let images = workspace.run(["images", "--json"]).expect(0).json();
    has(&images[0], &["image", "name", "time", "source_bytes", "tags", "protected", "writer"]);
    assert_eq!(images[0]["tags"]["k"], "v");
    has(&workspace.run(["show", "a", "--json"]).expect(0).json(), &["image", "geometry", "source", "chunks"]);
    has(&workspace.run(["restore", "a", "out", "--json"]).expect(0).json(), &["target", "target_bytes", "data_bytes"]);
    let verified = workspace.run(["verify", "--sample", "50", "--json"]).expect(0).json();
    has(&verified, &["objects", "images", "packs", "packs_read", "read_bytes", "findings"]);
    assert!(
        verified["packs"] == 2 && verified["packs_read"].as_u64().unwrap() <= 2,
        "each is drawn by itself: {verified}"
    );
    has(&workspace.run(["stats", "--json"]).expect(0).json(), &["stored_bytes", "data_packs", "images"]);
    has(&workspace.run(["rebuild-index", "--json"]).expect(0).json(), &["index_entries"]);
    assert!(workspace.run(["disks", "--json"]).expect(0).json().is_array());
    let key = workspace.run(["key", "add", "--role", "writer", "--new-key-file", "k", "--json"]).expect(0).json();
    has(&key, &["key", "role"]);
    has(&workspace.run(["key", "list", "--json"]).expect(0).json()[0], &["slot", "role", "label", "opened_by"]);
    let id = key["key"].as_str().unwrap();
    has(&workspace.run(["key", "remove", id, "--json"]).expect(0).json(), &["removed"]);
}

#[test]
fn failures_are_one_value_too() {
    let workspace = Workspace::new();
    for (arguments, code, kind) in [
        (&["show", "nothing", "--json"][..], 7, "no-such-image"),
        (&["backup", "missing", "--name", "a", "--json"], 1, "not-found"),
        (&["backup", "--json"], 2, "usage"),
        (&["images", "--json", "--key-file", "missing"], 1, "not-found"),
        (&["backup", ".", "--name", "a", "--json"], 2, "invalid-input"),
    ] {
        let run = workspace.run(arguments).expect(code);
        let value = run.json();
        has(&value, &["error", "kind"]);
        assert_eq!(value["kind"], kind, "{value}");
        assert!(run.stderr.contains(value["error"].as_str().unwrap()), "{run:?}");
    }
}
