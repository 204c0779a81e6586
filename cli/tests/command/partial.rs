//! Disks with bad sectors.

use crate::support::{Workspace, noise};
use std::process::Command;

/// The library that makes reads fail; absent where there is no compiler.
fn bad_sector(workspace: &Workspace) -> Option<std::path::PathBuf> {
    let library = workspace.path("bad_sector.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bad_sector.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compiled = Command::new(rustc).args(["--edition", "2024", "-o"]).arg(&library).arg(source).status();
    let works = cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))
        && compiled.is_ok_and(|status| status.success());
    if !works {
        eprintln!("skipped: no rustc here to build the fault");
    }
    works.then_some(library)
}

#[test]
fn a_partial_backup_says_so() {
    let workspace = Workspace::new();
    let Some(library) = bad_sector(&workspace) else { return };
    let disk = [noise(1, 1 << 20), vec![0; 9 << 20], noise(2, 1 << 20)].concat();
    workspace.write("disk", &disk);
    let backup = || {
        let mut command = workspace.command(["backup", "disk", "--name", "a", "--json"]);
        finish_with(command.env("LD_PRELOAD", &library))
    };
    let run = backup().refused(3, &["could not be read"]);
    let report = run.json();
    assert_eq!(report["unreadable_bytes"], 4096, "{report}");
    assert_eq!(report["unreadable"], serde_json::json!([[10 << 20, 4096]]));

    let run = workspace.run(["restore", "a", "out", "--json"]).refused(3, &["zeros now"]);
    assert_eq!(run.json()["unreadable_bytes"], 4096);
    let mut expected = disk;
    expected[10 << 20..(10 << 20) + 4096].fill(0);
    assert!(workspace.read("out") == expected);
    workspace.verify_clean();
}

fn finish_with(command: &mut Command) -> crate::support::Run {
    crate::support::finish(command.spawn().unwrap())
}
