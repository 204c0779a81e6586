//! `holotype server` on a directory, and what commands for a server say where none is there.

use crate::support::Workspace;

#[test]
fn the_provider_makes_organisations_repositories_and_users() {
    let workspace = Workspace::empty();
    let server = |arguments: &[&str]| workspace.run([&["server", "--data", "data"], arguments].concat());
    server(&["org", "add", "school"]).expect(0);
    server(&["org", "add", "school"]).refused(1, &["school", "already"]);
    let organisations = server(&["org", "list", "--json"]).expect(0).json();
    assert_eq!(organisations[0]["name"], "school");
    let made = server(&["repo", "add", "main", "--org", "school", "--json"]).expect(0).json();
    let directory = made["directory"].as_str().unwrap().to_owned();
    assert!(directory.ends_with("data/repositories/school/main"));
    server(&["repo", "add", "a/b", "--org", "school"]).refused(2, &["a-z"]);
    server(&["repo", "add", "x", "--org", "nowhere"]).refused(1, &["nowhere"]);
    assert!(server(&["repo", "list"]).expect(0).text().contains("school"));

    workspace.write("password", "correct horse\n");
    workspace.write("short", "short\n");
    let user = ["user", "add", "anna", "--org", "school", "--role", "admin"];
    server(&[&user[..], &["--password-file", "short"]].concat()).refused(2, &["10 characters"]);
    server(&[&user[..], &["--password-file", "password"]].concat()).expect(0);
    server(&[&user[..], &["--password-file", "password"]].concat()).refused(1, &["anna", "already"]);
    server(&user).refused(2, &["no terminal", "--password-file"]);

    server(&["database", "backup", "copy"]).expect(0);
    server(&["database", "backup", "copy"]).refused(1, &["copy", "already"]);
    server(&["repo", "remove", "main", "--org", "school"]).expect(0);
    assert!(std::path::Path::new(&directory).is_dir());
    assert_eq!(server(&["repo", "list", "--json"]).expect(0).json().as_array().unwrap().len(), 0);
    server(&["database", "restore", "copy"]).expect(0);
    assert_eq!(server(&["repo", "list", "--json"]).expect(0).json().as_array().unwrap().len(), 1);
    workspace.write("bad", "no database");
    server(&["database", "restore", "bad"]).refused(1, &["bad"]);
    workspace.run(["server", "--data", "typo", "org", "list"]).refused(1, &["typo"]);
    assert!(!workspace.path("typo").exists());
    workspace.run(["server", "org", "list"]).refused(2, &["--data"]);
}

#[test]
fn a_server_is_needed_and_a_token() {
    let workspace = Workspace::empty();
    workspace.run(["user", "list"]).refused(1, &["holotype login"]);
    workspace.write("token", "ht_0\n");
    let list = ["user", "list", "--token-file", "token"];
    workspace.run(list).refused(2, &["--server"]);
    let plain = [&list[..], &["--server", "http://127.0.0.1:1"]].concat();
    workspace.run(plain).refused(2, &["https://"]);
    workspace.run(["user", "list", "--server-pin", "sha256:00"]).expect(2);
}
