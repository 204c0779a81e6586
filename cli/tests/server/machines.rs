//! Machines with tokens of their own: what they may do, and what the server learns from them.

use crate::fixture::Server;
use crate::management::{json, machine, with_token};
use crate::support::small_disk;
use serde_json::json;

#[test]
fn a_machines_token_backs_up_and_restores_its_own_alone() {
    let server = Server::initialised();
    let id = machine(&server, "pc-1");
    machine(&server, "pc-2");
    let (disk, other) = (small_disk(11), small_disk(12));
    server.workspace.write("disk", &disk);
    server.workspace.write("other", &other);
    with_token(&server, "pc-1.token", &["backup", "disk", "--name", "room-3/pc-1"]).expect(0);
    let made =
        with_token(&server, "pc-2.token", &["backup", "other", "--name", "room-3/pc-2", "--json"]).expect(0).json();
    let image = made["image"].as_str().unwrap();
    // Again, with nothing new to store.
    let again =
        with_token(&server, "pc-1.token", &["backup", "disk", "--name", "room-3/pc-1", "--json"]).expect(0).json();
    assert!(again["stored_bytes"].as_u64().unwrap() < 100_000, "{again}");

    // Its own, not that of the other one; nothing goes away.
    assert_eq!(with_token(&server, "pc-1.token", &["restore", "room-3/pc-1", "-"]).expect(0).stdout, disk);
    with_token(&server, "pc-1.token", &["restore", "room-3/pc-2", "-"]).expect(7);
    with_token(&server, "pc-1.token", &["restore", image, "-"]).expect(7);
    let seen = with_token(&server, "pc-1.token", &["images", "--json"]).expect(0).json();
    assert_eq!(seen.as_array().unwrap().len(), 2);
    server.workspace.write("spare", "a spare password\n");
    server.client(["key", "add", "--role", "full", "--new-password-file", "spare", "--fast-derivation"]).expect(0);
    let key = with_token(&server, "pc-1.token", &["key", "list", "--json"]).expect(0).json();
    let key = key.as_array().unwrap().iter().find(|key| key["current"] == false).unwrap()["slot"]
        .as_str()
        .unwrap_or_else(|| panic!("{key}"))
        .to_owned();
    with_token(&server, "pc-1.token", &["key", "remove", &key]).refused(1, &["may not"]);
    assert_eq!(json(&server, &["key", "list"]).as_array().unwrap().len(), 2);
    with_token(&server, "pc-1.token", &["machine", "remove", "pc-2"]).expect(1);

    // A grant counts where the right is `granted`.
    let told = server.client(["machine", "grant", "pc-1", "lab", image]).expect(0);
    assert!(told.stderr.contains("does not count yet"), "{}", told.stderr);
    with_token(&server, "pc-1.token", &["restore", image, "-"]).expect(7);
    let rights = json(&server, &["machine", "rights", "pc-1", "lab", "--restore", "granted"]);
    assert_eq!(rights[0], json!({ "repository": "lab", "may_add": true, "may_restore": "granted" }));
    assert_eq!(with_token(&server, "pc-1.token", &["restore", image, "-"]).expect(0).stdout, other);
    assert_eq!(json(&server, &["machine", "grants", "pc-1"])[0]["image"], image);
    assert!(server.client(["machine", "grants", "pc-1"]).expect(0).text().contains(image));
    server.client(["machine", "revoke-grant", "pc-1", "lab", image]).expect(0);
    server.client(["machine", "revoke-grant", "pc-1", "lab", image]).refused(1, &["there is none"]);
    with_token(&server, "pc-1.token", &["restore", image, "-"]).expect(7);

    // Rights that are taken away.
    server.client(["machine", "rights", "pc-1", "lab", "--no-add"]).expect(0);
    let table = server.client(["machine", "rights", "pc-1"]).expect(0).text();
    assert!(table.contains("lab") && table.contains("no") && table.contains("granted"), "{table}");
    with_token(&server, "pc-1.token", &["backup", "disk", "--name", "x"]).refused(1, &["may not"]);
    server.client(["machine", "rights", "pc-1", "lab", "--none"]).expect(0);
    with_token(&server, "pc-1.token", &["images"]).expect(1);

    // Its token is listed without its secret, and revoked.
    let tokens = json(&server, &["token", "list"]);
    let token = tokens.as_array().unwrap().iter().find(|token| token["machine"] == id.as_str()).unwrap();
    assert!(server.client(["token", "list"]).expect(0).text().contains("nightly"));
    server.client(["token", "revoke", token["id"].as_str().unwrap()]).expect(0);
    with_token(&server, "pc-1.token", &["images"]).refused(1, &["token"]);
}

#[test]
fn a_machine_enrols_with_a_code() {
    let server = Server::initialised();
    server.client(["group", "add", "room"]).expect(0);
    let code = server.client(["enrolment-code", "add", "--repository", "lab", "--group", "room"]).expect(0).text();
    server.workspace.write("code", &code);
    assert!(server.client(["enrolment-code", "list"]).expect(0).text().contains("lab"));
    let enrol = ["enrol", "pc-9", "--code-file", "code", "--new-machine-key-file"];
    let enrolled = with_token(&server, "pc-9.token", &[&enrol[..], &["pc-9.key", "--json"]].concat()).expect(0).json();
    let machine = json(&server, &["machine", "show", "pc-9"]);
    assert_eq!((&machine["id"], &machine["enrolled"]), (&enrolled["machine"], &json!(true)));
    assert_eq!(machine["groups"][0]["name"], "room");
    with_token(&server, "again.token", &[&enrol[..], &["again.key"]].concat()).refused(1, &["code"]);

    server.workspace.write("disk", small_disk(13));
    with_token(&server, "pc-9.token", &["backup", "disk", "--name", "pc-9"]).expect(0);
    let images = json(&server, &["image", "list"]);
    assert_eq!((&images[0]["machine"], &images[0]["name"]), (&enrolled["machine"], &json!("pc-9")));

    let told = with_token(&server, "pc-9.token", &["machine", "inventory", "--json"]).expect(0).json();
    assert!(told["disks"].is_array() && told["seen_ms"].is_i64(), "{told}");
    assert!(with_token(&server, "pc-9.token", &["machine", "inventory"]).expect(0).text().contains("pc-9"));
    server.client(["machine", "inventory"]).refused(1, &["that of a user"]);

    // Anew, with a code for this machine: the old token ends.
    let code = json(&server, &["enrolment-code", "add", "--machine", "pc-9"])["code"].as_str().unwrap().to_owned();
    server.workspace.write("code", code);
    with_token(&server, "new.token", &[&enrol[..], &["new.key"]].concat()).expect(0);
    with_token(&server, "pc-9.token", &["images"]).expect(1);
    with_token(&server, "new.token", &["images"]).expect(0);
    let code = json(&server, &["enrolment-code", "add", "--name", "pc-10"]);
    server.client(["enrolment-code", "remove", code["id"].as_str().unwrap()]).expect(0);
}

#[test]
fn the_server_is_told_what_images_are_called_unless_it_is_not_to_know() {
    let server = Server::initialised();
    server.workspace.write("disk", small_disk(14));
    let bytes = small_disk(14).len();
    let told = json(&server, &["backup", "disk", "--name", "room-3/told"]);
    let kept = json(&server, &["backup", "disk", "--name", "room-3/kept", "--no-report"]);
    let long = format!("room-3/{}", "x".repeat(120));
    server.client(["backup", "disk", "--name", &long]).expect(0);
    let shown = json(&server, &["image", "show", "lab", told["image"].as_str().unwrap()]);
    assert_eq!((&shown["name"], &shown["source_bytes"]), (&json!("room-3/told"), &json!(bytes)));
    assert_eq!(shown["stored_bytes"], told["stored_bytes"]);
    let shown = json(&server, &["image", "show", "lab", kept["image"].as_str().unwrap()]);
    assert!(shown["name"].is_null() && shown["source_bytes"].is_null(), "{shown}");
    let found = json(&server, &["image", "list", "ROOM-3"]);
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    let table = server.client(["image", "list", "--repository", "lab"]).expect(0).text();
    assert!(table.contains("room-3/told") && !table.contains("kept") && table.lines().count() == 4, "{table}");
}
