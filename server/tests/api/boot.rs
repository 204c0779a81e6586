//! Kernel images and boot profiles.

use crate::server::Server;
use axum::body::Body;
use http::Method;
use http_body_util::BodyExt;
use serde_json::json;

#[tokio::test]
async fn a_kernel_is_stored_once_its_bytes_are_right() {
    let server = Server::new();
    let one = server.organisation("one");
    let bytes = vec![7; 600_000];
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let new = |name: &str| json!({"name": name, "hash": hash, "bytes": bytes.len(), "version": "6.18"});
    let id = server.post(&one.admin, "/kernel-images", new("a")).await["id"].as_str().unwrap().to_owned();
    let other = server.post(&one.admin, "/kernel-images", new("b")).await["id"].as_str().unwrap().to_owned();
    let content = format!("/kernel-images/{id}/content");
    let kind = "application/octet-stream";
    assert_eq!(server.refused(&one.viewer, Method::GET, &content, None).await.0, 404);
    for (wrong, status) in [(vec![7; 599_999], 422), (vec![8; 600_000], 422), (vec![7; 600_001], 413)] {
        assert_eq!(server.raw(&one.admin, Method::PUT, &content, kind, Body::from(wrong)).await.status(), status);
    }
    let kernels = server.state.data_dir.join("kernels");
    assert_eq!(std::fs::read_dir(&kernels).unwrap().count(), 0);
    for path in [&content, &format!("/kernel-images/{other}/content")] {
        assert_eq!(server.raw(&one.admin, Method::PUT, path, kind, Body::from(bytes.clone())).await.status(), 200);
    }
    let response = server.raw(&one.viewer, Method::GET, &content, kind, Body::empty()).await;
    assert_eq!(response.headers()["content-length"], "600000");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), bytes);
    // The bytes stay while another has them.
    assert_eq!(server.ask(&one.admin, Method::DELETE, &format!("/kernel-images/{id}"), None).await.0, 204);
    assert!(kernels.join(&hash).exists());
    assert_eq!(server.ask(&one.admin, Method::DELETE, &format!("/kernel-images/{other}"), None).await.0, 204);
    assert!(!kernels.join(&hash).exists());
}

#[tokio::test]
async fn profiles_name_kernels_of_their_organisation() {
    let server = Server::new();
    let (one, two) = (server.organisation("one"), server.organisation("two"));
    let kernel = json!({"name": "a", "hash": "0".repeat(64), "bytes": 1});
    let kernel = server.post(&one.admin, "/kernel-images", kernel).await["id"].as_str().unwrap().to_owned();
    let new = json!({"name": "p", "kernel_image": kernel, "settings": {"menu": false}});
    assert_eq!(server.refused(&two.operator, Method::POST, "/boot-profiles", Some(new.clone())).await.0, 404);
    let made = server.post(&one.operator, "/boot-profiles", new).await;
    assert_eq!(made["settings"], json!({"menu": false}));
    let path = format!("/boot-profiles/{}", made["id"].as_str().unwrap());
    let (status, changed) = server.ask(&one.operator, Method::PUT, &path, Some(json!({"name": "q"}))).await;
    assert_eq!((status.as_u16(), &changed["kernel_image"]), (200, &json!(null)));
}
