//! Unattended work against a real server.

use crate::fixture::{PATIENCE, Server};
use crate::support::{Run, finish, noise};
use holotype_boot::profile::{self, BootProfile, DiskChoice, Enrolment, Place, Style, Task};
use serde_json::{Value, json};
use std::process::Child;
use std::time::Instant;

pub fn json_of(server: &Server, arguments: &[&str]) -> Value {
    server.client([arguments, &["--json"]].concat()).expect(0).json()
}

/// A profile for a new machine, with an enrolment code.
pub fn profile_for(server: &Server, name: &str, task: Task) -> BootProfile {
    let code = json_of(server, &["enrolment-code", "add", "--repository", "lab"])["code"].as_str().unwrap().to_owned();
    let mut profile = BootProfile::new(name, Style::Network);
    profile.server = Some(profile::Server {
        url: server.url(),
        pin: server.pin(),
        organisation: None,
        machine: None,
        enrolment: Some(Enrolment { code, expires_ms: i64::MAX }),
    });
    profile.task = task;
    profile
}

fn start(server: &Server, arguments: &[&str]) -> Child {
    let common = ["agent", "--profile", "profile", "--unattended", "--state-dir", "state"];
    server.workspace.command([&common[..], arguments].concat()).spawn().unwrap()
}

fn run(server: &Server, arguments: &[&str]) -> Run {
    finish(start(server, arguments))
}

pub fn machine_id(server: &Server, name: &str) -> String {
    json_of(server, &["machine", "show", name])["id"].as_str().unwrap().to_owned()
}

/// A key file of a writer, in hexadecimal digits as a profile has it.
pub fn writer_key(server: &Server) -> String {
    let arguments = ["key", "add", "--role", "writer", "--new-key-file", "writer.key"];
    server.client([&arguments[..], &["--fast-derivation"]].concat()).expect(0);
    server.workspace.read("writer.key").iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_backup_by_the_profile_with_a_writers_key() {
    let server = Server::initialised();
    let writer_key = writer_key(&server);
    let place = Place::Server { repository: "lab".into() };
    let task = Task::Backup { place, disk: DiskChoice::Only, image_name: None, writer_key };
    let mut profile = profile_for(&server, "pc-07", task);
    server.workspace.write("profile", profile::encode(&profile).unwrap());
    server.workspace.write("disk", noise(1, 2 << 20));
    server.workspace.write("other", noise(2, 1 << 20));
    let env = |arguments: &[&str]| {
        let mut command = server.workspace.command(
            [&["agent", "--profile", "profile", "--unattended", "--state-dir", "state"][..], arguments].concat(),
        );
        command.env_remove("HOLOTYPE_PASSWORD");
        finish(command.spawn().unwrap())
    };
    // Two disks: none is touched.
    let told = env(&["--disk", "disk", "--disk", "other"]).expect(1).stderr;
    assert!(told.contains("2 disks") && told.contains("choose by hand"), "{told}");
    let done = env(&["--disk", "disk", "--json"]).expect(0).json();
    assert_eq!((&done["what"], &done["unreadable_bytes"]), (&json!("Backup"), &json!(0)));
    let images = json_of(&server, &["image", "list"]);
    assert_eq!((&images[0]["name"], &images[0]["machine"]), (&json!("pc-07"), &json!(machine_id(&server, "pc-07"))));
    assert_eq!(server.client(["restore", "pc-07", "-"]).expect(0).stdout, server.workspace.read("disk"));
    // The key was kept: the used code does not matter any more.
    env(&["--disk", "disk"]).expect(0);
    profile.expires_ms = Some(1);
    server.workspace.write("profile", profile::encode(&profile).unwrap());
    assert!(env(&["--disk", "disk"]).expect(1).stderr.contains("expired"));
}

#[test]
fn tasks_of_the_server_are_done_and_their_results_recorded() {
    let server = Server::initialised();
    server.workspace.write("profile", profile::encode(&profile_for(&server, "pc-08", Task::Server)).unwrap());
    server.workspace.write("disk", noise(5, 8 << 20));
    let mut child = start(&server, &["--disk", "disk", "--quiet"]);
    let started = Instant::now();
    // It enrols by itself; then there is a machine to make a task for.
    while !server.client(["machine", "show", "pc-08"]).code.eq(&0) {
        assert!(started.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    server.client(["machine", "rights", "pc-08", "lab", "--add", "--restore", "own"]).expect(0);
    server.client(["task", "backup", "--machine", "pc-08", "--repository", "lab", "--name", "nightly"]).expect(0);
    finish(child).expect(0);
    let task = json_of(&server, &["task", "show", "nightly"]);
    let run = &task["runs"][0];
    assert_eq!(run["state"], "done", "{task}");
    assert!(run["result"].as_str().unwrap().contains("backed up"), "{task}");
    let image = run["image"].as_str().unwrap().to_owned();

    // A restore onto another file, whose receipt comes back.
    server
        .client(["task", "restore", "--image", &image, "--machine", "pc-08", "--repository", "lab", "--name", "back"])
        .expect(0);
    self::run(&server, &["--disk", "target", "--quiet"]).expect(0);
    assert!(server.workspace.read("target") == server.workspace.read("disk"));
    let task = json_of(&server, &["task", "show", "back"]);
    assert_eq!(task["runs"][0]["state"], "done", "{task}");
    assert!(
        task["runs"][0]["receipt"].as_str().unwrap().contains("content")
            || task["runs"][0]["receipt"].as_str().unwrap().contains("holotype receipt"),
        "{task}"
    );

    // Without a password: with the keys that the task's maker sealed to this machine.
    server
        .client([
            "task",
            "restore",
            "--image",
            &image,
            "--machine",
            "pc-08",
            "--repository",
            "lab",
            "--name",
            "granted",
        ])
        .expect(0);
    let common = ["agent", "--profile", "profile", "--unattended", "--state-dir", "state", "--disk", "second"];
    let mut command = server.workspace.command(common);
    finish(command.env_remove("HOLOTYPE_PASSWORD").spawn().unwrap()).expect(0);
    assert_eq!(json_of(&server, &["task", "show", "granted"])["runs"][0]["state"], "done");
    assert!(server.workspace.read("second") == server.workspace.read("disk"));
}

#[test]
fn a_server_that_is_killed_in_the_middle_is_waited_for() {
    let mut server = Server::initialised();
    server.workspace.write("profile", profile::encode(&profile_for(&server, "pc-09", Task::Server)).unwrap());
    // Known to the server first, by a run without work.
    server.workspace.write("disk", noise(6, 96 << 20));
    let child = start(&server, &["--disk", "disk", "--quiet"]);
    let started = Instant::now();
    while !server.client(["machine", "show", "pc-09"]).code.eq(&0) {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    server.client(["machine", "rights", "pc-09", "lab", "--add", "--restore", "own"]).expect(0);
    server.client(["task", "backup", "--machine", "pc-09", "--repository", "lab", "--name", "long"]).expect(0);
    // As soon as a first pack lies there, the server goes; the backup is not over by then, as the image is not there.
    let packs = server.data().join("repositories");
    let has_pack = || walk_has_large(&packs);
    while !has_pack() {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    server.kill();
    std::thread::sleep(std::time::Duration::from_secs(2));
    server.start();
    finish(child).expect(0);
    let task = json_of(&server, &["task", "show", "long"]);
    assert_eq!(task["runs"][0]["state"], "done", "{task}");
    assert!(server.client(["restore", "pc-09", "-"]).expect(0).stdout == server.workspace.read("disk"));
}

#[test]
fn a_run_that_is_cancelled_on_the_server_leaves_the_next_one_be() {
    let server = Server::initialised();
    server.workspace.write("profile", profile::encode(&profile_for(&server, "pc-10", Task::Server)).unwrap());
    server.workspace.write("disk", noise(7, 384 << 20));
    let child = start(&server, &["--disk", "disk", "--quiet"]);
    let started = Instant::now();
    let wait_until = |what: &str, is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert!(started.elapsed() < PATIENCE, "{what}: {}", server.log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    wait_until("it enrols", &|| server.client(["machine", "show", "pc-10"]).code == 0);
    server.client(["machine", "rights", "pc-10", "lab", "--add"]).expect(0);
    server.client(["task", "backup", "--machine", "pc-10", "--repository", "lab", "--name", "wrong"]).expect(0);
    server.client(["task", "backup", "--machine", "pc-10", "--repository", "lab", "--name", "right"]).expect(0);
    let packs = server.data().join("repositories");
    wait_until("the first pack", &|| walk_has_large(&packs));
    // Held until it is cancelled and the next report is due: however fast the PC is, it is in the middle then.
    let signal = |signal| rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
    signal(rustix::process::Signal::STOP);
    server.client(["task", "cancel", "wrong"]).expect(0);
    std::thread::sleep(std::time::Duration::from_secs(2));
    signal(rustix::process::Signal::CONT);
    let told = finish(child).expect(1).stderr;
    assert!(told.contains("cancelled on the server"), "{told}");
    let state = |task: &str| json_of(&server, &["task", "show", task])["runs"][0]["state"].clone();
    assert_eq!([state("wrong"), state("right")], ["cancelled", "done"]);
    assert_eq!(json_of(&server, &["image", "list"]).as_array().unwrap().len(), 1);
}

/// Whether a file of a megabyte or more lies somewhere below.
pub fn walk_has_large(folder: &std::path::Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => walk_has_large(&entry.path()),
        Ok(metadata) => metadata.len() >= 1 << 20,
        Err(_) => false,
    })
}
