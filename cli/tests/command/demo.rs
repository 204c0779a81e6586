//! `holotype demo`.

use crate::support::Workspace;

#[test]
fn it_works_and_leaves_nothing() {
    let workspace = Workspace::empty();
    let run = workspace.run(["demo", "--dir", "there", "--json"]).expect(0);
    let report = run.json();
    assert_eq!(report["clones"].as_array().unwrap().len(), 4);
    assert!(report["clones"].as_array().unwrap().iter().all(|clone| clone["identical"] == true));
    let bytes = |backup: &str, field: &str| report[backup][field].as_u64().unwrap();
    assert!(bytes("second", "new_bytes") > 0 && bytes("second", "new_bytes") * 4 < bytes("first", "new_bytes"));
    assert_eq!(std::fs::read_dir(workspace.path("there")).unwrap().count(), 0);
}

#[test]
fn what_is_kept_can_be_opened() {
    let workspace = Workspace::empty();
    let text = workspace.run(["demo", "--dir", "there", "--keep"]).expect(0).text();
    let command = text.lines().find_map(|line| line.strip_prefix("  holotype --repo ")).unwrap();
    let run = workspace.run_without_password(["--repo"].into_iter().chain(command.split(' '))).expect(0);
    assert_eq!(run.text().matches("classroom/master").count(), 2);
}
