use crate::support::Server;
use serde_json::json;

#[tokio::test]
async fn users_are_made_listed_in_pages_and_changed() {
    let server = Server::new();
    let admin = server.admin().await;
    let (viewer, viewer_id) = server.user(&admin, "vera", "viewer").await;
    server.user(&admin, "olaf", "operator").await;
    let again = json!({ "name": "vera", "role": "viewer", "password": "correct horse" });
    server.ask(&admin, "POST /users", again).await.expect(409);
    let page = server.get(&admin, "/users?limit=2").await.expect(200);
    let names = |page: &serde_json::Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&page.body), ["admin", "olaf"]);
    let rest = server.get(&admin, &format!("/users?after={}", page.text_at("next"))).await.expect(200);
    assert_eq!((names(&rest.body), rest.body.get("next")), (vec!["vera".to_owned()], None));
    assert!(!page.text.contains("argon2"));

    server.get(&viewer, "/users").await.expect(403);
    server.get(&viewer, &format!("/users/{viewer_id}")).await.expect(200);
    server.ask(&viewer, &format!("PATCH /users/{viewer_id}"), json!({ "role": "admin" })).await.expect(403);
    server.ask(&admin, &format!("PATCH /users/{viewer_id}"), json!({ "role": "operator" })).await.expect(200);
    let me = server.get(&viewer, "/me").await.expect(200);
    assert_eq!((&me.body["user"]["role"], &me.body["organisation_name"]), (&json!("operator"), &json!("default")));
    server.ask(&admin, &format!("PATCH /users/{viewer_id}"), json!({ "disabled": true })).await.expect(200);
    server.get(&viewer, "/me").await.expect(401);
    server.login("vera", "correct horse").await.expect(401);
    server.ask(&admin, &format!("PATCH /users/{viewer_id}"), json!({ "disabled": false })).await.expect(200);
    server.login("vera", "correct horse").await.expect(200);
    server.delete(&admin, &format!("/users/{viewer_id}")).await.expect(204);
    server.get(&admin, &format!("/users/{viewer_id}")).await.expect(404);
    for kind in ["user.created", "user.role-changed", "user.disabled", "user.enabled", "user.deleted", "user.login"] {
        assert_eq!(server.event(kind).await.1, "done");
    }
}

#[tokio::test]
async fn the_last_admin_stays() {
    let server = Server::new();
    let admin = server.admin().await;
    let me = server.get(&admin, "/me").await.expect(200).body["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("PATCH /users/{me}");
    server.ask(&admin, &path, json!({ "role": "viewer" })).await.expect(409);
    server.ask(&admin, &path, json!({ "disabled": true })).await.expect(409);
    server.delete(&admin, &format!("/users/{me}")).await.expect(409);
    let (_, second) = server.user(&admin, "second", "admin").await;
    server.ask(&admin, &format!("PATCH /users/{second}"), json!({ "disabled": true })).await.expect(200);
    server.delete(&admin, &format!("/users/{me}")).await.expect(409);
    server.ask(&admin, &format!("PATCH /users/{second}"), json!({ "disabled": false })).await.expect(200);
    server.ask(&admin, &path, json!({ "role": "viewer" })).await.expect(200);
    server.get(&admin, "/users").await.expect(403);
}

#[tokio::test]
async fn passwords_change_with_the_old_one() {
    let server = Server::new();
    let admin = server.admin().await;
    let (user, id) = server.user(&admin, "vera", "viewer").await;
    let other_session = server.login("vera", "correct horse").await.expect(200).text_at("token");
    let path = format!("PUT /users/{id}/password");
    server.ask(&user, &path, json!({ "password": "battery staple" })).await.expect(400);
    let wrong = json!({ "password": "battery staple", "old_password": "wrong horse" });
    server.ask(&user, &path, wrong).await.expect(403);
    let short = json!({ "password": "short", "old_password": "correct horse" });
    server.ask(&user, &path, short).await.expect(400);
    let right = json!({ "password": "battery staple", "old_password": "correct horse" });
    server.ask(&user, &path, right).await.expect(204);
    server.get(&other_session, "/me").await.expect(401);
    server.get(&user, "/me").await.expect(200);
    server.login("vera", "correct horse").await.expect(401);
    server.login("vera", "battery staple").await.expect(200);
    server.ask(&admin, &path, json!({ "password": "set by the admin" })).await.expect(204);
    server.get(&user, "/me").await.expect(401);
    server.login("vera", "set by the admin").await.expect(200);
}

#[tokio::test]
async fn another_organisation_s_answers_are_those_of_nothing() {
    let server = Server::new();
    let admin = server.admin().await;
    let eve = server.foreign_admin().await;
    let (_, id) = server.user(&admin, "vera", "viewer").await;
    server.repository("main");
    let machine = server.ask(&admin, "POST /enrolment-codes", json!({ "name": "pc" })).await.expect(201);
    let (code, machine) = (machine.text_at("id"), machine.text_at("machine"));
    let token = server.ask(&admin, "POST /tokens", json!({ "name": "t", "machine": machine })).await.expect(201);
    let token = token.text_at("id");
    let missing = "0123456789abcdef0123456789abcdef";
    let grant = json!({ "repository": "main", "image": "00".repeat(32) });
    let rights = json!({ "may_add": true, "may_restore": "all" });
    for (what, there, body) in [
        ("GET /users/{}", &id, None),
        ("PATCH /users/{}", &id, Some(json!({ "disabled": true }))),
        ("PUT /users/{}/password", &id, Some(json!({ "password": "battery staple" }))),
        ("DELETE /users/{}", &id, None),
        ("DELETE /tokens/{}", &token, None),
        ("DELETE /enrolment-codes/{}", &code, None),
        ("GET /machines/{}/repositories", &machine, None),
        ("GET /machines/{}/repositories/main", &machine, None),
        ("PUT /machines/{}/repositories/main", &machine, Some(rights)),
        ("GET /machines/{}/grants", &machine, None),
        ("POST /machines/{}/grants", &machine, Some(grant)),
    ] {
        let of_another = server.ask_from("192.0.2.1", &eve, &what.replace("{}", there), body.clone()).await.expect(404);
        let of_nobody = server.ask_from("192.0.2.1", &eve, &what.replace("{}", missing), body).await.expect(404);
        assert_eq!(of_another.text.replace(there.as_str(), missing), of_nobody.text, "{what}");
    }
    let new = json!({ "name": "t", "machine": machine });
    server.ask(&eve, "POST /tokens", new).await.expect(404);
    server.ask(&eve, "POST /enrolment-codes", json!({ "repository": "main" })).await.expect(404);
    for list in ["/users", "/tokens", "/enrolment-codes"] {
        let text = server.get(&eve, list).await.expect(200).text;
        assert!(![&id, &token, &code, &machine].iter().any(|id| text.contains(id.as_str())), "{list}");
    }
}

#[tokio::test]
async fn bodies_and_queries_are_looked_at() {
    let server = Server::new();
    let admin = server.admin().await;
    for (bad, status) in [
        (json!({ "name": "a", "role": "admin", "password": "correct horse", "more": 1 }), 400),
        (json!({ "name": "a", "role": "root", "password": "correct horse" }), 400),
        (json!({ "name": "a\u{1b}", "role": "admin", "password": "correct horse" }), 400),
        (json!({ "name": "a", "role": "admin", "password": "x".repeat(2000) }), 400),
        (json!({ "name": "a", "role": "admin", "password": "x".repeat(70_000) }), 413),
        (json!([]), 400),
    ] {
        server.ask(&admin, "POST /users", bad).await.expect(status);
    }
    server.get(&admin, "/users?limit=x").await.expect(400);
    server.get(&admin, "/users?more=1").await.expect(400);
    server.get(&admin, "/tokens?after=x").await.expect(400);
    server.get(&admin, "/users/%ff").await.expect(404);
    server.get("", "/users").await.expect(401);
    let time = server.get("", "/time").await.expect(200);
    assert_eq!(time.body["now_ms"], server.now_ms());
}
