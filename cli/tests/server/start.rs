//! What keeps a server from starting, or a client from trusting it: one clear sentence each.

use crate::fixture::Server;
use crate::support::{Run, finish, small_disk, system};
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// A start that has to fail, with what it says.
fn start_fails(server: &Server, arguments: &[&str]) -> Run {
    let command = server.serve_command(&[&["--listen", "127.0.0.1:0"], arguments].concat());
    let mut bounded = Command::new("timeout");
    bounded.arg("60").arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(key, value),
            None => bounded.env_remove(key),
        };
    }
    let run = finish(bounded.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let sentences: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(sentences.len(), 1, "one sentence: {}", run.stderr);
    run
}

#[test]
fn two_servers_on_one_directory() {
    let server = Server::new();
    start_fails(&server, &[]).refused(1, &["another server", "data"]);
    server.client(["user", "list"]).expect(0);
}

#[test]
fn a_port_that_is_taken() {
    let server = Server::new();
    let taken = format!("127.0.0.1:{}", server.port);
    let other = server.workspace.path("other");
    let mut command = server.workspace.command(["serve", "--data"]);
    command.arg(&other).args(["--listen", &taken]).env_remove("HOLOTYPE_REPO");
    finish(command.spawn().unwrap()).refused(1, &["cannot listen", &taken]);
}

#[test]
fn a_damaged_database() {
    let mut server = Server::new();
    server.stop();
    let database = server.data().join("holotype.sqlite");
    let good = std::fs::read(&database).unwrap();
    std::fs::write(&database, b"this is no database, but it is long enough to be looked at".repeat(100)).unwrap();
    start_fails(&server, &[]).refused(1, &["holotype.sqlite", "not a database", "database restore"]);
    std::fs::write(&database, &good).unwrap();
    server.start();
    server.client(["user", "list"]).expect(0);
}

#[test]
fn a_wrong_configuration() {
    let mut server = Server::new();
    server.stop();
    server.workspace.write("data/server.toml", "max_connections = \"many\"\n");
    start_fails(&server, &[]).refused(1, &["server.toml", "line 1"]);
}

#[test]
fn wrong_pins_and_unreachable_servers() {
    let mut server = Server::initialised();
    let other = format!("sha256:{}", "0".repeat(64));
    let mut command = server.client_command(["images"]);
    finish(command.env("HOLOTYPE_SERVER_PIN", &other).spawn().unwrap())
        .refused(1, &["not the pinned one", "holotype server fingerprint"]);
    let mut command = server.client_command(["user", "list"]);
    finish(command.env("HOLOTYPE_SERVER_PIN", &other).spawn().unwrap()).refused(1, &["not the pinned one"]);
    server.workspace.write("bad-token", format!("ht_{}\n", "0".repeat(64)));
    let mut command = server.client_command(["images"]);
    finish(command.env("HOLOTYPE_TOKEN_FILE", server.workspace.path("bad-token")).spawn().unwrap())
        .refused(1, &["token"]);
    server.stop();
    finish(server.client_command(["user", "list"]).spawn().unwrap()).refused(1, &["127.0.0.1"]);
}

#[test]
fn a_clock_that_is_off_by_a_year() {
    let server = Server::initialised();
    if system("faketime", &[OsStr::new("--version")]).is_none() {
        eprintln!("skipped: faketime is not installed");
        return;
    }
    let far = |offset: &str| {
        let command = server.client_command(["images"]);
        let mut faked = Command::new("faketime");
        faked.arg("-f").arg(offset).arg(env!("CARGO_BIN_EXE_holotype")).arg("images");
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => faked.env(key, value),
                None => faked.env_remove(key),
            };
        }
        let directory = command.get_current_dir().unwrap();
        finish(faked.current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    far("-1y").refused(1, &["not valid yet", "clock"]);
    far("+2y").refused(1, &["expired", "clock"]);
}

#[test]
fn an_expired_certificate_of_the_operator() {
    let mut server = Server::new();
    server.stop();
    let path = |name: &str| server.workspace.path(name).to_str().unwrap().to_owned();
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    server.workspace.write("cert.pem", params.self_signed(&pair).unwrap().pem());
    server.workspace.write("key.pem", pair.serialize_pem());
    let arguments = ["--certificate", &path("cert.pem"), "--key", &path("key.pem")];
    start_fails(&server, &arguments).refused(1, &["cert.pem", "expired", "renew"]);
}

#[test]
fn full_and_read_only_disks() {
    let mut server = Server::initialised();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    server.stop();
    let data = server.data();
    let data_text = data.to_str().unwrap().to_owned();
    let mount = |arguments: &[&str]| {
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        system("mount", &arguments).unwrap();
    };
    mount(&["--bind", &data_text, &data_text]);
    let unmount = Unmount(data_text.clone());
    mount(&["-o", "remount,ro,bind", &data_text]);
    start_fails(&server, &[]).refused(1, &["data", "ead-only"]);
    drop(unmount);

    // A small disk that fills: new backups are refused with a reason, restores go on.
    let room = server.workspace.path("room");
    std::fs::create_dir(&room).unwrap();
    mount(&["-t", "tmpfs", "-o", "size=48m", "none", room.to_str().unwrap()]);
    let _unmount = Unmount(room.to_str().unwrap().to_owned());
    server.start();
    server.admin(["server", "repo", "add", "small", "--dir", room.join("small").to_str().unwrap()]).expect(0);
    let small = format!("{}/small", server.url());
    let client =
        |arguments: &[&str]| finish(server.client_command(arguments).env("HOLOTYPE_REPO", &small).spawn().unwrap());
    client(&["init", "--fast-derivation"]).expect(0);
    let disk = small_disk(3);
    server.workspace.write("disk", &disk);
    client(&["backup", "disk", "--name", "a"]).expect(0);
    server.workspace.write("large", crate::support::noise(4, 80 << 20));
    let run = client(&["backup", "large", "--name", "b", "--json"]).expect(1);
    assert_eq!(run.json()["kind"], "no-space", "{}", run.stderr);
    assert_eq!(client(&["restore", "a", "-"]).expect(0).stdout, disk);
    client(&["verify", "--read-data"]).expect(0);
    server.stop();
}

#[test]
fn below_the_floor_restores_go_on() {
    let mut server = Server::initialised();
    let disk = small_disk(5);
    server.workspace.write("disk", &disk);
    server.client(["backup", "disk", "--name", "a"]).expect(0);
    server.stop();
    let config = "floor_bytes = 1000000000000000\n";
    server.workspace.write("data/server.toml", config);
    // The flag wins over the file, so a server without it is started here.
    let port_file = server.workspace.path("port-floor");
    let mut command = server.serve_command(&["--listen", &format!("127.0.0.1:{}", server.port), "--port-file"]);
    let mut process = command.arg(&port_file).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let started = std::time::Instant::now();
    while !port_file.exists() && started.elapsed() < crate::fixture::PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    server.workspace.write("new", small_disk(6));
    let refused = server.client(["backup", "new", "--name", "b", "--json"]);
    let restored = server.client(["restore", "a", "-"]);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(refused.expect(1).json()["kind"], "no-space");
    assert_eq!(restored.expect(0).stdout, disk);
}

struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
