//! What goes wrong between a PC and its server: each ends, or waits, with a sentence that says what to do, and goes well
//! once that is done.

use crate::console::Sitting;
use crate::fixture::{PATIENCE, Server};
use crate::support::{PASSWORD, Run, finish, noise};
use crate::unattended::{json_of, machine_id, profile_for, walk_has_large, writer_key};
use holotype_boot::profile::{self, BootProfile, DiskChoice, Place, Task, WriterKey};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A backup of the only disk to the server.
fn backup(writer_key: &str) -> Task {
    let place = Place::Server { repository: "lab".into() };
    Task::Backup { place, disk: DiskChoice::Only, image_name: None, writer_key: writer_key.to_owned() }
}

fn write_profile(server: &Server, profile: &BootProfile) {
    server.workspace.write("profile", profile::encode(profile).unwrap());
}

fn command(server: &Server, state: &str, arguments: &[&str]) -> Command {
    let common = ["agent", "--profile", "profile", "--unattended", "--state-dir", state, "--disk", "disk"];
    let mut command = server.workspace.command([&common[..], arguments].concat());
    command.env_remove("HOLOTYPE_PASSWORD");
    command
}

fn run(server: &Server, arguments: &[&str]) -> Run {
    finish(command(server, "state", arguments).spawn().unwrap())
}

/// The agent with what it says in a file, so that it can be read while it runs.
struct Running<'a> {
    server: &'a Server,
    child: Child,
}

impl<'a> Running<'a> {
    fn start(server: &'a Server, state: &str, arguments: &[&str]) -> Self {
        let said = File::create(server.workspace.path("said")).unwrap();
        let child = command(server, state, arguments).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        Self { server, child }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.server.workspace.path("said")).unwrap_or_default()
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let started = Instant::now();
        while !is_so(&self.said()) {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended before {what}: {}", self.said());
            assert!(started.elapsed() < PATIENCE, "{what} does not come: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Until it says this.
    #[track_caller]
    fn says(&mut self, what: &str) {
        self.until(what, |said| said.contains(what));
    }

    /// Until packs come in: then it is in the middle.
    #[track_caller]
    fn is_storing(&mut self) {
        let packs = self.server.data().join("repositories");
        self.until("the first pack", |_| walk_has_large(&packs));
    }

    fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Waits for its end: exit code and what it said.
    #[track_caller]
    fn end(mut self) -> (i32, String) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code().unwrap_or(-1), self.said());
            }
            assert!(started.elapsed() < PATIENCE, "it does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn contains(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

fn images(server: &Server) -> usize {
    json_of(server, &["image", "list"]).as_array().unwrap().len()
}

#[test]
fn a_machine_that_the_server_does_not_take() {
    let server = Server::with(&["--refuse-unknown-machines"]);
    server.client(["init", "--fast-derivation"]).expect(0);
    server.workspace.write("disk", noise(1, 1 << 20));
    let mut profile = profile_for(&server, "pc-01", backup(&writer_key(&server)));
    let with_code = profile.clone();
    profile.server.as_mut().unwrap().enrolment = None;
    write_profile(&server, &profile);
    run(&server, &[])
        .refused(1, &["takes no machines that it does not know", "its fingerprint", "holotype machine media"]);
    assert_eq!(images(&server), 0);
    // The way on: a code.
    write_profile(&server, &with_code);
    run(&server, &[]).expect(0);
}

#[test]
fn a_used_code_is_told_and_the_operator_decides() {
    let server = Server::initialised();
    server.workspace.write("disk", noise(2, 1 << 20));
    write_profile(&server, &profile_for(&server, "pc-02", backup(&writer_key(&server))));
    run(&server, &[]).expect(0);

    // Another key, as that of a medium that keeps none: the code is used.
    let mut agent = Running::start(&server, "second", &[]);
    agent.says("waiting for the operator");
    let said = agent.said();
    contains(
        &said,
        &["did not take the medium's enrolment code (it was used", "its fingerprint is", "machine approve"],
    );
    let claims = json_of(&server, &["machine", "claims"]);
    let fingerprint = claims[0]["fingerprint"].as_str().unwrap().to_owned();
    contains(&said, &[&fingerprint]);
    server.client(["machine", "refuse", &fingerprint]).expect(0);
    let (code, said) = agent.end();
    assert_eq!(code, 1, "{said}");
    contains(&said, &["an operator refused it", &fingerprint, "a new enrolment code"]);

    // Approved, the next one goes on by itself.
    let mut agent = Running::start(&server, "third", &[]);
    agent.says("waiting for the operator");
    let claims = json_of(&server, &["machine", "claims"]);
    let waits = claims.as_array().unwrap().iter().find(|claim| claim["state"] == "waiting").unwrap();
    let fingerprint = waits["fingerprint"].as_str().unwrap();
    server.client(["machine", "approve", fingerprint, "--name", "pc-03", "--repository", "lab"]).expect(0);
    let (code, said) = agent.end();
    assert_eq!(code, 0, "{said}");

    // Nobody decides: it can be stopped, and says what is to be done.
    let mut agent = Running::start(&server, "fourth", &[]);
    agent.says("waiting for the operator");
    agent.interrupt();
    let (code, said) = agent.end();
    assert_eq!(code, 1, "{said}");
    contains(&said, &["nobody waits any longer", "have it approved"]);
}

#[test]
fn a_session_that_is_revoked_in_the_middle_ends_the_backup() {
    let server = Server::initialised();
    server.workspace.write("disk", noise(3, 192 << 20));
    write_profile(&server, &profile_for(&server, "pc-04", backup(&writer_key(&server))));
    let mut agent = Running::start(&server, "state", &[]);
    agent.is_storing();
    let machine = machine_id(&server, "pc-04");
    let tokens = json_of(&server, &["token", "list"]);
    for token in tokens.as_array().unwrap().iter().filter(|token| token["machine"] == machine.as_str()) {
        server.client(["token", "revoke", token["id"].as_str().unwrap()]).expect(0);
    }
    let (code, said) = agent.end();
    assert_eq!(code, 1, "{said}");
    contains(&said, &["the session of this PC was ended on the server", "ask the operator, then try again"]);
    assert!(!said.contains("--token-file"), "{said}");
    assert_eq!(images(&server), 0, "nothing half is listed");
    // The machine itself is known: it comes again.
    server.workspace.write("disk", noise(3, 4 << 20));
    run(&server, &[]).expect(0);
    assert_eq!(images(&server), 1);

    // Removed altogether, it is unknown again, and says so.
    server.client(["machine", "remove", "pc-04"]).expect(0);
    let mut agent = Running::start(&server, "state", &[]);
    agent.says("waiting for the operator");
    contains(&agent.said(), &["its fingerprint is"]);
}

#[test]
fn a_session_that_is_ended_before_a_backup_by_hand_is_opened_anew() {
    let server = Server::initialised();
    server.workspace.write("disk", noise(8, 1 << 20));
    write_profile(&server, &profile_for(&server, "pc-06", Task::Menu));
    let arguments = "--profile profile --state-dir state --disk disk";
    let Some(mut sitting) = Sitting::start(&server.workspace, arguments) else { return };
    sitting.see("Back up this PC");
    server.client(["machine", "rights", "pc-06", "lab", "--add"]).expect(0);
    sitting.press("\r").see("which disk?").press("\r").see("server: lab").press("\r").see("Name").press("\r");
    sitting.see("password").press(PASSWORD).press("\r").see("this will happen");
    let machine = machine_id(&server, "pc-06");
    for token in json_of(&server, &["token", "list"]).as_array().unwrap() {
        if token["machine"] == machine.as_str() {
            server.client(["token", "revoke", token["id"].as_str().unwrap()]).expect(0);
        }
    }
    sitting.press("\r").see("everything was done");
    assert_eq!(images(&server), 1);
}

#[test]
fn a_server_that_cannot_be_reached() {
    let server = Server::initialised();
    server.workspace.write("disk", noise(5, 1 << 20));
    let good = profile_for(&server, "pc-05", backup(&writer_key(&server)));
    let told = |change: &dyn Fn(&mut profile::Server), parts: &[&str]| {
        let mut profile = good.clone();
        change(profile.server.as_mut().unwrap());
        write_profile(&server, &profile);
        let started = Instant::now();
        run(&server, &["--server-patience", "3"]).refused(1, parts);
        assert!(started.elapsed() < Duration::from_secs(60));
    };
    let free_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    told(
        &|server| server.url = format!("https://127.0.0.1:{free_port}"),
        &["trying again, for", "gave no answer", "look at the network cable", "whether the server runs"],
    );
    told(
        &|server| server.url = "https://no-such-host.invalid:7443".to_owned(),
        &["the server's name is not known in this network", "name server"],
    );
    told(
        &|server| server.pin = format!("sha256:{}", "ab".repeat(32)),
        &["not the pinned one", "that of the boot profile", "holotype server fingerprint"],
    );
    // None of them used the code up.
    write_profile(&server, &good);
    run(&server, &[]).expect(0);
}

#[test]
fn a_server_that_goes_for_good_is_waited_for_and_the_wait_can_be_ended() {
    let mut server = Server::initialised();
    server.workspace.write("disk", noise(6, 192 << 20));
    write_profile(&server, &profile_for(&server, "pc-06", backup(&writer_key(&server))));
    // A borrow of its own: the server is stopped while the agent runs.
    let kill = |server: &Server| {
        let pid = server.pid();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    let mut agent = Running::start(&server, "state", &["--server-patience", "4"]);
    agent.is_storing();
    kill(&server);
    agent.says("waiting for the server, for up to");
    let (code, said) = agent.end();
    assert_eq!(code, 1, "{said}");
    contains(&said, &["could not be reached for", "check the address, and that the server runs"]);

    // With the patience of every day, and somebody who has none.
    server.kill();
    server.start();
    server.workspace.write("disk", noise(7, 192 << 20));
    let packs = server.data().join("repositories");
    let before = size_of(&packs);
    let mut agent = Running::start(&server, "state", &[]);
    agent.until("more packs", |_| size_of(&packs) > before + (8 << 20));
    kill(&server);
    agent.says("waiting for the server, for up to");
    agent.interrupt();
    let asked = Instant::now();
    let (code, said) = agent.end();
    assert!(code == 1 && asked.elapsed() < Duration::from_secs(60), "{code} {said}");
    contains(&said, &["the backup was stopped; what was stored already is found again by the next one"]);

    // It is back: the next one goes through.
    server.kill();
    server.start();
    run(&server, &[]).expect(0);
    assert_eq!(server.client(["restore", "pc-06", "-"]).expect(0).stdout, server.workspace.read("disk"));
}

fn size_of(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn a_server_whose_disk_is_full() {
    let mut server = Server::initialised();
    server.workspace.write("disk", noise(8, 2 << 20));
    write_profile(&server, &profile_for(&server, "pc-07", backup(&writer_key(&server))));
    server.floor_bytes = 1 << 60;
    server.stop();
    server.start();
    run(&server, &[]).refused(1, &["the server's disk is nearly full", "free space on the server, then run it again"]);
    assert_eq!(images(&server), 0, "nothing half is listed");
    assert_eq!(server.client(["images", "--json"]).expect(0).json().as_array().unwrap().len(), 0);
    server.floor_bytes = 0;
    server.stop();
    server.start();
    run(&server, &[]).expect(0);
    assert_eq!(images(&server), 1);
}

#[test]
fn two_machines_with_one_address() {
    let has_address = holotype_repo::os::MachineParts::identity();
    if has_address.mac_addresses.is_empty() {
        eprintln!("skipped: this computer has no network adapter with an address");
        return;
    }
    let server = Server::initialised();
    server.workspace.write("disk", noise(9, 1 << 20));
    let writer_key = writer_key(&server);
    write_profile(&server, &profile_for(&server, "pc-08", backup(&writer_key)));
    run(&server, &[]).expect(0);
    assert!(!server.client(["machine", "list"]).expect(0).text().contains("careful"));
    // The same computer with another key: to the server, another machine with the same adapters.
    write_profile(&server, &profile_for(&server, "pc-09", backup(&writer_key)));
    let said = finish(command(&server, "second", &[]).spawn().unwrap()).expect(0).stderr;
    contains(&said, &["another machine of the server has this PC's network address", "tell the server's operator"]);
    assert!(!said.contains("pc-08"), "machines hear nothing of others: {said}");
    let listed = server.client(["machine", "list"]).expect(0).text();
    contains(&listed, &["careful: a network address is that of two machines: pc-08, pc-09"]);
    let shown = server.client(["machine", "show", "pc-09"]).expect(0).text();
    contains(&shown, &["is an address of pc-08 too", "holotype machine remove"]);
    let events = server.client(["event", "list"]).expect(0).text();
    contains(&events, &["machine.address-shared"]);
    contains(&server.log(), &["is an address of pc-08 too"]);
    // Done what it says.
    server.client(["machine", "remove", "pc-08"]).expect(0);
    assert!(!server.client(["machine", "list"]).expect(0).text().contains("careful"));
}

#[test]
fn a_task_of_the_server_is_done_with_the_mediums_writer_key() {
    let server = Server::initialised();
    server.workspace.write("disk", noise(10, 4 << 20));
    let writer_key = writer_key(&server);
    let mut profile = profile_for(&server, "pc-10", Task::Server);
    // Known to the server first: the first run waits for a task.
    write_profile(&server, &profile);
    let mut agent = Running::start(&server, "state", &[]);
    agent.says("waiting for a task");
    server.client(["machine", "rights", "pc-10", "lab", "--add", "--restore", "none"]).expect(0);
    let queue = |name: &str| {
        server.client(["task", "backup", "--machine", "pc-10", "--repository", "lab", "--name", name]).expect(0);
    };
    queue("without");
    let (code, said) = agent.end();
    assert_eq!(code, 1, "{said}");
    contains(&said, &["this medium has no writer key", "--task server --writer-key-file", "by hand"]);
    let task = json_of(&server, &["task", "show", "without"]);
    assert_eq!(task["runs"][0]["state"], "failed", "{task}");
    contains(task["runs"][0]["result"].as_str().unwrap(), &["this medium has no writer key"]);

    profile.writer_key = Some(WriterKey(writer_key));
    write_profile(&server, &profile);
    queue("with");
    run(&server, &[]).expect(0);
    let task = json_of(&server, &["task", "show", "with"]);
    assert_eq!(task["runs"][0]["state"], "done", "{task}");
    assert_eq!(server.client(["restore", "pc-10", "-"]).expect(0).stdout, server.workspace.read("disk"));

    // Another disk than the task names.
    server
        .client(["task", "backup", "--machine", "pc-10", "--repository", "lab", "--name", "other", "--disk", "S9"])
        .expect(0);
    run(&server, &[]).refused(1, &["no disk has the serial number S9", "there are disk"]);
    let task = json_of(&server, &["task", "show", "other"]);
    assert_eq!(task["runs"][0]["state"], "failed", "{task}");
}
