//! The OpenAPI document against the table, and against what is answered.

use crate::table::table;
use crate::world::{Answer, Asked};
use serde_json::Value;
use std::collections::BTreeSet;

/// Paths that the document leaves out: itself, and those for who watches the server.
const OUTSIDE: [&str; 3] = ["/api/v1/openapi.json", "/healthz", "/metrics"];

pub fn document() -> Value {
    serde_json::to_value(holotype_server::router::openapi()).unwrap()
}

/// Method and path of every operation.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| -> Vec<(String, String)> {
        let methods = ["get", "head", "put", "post", "patch", "delete", "options", "trace"];
        let there = methods.into_iter().filter(|method| item.get(method).is_some());
        there.map(|method| (method.to_uppercase(), path.clone())).collect()
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn the_table_has_every_route_and_no_other() {
    let in_table: BTreeSet<(String, String)> = table().iter().map(|line| template(&line.request)).collect();
    let in_table: BTreeSet<_> = in_table.into_iter().filter(|(_, path)| !OUTSIDE.contains(&path.as_str())).collect();
    let in_document = operations(&document());
    let missing: Vec<_> = in_document.difference(&in_table).collect();
    assert!(missing.is_empty(), "routes that the table does not have: {missing:?}");
    let unknown: Vec<_> = in_table.difference(&in_document).collect();
    assert!(unknown.is_empty(), "lines of the table that are no routes: {unknown:?}");
}

/// Method and path of a line, as the document writes them.
pub fn template(request: &str) -> (String, String) {
    let (method, pattern) = request.split_once(' ').unwrap();
    let part = |part: &str| match part.split_once('=') {
        Some((name, _)) => format!("{name}}}"),
        None => part.to_owned(),
    };
    let path = pattern.split('/').map(part).collect::<Vec<_>>().join("/");
    let path = if matches!(path.as_str(), "/healthz" | "/metrics") { path } else { format!("/api/v1{path}") };
    (method.to_owned(), path)
}

#[test]
fn operation_ids_are_unique() {
    let document = document();
    let mut seen = BTreeSet::new();
    for (method, path) in operations(&document) {
        let id = document["paths"][&path][method.to_lowercase()]["operationId"].as_str();
        let id = id.unwrap_or_else(|| panic!("{method} {path} has no operation id"));
        assert!(seen.insert(id.to_owned()), "two operations are called {id}");
    }
}

/// What of an answer the document does not tell, if anything.
pub fn untold(document: &Value, asked: &Asked, answer: &Answer) -> Option<String> {
    let of = format!("{} {}", asked.method, asked.template);
    if OUTSIDE.contains(&asked.template.as_str()) {
        return None;
    }
    let operation = &document["paths"][&asked.template][asked.method.as_str().to_lowercase()];
    let status = answer.status.as_str();
    let Some(told) = operation["responses"].get(status) else {
        return Some(format!("{of}: {status} is not documented"));
    };
    let kind = answer.headers.get("content-type").map(|kind| kind.to_str().unwrap().split(';').next().unwrap());
    if asked.method == http::Method::HEAD {
        return (!answer.body.is_empty()).then(|| format!("{of}: {status} has a body"));
    }
    match (kind, told["content"].as_object()) {
        (Some(kind), Some(content)) if content.contains_key(kind) => {}
        (None, None) if answer.body.is_empty() => {}
        (kind, content) => {
            let told: Vec<_> = content.into_iter().flat_map(|content| content.keys()).collect();
            return Some(format!("{of}: {status} comes as {kind:?}, documented are {told:?}"));
        }
    }
    if !answer.status.is_success() {
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let fields: Vec<_> = body.as_object().into_iter().flat_map(|body| body.keys()).collect();
        let codes = document["components"]["schemas"]["Code"]["oneOf"]
            .as_array()
            .map(|codes| codes.iter().flat_map(|code| code["enum"].as_array()).flatten().cloned().collect::<Vec<_>>())
            .or_else(|| document["components"]["schemas"]["Code"]["enum"].as_array().cloned())
            .unwrap_or_default();
        if fields != ["code", "message"] || !codes.contains(&body["code"]) || !body["message"].is_string() {
            return Some(format!("{of}: {status} has the body {}", answer.body));
        }
    }
    None
}
