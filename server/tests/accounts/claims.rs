use crate::support::{Server, key, session_request};
use holotype_repo::core::{hex, machine_proof, signature};
use holotype_server::accounts::DEFAULT_ORGANISATION;
use serde_json::{Value, json};

fn claim(number: u8, mac: &str) -> Value {
    claim_in(DEFAULT_ORGANISATION, number, mac)
}

fn claim_in(organisation: &str, number: u8, mac: &str) -> Value {
    let key = key(number);
    let message = machine_proof::claim_message(organisation, &key.writer());
    json!({
        "organisation": organisation, "name": format!("claims-{number}"), "public_key": key.writer().to_string(),
        "macs": [mac], "signature": hex::text(&key.sign(signature::MACHINE_CLAIM, &message)),
    })
}

#[tokio::test]
async fn an_operator_approves_a_machine_that_shows_a_key() {
    let server = Server::new();
    let admin = server.admin().await;
    server.repository("main");
    let waiting = server.ask("", "POST /machine/claims", claim(1, "52:54:00:00:00:01")).await.expect(200);
    assert_eq!((&waiting.body["state"], &waiting.body["machine"]), (&json!("waiting"), &Value::Null));
    assert_eq!(waiting.text_at("fingerprint"), machine_proof::fingerprint(&key(1).writer()));
    let again = server.ask("", "POST /machine/claims", claim(1, "52:54:00:00:00:01")).await.expect(200);
    assert_eq!(again.body, waiting.body, "asking again is the same claim");

    let listed = server.get(&admin, "/machine-claims").await.expect(200);
    let (listed, id) = (listed.body["items"].as_array().unwrap().clone(), waiting.text_at("claim"));
    assert_eq!((listed.len(), &listed[0]["id"], &listed[0]["candidates"]), (1, &json!(id), &json!([])));
    assert_eq!(listed[0]["fingerprint"], waiting.body["fingerprint"]);
    let approve = format!("POST /machine-claims/{id}/approve");
    let approved = server.ask(&admin, &approve, json!({ "repository": "main" })).await.expect(200);
    let machine = approved.text_at("machine");
    server.ask(&admin, &approve, json!({})).await.expect(409);
    let told = server.ask("", "POST /machine/claims", claim(1, "52:54:00:00:00:01")).await.expect(200);
    assert_eq!((&told.body["state"], &told.body["machine"]), (&json!("approved"), &json!(machine)));
    let session = session_request(&machine, server.now_ms(), 1, &key(1));
    let session = server.ask("", "POST /machines/session", session).await.expect(200).text_at("token");
    let me = server.get(&session, "/me").await.expect(200);
    assert_eq!(me.body["machine"]["repositories"][0]["name"], "main");
    assert_eq!(server.get(&admin, "/machine-claims").await.expect(200).body["items"], json!([]));
}

#[tokio::test]
async fn a_known_machine_with_a_new_key_keeps_what_it_is() {
    let server = Server::new();
    let admin = server.admin().await;
    let mac = "52:54:00:00:00:02";
    let first = server.ask("", "POST /machine/claims", claim(1, mac)).await.expect(200).text_at("claim");
    let approve = |id: &str| format!("POST /machine-claims/{id}/approve");
    let machine = server.ask(&admin, &approve(&first), json!({})).await.expect(200).text_at("machine");
    let session = session_request(&machine, server.now_ms(), 1, &key(1));
    let token = server.ask("", "POST /machines/session", session).await.expect(200).text_at("token");
    // Booted anew over the network: another key, the same address.
    let second = server.ask("", "POST /machine/claims", claim(2, mac)).await.expect(200).text_at("claim");
    let listed = server.get(&admin, "/machine-claims").await.expect(200);
    assert_eq!(listed.body["items"][0]["candidates"][0]["machine"], json!(machine));
    server.get(&token, "/me").await.expect(200);
    let approved = server.ask(&admin, &approve(&second), json!({})).await.expect(200);
    assert_eq!(approved.text_at("machine"), machine);
    server.get(&token, "/me").await.expect(401);
    // The former key waits again, and two machines with one address are not told apart by it.
    let back = server.ask("", "POST /machine/claims", claim(1, mac)).await.expect(200);
    assert_eq!(back.body["state"], "waiting");
    server.ask(&admin, &approve(&back.text_at("claim")), json!({ "name": "twin" })).await.expect(200);
    let third = server.ask("", "POST /machine/claims", claim(3, mac)).await.expect(200).text_at("claim");
    let several = server.ask(&admin, &approve(&third), json!({})).await.expect(409);
    assert!(several.text.contains("claims-1, twin"), "{}", several.text);
    server.ask(&admin, &approve(&third), json!({ "machine": machine })).await.expect(200);
}

#[tokio::test]
async fn another_pc_with_the_same_address_is_not_taken_for_the_known_one() {
    let server = Server::new();
    let admin = server.admin().await;
    let claim = |number: u8, uuid: &str| {
        let mut claim = claim(number, "52:54:00:00:00:07");
        claim["smbios_uuid"] = json!(uuid);
        claim
    };
    let (uuid, other) = ("0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e", "1bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e");
    let approve = |id: &str| format!("POST /machine-claims/{id}/approve");
    let first = server.ask("", "POST /machine/claims", claim(1, uuid)).await.expect(200).text_at("claim");
    let machine = server.ask(&admin, &approve(&first), json!({})).await.expect(200).text_at("machine");
    let again = server.ask("", "POST /machine/claims", claim(2, uuid)).await.expect(200).text_at("claim");
    assert_eq!(server.ask(&admin, &approve(&again), json!({})).await.expect(200).text_at("machine"), machine);
    let strange = server.ask("", "POST /machine/claims", claim(3, other)).await.expect(200).text_at("claim");
    let refused = server.ask(&admin, &approve(&strange), json!({})).await.expect(409);
    assert!(refused.text.contains("claims-1 has its address and another UUID"), "{}", refused.text);
    let named = server.ask(&admin, &approve(&strange), json!({ "name": "twin" })).await.expect(200);
    assert_ne!(named.text_at("machine"), machine);
}

#[tokio::test]
async fn refused_unknown_and_forged_claims_get_nowhere() {
    let server = Server::new();
    let admin = server.admin().await;
    let mut forged = claim(1, "52:54:00:00:00:03");
    forged["public_key"] = json!(key(2).writer().to_string());
    server.ask("", "POST /machine/claims", forged).await.expect(401);
    // An organisation that there is not answers as one that waits.
    let nowhere = server.ask("", "POST /machine/claims", claim_in("nowhere", 1, "52:54:00:00:00:03")).await.expect(200);
    assert_eq!(nowhere.body["state"], "waiting");
    assert_eq!(server.get(&admin, "/machine-claims").await.expect(200).body["items"], json!([]));
    let id = server.ask("", "POST /machine/claims", claim(1, "52:54:00:00:00:03")).await.expect(200).text_at("claim");
    server.ask(&admin, &format!("POST /machine-claims/{id}/refuse"), json!({})).await.expect(200);
    let told = server.ask("", "POST /machine/claims", claim(1, "52:54:00:00:00:03")).await.expect(200);
    assert_eq!(told.body["state"], "refused");
    server.ask(&admin, &format!("POST /machine-claims/{id}/approve"), json!({})).await.expect(409);
    // Where only known machines may ask: one is known by its address.
    server.state.accounts.take_unknown_machines(false);
    let unknown = server.ask("", "POST /machine/claims", claim(4, "52:54:00:00:00:04")).await.expect(200);
    assert_eq!(unknown.body["state"], "refused");
    server.state.accounts.take_unknown_machines(true);
    let first = server.ask("", "POST /machine/claims", claim(5, "52:54:00:00:00:05")).await.expect(200);
    server
        .ask(&admin, &format!("POST /machine-claims/{}/approve", first.text_at("claim")), json!({}))
        .await
        .expect(200);
    server.state.accounts.take_unknown_machines(false);
    let known = server.ask("", "POST /machine/claims", claim(6, "52:54:00:00:00:05")).await.expect(200);
    assert_eq!(known.body["state"], "waiting");
}
