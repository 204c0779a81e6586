//! Tasks, their runs, and the scheduler.

use crate::server::{Organisation, Server, field};
use holotype_server::clock::now_ms;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;

async fn task(server: &Server, of: &Organisation, machine: &str, more: Value) -> Value {
    let mut task = json!({"name": "nightly", "action": "backup", "machine": machine, "repository": "main"});
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.post(&of.operator, "/tasks", task).await
}

#[tokio::test]
async fn a_run_goes_through_its_states_and_no_others() {
    let server = Server::new();
    let one = server.organisation("one");
    let (pc, other) = (server.machine(&one, "pc").await, server.machine(&one, "other").await);
    server.repository(&one, "main");
    let (token, foreign) = (server.machine_token(&one, &pc), server.machine_token(&one, &other));
    task(&server, &one, &pc, json!({"options": {"disk": "/dev/sda"}})).await;
    task(&server, &one, &pc, json!({})).await;
    let jobs = server.get(&token, "/machine/runs").await;
    assert_eq!(
        (field(&jobs, "action"), field(&jobs, "repository")),
        (vec!["backup".into(); 2], vec!["main".into(); 2])
    );
    let with_options =
        jobs["items"].as_array().unwrap().iter().find(|job| job["options"]["disk"] == "/dev/sda").unwrap();
    let first = with_options["id"].as_str().unwrap().to_owned();
    let second = field(&jobs, "id").into_iter().find(|id| *id != first).unwrap();
    let path = |run: &str, what: &str| format!("/machine/runs/{run}/{what}");
    let progress = json!({"done_bytes": 5, "total_bytes": 10, "stage": "read"});
    let end = json!({"state": "done", "image": "i", "result": "5 of 5", "receipt": "r\n2\n"});
    assert_eq!(server.get(&foreign, "/machine/runs").await["items"], json!([]));
    assert_eq!(server.refused(&foreign, Method::POST, &path(&first, "start"), None).await.0, 404);
    assert_eq!(server.refused(&one.operator, Method::POST, &path(&first, "start"), None).await.0, 403);
    assert_eq!(server.refused(&token, Method::POST, &path(&first, "progress"), Some(progress.clone())).await.0, 409);
    assert_eq!(server.refused(&token, Method::POST, &path(&first, "end"), Some(end.clone())).await.0, 409);
    assert_eq!(server.ask(&token, Method::POST, &path(&first, "start"), None).await.1["state"], "running");
    assert_eq!(server.refused(&token, Method::POST, &path(&second, "start"), None).await.0, 409);
    assert_eq!(server.post(&token, &path(&first, "progress"), progress.clone()).await["done_bytes"], 5);
    // Cut off in it: it comes before what is queued, and is begun anew.
    assert_eq!(field(&server.get(&token, "/machine/runs").await, "id"), [first.clone(), second.clone()]);
    assert_eq!(server.ask(&token, Method::POST, &path(&first, "start"), None).await.1["done_bytes"], 0);
    let ended = server.post(&token, &path(&first, "end"), end.clone()).await;
    assert_eq!((&ended["state"], &ended["image"], &ended["receipt"]), (&json!("done"), &json!("i"), &json!("r\n2\n")));
    assert_eq!(server.refused(&token, Method::POST, &path(&first, "end"), Some(end)).await.0, 409);
    assert_eq!(server.refused(&one.operator, Method::POST, &format!("/runs/{first}/cancel"), None).await.0, 409);
    assert_eq!(server.ask(&token, Method::POST, &path(&second, "start"), None).await.0, 200);
    assert_eq!(server.ask(&one.operator, Method::POST, &format!("/runs/{second}/cancel"), None).await.0, 200);
    assert_eq!(server.refused(&token, Method::POST, &path(&second, "progress"), Some(progress)).await.0, 409);
    assert_eq!(field(&server.get(&one.viewer, "/runs?state=cancelled").await, "id"), [second]);
}

#[tokio::test]
async fn a_waiting_machine_hears_of_a_new_run() {
    let server = Server::new();
    let one = server.organisation("one");
    let pc = server.machine(&one, "pc").await;
    server.repository(&one, "main");
    let token = server.machine_token(&one, &pc);
    let wait = server.get(&token, "/machine/runs?wait_seconds=60");
    let both = async { tokio::join!(wait, task(&server, &one, &pc, json!({}))) };
    // Far below the wait: it was told, it did not time out.
    let (jobs, made) = tokio::time::timeout(Duration::from_secs(30), both).await.unwrap();
    assert_eq!(field(&jobs, "task"), [made["id"].as_str().unwrap()]);
    assert_eq!(server.refused(&token, Method::GET, "/machine/runs?wait_seconds=61", None).await.0, 400);
}

#[tokio::test]
async fn a_rule_fires_once_also_across_a_restart() {
    let server = Server::new();
    let one = server.organisation("one");
    let pc = server.machine(&one, "pc").await;
    server.repository(&one, "main");
    let made = task(&server, &one, &pc, json!({"rule": "30 2 * * *", "time_zone": "Europe/Berlin"})).await;
    let due = made["next_ms"].as_i64().unwrap();
    let runs = async |server: &Server| server.get(&one.viewer, "/runs").await["items"].as_array().unwrap().len();
    server.tick(due - 1).await;
    assert_eq!(runs(&server).await, 0);
    server.tick(due).await;
    server.tick(due).await;
    assert_eq!(runs(&server).await, 1);
    let server = server.restart();
    server.tick(due + 1).await;
    assert_eq!(runs(&server).await, 1);
    let next = server.get(&one.viewer, &format!("/tasks/{}", made["id"].as_str().unwrap())).await["next_ms"].as_i64();
    assert!(next.unwrap() - due >= 23 * 3_600_000);
    // Ten days were missed, and the run of the first day is still queued: nothing piles up.
    server.tick(due + 10 * 86_400_000).await;
    assert_eq!(runs(&server).await, 1);
    server.sql("UPDATE task_runs SET state = 'done'", []);
    server.tick(due + 20 * 86_400_000).await;
    assert_eq!(runs(&server).await, 2);
    server.sql("UPDATE task_runs SET state = 'done'", []);
    let path = format!("/tasks/{}", made["id"].as_str().unwrap());
    assert_eq!(server.ask(&one.operator, Method::PATCH, &path, Some(json!({"enabled": false}))).await.0, 200);
    server.tick(due + 40 * 86_400_000).await;
    assert_eq!(runs(&server).await, 2);
}

#[tokio::test]
async fn a_task_for_a_group_runs_on_each_of_its_machines_at_its_time() {
    let server = Server::new();
    let one = server.organisation("one");
    server.repository(&one, "main");
    let group = server.post(&one.operator, "/groups", json!({"name": "lab"})).await["id"].as_str().unwrap().to_owned();
    for name in ["a", "b", "c"] {
        let machine = server.machine(&one, name).await;
        if name != "c" {
            server.ask(&one.operator, Method::PUT, &format!("/groups/{group}/machines/{machine}"), None).await;
        }
    }
    let new = json!({"name": "t", "action": "backup", "group": group, "repository": "main", "at": "2099-01-01T00:00:00+01:00"});
    let made = server.post(&one.operator, "/tasks", new).await;
    assert_eq!(made["next_ms"], 4_070_905_200_000_i64);
    server.tick(4_070_905_200_000).await;
    assert_eq!(server.get(&one.viewer, "/runs?state=queued").await["items"].as_array().unwrap().len(), 2);
    let path = format!("/tasks/{}", made["id"].as_str().unwrap());
    assert_eq!(server.refused(&one.admin, Method::DELETE, &path, None).await.0, 409);
    assert_eq!(server.ask(&one.operator, Method::POST, &format!("{path}/cancel"), None).await.0, 200);
    assert_eq!(server.get(&one.viewer, "/runs?state=cancelled").await["items"].as_array().unwrap().len(), 2);
    assert_eq!(server.ask(&one.admin, Method::DELETE, &path, None).await.0, 204);
}

#[tokio::test]
async fn a_silent_machine_is_given_up() {
    let server = Server::new();
    let one = server.organisation("one");
    let pc = server.machine(&one, "pc").await;
    server.repository(&one, "main");
    let token = server.machine_token(&one, &pc);
    task(&server, &one, &pc, json!({})).await;
    let run = field(&server.get(&token, "/machine/runs").await, "id").remove(0);
    server.ask(&token, Method::POST, &format!("/machine/runs/{run}/start"), None).await;
    server.tick(now_ms() + 86_000_000).await;
    assert_eq!(server.get(&one.viewer, &format!("/runs/{run}")).await["state"], "running");
    server.tick(now_ms() + 87_000_000).await;
    let given_up = server.get(&one.viewer, &format!("/runs/{run}")).await;
    assert_eq!(given_up["state"], "failed");
    assert!(given_up["result"].as_str().unwrap().contains("86400 s"), "{given_up}");
}

#[tokio::test]
async fn tasks_that_make_no_sense_are_refused() {
    let server = Server::new();
    let one = server.organisation("one");
    let pc = server.machine(&one, "pc").await;
    server.repository(&one, "main");
    for (change, status) in [
        (json!({"machine": null}), 400),
        (json!({"group": "g"}), 400),
        (json!({"action": "restore"}), 400),
        (json!({"image": "i"}), 400),
        (json!({"action": "restore", "image": "i"}), 404),
        (json!({"repository": "other"}), 404),
        (json!({"at": "tomorrow"}), 400),
        (json!({"rule": "* * *"}), 400),
        (json!({"rule": "0 0 30 2 *"}), 400),
        (json!({"rule": "* * * * *", "time_zone": "Mars/Olympus"}), 400),
        (json!({"rule": "* * * * *", "at": "2099-01-01T00:00:00Z"}), 400),
        (json!({"time_zone": "UTC"}), 400),
        (json!({"unknown": 1}), 400),
        (json!({"options": {"text": "x".repeat(17_000)}}), 400),
    ] {
        let mut task = json!({"name": "t", "action": "backup", "machine": pc, "repository": "main"});
        task.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(server.refused(&one.operator, Method::POST, "/tasks", Some(task)).await.0, status, "{change}");
    }
    assert_eq!(server.get(&one.viewer, "/tasks").await["items"], json!([]));
}

/// Reads the stream until `wanted` was in it.
async fn read_until(body: &mut axum::body::Body, wanted: &str) -> String {
    let mut text = String::new();
    let read = async {
        while !text.contains(wanted) {
            let frame = body.frame().await.expect("the stream ended").unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.unwrap_or_else(|_| panic!("no {wanted}"));
    text
}

#[tokio::test]
async fn the_stream_tells_what_happens_and_resumes() {
    let server = Server::new();
    let (one, two) = (server.organisation("one"), server.organisation("two"));
    let (pc, other) = (server.machine(&one, "pc").await, server.machine(&one, "other").await);
    server.repository(&one, "main");
    let token = server.machine_token(&one, &pc);
    let open = async |token| {
        server.raw(token, Method::GET, "/events/stream", "text/plain", axum::body::Body::empty()).await.into_body()
    };
    let (mut user, mut machine) = (open(&one.viewer).await, open(&token).await);
    server.machine(&two, "of another").await;
    task(&server, &one, &other, json!({})).await;
    task(&server, &one, &pc, json!({})).await;
    let text = read_until(&mut user, &format!("\"machine\":\"{pc}\",\"result\"")).await;
    assert!(
        text.contains("event: event") && text.contains("event: progress") && !text.contains("of another"),
        "{text}"
    );
    let text = read_until(&mut machine, &pc).await;
    assert!(!text.contains("event: event") && !text.contains(&other), "{text}");
    // Numbers after the one that was received come from the database, in order.
    let request = http::Request::get("/api/v1/events/stream")
        .header("authorization", format!("Bearer {}", one.viewer.0))
        .header("last-event-id", "1")
        .body(axum::body::Body::empty())
        .unwrap();
    let router = holotype_server::router::router(server.state.clone());
    let mut again = tower::ServiceExt::oneshot(router, request).await.unwrap().into_body();
    let text = read_until(&mut again, "id: 3").await;
    assert!(!text.contains("id: 1\n") && text.find("id: 2").unwrap() < text.find("id: 3").unwrap(), "{text}");
}
