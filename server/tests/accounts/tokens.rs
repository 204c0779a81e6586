use crate::support::Server;
use serde_json::json;

#[tokio::test]
async fn tokens_are_shown_once_and_end() {
    let server = Server::new();
    let admin = server.admin().await;
    let new = json!({ "name": "script", "expires_in_seconds": 3600 });
    let made = server.ask(&admin, "POST /tokens", new).await.expect(201);
    let (id, token) = (made.text_at("id"), made.text_at("token"));
    let me = server.get(&token, "/me").await.expect(200);
    assert_eq!(me.body["token_expires_ms"], server.now_ms() + 3_600_000);
    let list = server.get(&admin, "/tokens").await.expect(200);
    assert_eq!(list.body["items"].as_array().unwrap().len(), 2);
    assert!(list.text.contains(&id) && !list.text.contains("ht_"));
    let page = server.get(&admin, "/tokens?limit=1").await.expect(200);
    let next = server.get(&admin, &format!("/tokens?limit=1&after={}", page.text_at("next"))).await.expect(200);
    assert_ne!(page.body["items"][0]["id"], next.body["items"][0]["id"]);
    assert!(next.body.get("next").is_none());

    server.wait_ms(3_600_000 - 1);
    server.get(&token, "/me").await.expect(200);
    server.wait_ms(1);
    server.get(&token, "/me").await.expect(401);
    assert_eq!(server.event("token.refused").await.0, format!("token {id}"));

    let made = server.ask(&admin, "POST /tokens", json!({ "name": "script" })).await.expect(201);
    let token = made.text_at("token");
    server.get(&token, "/me").await.expect(200);
    server.delete(&admin, &format!("/tokens/{}", made.text_at("id"))).await.expect(204);
    server.get(&token, "/me").await.expect(401);
    for bad in [1, 40_000_000] {
        let new = json!({ "name": "script", "expires_in_seconds": bad });
        server.ask(&admin, "POST /tokens", new).await.expect(400);
    }
    server.ask(&admin, "POST /logout", json!({})).await.expect(204);
    server.get(&admin, "/me").await.expect(401);
}

#[tokio::test]
async fn sessions_end_after_twelve_hours() {
    let server = Server::new();
    let admin = server.admin().await;
    server.wait_ms(12 * 3_600_000 - 1);
    server.get(&admin, "/me").await.expect(200);
    server.wait_ms(1);
    server.get(&admin, "/me").await.expect(401);
}

#[tokio::test]
async fn roles_see_and_revoke_what_is_theirs() {
    let server = Server::new();
    let admin = server.admin().await;
    let (viewer, _) = server.user(&admin, "vera", "viewer").await;
    let (operator, _) = server.user(&admin, "olaf", "operator").await;
    let machine = server.ask(&operator, "POST /enrolment-codes", json!({ "name": "pc" })).await.expect(201);
    let machine = machine.text_at("machine");
    let new = json!({ "name": "t", "machine": machine });
    server.ask(&viewer, "POST /tokens", new.clone()).await.expect(403);
    let of_machine = server.ask(&operator, "POST /tokens", new).await.expect(201);
    let own = server.ask(&viewer, "POST /tokens", json!({ "name": "own" })).await.expect(201).text_at("id");
    server.delete(&operator, &format!("/tokens/{own}")).await.expect(404);
    server.delete(&viewer, &format!("/tokens/{}", of_machine.text_at("id"))).await.expect(404);
    server.delete(&viewer, &format!("/tokens/{own}")).await.expect(204);
    let machine_token = of_machine.text_at("token");
    for path in ["/users", "/tokens", "/enrolment-codes", &format!("/machines/{machine}/grants")] {
        server.get(&machine_token, path).await.expect(403);
    }
    let own = server.ask(&viewer, "POST /tokens", json!({ "name": "own" })).await.expect(201).text_at("id");
    server.delete(&admin, &format!("/tokens/{own}")).await.expect(204);
}

#[tokio::test]
async fn tokens_of_machines_can_be_narrowed() {
    let server = Server::new();
    let admin = server.admin().await;
    server.repository("one");
    server.repository("two");
    let machine = server.ask(&admin, "POST /enrolment-codes", json!({ "name": "pc" })).await.expect(201);
    let machine = machine.text_at("machine");
    for repository in ["one", "two"] {
        let rights = json!({ "may_add": true, "may_restore": "granted" });
        server.ask(&admin, &format!("PUT /machines/{machine}/repositories/{repository}"), rights).await.expect(200);
    }
    let narrow = json!({ "name": "t", "machine": machine, "repositories": ["two"] });
    let narrow = server.ask(&admin, "POST /tokens", narrow).await.expect(201).text_at("token");
    let wide = server.ask(&admin, "POST /tokens", json!({ "name": "t", "machine": machine })).await.expect(201);
    let wide = wide.text_at("token");
    let mine = |me: &serde_json::Value| me["machine"]["repositories"].clone();
    let two = json!({ "name": "two", "may_add": true, "may_restore": "granted" });
    assert_eq!(mine(&server.get(&narrow, "/me").await.expect(200).body), json!([two]));
    assert_eq!(mine(&server.get(&wide, "/me").await.expect(200).body).as_array().unwrap().len(), 2);
    let own = json!({ "name": "t", "repositories": ["two"] });
    server.ask(&admin, "POST /tokens", own).await.expect(400);
    let missing = json!({ "name": "t", "machine": machine, "repositories": ["three"] });
    server.ask(&admin, "POST /tokens", missing).await.expect(404);

    // Without the repository it would be narrowed to nothing, which would mean everything.
    let organisation = crate::support::name("default");
    let directory = holotype_server::provider::remove_repository(&server.state.database, &organisation, "two").unwrap();
    assert!(directory.is_dir());
    server.wait_ms(5_000);
    server.get(&narrow, "/me").await.expect(401);
    server.get(&wide, "/me").await.expect(200);
}
