use crate::support::Server;
use serde_json::json;
use std::time::Instant;

#[tokio::test]
async fn an_account_is_locked_for_the_address_that_guesses() {
    let server = Server::new();
    for _ in 0..5 {
        server.login("admin", "wrong password").await.expect(401);
    }
    let locked = server.login("admin", &server.admin_password).await.expect(429);
    assert_eq!(
        (locked.headers["retry-after"].to_str().unwrap(), locked.body["code"].as_str()),
        ("15", Some("too-many-requests"))
    );
    // Others are not locked out by it.
    let login = json!({ "user": "admin", "password": server.admin_password });
    server.ask_from("198.51.100.7", "", "POST /login", Some(login)).await.expect(200);
    server.wait_ms(15_000);
    server.login("admin", "wrong password").await.expect(401);
    assert_eq!(server.login("admin", "wrong password").await.expect(429).headers["retry-after"], "30");
    server.wait_ms(30_000);
    server.login("admin", &server.admin_password).await.expect(200);
    for _ in 0..5 {
        server.login("admin", "wrong password").await.expect(401);
    }
    let (subject, outcome, address) = server.event("user.login-refused").await;
    assert!(subject.starts_with("user "));
    assert_eq!((outcome.as_str(), address.as_str()), ("refused", "192.0.2.1"));
}

#[tokio::test]
async fn an_address_has_only_so_many_guesses_at_all_accounts() {
    let server = Server::new();
    let mut locked = None;
    for number in 0..40 {
        let answer = server.login(&format!("user {number}"), "wrong password").await;
        if answer.status != 401 {
            locked = Some((number, answer.expect(429)));
            break;
        }
    }
    assert_eq!(locked.expect("no limit").0, 30);
    server.wait_ms(10_000);
    server.login("admin", &server.admin_password).await.expect(200);
}

#[tokio::test]
async fn unknown_users_and_organisations_answer_as_wrong_passwords_do() {
    let server = Server::new();
    server.login("warm", "up").await;
    let mut answers = Vec::new();
    for (organisation, user) in [("default", "admin"), ("default", "nobody"), ("nowhere", "admin")] {
        let start = Instant::now();
        let body = json!({ "organisation": organisation, "user": user, "password": "wrong password" });
        let answer = server.ask("", "POST /login", body).await.expect(401);
        // Deriving takes milliseconds; without it an answer would take microseconds.
        assert!(start.elapsed().as_millis() >= 5, "{organisation} {user}");
        answers.push(answer.text);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn wrong_tokens_are_limited_and_good_ones_go_on() {
    let server = Server::new();
    let admin = server.admin().await;
    let wrong = format!("ht_{}", "0".repeat(64));
    let first = server.get(&wrong, "/me").await.expect(401);
    assert_eq!(server.get("", "/me").await.expect(401).text, first.text);
    assert_eq!(server.get("nonsense", "/me").await.expect(401).text, first.text);
    for _ in 0..598 {
        assert_eq!(server.get(&wrong, "/me").await.expect(401).text, first.text);
    }
    assert!(server.get(&wrong, "/me").await.expect(429).headers.contains_key("retry-after"));
    server.get(&admin, "/me").await.expect(200);
    server.ask_from("198.51.100.7", &wrong, "GET /me", None).await.expect(401);
    server.wait_ms(100);
    server.get(&wrong, "/me").await.expect(401);
    // Who shows nothing guesses nothing.
    for _ in 0..601 {
        assert_eq!(server.get("", "/me").await.expect(401).text, first.text);
    }
}
