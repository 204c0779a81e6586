//! What an operator does with a server, through the command: machines, groups, storages, tasks, users.

use crate::fixture::{PATIENCE, Server};
use crate::support::{Run, finish};
use holotype_repo::core::secret::SecretBytes;
use holotype_repo::https::{Endpoint, HttpsClient};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::time::Instant;

/// The command as a client, with `--json`.
pub fn json(server: &Server, arguments: &[&str]) -> Value {
    server.client([arguments, &["--json"]].concat()).expect(0).json()
}

/// The command with another token than the administrator's.
pub fn with_token(server: &Server, token_file: &str, arguments: &[&str]) -> Run {
    server.client([arguments, &["--token-file", token_file]].concat())
}

/// A machine and a token of it, in the file `NAME.token`; it may back up to `lab` and restore its own.
pub fn machine(server: &Server, name: &str) -> String {
    let id = json(server, &["machine", "add", name])["id"].as_str().unwrap().to_owned();
    server.client(["machine", "rights", name, "lab", "--add", "--restore", "own"]).expect(0);
    let file = format!("{name}.token");
    server.client(["token", "add", "nightly", "--machine", name, "--new-token-file", &file]).expect(0);
    id
}

#[test]
fn machines_and_groups() {
    let server = Server::new();
    let id = json(&server, &["machine", "add", "pc 1/ü", "--notes", "by the door"])["id"].as_str().unwrap().to_owned();
    server.client(["machine", "add", "pc 1/ü"]).refused(1, &["another machine has that name"]);
    let told = server.client(["machine", "add", "pc-2"]).expect(0).text();
    assert!(told.starts_with("machine pc-2 added"), "{told}");
    let table = server.client(["machine", "list"]).expect(0).text();
    assert!(table.contains("pc 1/ü") && table.contains("pc-2") && table.contains(&id), "{table}");
    assert_eq!(json(&server, &["machine", "list", "PC-2"]).as_array().unwrap().len(), 1);
    assert_eq!(json(&server, &["machine", "show", "pc 1/ü"])["notes"], "by the door");
    assert!(server.client(["machine", "show", &id]).expect(0).text().contains("by the door"));
    server.client(["machine", "rename", "pc 1/ü", "pc-1"]).expect(0);
    server.client(["machine", "show", "pc 1/ü"]).refused(1, &["pc 1/ü", "none of that name"]);

    assert!(server.client(["group", "add", "room-3"]).expect(0).text().contains("room-3"));
    server.client(["group", "member", "add", "room-3", "pc-1"]).expect(0);
    assert_eq!(json(&server, &["group", "member", "add", "room-3", "pc-2"])["machines"], 2);
    assert_eq!(json(&server, &["machine", "list", "--group", "room-3"]).as_array().unwrap().len(), 2);
    assert!(server.client(["machine", "show", "pc-1"]).expect(0).text().contains("room-3"));
    server.client(["group", "member", "remove", "room-3", "pc-2"]).expect(0);
    server.client(["group", "rename", "room-3", "room-4"]).expect(0);
    let groups = json(&server, &["group", "list"]);
    assert_eq!((&groups[0]["name"], &groups[0]["machines"]), (&json!("room-4"), &json!(1)));
    assert!(server.client(["group", "list"]).expect(0).text().contains("room-4"));
    server.client(["group", "remove", "room-4"]).expect(0);
    server.client(["machine", "remove", "pc-1"]).expect(0);
    assert_eq!(json(&server, &["machine", "list"]).as_array().unwrap().len(), 1);

    let kinds: Vec<Value> = json(&server, &["event", "list"]).as_array().unwrap().clone();
    let kinds: Vec<&str> = kinds.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    for kind in ["machine.created", "machine.changed", "group.created", "group.machine-added", "machine.deleted"] {
        assert!(kinds.contains(&kind), "{kind} is not in {kinds:?}");
    }
    assert_eq!(
        json(&server, &["event", "list", "--kind", "machine.created", "--limit", "1"]).as_array().unwrap().len(),
        1
    );
    assert!(server.client(["event", "list", "--limit", "5"]).expect(0).text().contains("machine.deleted"));
}

#[test]
fn storages() {
    let server = Server::new();
    let add = ["storage", "add", "nas", "--kind", "nfs", "--location", "nfs://nas/images"];
    assert!(server.client(add).expect(0).text().contains("storage nas added"));
    server.client(["storage", "add", "bad", "--kind", "smb", "--location", "smb://a:secret@b/c"]).expect(1);
    assert_eq!(json(&server, &["storage", "list"])[0]["location"], "nfs://nas/images");
    assert!(server.client(["storage", "list"]).expect(0).text().contains("nfs"));
    assert_eq!(json(&server, &["storage", "remove", "nas"])["name"], "nas");
    assert_eq!(json(&server, &["storage", "list"]), json!([]));
}

#[test]
fn tasks() {
    let server = Server::initialised();
    let id = machine(&server, "pc-1");
    server.client(["group", "add", "room"]).expect(0);
    server.client(["group", "member", "add", "room", "pc-1"]).expect(0);
    server.workspace.write("disk", crate::support::small_disk(7));
    let image = json(&server, &["backup", "disk", "--name", "gold"])["image"].as_str().unwrap().to_owned();

    let backup = ["task", "backup", "--repository", "lab"];
    let once =
        [&backup[..], &["--machine", "pc-1", "--at", "2031-12-31T23:59:00+01:00", "--disk", "/dev/sda"]].concat();
    let once = json(&server, &once);
    assert_eq!((&once["name"], &once["options"]["disk"]), (&json!("backup pc-1"), &json!("/dev/sda")));
    assert_eq!(once["next_ms"], 1_956_524_340_000_i64);
    let rule = ["--group", "room", "--rule", "30 2 * * MON-FRI", "--time-zone", "Europe/Berlin", "--name", "nightly"];
    server.client([&backup[..], &rule].concat()).expect(0);
    let restore = [
        "task",
        "restore",
        "--image",
        &image,
        "--repository",
        "lab",
        "--machine",
        "pc-1",
        "--name",
        "roll out",
        "--no-keys",
    ];
    // What a machine shall never restore, no task has it restore.
    server.client(["machine", "rights", "pc-1", "lab", "--restore", "none"]).expect(0);
    server.client(restore).refused(1, &["pc-1", "restores nothing", "granted"]);
    server.client(["machine", "rights", "pc-1", "lab", "--restore", "own"]).expect(0);
    let restore = json(&server, &restore);
    let rights = json(&server, &["machine", "rights", "pc-1"]);
    assert_eq!(rights[0]["may_restore"], "granted", "an operator's task is the word for it");
    assert_eq!((&restore["action"], &restore["machine"]), (&json!("restore"), &json!(id)));

    server
        .client([&backup[..], &["--machine", "pc-1", "--rule", "61 * * * *"]].concat())
        .refused(1, &["rule: it is no calendar rule"]);
    server.client([&backup[..], &["--machine", "pc-1", "--at", "tomorrow"]].concat()).refused(1, &["at"]);
    server
        .client([&backup[..], &["--machine", "nobody"]].concat())
        .refused(1, &["machine nobody", "none of that name"]);
    server.client(backup).expect(2);
    let unknown =
        ["task", "restore", "--image", &"0".repeat(64), "--repository", "lab", "--machine", "pc-1", "--no-keys"];
    server.client(unknown).refused(1, &["image"]);

    assert_eq!(json(&server, &["task", "list"]).as_array().unwrap().len(), 3);
    let table = server.client(["task", "list"]).expect(0).text();
    assert!(table.contains("30 2 * * MON-FRI Europe/Berlin") && table.contains("roll out"), "{table}");
    let shown = json(&server, &["task", "show", "roll out"]);
    assert_eq!((shown["runs"].as_array().unwrap().len(), &shown["runs"][0]["state"]), (1, &json!("queued")));
    assert!(server.client(["task", "show", "roll out"]).expect(0).text().contains("queued"));
    server.client(["task", "cancel", "roll out"]).expect(0);
    assert_eq!(json(&server, &["task", "show", "roll out"])["runs"][0]["state"], "cancelled");
    assert!(json(&server, &["task", "cancel", "nightly"])["next_ms"].is_null());
}

#[test]
fn users_and_passwords() {
    let server = Server::new();
    let initial = server.data().join("initial-admin-password");
    server.workspace.write("first", "a first password\n");
    server.workspace.write("second", "a second password\n");
    server.workspace.write("wrong", "a wrong password\n");
    let add = ["user", "add", "ann", "--role", "viewer", "--new-password-file", "first"];
    assert!(server.client(add).expect(0).text().contains("made user ann (viewer)"));
    server.client(add).refused(1, &["ann", "already"]);
    let login = |user: &str, password: &str, file: &str| {
        server.client(["login", user, "--password-file", password, "--token-file", file])
    };
    login("ann", "first", "ann.token").expect(0);
    with_token(&server, "ann.token", &["machine", "list"]).expect(0);
    with_token(&server, "ann.token", &["machine", "add", "x"]).refused(1, &["operator"]);
    with_token(&server, "ann.token", &["user", "list"]).refused(1, &["admin"]);
    assert!(server.client(["user", "role", "ann", "operator"]).expect(0).text().contains("operator"));
    with_token(&server, "ann.token", &["machine", "add", "x"]).expect(0);

    // Her own with the old one; her session lives on.
    let own = ["user", "passwd", "--password-file", "first", "--new-password-file", "second"];
    with_token(&server, "ann.token", &own).expect(0);
    with_token(&server, "ann.token", &own).refused(1, &["old password is wrong"]);
    with_token(&server, "ann.token", &["machine", "list"]).expect(0);
    login("ann", "first", "other.token").expect(1);
    // The administrator sets it: everything of hers ends.
    server.client(["user", "passwd", "ann", "--new-password-file", "first"]).expect(0);
    with_token(&server, "ann.token", &["machine", "list"]).refused(1, &["holotype login"]);
    login("ann", "first", "ann.token").expect(0);
    with_token(&server, "ann.token", &["logout"]).expect(0);
    assert!(!server.workspace.path("ann.token").exists());

    server.client(["user", "disable", "ann"]).expect(0);
    login("ann", "first", "ann.token").expect(1);
    assert!(server.client(["user", "list"]).expect(0).text().contains("disabled"));
    server.client(["user", "enable", "ann"]).expect(0);
    login("ann", "first", "ann.token").expect(0);
    server.client(["user", "remove", "ann"]).expect(0);
    with_token(&server, "ann.token", &["machine", "list"]).expect(1);
    server.client(["user", "remove", "admin"]).refused(1, &["last admin"]);
    assert_eq!(json(&server, &["user", "list"]).as_array().unwrap().len(), 1);

    // Guesses: after five wrong ones it has to wait, the right one too.
    for _ in 0..5 {
        login("admin", "wrong", "other.token").refused(1, &["wrong"]);
    }
    login("admin", initial.to_str().unwrap(), "other.token").refused(1, &["try again in"]);
    assert!(initial.exists());
}

#[test]
fn the_first_password_goes_when_it_opens_nothing_any_more() {
    let mut server = Server::new();
    let initial = server.data().join("initial-admin-password");
    server.workspace.write("new", "a better password\n");
    let password = initial.to_str().unwrap().to_owned();
    server.client(["user", "passwd", "--password-file", &password, "--new-password-file", "new"]).expect(0);
    assert!(!initial.exists());
    // What an upload left behind goes at the next start.
    server.stop();
    server.workspace.write("kept", "");
    std::fs::create_dir_all(server.data().join("kernels")).unwrap();
    for name in ["new-0123", "0123"] {
        std::fs::write(server.data().join("kernels").join(name), "x").unwrap();
    }
    server.start();
    assert!(!initial.exists());
    let left: Vec<_> = std::fs::read_dir(server.data().join("kernels")).unwrap().flatten().collect();
    assert_eq!(left.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(), ["0123"]);
    server.client(["login", "admin", "--password-file", "new"]).expect(0);
}

#[test]
fn the_database_is_backed_up_and_restored() {
    let mut server = Server::new();
    server.client(["machine", "add", "before"]).expect(0);
    server.admin(["server", "database", "backup", "copy.sqlite"]).expect(0);
    server.client(["machine", "add", "after"]).expect(0);
    server.admin(["server", "database", "restore", "copy.sqlite"]).expect(1);
    server.stop();
    server.admin(["server", "database", "restore", "copy.sqlite"]).expect(0);
    server.start();
    // Sessions of then are not those of now.
    server.client(["machine", "list"]).refused(1, &["holotype login"]);
    let password = server.data().join("initial-admin-password");
    server.client(["login", "admin", "--password-file", password.to_str().unwrap()]).expect(0);
    let machines = json(&server, &["machine", "list"]);
    assert_eq!((machines.as_array().unwrap().len(), &machines[0]["name"]), (1, &json!("before")));
}

/// A machine's side of the API.
struct MachineSide(HttpsClient);

impl MachineSide {
    fn new(server: &Server, token_file: &str) -> Self {
        let token = String::from_utf8(server.workspace.read(token_file)).unwrap().trim().to_owned();
        let pin = Some(server.pin().parse().unwrap());
        let endpoint = Endpoint { origin: server.url(), pin, token: Some(SecretBytes::new(token.into_bytes())) };
        Self(HttpsClient::new(endpoint).unwrap())
    }

    fn post(&self, path: &str, body: &Value) -> u16 {
        let request = http::Request::post(format!("/api/v1{path}")).header("content-type", "application/json");
        let response = self.0.send(request.body(serde_json::to_vec(body).unwrap().as_slice()).unwrap()).unwrap();
        response.status().as_u16()
    }
}

#[test]
fn watching_shows_what_the_machine_tells() {
    let server = Server::initialised();
    machine(&server, "pc-1");
    let task = json(&server, &["task", "backup", "--machine", "pc-1", "--repository", "lab", "--name", "now"]);
    let shown = json(&server, &["task", "show", "now"]);
    let run = shown["runs"][0]["id"].as_str().unwrap().to_owned();
    let mut watching = server.client_command(["task", "watch", task["id"].as_str().unwrap()]).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let machine = MachineSide::new(&server, "pc-1.token");
    assert_eq!(machine.post(&format!("/machine/runs/{run}/start"), &json!({})), 200);
    // Until the watcher listens nobody hears anything, so the machine tells until a line comes.
    let (heard, hears) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        while let Some(Ok(line)) = lines.next() {
            text.push_str(&line);
            text.push('\n');
            let _ = heard.send(());
        }
        text
    });
    let begun = Instant::now();
    loop {
        let progress = json!({ "done_bytes": 1 << 20, "total_bytes": 4 << 20, "stage": "read" });
        assert_eq!(machine.post(&format!("/machine/runs/{run}/progress"), &progress), 200);
        if hears.recv_timeout(std::time::Duration::from_millis(200)).is_ok() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing was shown");
    }
    let end = json!({ "state": "done", "result": "all is well" });
    assert_eq!(machine.post(&format!("/machine/runs/{run}/end"), &end), 200);
    let text = reader.join().unwrap();
    finish(watching).expect(0);
    assert!(text.contains("running") && text.contains("read") && text.contains("1.00 MiB of 4.00 MiB"), "{text}");
    assert!(text.contains("done") && text.contains("all is well"), "{text}");

    // A run that fails is a failure of the one who watches it.
    let failing = json(&server, &["task", "backup", "--machine", "pc-1", "--repository", "lab", "--name", "again"]);
    let shown = json(&server, &["task", "show", "again"]);
    let run = shown["runs"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(machine.post(&format!("/machine/runs/{run}/start"), &json!({})), 200);
    let end = json!({ "state": "failed", "result": "no disk" });
    assert_eq!(machine.post(&format!("/machine/runs/{run}/end"), &end), 200);
    server.client(["task", "watch", failing["id"].as_str().unwrap()]).refused(1, &["1 of 1 runs failed"]);
}
