//! A directory for one test, and the command run in it.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub const PASSWORD: &str = "correct horse";

/// How a run of the command ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// Standard output as the one JSON value that it has to be.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stderr, String::from_utf8_lossy(&self.stdout));
        self
    }

    /// Failed with this code, and the sentence on standard error has these parts.
    #[track_caller]
    pub fn refused(self, code: i32, parts: &[&str]) -> Self {
        let run = self.expect(code);
        for part in parts {
            assert!(run.stderr.contains(part), "`{part}` is not in: {}", run.stderr);
        }
        run
    }
}

/// A directory with room for a repository, a cache and disks.
pub struct Workspace {
    directory: TempDir,
}

impl Workspace {
    pub fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// With a repository in `repo`.
    pub fn new() -> Self {
        let workspace = Self::empty();
        workspace.run(["init", "--fast-derivation"]).expect(0);
        workspace
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn repository(&self) -> PathBuf {
        self.path("repo")
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// The command with repository, password and cache in its environment, and nobody to ask.
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holotype"));
        for variable in
            ["HOLOTYPE_PASSWORD_FILE", "HOLOTYPE_SERVER", "HOLOTYPE_TOKEN_FILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"]
        {
            command.env_remove(variable);
        }
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("HOLOTYPE_REPO", self.repository())
            .env("HOLOTYPE_PASSWORD", PASSWORD)
            .env("HOME", self.path("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Run {
        finish(self.command(arguments).spawn().unwrap())
    }

    /// Without any password in the environment.
    pub fn run_without_password<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Run {
        finish(self.command(arguments).env_remove("HOLOTYPE_PASSWORD").spawn().unwrap())
    }

    pub fn run_with_stdin<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I, input: &[u8]) -> Run {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let run = finish(child);
        // Whoever fails early reads nothing: then the pipe is broken.
        let _ = writer.join().unwrap();
        run
    }

    /// Everything that is stored, read and checked.
    #[track_caller]
    pub fn verify_clean(&self) {
        self.run(["verify", "--read-data"]).expect(0);
    }

    /// Ids of the images, oldest first.
    pub fn images(&self) -> Vec<String> {
        let images = self.run(["images", "--json"]).expect(0).json();
        images.as_array().unwrap().iter().map(|image| image["image"].as_str().unwrap().to_owned()).collect()
    }
}

pub fn finish(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap_or_else(|| panic!("ended by {}", output.status)),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Bytes that neither compress nor repeat, the same for the same seed (SplitMix64).
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

/// A small disk: noise, zeros, noise, and an odd length.
pub fn small_disk(seed: u64) -> Vec<u8> {
    [noise(seed, 1 << 20), vec![0; 2 << 20], noise(seed + 1, (1 << 20) + 512)].concat()
}

/// What a program of the system prints; absent where it is not there or fails.
pub fn system(program: &str, arguments: &[&OsStr]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
