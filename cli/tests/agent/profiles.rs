//! Profiles as a person gives them: off a medium or as plain JSON, and those that cannot be used.

use crate::console::Sitting;
use crate::support::{Run, Workspace, finish, noise};
use holotype_boot::profile::{self, BootProfile, DiskChoice, Place, Style, Task};

/// A backup of the only disk to a folder of a partition that is not there: it fails when it goes there.
fn profile() -> BootProfile {
    let mut profile = BootProfile::new("pc-07", Style::Local);
    let place = Place::Partition { uuid: "0000-0000".into(), folder: "holotype".into() };
    profile.task = Task::Backup { place, disk: DiskChoice::Only, image_name: None, writer_key: "0f".repeat(32) };
    profile
}

fn run(workspace: &Workspace) -> Run {
    let arguments = ["agent", "--profile", "profile", "--unattended", "--state-dir", "state", "--disk", "disk"];
    finish(workspace.command(arguments).spawn().unwrap())
}

#[test]
fn a_profile_is_taken_off_a_medium_and_as_json() {
    let workspace = Workspace::empty();
    workspace.write("disk", noise(1, 1 << 20));
    let (json, envelope) = (serde_json::to_vec_pretty(&profile()).unwrap(), profile::encode(&profile()).unwrap());
    for bytes in [json, envelope] {
        workspace.write("profile", bytes);
        run(&workspace).refused(1, &["0000-0000"]);
    }
}

#[test]
fn a_profile_that_cannot_be_used_is_told() {
    let workspace = Workspace::empty();
    workspace.write("disk", noise(1, 1 << 20));
    let told = |bytes: &[u8], parts: &[&str]| {
        workspace.write("profile", bytes);
        run(&workspace).refused(1, parts);
    };
    let text = String::from_utf8(profile::encode(&profile()).unwrap()).unwrap();
    told(text.replace("pc-07", "pc-08").as_bytes(), &["was altered or is damaged", "make the medium anew"]);
    told(text.replace("profile 1", "profile 9").as_bytes(), &["version 9", "make the medium anew"]);
    let mut json = serde_json::to_value(profile()).unwrap();
    json["colour"] = "red".into();
    told(json.to_string().as_bytes(), &["unknown field `colour`", "mend it in the file"]);
    told(b"#!/bin/sh\n", &["neither one off a medium nor JSON"]);
    let expired = BootProfile { expires_ms: Some(1), ..profile() };
    told(&serde_json::to_vec(&expired).unwrap(), &["is expired", "clock", "make the medium anew"]);
    std::fs::remove_file(workspace.path("profile")).unwrap();
    run(&workspace).refused(1, &["profile: "]);
}

/// The menu stays the way on: by hand everything can be done.
#[test]
fn the_menu_says_why_a_profile_is_not_used_and_works() {
    let workspace = Workspace::empty();
    let altered = String::from_utf8(profile::encode(&profile()).unwrap()).unwrap().replace("pc-07", "pc-08");
    let expired = serde_json::to_string(&BootProfile { expires_ms: Some(1), ..profile() }).unwrap();
    for (text, sentence) in [(altered, "was altered"), (expired, "is expired")] {
        workspace.write("profile", text);
        let Some(mut sitting) = Sitting::start(&workspace, "--profile profile --state-dir state") else { return };
        sitting.read(sentence).read("you can work by hand").see("Back up this PC");
        sitting.press("\x1b[F").press("\r");
        assert_eq!(sitting.end(), 0);
    }
}
