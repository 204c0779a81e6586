//! Two organisations never see each other's.

use crate::server::{Organisation, Server};
use http::Method;
use serde_json::{Value, json};

/// Everything an organisation may have, and the paths to it.
async fn fill(server: &Server, of: &Organisation) -> Vec<(Method, String, Option<Value>)> {
    let id = |answer: Value| answer["id"].as_str().unwrap().to_owned();
    let machine = server.machine(of, "pc").await;
    let group = id(server.post(&of.operator, "/groups", json!({"name": "lab"})).await);
    let repository = server.repository(of, &format!("r-{}", &of.id[..8]));
    let image = server.image(of, &repository, &machine, "disk image", 1);
    let storage =
        id(server.post(&of.admin, "/storages", json!({"name": "s", "kind": "nfs", "location": "n:/x"})).await);
    let task = json!({"name": "t", "action": "backup", "machine": machine, "repository": repository});
    let task = id(server.post(&of.operator, "/tasks", task).await);
    let run = server.get(&of.viewer, "/runs").await["items"][0]["id"].as_str().unwrap().to_owned();
    let kernel = json!({"name": "k", "hash": "0".repeat(64), "bytes": 1});
    let kernel = id(server.post(&of.admin, "/kernel-images", kernel).await);
    let profile = id(server.post(&of.operator, "/boot-profiles", json!({"name": "b", "kernel_image": kernel})).await);
    let name = || Some(json!({"name": "other"}));
    let mut paths = Vec::new();
    for (path, change) in [
        (format!("/machines/{machine}"), Method::PATCH),
        (format!("/groups/{group}"), Method::PATCH),
        (format!("/storages/{storage}"), Method::PATCH),
        (format!("/tasks/{task}"), Method::PATCH),
        (format!("/kernel-images/{kernel}"), Method::PATCH),
        (format!("/boot-profiles/{profile}"), Method::PUT),
    ] {
        paths.extend([(Method::GET, path.clone(), None), (change, path.clone(), name()), (Method::DELETE, path, None)]);
    }
    paths.extend([
        (Method::GET, format!("/images/{repository}/{image}"), None),
        (Method::POST, format!("/images/{repository}/{image}/report"), name()),
        (Method::GET, format!("/repositories/{repository}/summary"), None),
        (Method::GET, format!("/runs/{run}"), None),
        (Method::POST, format!("/runs/{run}/cancel"), None),
        (Method::POST, format!("/tasks/{task}/cancel"), None),
        (Method::PUT, format!("/groups/{group}/machines/{machine}"), None),
        (Method::DELETE, format!("/groups/{group}/machines/{machine}"), None),
        (Method::PUT, format!("/machines/{machine}/inventory"), Some(json!({}))),
        (Method::GET, format!("/kernel-images/{kernel}/content"), None),
        (Method::PUT, format!("/kernel-images/{kernel}/content"), Some(json!({}))),
        (Method::GET, format!("/machines?group={group}"), None),
        (Method::GET, format!("/images?repository={repository}"), None),
    ]);
    paths
}

#[tokio::test]
async fn two_organisations_never_see_each_others() {
    let server = Server::new();
    let (one, two) = (server.organisation("one"), server.organisation("two"));
    let (of_one, of_two) = (fill(&server, &one).await, fill(&server, &two).await);
    for (method, path, body) in &of_one {
        let foreign = server.ask(&two.admin, method.clone(), path, body.clone()).await;
        assert_eq!(foreign.0, 404, "{method} {path}: {}", foreign.1);
        // What is not there at all answers the same.
        let ids: Vec<&str> = path.split(['/', '=', '?']).filter(|part| part.len() == 32).collect();
        let nowhere = ids.iter().fold(path.clone(), |path, id| path.replace(id, &"f".repeat(32)));
        assert_eq!(server.ask(&two.admin, method.clone(), &nowhere, body.clone()).await, foreign, "{method} {path}");
    }
    let mine = of_one.iter().flat_map(|(_, path, _)| path.split(['/', '=', '?'])).filter(|part| part.len() == 32);
    let mine: Vec<&str> = mine.collect();
    for list in [
        "machines",
        "groups",
        "storages",
        "repositories",
        "images",
        "tasks",
        "runs",
        "kernel-images",
        "boot-profiles",
        "events",
        "images?q=disk",
        "images?name_prefix=disk",
        "machines?q=pc",
    ] {
        let text = server.get(&two.admin, &format!("/{list}")).await;
        assert!(!text["items"].as_array().unwrap().is_empty(), "{list}");
        assert!(mine.iter().all(|id| !text.to_string().contains(id)), "{list}: {text}");
    }
    // Everything of one is still there and is its own: nothing above changed it.
    for (method, path, body) in of_one.iter().chain(&of_two).filter(|(method, ..)| method == Method::GET) {
        let owner = if of_one.iter().any(|(_, mine, _)| mine == path) { &one } else { &two };
        let status = server.ask(&owner.admin, method.clone(), path, body.clone()).await.0;
        assert!(status == 200 || path.ends_with("/content"), "{path}: {status}");
    }
    // What belongs to another cannot be named in what is new either.
    let foreign_machine = of_one[0].1.trim_start_matches("/machines/").to_owned();
    let task = json!({"name": "t", "action": "backup", "machine": foreign_machine, "repository": "r"});
    assert_eq!(server.refused(&two.operator, Method::POST, "/tasks", Some(task)).await.0, 404);
}

#[tokio::test]
async fn machines_see_their_own_alone() {
    let server = Server::new();
    let one = server.organisation("one");
    let (a, b) = (server.machine(&one, "a").await, server.machine(&one, "b").await);
    let repository = server.repository(&one, "main");
    let (of_a, of_b) =
        (server.image(&one, &repository, &a, "image of a", 1), server.image(&one, &repository, &b, "image of b", 2));
    let token = server.machine_token(&one, &a);
    // Without a right in the repository, not even what it added once.
    assert_eq!(server.get(&token, "/repositories").await["items"], json!([]));
    assert_eq!(server.get(&token, "/images").await["items"], json!([]));
    server.rights(&a, &repository, "granted");
    for query in ["", "?q=image", "?name_prefix=image"] {
        assert_eq!(
            crate::server::field(&server.get(&token, &format!("/images{query}")).await, "image"),
            [of_a.as_str()]
        );
    }
    assert_eq!(server.refused(&token, Method::GET, &format!("/images/main/{of_b}"), None).await.0, 404);
    assert_eq!(crate::server::field(&server.get(&token, "/repositories").await, "name"), ["main"]);
    let grant =
        "INSERT INTO image_grants (repository, image, machine, granted_ms, expires_ms) VALUES (?1, ?2, ?3, 0, ?4)";
    server.sql(grant, rusqlite::params![repository, of_b, a, 1]);
    assert_eq!(server.refused(&token, Method::GET, &format!("/images/main/{of_b}"), None).await.0, 404);
    server.sql("UPDATE image_grants SET expires_ms = NULL", []);
    assert_eq!(server.get(&token, &format!("/images/main/{of_b}")).await["name"], "image of b");
    let report = server.refused(&token, Method::POST, &format!("/images/main/{of_b}/report"), Some(json!({}))).await;
    assert_eq!(report.0, 403);
    assert_eq!(server.get(&token, "/images").await["items"].as_array().unwrap().len(), 2);
    let seen = |page: serde_json::Value| page["items"].as_array().unwrap().len();
    for (may_restore, images) in [("none", 1), ("own", 1), ("granted", 2), ("all", 2)] {
        server.sql("UPDATE machine_repositories SET may_restore = ?1", [may_restore]);
        assert_eq!(seen(server.get(&token, "/images").await), images, "{may_restore}");
        assert_eq!(server.get(&token, "/repositories/main/summary").await["images"], images, "{may_restore}");
    }
    server.sql("DELETE FROM image_grants", []);
    assert_eq!(seen(server.get(&token, "/images").await), 2, "it may restore all");
    for path in ["/machines", "/groups", "/tasks", "/runs", "/events", "/boot-profiles"] {
        assert_eq!(server.refused(&token, Method::GET, path, None).await, (403, "not-allowed".into()), "{path}");
    }
    assert_eq!(server.get(&token, &format!("/machines/{a}")).await["name"], "a");
    assert_eq!(server.refused(&token, Method::GET, &format!("/machines/{b}"), None).await.0, 404);
}
