//! Boot media that the server makes. Booting one is scripts/test-boot's.

use crate::server::{Server, Token};
use axum::body::Body;
use holotype_boot::kernel::{KernelStore, import};
use holotype_boot::testing;
use holotype_boot::verify::{MediumReport, verify};
use holotype_repo::core::machine_proof;
use holotype_repo::https::ServerPin;
use http::{Method, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::path::Path;

const URL: &str = "https://backup.example:7443";

fn pin() -> ServerPin {
    ServerPin::of(b"a certificate")
}

fn give_kernel(server: &Server) {
    let unpacked = tempfile::tempdir().unwrap();
    testing::kernel_folder(unpacked.path());
    let store = KernelStore::new(server.state.data_dir.join("boot/kernels"));
    import(&store, unpacked.path()).unwrap();
}

fn give_agent(server: &Server) {
    std::fs::write(server.state.data_dir.join("boot/agent"), testing::agent()).unwrap();
}

/// False, and a word about it, where boot loaders are not installed.
fn has_loaders() -> bool {
    let installed = ["usr/lib/shim", "usr/lib/grub/x86_64-efi-signed", "usr/lib/grub/i386-pc", "usr/lib/ISOLINUX"];
    let installed =
        installed.iter().chain(&["usr/lib/systemd/boot/efi"]).all(|path| Path::new("/").join(path).exists());
    if !installed {
        eprintln!("skipped: boot loaders are not installed (docs/BOOT.md names the packages)");
    }
    installed
}

async fn ask(server: &Server, token: &Token, machine: &str, new: &Value) -> Response<Body> {
    let (path, body) = (format!("/machines/{machine}/media"), Body::from(new.to_string()));
    server.raw(token, Method::POST, &path, "application/json", body).await
}

async fn looked_at(response: Response<Body>) -> MediumReport {
    assert_eq!(response.status(), 200);
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes.len(), length);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    verify(file.path(), holotype_server::clock::now_ms()).unwrap()
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let server = Server::new();
    let one = server.organisation("one");
    server.state.boot_files.set_pin(pin());
    let machine = server.machine(&one, "pc").await;
    let path = format!("/machines/{machine}/media");
    let new = |more: Value| {
        let mut new = json!({"product": "usb", "url": URL});
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Some(new)
    };
    let (status, kernel) = server.refused(&one.operator, Method::POST, &path, new(json!({}))).await;
    assert_eq!((status, kernel.as_str()), (409, "conflict"));
    give_kernel(&server);
    assert_eq!(server.refused(&one.operator, Method::POST, &path, new(json!({}))).await.0, 409);
    give_agent(&server);
    for (more, status) in [
        (json!({"kernel": "1.2.3"}), 409),
        (json!({"url": "http://backup.example"}), 400),
        (json!({"url": null}), 400),
        (json!({"expires_in_seconds": 59}), 400),
        (json!({"expires_in_seconds": 2_592_001}), 400),
        (json!({"product": "iso", "data_partition_bytes": 1 << 30}), 400),
        (json!({"data_partition_bytes": (64_i64 << 30) + 1}), 400),
        (json!({"data_partition_bytes": 1}), 409),
        (json!({"keyboard": ""}), 400),
    ] {
        let refused = server.refused(&one.operator, Method::POST, &path, new(more.clone())).await.0;
        assert_eq!(refused, status, "{more}");
    }
    // No code was left behind, and no file.
    let codes = server.ask(&one.operator, Method::GET, "/enrolment-codes", None).await.1;
    assert_eq!(codes["items"], json!([]));
    assert_eq!(std::fs::read_dir(server.state.data_dir.join("boot")).unwrap().count(), 2);
}

#[tokio::test]
async fn a_medium_is_for_one_machine_and_its_code_is_good_once() {
    let server = Server::new();
    let (one, two) = (server.organisation("one"), server.organisation("two"));
    server.state.boot_files.set_pin(pin());
    give_kernel(&server);
    give_agent(&server);
    if !has_loaders() {
        return;
    }
    let machine = server.machine(&one, "Büro / 7").await;
    let new = json!({"product": "usb", "url": URL, "expires_in_seconds": 3600, "keyboard": "de", "console": "serial"});
    assert_eq!(ask(&server, &two.operator, &machine, &new).await.status(), 404);
    assert_eq!(ask(&server, &one.viewer, &machine, &new).await.status(), 403);
    let made = ask(&server, &one.operator, &machine, &new).await;
    assert_eq!(made.headers()["content-disposition"], "attachment; filename=\"B-ro---7.img\"");
    assert_eq!(made.headers()["cache-control"], "no-store");
    let report = looked_at(made).await;
    assert_eq!((report.product.as_str(), report.findings.len()), ("usb", 0));
    let profile = &report.profiles[0];
    let of_profile = profile.server.as_ref().unwrap();
    assert_eq!((profile.name.as_str(), profile.keyboard.as_deref()), ("Büro / 7", Some("de")));
    assert_eq!((of_profile.url.as_str(), of_profile.pin.as_str()), (URL, pin().to_string().as_str()));
    assert_eq!(of_profile.machine.as_deref(), Some(machine.as_str()));
    let enrolment = of_profile.enrolment.as_ref().unwrap();
    assert_eq!(Some(enrolment.expires_ms), profile.expires_ms);
    let codes = server.ask(&one.operator, Method::GET, "/enrolment-codes", None).await.1;
    assert_eq!(codes["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&codes["items"][0]["machine"], &codes["items"][0]["expires_ms"]),
        (&json!(machine), &json!(enrolment.expires_ms))
    );
    let normal = machine_proof::normal_code(&enrolment.code).unwrap();
    let known = server.state.database.read(move |connection| {
        let sql = "SELECT count(*) FROM enrolment_codes WHERE hash = ?1 AND used_ms IS NULL";
        Ok(connection
            .query_row(sql, [blake3::hash(normal.as_bytes()).as_bytes().as_slice()], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(known.await.unwrap(), 1);
    let events = server.ask(&one.admin, Method::GET, "/events?limit=500", None).await.1.to_string();
    assert!(events.contains("machine.medium-made") && !events.contains(&enrolment.code), "{events}");
    // With room for backups; whoever asked does not wait for it.
    let large = json!({"product": "usb", "url": URL, "data_partition_bytes": 512 << 20});
    let answer = ask(&server, &one.operator, &machine, &large).await;
    let bytes: u64 = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert!((512 << 20..600 << 20).contains(&bytes), "{bytes}");
    drop(answer);
    // The temporary files are gone.
    assert_eq!(std::fs::read_dir(server.state.data_dir.join("boot")).unwrap().count(), 2);
    for product in ["iso", "uki"] {
        let report =
            looked_at(ask(&server, &one.operator, &machine, &json!({"product": product, "url": URL})).await).await;
        assert_eq!((report.product.as_str(), report.findings.len()), (product, 0));
        let other = report.profiles[0].server.as_ref().unwrap().enrolment.as_ref().unwrap();
        assert_ne!(other.code, enrolment.code);
    }
}
