use crate::support::{Server, enrol_request, key};
use holotype_server::text::SecretText;
use serde_json::json;
use std::fs;

#[tokio::test]
async fn no_secret_is_in_the_database_s_files() {
    let server = Server::new();
    let admin = server.admin().await;
    let (user, id) = server.user(&admin, "vera", "viewer").await;
    let change = json!({ "password": "battery staple", "old_password": "correct horse" });
    server.ask(&user, &format!("PUT /users/{id}/password"), change).await.expect(204);
    // A password where the name belongs.
    server.login("swapped password", "vera").await.expect(401);
    server.event("user.login-refused").await;
    let token = server.ask(&admin, "POST /tokens", json!({ "name": "t" })).await.expect(201).text_at("token");
    server.get(&token, "/me").await.expect(200);
    let code = server.ask(&admin, "POST /enrolment-codes", json!({})).await.expect(201).text_at("code");
    let enrolled = server.ask("", "POST /enrol", enrol_request(&code, "pc", &key(1))).await.expect(201);
    let normal = code.replace('-', "");
    let secrets = [
        &admin,
        &user,
        &token,
        &code,
        &normal,
        &enrolled.text_at("token"),
        &server.admin_password,
        &"correct horse".to_owned(),
        &"battery staple".to_owned(),
        &"swapped password".to_owned(),
    ];
    let mut files = 0;
    for entry in fs::read_dir(server.data.path()).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().contains("holotype.sqlite") {
            continue;
        }
        files += 1;
        let bytes = fs::read(&path).unwrap();
        for secret in secrets {
            let secret = secret.trim_start_matches("ht_").as_bytes();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
        }
    }
    assert!(files >= 2, "the log has to be looked at too");
    // The scan finds what is there.
    let all: Vec<u8> = [".sqlite", ".sqlite-wal"]
        .iter()
        .flat_map(|end| fs::read(server.data.path().join(format!("holotype{end}"))).unwrap())
        .collect();
    assert!(all.windows(10).any(|window| window == b"$argon2id$"));
}

#[test]
fn no_secret_is_printed() {
    let secret = SecretText::try_from("correct horse".to_owned()).unwrap();
    assert!(!format!("{secret:?}").contains("horse"));
}

#[test]
fn the_initial_password_is_for_its_owner_alone_and_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let database = holotype_server::database::Database::open(&directory.path().join("holotype.sqlite")).unwrap();
    let path = holotype_server::accounts::first_start(&database, directory.path()).unwrap().unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let password = fs::read_to_string(&path).unwrap();
    assert_eq!(holotype_server::accounts::first_start(&database, directory.path()).unwrap(), None);
    assert_eq!(fs::read_to_string(&path).unwrap(), password);
}
