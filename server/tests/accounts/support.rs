//! A server over a real database file, asked through its router; time stands still unless it is set.

use axum::body::Body;
use axum::extract::ConnectInfo;
use holotype_repo::core::secret::Secret32;
use holotype_repo::core::signature::{self, Signing};
use holotype_repo::core::{hex, machine_proof, signature::SigningContext};
use holotype_server::clock::Clock;
use holotype_server::data_dir::DataDir;
use holotype_server::database::Database;
use holotype_server::state::AppState;
use holotype_server::text::Name;
use holotype_server::{accounts, provider, router};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::TempDir;
use tower::ServiceExt;

pub const START_MS: i64 = 1_800_000_000_000;

pub struct Server {
    pub directory: TempDir,
    pub state: AppState,
    pub data: DataDir,
    pub admin_password: String,
    router: axum::Router,
    now_ms: Arc<AtomicI64>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn text_at(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.text)).to_owned()
    }
}

pub fn name(text: &str) -> Name {
    Name::try_from(text.to_owned()).unwrap()
}

impl Server {
    /// After its first start.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::create(&directory.path().join("data")).unwrap();
        let database = Database::open(&data.database()).unwrap();
        let path = accounts::first_start(&database, data.path()).unwrap().unwrap();
        let admin_password = std::fs::read_to_string(&path).unwrap().trim().to_owned();
        let now_ms = Arc::new(AtomicI64::new(START_MS));
        let clock = Clock::manual(Arc::clone(&now_ms));
        let state = AppState::with_clock(data.path().to_owned(), database, clock);
        let router = router::router(state.clone());
        Self { directory, state, data, admin_password, router, now_ms }
    }

    pub fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    pub fn wait_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub async fn ask_from(&self, from: &str, token: &str, what: &str, body: Option<Value>) -> Answer {
        let (method, path) = what.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let peer: SocketAddr = format!("{from}:4444").parse().unwrap();
        request = request.extension(ConnectInfo(peer));
        if !token.is_empty() {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("Content-Type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, headers, body, text }
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.ask_from("192.0.2.1", token, &format!("GET {path}"), None).await
    }

    pub async fn ask(&self, token: &str, what: &str, body: Value) -> Answer {
        self.ask_from("192.0.2.1", token, what, Some(body)).await
    }

    pub async fn delete(&self, token: &str, path: &str) -> Answer {
        self.ask_from("192.0.2.1", token, &format!("DELETE {path}"), None).await
    }

    pub async fn login(&self, user: &str, password: &str) -> Answer {
        self.ask("", "POST /login", json!({ "user": user, "password": password })).await
    }

    /// A token of the admin.
    pub async fn admin(&self) -> String {
        self.login("admin", &self.admin_password).await.expect(200).text_at("token")
    }

    /// A token of a new user.
    pub async fn user(&self, admin: &str, user: &str, role: &str) -> (String, String) {
        let new = json!({ "name": user, "role": role, "password": "correct horse" });
        let id = self.ask(admin, "POST /users", new).await.expect(201).text_at("id");
        (self.login(user, "correct horse").await.expect(200).text_at("token"), id)
    }

    /// A second organisation with an admin; their token.
    pub async fn foreign_admin(&self) -> String {
        provider::add_organisation(&self.state.database, &name("other")).unwrap();
        let password = "correct horse".to_owned().try_into().unwrap();
        let role = holotype_server::access::Role::Admin;
        provider::add_user(&self.state.database, &name("other"), &name("eve"), role, &password).unwrap();
        let login = json!({ "organisation": "other", "user": "eve", "password": "correct horse" });
        self.ask("", "POST /login", login).await.expect(200).text_at("token")
    }

    pub fn repository(&self, repository: &str) {
        provider::add_repository(&self.data, &self.state.database, &name("default"), repository, None).unwrap();
    }

    /// Waits for an event of this kind, which may be noted in the background.
    pub async fn event(&self, kind: &'static str) -> (String, String, String) {
        for _ in 0..1000 {
            let found = self.state.database.read_blocking(|connection| {
                let sql = "SELECT subject, outcome, coalesce(address, '') FROM events WHERE kind = ?1 LIMIT 1";
                let mut statement = connection.prepare(sql)?;
                let mut rows = statement.query([kind])?;
                Ok(rows.next()?.map(|row| (row.get_unwrap(0), row.get_unwrap(1), row.get_unwrap(2))))
            });
            if let Some(found) = found.unwrap() {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("there is no event {kind}");
    }
}

pub fn key(seed: u8) -> Signing {
    Signing::from_seed(&Secret32::new([seed; 32]))
}

fn sign(key: &Signing, context: SigningContext, message: &[u8]) -> String {
    hex::text(&key.sign(context, message))
}

pub fn enrol_request(code: &str, machine: &str, key: &Signing) -> Value {
    let normal = machine_proof::normal_code(code).unwrap();
    let message = machine_proof::enrolment_message(&normal, &key.writer());
    json!({
        "code": code, "name": machine, "public_key": key.writer().to_string(), "macs": ["00:11:22:33:44:55"],
        "signature": sign(key, signature::MACHINE_ENROLMENT, &message),
    })
}

pub fn session_request(machine: &str, at_ms: i64, nonce: u8, key: &Signing) -> Value {
    let nonce = [nonce; 16];
    let message = machine_proof::session_message(machine, at_ms, &nonce);
    json!({
        "machine": machine, "at_ms": at_ms, "nonce": hex::text(&nonce),
        "signature": sign(key, signature::MACHINE_SESSION, &message),
    })
}
