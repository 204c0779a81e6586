//! The OpenAPI document tells what the router does.

use crate::server::Server;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

#[tokio::test]
async fn every_documented_route_is_there() {
    let server = Server::new();
    let one = server.organisation("one");
    let document = serde_json::to_value(holotype_server::router::openapi()).unwrap();
    let mut operations = BTreeSet::new();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS.iter().filter(|method| item.get(**method).is_some()) {
            let operation = &item[*method];
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no operation id"));
            assert!(operations.insert(id.to_owned()), "two operations are called {id}");
            count += 1;
            let path = path.strip_prefix("/api/v1").unwrap_or_else(|| panic!("{path} is not below /api/v1"));
            let path = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
            let path = path.collect::<Vec<_>>().join("/");
            let asked: Method = method.to_uppercase().parse().unwrap();
            if id == "stream_events" {
                // Its answer has no end; a test of its own reads it.
                continue;
            }
            let (status, answer) = server.ask(&one.admin, asked, &path, Some(json!({}))).await;
            assert_ne!(status, 405, "{method} {path}");
            // A thing that is not there is answered by its handler, a path that is not there by the fallback.
            assert_ne!(answer["message"], "there is no such path", "{method} {path}");
            let told = operation["responses"].as_object().unwrap();
            assert!(told.contains_key(status.as_str()), "{method} {path} answers {status}, which is not documented");
        }
    }
    assert!(count >= 50, "{count} operations");
}

#[tokio::test]
async fn bodies_take_no_unknown_fields() {
    let document = serde_json::to_value(holotype_server::router::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let schema = &item[method]["requestBody"]["content"]["application/json"]["schema"];
            let Some(name) = schema["$ref"].as_str() else { continue };
            let schema = &document["components"]["schemas"][name.rsplit('/').next().unwrap()];
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{method} {path}: {name}");
        }
    }
}
