//! Every command over a server, as over a directory.

use holotype_server::access::Role;
use holotype_server::testing::TestServer;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

struct Lab {
    directory: tempfile::TempDir,
    server: TestServer,
}

impl Lab {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = TestServer::start(directory.path());
        server.add_user("0123456789", Role::Admin);
        server.add_repository("lab");
        std::fs::write(
            directory.path().join("token"),
            format!("{}\n", holotype_server::testing::secret_of("0123456789")),
        )
        .unwrap();
        std::fs::write(directory.path().join("password"), "correct horse\n").unwrap();
        Self { directory, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holotype"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOLOTYPE_REPO", format!("{}/lab", self.server.origin()))
            .env("HOLOTYPE_TOKEN_FILE", self.path("token"))
            .env("HOLOTYPE_SERVER_PIN", self.server.pin().to_string())
            .env("HOLOTYPE_PASSWORD_FILE", self.path("password"))
            .env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", error_of(&output));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn noise(path: &Path, bytes: usize, mut state: u64) {
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    std::fs::write(path, words.flatten().take(bytes).collect::<Vec<u8>>()).unwrap();
}

#[test]
fn every_command_works_over_a_server() {
    let lab = Lab::new();
    noise(&lab.path("disk"), 20 << 20, 1);
    lab.run(&["init", "--fast-derivation"]);
    let again = lab.command(&["init", "--fast-derivation"]).output().unwrap();
    assert!(error_of(&again).contains("there is a repository already"), "{}", error_of(&again));
    lab.run(&["backup", "disk", "--name", "pc"]);
    let images = lab.run(&["images"]);
    assert!(images.contains("pc"), "{images}");
    lab.run(&["show", "pc"]);
    lab.run(&["restore", "pc", "restored", "--receipt", "receipt"]);
    assert!(std::fs::read(lab.path("restored")).unwrap() == std::fs::read(lab.path("disk")).unwrap());
    lab.run(&["receipt", "check", "receipt"]);
    noise(&lab.path("disk"), 21 << 20, 1);
    lab.run(&["backup", "disk", "--name", "pc"]);
    lab.run(&["verify", "--read-data"]);
    lab.run(&["stats"]);
    lab.run(&["rebuild-index"]);
    assert!(lab.run(&["key", "list"]).contains("full"));
    let ids: serde_json::Value = serde_json::from_str(&lab.run(&["images", "--json"])).unwrap();
    let ids: Vec<&str> = ids["images"]
        .as_array()
        .unwrap_or_else(|| ids.as_array().unwrap())
        .iter()
        .map(|image| image["image"].as_str().or(image["id"].as_str()).unwrap())
        .collect();
    assert_eq!(ids.len(), 2);
    lab.run(&["diff", ids[0], ids[1]]);
}

#[test]
fn what_is_wrong_is_said_in_a_sentence() {
    let lab = Lab::new();
    let fails = |variable: &str, value: &str| {
        let mut command = lab.command(&["stats"]);
        match value {
            "" => command.env_remove(variable),
            value => command.env(variable, value),
        };
        let output = command.output().unwrap();
        assert!(!output.status.success());
        let error = error_of(&output);
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert!(!error.contains(&holotype_server::testing::secret_of("0123456789")), "the token is told: {error}");
        error
    };
    std::fs::write(lab.path("other"), "another\n").unwrap();
    let error = fails("HOLOTYPE_SERVER_PIN", &format!("sha256:{}", "00".repeat(32)));
    assert!(error.contains("not the pinned one"), "{error}");
    let error = fails("HOLOTYPE_TOKEN_FILE", lab.path("other").to_str().unwrap());
    assert!(error.contains("refuses the token"), "{error}");
    let error = fails("HOLOTYPE_TOKEN_FILE", "");
    assert!(error.contains("--token-file"), "{error}");
    let error = fails("HOLOTYPE_REPO", &format!("{}/other", lab.server.origin()));
    assert!(error.contains("no such repository"), "{error}");
}
