//! A person before a terminal: `script` makes it, and what the agent draws is put together here.

use crate::support::Workspace;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);
const WIDTH: usize = 80;
const HEIGHT: usize = 24;

/// What stands on a terminal of 80 by 24.
struct Shown {
    cells: Vec<char>,
    at: usize,
    escape: Option<String>,
    utf8: Vec<u8>,
}

impl Shown {
    fn take(&mut self, byte: u8) {
        if let Some(escape) = &mut self.escape {
            escape.push(char::from(byte));
            if escape.len() > 1 && (0x40..=0x7e).contains(&byte) {
                let escape = self.escape.take().unwrap();
                self.obey(&escape);
            }
            return;
        }
        match byte {
            0x1b => self.escape = Some(String::new()),
            b'\r' => self.at -= self.at % WIDTH,
            b'\n' => self.at += WIDTH,
            _ => {
                self.utf8.push(byte);
                if let Ok(text) = std::str::from_utf8(&self.utf8) {
                    let character = text.chars().next().unwrap();
                    if let Some(cell) = self.cells.get_mut(self.at) {
                        *cell = character;
                    }
                    self.at += 1;
                    self.utf8.clear();
                }
            }
        }
    }

    fn obey(&mut self, escape: &str) {
        let inner = escape.trim_start_matches('[');
        if let Some(place) = inner.strip_suffix('H') {
            let (row, column) = place.split_once(';').unwrap_or(("1", "1"));
            self.at = (row.parse().unwrap_or(1) - 1) * WIDTH + column.parse::<usize>().unwrap_or(1) - 1;
        } else if inner == "2J" {
            self.cells.fill(' ');
        }
    }

    fn text(&self) -> String {
        let lines = self.cells.chunks(WIDTH).map(|line| line.iter().collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The agent on a terminal.
pub struct Sitting {
    child: Child,
    stdin: Option<ChildStdin>,
    bytes: Receiver<Vec<u8>>,
    shown: Shown,
}

impl Sitting {
    /// Starts `holotype agent` with these arguments; absent where there is no `script`.
    pub fn start(workspace: &Workspace, arguments: &str) -> Option<Self> {
        let line = format!("{} agent --fast-derivation {arguments}", env!("CARGO_BIN_EXE_holotype"));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        command.current_dir(workspace.path("")).env("HOME", workspace.path("home"));
        for variable in ["HOLOTYPE_PASSWORD", "HOLOTYPE_PASSWORD_FILE", "HOLOTYPE_REPO", "XDG_CACHE_HOME"] {
            command.env_remove(variable);
        }
        let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
            eprintln!("skipped: no `script` here");
            return None;
        };
        let (mut stdout, stdin) = (child.stdout.take().unwrap(), child.stdin.take());
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        let shown = Shown { cells: vec![' '; WIDTH * HEIGHT], at: 0, escape: None, utf8: Vec::new() };
        Some(Self { child, stdin, bytes, shown })
    }

    /// Waits until this stands on the screen.
    #[track_caller]
    pub fn see(&mut self, what: &str) -> &mut Self {
        let until = Instant::now() + PATIENCE;
        while !self.shown.text().contains(what) {
            let left = until.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => bytes.into_iter().for_each(|byte| self.shown.take(byte)),
                Err(_) => panic!("`{what}` does not come:\n{}", self.shown.text()),
            }
        }
        self
    }

    /// Presses keys, as bytes.
    pub fn press(&mut self, keys: &str) -> &mut Self {
        let stdin = self.stdin.as_mut().expect("it runs");
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
        self
    }

    pub fn screen(&self) -> String {
        self.shown.text()
    }

    /// What is shown as one line: sentences are broken where the screen ends.
    pub fn flat(&self) -> String {
        let text = self.shown.text().replace(['\n', '│'], " ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Waits until this stands on the screen, over the ends of lines.
    #[track_caller]
    pub fn read(&mut self, what: &str) -> &mut Self {
        let until = Instant::now() + PATIENCE;
        while !self.flat().contains(what) {
            let left = until.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => bytes.into_iter().for_each(|byte| self.shown.take(byte)),
                Err(_) => panic!("`{what}` does not come:\n{}", self.shown.text()),
            }
        }
        self
    }

    /// Waits for its end; gives the exit code.
    pub fn end(mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end:\n{}", self.shown.text());
    }
}

impl Drop for Sitting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
