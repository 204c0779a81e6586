//! A server process in a directory of its own, and clients of it.

use crate::support::{Run, Workspace, finish};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives it up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A server that runs.
pub struct Server {
    pub workspace: Workspace,
    process: Option<Child>,
    pub port: u16,
    /// Free bytes below which it takes no backups, from its next start on.
    pub floor_bytes: u64,
    arguments: Vec<String>,
}

impl Server {
    /// Starts a server on a fresh directory, with one repository, `lab`.
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { workspace: Workspace::empty(), process: None, port: 0, floor_bytes: 0, arguments };
        server.start();
        server.admin(["server", "repo", "add", "lab"]).expect(0);
        let password = server.data().join("initial-admin-password");
        server.client(["login", "admin", "--password-file", password.to_str().unwrap()]).expect(0);
        server
    }

    pub fn data(&self) -> PathBuf {
        self.workspace.path("data")
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The serving command on this directory, not started.
    pub fn serve_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.workspace.command(["serve", "--data"]);
        command.arg(self.data()).args(arguments).env_remove("HOLOTYPE_PASSWORD").env_remove("HOLOTYPE_REPO");
        command
    }

    /// Starts it, on the same port as before if it ran before.
    pub fn start(&mut self) {
        let port_file = self.workspace.path("port");
        let _ = fs::remove_file(&port_file);
        let log = fs::File::options().create(true).append(true).open(self.workspace.path("server.log")).unwrap();
        let listen = format!("127.0.0.1:{}", self.port);
        let floor = self.floor_bytes.to_string();
        let mut command = self.serve_command(&["--listen", &listen, "--floor-bytes", &floor, "-v", "--port-file"]);
        command.arg(&port_file).args(&self.arguments).stdout(Stdio::null()).stderr(log);
        let mut process = command.spawn().unwrap();
        let started = Instant::now();
        while !port_file.exists() {
            assert!(process.try_wait().unwrap().is_none(), "the server ended: {}", self.log());
            assert!(started.elapsed() < PATIENCE, "the server does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        let address = fs::read_to_string(port_file).unwrap();
        self.port = address.trim().rsplit(':').next().unwrap().parse().unwrap();
        self.process = Some(process);
    }

    /// Its process.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.process.as_ref().expect("it runs"))
    }

    /// Ends it outright, as a power cut of the process.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Asks it to stop and waits; gives its exit code.
    pub fn stop(&mut self) -> i32 {
        let pid = self.pid();
        let mut process = self.process.take().expect("it runs");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let started = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            if started.elapsed() > PATIENCE {
                process.kill().unwrap();
                panic!("the server does not stop: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.workspace.path("server.log")).unwrap_or_default()
    }

    pub fn pin(&self) -> String {
        let run = self.admin(["server", "fingerprint"]).expect(0);
        run.text().split_whitespace().next().unwrap().to_owned()
    }

    /// A command on the data directory.
    pub fn admin<const N: usize>(&self, arguments: [&str; N]) -> Run {
        let mut command = self.workspace.command(arguments);
        command.arg("--data").arg(self.data()).env_remove("HOLOTYPE_REPO");
        finish(command.spawn().unwrap())
    }

    /// The command as a client of repository `lab`, with the administrator's token.
    pub fn client_command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Command {
        let mut command = Command::new("timeout");
        command.arg("300").arg(env!("CARGO_BIN_EXE_holotype")).args(arguments);
        let like = self.workspace.command(["x"]);
        for (key, value) in like.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command
            .current_dir(like.get_current_dir().unwrap())
            .env("HOLOTYPE_REPO", format!("{}/lab", self.url()))
            .env("HOLOTYPE_SERVER", self.url())
            .env("HOLOTYPE_SERVER_PIN", self.pin())
            .env("HOLOTYPE_TOKEN_FILE", self.workspace.path("token"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn client<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Run {
        finish(self.client_command(arguments).spawn().unwrap())
    }

    /// With a repository that can be opened.
    pub fn initialised() -> Self {
        let server = Self::new();
        server.client(["init", "--fast-derivation"]).expect(0);
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Passes bytes between clients and a server, and counts those that the clients send.
pub struct Relay {
    pub port: u16,
    sent: Arc<AtomicU64>,
}

impl Relay {
    /// To the server on this port, also while it is started again and again.
    pub fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else { continue };
                let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || pass(from_client, to_server, Some(&counter)));
                std::thread::spawn(move || pass(server, client, None));
            }
        });
        Self { port, sent }
    }

    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Until either end closes; then both are.
fn pass(mut from: TcpStream, mut to: TcpStream, counter: Option<&AtomicU64>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(bytes @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..bytes]).is_err() {
            break;
        }
        // What arrived is what the server's side took.
        counter.map(|counter| counter.fetch_add(bytes as u64, Ordering::Relaxed));
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
