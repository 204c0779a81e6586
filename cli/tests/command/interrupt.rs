//! Signals.

use crate::support::{Workspace, finish, noise};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until the backup is at work: its lease stands.
fn wait_for_lease(workspace: &Workspace) {
    let started = Instant::now();
    while std::fs::read_dir(workspace.repository().join("leases")).unwrap().next().is_none() {
        assert!(started.elapsed() < Duration::from_secs(30), "the backup does not begin");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_backup_is_interrupted_and_leaves_a_clean_repository() {
    for which in [Signal::INT, Signal::TERM] {
        let workspace = Workspace::new();
        let path = workspace.write("disk", noise(1, 8 << 20));
        // Long enough that it is not through before the signal comes.
        File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
        let child = workspace.command(["backup", "disk", "--name", "a", "--json"]).spawn().unwrap();
        wait_for_lease(&workspace);
        sleep(Duration::from_millis(200));
        signal(&child, which);
        let run = finish(child).refused(130, &["cancelled"]);
        assert_eq!(run.json()["kind"], "cancelled");
        assert!(workspace.images().is_empty());
        workspace.verify_clean();
        let leases = std::fs::read_dir(workspace.repository().join("leases")).unwrap().count();
        assert_eq!(leases, 0, "its lease is given back");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let workspace = Workspace::new();
    let mut child = workspace.command(["backup", "-", "--name", "a"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&noise(1, 1 << 20)).unwrap();
    wait_for_lease(&workspace);
    signal(&child, Signal::INT);
    sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "it waits for its input");
    signal(&child, Signal::INT);
    finish(child).expect(130);
    assert!(workspace.images().is_empty());
    workspace.verify_clean();
}

#[test]
fn a_reader_that_leaves_is_an_error_of_a_restore_and_none_of_a_list() {
    let workspace = Workspace::new();
    workspace.write("disk", noise(1, 4 << 20));
    workspace.run(["backup", "disk", "--name", "a"]).expect(0);
    let mut child = workspace.command(["restore", "a", "-"]).spawn().unwrap();
    drop(child.stdout.take());
    finish(child).refused(1, &["standard output has ended"]);
    let mut child = workspace.command(["images"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(finish(child).expect(0).stderr, "");
}
