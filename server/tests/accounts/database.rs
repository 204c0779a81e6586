use crate::support::{Server, name};
use holotype_server::data_dir::DataDir;
use holotype_server::database::{Database, NEWEST_VERSION};
use holotype_server::error::Code;
use holotype_server::provider;
use holotype_server::state::AppState;
use rusqlite::Connection;
use serde_json::json;
use std::fs;

#[tokio::test]
async fn a_backup_of_the_running_server_restores() {
    let server = Server::new();
    let admin = server.admin().await;
    let token = server.ask(&admin, "POST /tokens", json!({ "name": "t" })).await.expect(201).text_at("token");
    let backup = server.directory.path().join("backup.sqlite");
    let summary = provider::back_up(&server.data, &backup).unwrap();
    assert_eq!((summary.version, summary.rows["users"], summary.rows["tokens"]), (NEWEST_VERSION, 1, 2));
    assert_eq!(provider::back_up(&server.data, &backup).unwrap_err().code(), Code::Conflict);
    server.user(&admin, "vera", "viewer").await;

    let lock = server.data.lock().unwrap();
    let refused = provider::restore(&server.data, &backup).unwrap_err();
    assert!(refused.to_string().contains("another server runs"), "{refused}");
    drop(lock);
    let Server { directory, state, data, .. } = server;
    drop(state);
    let restored = provider::restore(&data, &backup).unwrap();
    assert_eq!(restored.database.rows["users"], 1);
    let old = Connection::open(restored.old.unwrap()).unwrap();
    assert_eq!(old.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0)).unwrap(), 2);

    let database = Database::open(&data.database()).unwrap();
    let count = |sql: &'static str| {
        database.read_blocking(|connection| Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)).unwrap()
    };
    assert_eq!(count("SELECT count(*) FROM users"), 1);
    assert_eq!(count("SELECT count(*) FROM tokens WHERE kind = 'session' AND revoked_ms IS NULL"), 0);
    assert_eq!(count("SELECT count(*) FROM tokens WHERE kind = 'token' AND revoked_ms IS NULL"), 1);
    assert!(token.starts_with("ht_"));
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    let _ = AppState::new(data.path().to_owned(), database);
}

#[test]
fn damaged_newer_and_foreign_files_are_not_restored() {
    let directory = tempfile::tempdir().unwrap();
    let data = DataDir::create(&directory.path().join("data")).unwrap();
    let database = Database::open(&data.database()).unwrap();
    for number in 0..200 {
        provider::add_organisation(&database, &name(&format!("organisation {number}"))).unwrap();
    }
    let backup = directory.path().join("backup");
    provider::back_up(&data, &backup).unwrap();
    drop(database);
    let before = fs::read(data.database()).unwrap();
    let whole = fs::read(&backup).unwrap();
    let bad = directory.path().join("bad");
    let mut damaged = whole.clone();
    let page = 4096;
    for at in (page..damaged.len()).step_by(page) {
        damaged[at..at + 64].fill(0xa5);
    }
    for bytes in [damaged, whole[..whole.len() / 2].to_vec(), b"no database".to_vec(), Vec::new()] {
        fs::write(&bad, bytes).unwrap();
        let code = provider::restore(&data, &bad).unwrap_err().code();
        assert_eq!(code, Code::Damaged);
    }
    fs::write(&bad, &whole).unwrap();
    let newer = Connection::open(&bad).unwrap();
    newer.pragma_update(None, "user_version", NEWEST_VERSION + 1).unwrap();
    newer.close().unwrap();
    assert!(provider::restore(&data, &bad).unwrap_err().to_string().contains("newer"));
    fs::write(&bad, &whole).unwrap();
    let dangling = Connection::open(&bad).unwrap();
    dangling.pragma_update(None, "foreign_keys", false).unwrap();
    let sql = "INSERT INTO group_machines (group_id, machine) VALUES ('none', 'none')";
    dangling.execute(sql, []).unwrap();
    dangling.close().unwrap();
    assert_eq!(provider::restore(&data, &bad).unwrap_err().code(), Code::Damaged);
    assert!(provider::restore(&data, &directory.path().join("missing")).is_err());
    assert_eq!(fs::read(data.database()).unwrap(), before);
    let left = fs::read_dir(data.path()).unwrap().count();
    assert!(left <= 2, "the database and the lock");
}

#[test]
fn repositories_are_made_taken_in_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let data = DataDir::create(&directory.path().join("data")).unwrap();
    let database = Database::open(&data.database()).unwrap();
    let organisation = name("school");
    let add = |repository: &str, at: Option<&std::path::Path>| {
        provider::add_repository(&data, &database, &organisation, repository, at)
    };
    assert_eq!(add("main", None).unwrap_err().code(), Code::NotFound);
    provider::add_organisation(&database, &organisation).unwrap();
    assert_eq!(provider::add_organisation(&database, &organisation).unwrap_err().code(), Code::Conflict);
    let main = add("main", None).unwrap();
    assert_eq!(main.directory, data.repositories().join("school/main"));
    assert_eq!(add("main", None).unwrap_err().code(), Code::Conflict);
    assert_eq!(add("second", Some(&main.directory)).unwrap_err().code(), Code::Conflict);
    for bad in ["", "Main", "a/b", "..", &"a".repeat(65)] {
        assert_eq!(add(bad, None).unwrap_err().code(), Code::InvalidRequest, "{bad}");
    }
    let elsewhere = directory.path().join("elsewhere");
    add("second", Some(&elsewhere)).unwrap();
    assert_eq!(provider::repositories(&database).unwrap().len(), 2);
    assert_eq!(provider::remove_repository(&database, &organisation, "main").unwrap(), main.directory);
    assert!(main.directory.join("packs").is_dir() || main.directory.is_dir());
    assert_eq!(provider::repositories(&database).unwrap().len(), 1);
    // What was forgotten can be taken in again.
    add("again", Some(&main.directory)).unwrap();
    let occupied = directory.path().join("occupied");
    fs::create_dir(&occupied).unwrap();
    fs::write(occupied.join("letter"), "dear").unwrap();
    assert!(add("third", Some(&occupied)).is_err());
    assert_eq!(fs::read_dir(&occupied).unwrap().count(), 1);
}
