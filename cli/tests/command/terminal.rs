//! Prompts, on a terminal that `script` makes.

use crate::support::{PASSWORD, Workspace, noise};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Runs the command on a terminal, waits for each question and answers it. Gives what the terminal
/// showed and the exit code; absent where there is no `script`.
fn on_terminal(workspace: &Workspace, arguments: &str, answers: &[(&str, &str)]) -> Option<(String, i32)> {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_holotype"));
    let child = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(workspace.path(""))
        .env("HOLOTYPE_REPO", workspace.repository())
        .env("HOME", workspace.path("home"))
        .env_remove("HOLOTYPE_PASSWORD")
        .env_remove("HOLOTYPE_PASSWORD_FILE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: no `script` here");
        return None;
    };
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let mut answers = answers.iter();
    let mut waiting = answers.next();
    let mut seen = 0;
    let mut buffer = [0; 4096];
    while let Ok(bytes @ 1..) = stdout.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..bytes]);
        let text = String::from_utf8_lossy(&shown[seen..]).into_owned();
        if let Some((question, answer)) = waiting
            && text.contains(question)
        {
            seen = shown.len();
            // The question comes just before the terminal stops to show what is typed.
            std::thread::sleep(std::time::Duration::from_millis(150));
            writeln!(stdin, "{answer}").unwrap();
            waiting = answers.next();
        }
    }
    assert!(waiting.is_none(), "{waiting:?} was not asked: {}", String::from_utf8_lossy(&shown));
    drop(stdin);
    let code = child.wait().unwrap().code().unwrap();
    Some((String::from_utf8_lossy(&shown).into_owned(), code))
}

#[test]
fn a_new_password_is_asked_for_twice() {
    let workspace = Workspace::empty();
    let differ = [("New password", "a"), ("Again", "b")];
    let Some((shown, code)) = on_terminal(&workspace, "init --fast-derivation", &differ) else { return };
    assert!(code == 2 && shown.contains("not the same"), "{code}: {shown}");
    let same = [("New password", PASSWORD), ("Again", PASSWORD)];
    let (shown, code) = on_terminal(&workspace, "init --fast-derivation", &same).unwrap();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains(PASSWORD), "it is not shown");
    workspace.run(["images"]).expect(0);
    assert_eq!(on_terminal(&workspace, "images", &[("Password", PASSWORD)]).unwrap().1, 0);
    assert_eq!(on_terminal(&workspace, "images", &[("Password", "wrong")]).unwrap().1, 5);
}

#[test]
fn ctrl_c_at_a_prompt_is_a_cancellation() {
    let workspace = Workspace::empty();
    let Some((shown, code)) = on_terminal(&workspace, "init", &[("New password", "\u{3}")]) else { return };
    assert!(code == 130 && shown.contains("cancelled"), "{code}: {shown}");
    assert!(!workspace.repository().exists());
}

#[test]
fn progress_is_shown_and_the_summary_stands_alone() {
    let workspace = Workspace::new();
    workspace.write("disk", noise(1, 64 << 20));
    let Some((shown, code)) = on_terminal(&workspace, "backup disk --name a", &[("Password", PASSWORD)]) else {
        return;
    };
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("of 64.00 MiB") && shown.contains("left"), "{shown}");
    let (shown, _) = on_terminal(&workspace, "-q backup disk --name a", &[("Password", PASSWORD)]).unwrap();
    assert!(!shown.contains("64.00 MiB"), "{shown}");
}

#[test]
fn a_key_file_is_tried_alone_before_the_terminal_is_asked() {
    let workspace = Workspace::empty();
    workspace
        .run(["init", "--new-key-file", "second.key", "--recovery-key", "safe.key", "--fast-derivation"])
        .expect(0);
    let Some((shown, code)) = on_terminal(&workspace, "images --key-file safe.key", &[]) else { return };
    assert_eq!(code, 0, "{shown}");
    let both = on_terminal(&workspace, "images --key-file second.key", &[("Password", PASSWORD)]);
    assert_eq!(both.unwrap().1, 0);
}

#[test]
fn an_image_password_is_asked_for() {
    let workspace = Workspace::new();
    workspace.write("own", "its own");
    workspace.write("disk", "x".repeat(10_000));
    workspace.run(["backup", "disk", "--name", "a", "--image-password-file", "own", "--fast-derivation"]).expect(0);
    let answers = [("Password of the repository", PASSWORD), ("Password of the image", "its own")];
    let Some((shown, code)) = on_terminal(&workspace, "restore a out", &answers) else { return };
    assert_eq!(code, 0, "{shown}");
    assert_eq!(workspace.read("out"), workspace.read("disk"));
}
