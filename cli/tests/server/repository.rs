//! Every command works on a repository of a server as on a directory.

use crate::fixture::Server;
use crate::support::small_disk;

#[test]
fn the_commands_work_through_the_server() {
    let mut server = Server::initialised();
    let disk = small_disk(1);
    server.workspace.write("disk", &disk);
    server.client(["backup", "disk", "--name", "pc"]).expect(0);
    let again = server.client(["backup", "disk", "--name", "pc", "--json"]).expect(0).json();
    assert!(again["stored_bytes"].as_u64().unwrap() < 100_000, "{again}");
    let images = server.client(["images", "--json"]).expect(0).json();
    assert_eq!(images.as_array().unwrap().len(), 2);
    server.client(["show", "pc"]).expect(0);
    assert_eq!(server.client(["restore", "pc", "-"]).expect(0).stdout, disk);
    server.client(["restore", "pc", "copy", "--verify", "--receipt", "receipt"]).expect(0);
    assert_eq!(server.workspace.read("copy"), disk);
    server.client(["receipt", "check", "receipt"]).expect(0);
    server.client(["diff", "pc", "pc"]).expect(0);
    server.client(["verify", "--read-data"]).expect(0);
    server.client(["stats"]).expect(0);
    server.client(["rebuild-index"]).expect(0);
    server.workspace.write("word", "another password\n");
    server.client(["key", "list"]).expect(0);
    // What the server holds is a repository that needs no server.
    assert_eq!(server.stop(), 0);
    let held = server.data().join("repositories/default/lab");
    let run = crate::support::finish(
        server.workspace.command(["verify", "--read-data", "--repo", held.to_str().unwrap()]).spawn().unwrap(),
    );
    run.expect(0);
}

#[test]
fn secrets_stand_in_no_log_and_not_in_the_database() {
    let mut server = Server::initialised();
    server.workspace.write("disk", small_disk(2));
    server.client(["backup", "disk", "--name", "pc"]).expect(0);
    let token = String::from_utf8(server.workspace.read("token")).unwrap().trim().to_owned();
    let password = std::fs::read_to_string(server.data().join("initial-admin-password")).unwrap();
    let password = password.lines().next().unwrap().trim().to_owned();
    assert!(token.len() >= 40 && password.len() >= 16);
    server.workspace.write("wrong", "a password that is wrong\n");
    server.client(["login", "admin", "--password-file", "wrong", "--token-file", "other"]).expect(1);
    server.kill();
    let mut texts = vec![server.log().into_bytes()];
    for name in ["holotype.sqlite", "holotype.sqlite-wal"] {
        texts.push(std::fs::read(server.data().join(name)).unwrap_or_default());
    }
    for (number, text) in texts.iter().enumerate() {
        for secret in [token.as_str(), &password, "a password that is wrong"] {
            let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "a secret stands in text {number}");
        }
    }
}
