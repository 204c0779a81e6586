//! The rescue shell.

use super::{SystemError, is_init};
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};

const BUSYBOX: &str = "/bin/busybox";

/// Runs the rescue shell on this console until it ends, in a session of its own with job control: `busybox setsid -c`
/// makes the console its terminal.
///
/// # Errors
/// Where the medium has none, or the console cannot be opened.
pub fn run(console: &Path) -> Result<(), SystemError> {
    if !is_init() {
        return Err(SystemError::not_init("rescue shell").advise("use a terminal of this system"));
    }
    if !Path::new(BUSYBOX).exists() {
        return Err(SystemError::new("rescue shell", "this medium has none")
            .advise("make the medium on a system with the package busybox-static"));
    }
    let failed = |action: &str, error| SystemError::io(console.display().to_string(), action, error);
    let open = || OpenOptions::new().read(true).write(true).open(console).map_err(|error| failed("open it", error));
    // Its commands are links to it. Where they are there already, or there is no room, the shell comes all the same.
    let _ = Command::new(BUSYBOX).args(["--install", "-s", "/bin"]).stdin(Stdio::null()).output();
    let status = Command::new(BUSYBOX)
        .args(["setsid", "-c", BUSYBOX, "sh", "-l"])
        .env_clear()
        .envs([("PATH", "/bin:/sbin"), ("HOME", "/tmp"), ("TERM", "linux"), ("PS1", "holotype# ")])
        .current_dir("/tmp")
        .stdin(open()?)
        .stdout(open()?)
        .stderr(open()?)
        .status();
    status.map(drop).map_err(|error| failed("start the rescue shell on it", error))
}
