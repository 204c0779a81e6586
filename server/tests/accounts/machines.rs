use crate::support::{Server, enrol_request, key, session_request};
use serde_json::json;

#[tokio::test]
async fn a_code_lets_one_machine_in_once() {
    let server = Server::new();
    let admin = server.admin().await;
    server.repository("main");
    let new = json!({ "repository": "main" });
    let code = server.ask(&admin, "POST /enrolment-codes", new).await.expect(201).text_at("code");
    assert_eq!(code.len(), 29);
    let mut typed = enrol_request(&code, "pc-1", &key(1));
    typed["code"] = json!(code.to_lowercase().replace('-', " "));
    let enrolled = server.ask("", "POST /enrol", typed).await.expect(201);
    let (machine, token) = (enrolled.text_at("machine"), enrolled.text_at("token"));
    let me = server.get(&token, "/me").await.expect(200);
    assert_eq!(me.body["machine"]["repositories"], json!([{ "name": "main", "may_add": true, "may_restore": "own" }]));
    assert_eq!(server.event("machine.enrolled").await.0, format!("machine {machine}"));

    let again = server.ask("", "POST /enrol", enrol_request(&code, "pc-2", &key(2))).await.expect(401);
    let unknown = enrol_request("0000-0000-0000-0000-0000-0000", "pc-2", &key(2));
    assert_eq!(server.ask("", "POST /enrol", unknown).await.expect(401).text, again.text);
    assert_eq!(server.event("machine.enrol-refused").await.1, "refused");
    let list = server.get(&admin, "/enrolment-codes").await.expect(200);
    assert_eq!((list.body["items"][0]["used_ms"].is_number(), list.text.contains(&code)), (true, false));
}

#[tokio::test]
async fn codes_expire_are_taken_back_and_want_proof_of_the_key() {
    let server = Server::new();
    let admin = server.admin().await;
    let code = server.ask(&admin, "POST /enrolment-codes", json!({ "expires_in_seconds": 60 })).await.expect(201);
    let code = code.text_at("code");
    let mut stolen = enrol_request(&code, "pc-1", &key(1));
    stolen["public_key"] = json!(key(2).writer().to_string());
    server.ask("", "POST /enrol", stolen).await.expect(401);
    server.wait_ms(60_000);
    server.ask("", "POST /enrol", enrol_request(&code, "pc-1", &key(1))).await.expect(401);
    let code = server.ask(&admin, "POST /enrolment-codes", json!({})).await.expect(201);
    server.delete(&admin, &format!("/enrolment-codes/{}", code.text_at("id"))).await.expect(204);
    server.ask("", "POST /enrol", enrol_request(&code.text_at("code"), "pc-1", &key(1))).await.expect(401);
    let code = server.ask(&admin, "POST /enrolment-codes", json!({})).await.expect(201).text_at("code");
    for (name, bad) in [("macs", json!(["zz"])), ("signature", json!("00")), ("smbios_uuid", json!("no"))] {
        let mut request = enrol_request(&code, "pc-1", &key(1));
        request[name] = bad;
        server.ask("", "POST /enrol", request).await.expect(400);
    }
    server.ask("", "POST /enrol", enrol_request(&code, "pc-1", &key(1))).await.expect(201);
}

#[tokio::test]
async fn a_machine_is_its_key_not_its_address() {
    let server = Server::new();
    let admin = server.admin().await;
    let mut machines = Vec::new();
    for number in 1..=2 {
        let code = server.ask(&admin, "POST /enrolment-codes", json!({})).await.expect(201).text_at("code");
        // Both have the same MAC.
        let enrolled = server.ask("", "POST /enrol", enrol_request(&code, &format!("pc-{number}"), &key(number))).await;
        machines.push(enrolled.expect(201).text_at("machine"));
    }
    assert_ne!(machines[0], machines[1]);
    let macs: i64 = server
        .state
        .database
        .read_blocking(|connection| {
            let sql = "SELECT count(*) FROM machine_addresses WHERE address = '00:11:22:33:44:55'";
            Ok(connection.query_row(sql, [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(macs, 2);
    // A name that is taken leaves the code good.
    let code = server.ask(&admin, "POST /enrolment-codes", json!({})).await.expect(201).text_at("code");
    server.ask("", "POST /enrol", enrol_request(&code, "pc-1", &key(3))).await.expect(409);
    server.ask("", "POST /enrol", enrol_request(&code, "pc-3", &key(3))).await.expect(201);
    // The key of another machine is not taken by a code for this one.
    let for_first = json!({ "machine": machines[0] });
    let code = server.ask(&admin, "POST /enrolment-codes", for_first).await.expect(201).text_at("code");
    server.ask("", "POST /enrol", enrol_request(&code, "x", &key(2))).await.expect(409);
    // A new key, as after a new installation: the old one opens nothing any more.
    let renewed = server.ask("", "POST /enrol", enrol_request(&code, "x", &key(4))).await.expect(201);
    assert_eq!(renewed.text_at("machine"), machines[0]);
    let old = session_request(&machines[0], server.now_ms(), 1, &key(1));
    server.ask("", "POST /machines/session", old).await.expect(401);
    let new = session_request(&machines[0], server.now_ms(), 1, &key(4));
    server.ask("", "POST /machines/session", new).await.expect(200);
}

#[tokio::test]
async fn sessions_want_a_fresh_proof() {
    let server = Server::new();
    let admin = server.admin().await;
    let code = server.ask(&admin, "POST /enrolment-codes", json!({})).await.expect(201).text_at("code");
    let enrolled = server.ask("", "POST /enrol", enrol_request(&code, "pc", &key(1))).await.expect(201);
    let machine = enrolled.text_at("machine");
    let now_ms = server.now_ms();
    let request = session_request(&machine, now_ms - 300_000, 1, &key(1));
    let token = server.ask("", "POST /machines/session", request.clone()).await.expect(200).text_at("token");
    let me = server.get(&token, "/me").await.expect(200);
    assert_eq!((&me.body["machine"]["name"], &me.body["token_expires_ms"]), (&json!("pc"), &json!(now_ms + 3_600_000)));
    let replayed = server.ask("", "POST /machines/session", request).await.expect(401);
    assert!(replayed.text.contains("used already"), "{}", replayed.text);
    assert_eq!(server.event("machine.session-replayed").await.1, "refused");
    server.ask("", "POST /machines/session", session_request(&machine, now_ms, 1, &key(1))).await.expect(200);

    for at_ms in [now_ms - 300_001, now_ms + 300_001, i64::MIN, i64::MAX] {
        let late = server.ask("", "POST /machines/session", session_request(&machine, at_ms, 2, &key(1))).await;
        assert!(late.expect(401).text.contains(&now_ms.to_string()));
    }
    let wrong =
        server.ask("", "POST /machines/session", session_request(&machine, now_ms, 3, &key(2))).await.expect(401);
    let nobody = session_request("0123456789abcdef0123456789abcdef", now_ms, 3, &key(1));
    assert_eq!(server.ask("", "POST /machines/session", nobody).await.expect(401).text, wrong.text);
    assert_eq!(server.event("machine.session-refused").await.0, format!("machine {machine}"));
}

#[tokio::test]
async fn rights_and_grants_are_set_listed_and_removed() {
    let server = Server::new();
    let admin = server.admin().await;
    let (operator, _) = server.user(&admin, "olaf", "operator").await;
    let (viewer, _) = server.user(&admin, "vera", "viewer").await;
    server.repository("main");
    let machine = server.ask(&operator, "POST /enrolment-codes", json!({ "name": "pc" })).await.expect(201);
    let machine = machine.text_at("machine");
    let path = format!("/machines/{machine}/repositories/main");
    let rights = json!({ "may_add": false, "may_restore": "granted" });
    server.ask(&viewer, &format!("PUT {path}"), rights.clone()).await.expect(403);
    server.get(&operator, &path).await.expect(404);
    server.ask(&operator, &format!("PUT {path}"), rights).await.expect(200);
    let expected = json!({ "repository": "main", "may_add": false, "may_restore": "granted" });
    assert_eq!(server.get(&operator, &path).await.expect(200).body, expected);
    let list = server.get(&operator, &format!("/machines/{machine}/repositories")).await.expect(200);
    assert_eq!(list.body, json!({ "items": [expected] }));
    let grants = format!("/machines/{machine}/grants");
    for image in ["aa", "bb"] {
        let grant = json!({ "repository": "main", "image": image.repeat(32), "expires_in_seconds": 60 });
        server.ask(&operator, &format!("POST {grants}"), grant).await.expect(201);
    }
    let bad = json!({ "repository": "main", "image": "../x" });
    server.ask(&operator, &format!("POST {grants}"), bad).await.expect(400);
    let page = server.get(&operator, &format!("{grants}?limit=1")).await.expect(200);
    assert_eq!(page.body["items"][0]["expires_ms"], server.now_ms() + 60_000);
    let rest = server.get(&operator, &format!("{grants}?after={}", page.text_at("next"))).await.expect(200);
    assert_eq!(rest.body["items"][0]["image"], "bb".repeat(32));
    server.delete(&operator, &format!("{grants}/main/{}", "aa".repeat(32))).await.expect(204);
    assert_eq!(server.get(&operator, &grants).await.expect(200).body["items"].as_array().unwrap().len(), 1);
    server.delete(&operator, &path).await.expect(204);
    server.get(&operator, &path).await.expect(404);
}
