//! A server's router over a directory of its own, and those who ask it.

use axum::body::Body;
use holotype_repo::core::hex;
use holotype_server::api::scheduler;
use holotype_server::clock::{new_id, now_ms};
use holotype_server::database::Database;
use holotype_server::router::router;
use holotype_server::state::AppState;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use rusqlite::params;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

pub struct Server {
    pub state: AppState,
    router: axum::Router,
    directory: TempDir,
}

/// Who asks.
#[derive(Clone)]
pub struct Token(pub String);

pub struct Organisation {
    pub id: String,
    pub admin: Token,
    pub operator: Token,
    pub viewer: Token,
}

impl Server {
    pub fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap())
    }

    /// The same directory, as after the process was ended and begun again.
    pub fn restart(self) -> Self {
        let Self { state, router, directory } = self;
        drop((state, router));
        Self::over(directory)
    }

    fn over(directory: TempDir) -> Self {
        let database = Database::open(&directory.path().join("management.sqlite")).unwrap();
        let state = AppState::new(directory.path().to_owned(), database);
        Self { router: router(state.clone()), state, directory }
    }

    pub fn sql(&self, sql: &str, values: impl rusqlite::Params) {
        self.state.database.write_blocking(|transaction| Ok(transaction.execute(sql, values)?)).unwrap();
    }

    pub fn organisation(&self, name: &str) -> Organisation {
        let id = new_id().unwrap();
        self.sql("INSERT INTO organisations (id, name, created_ms) VALUES (?1, ?2, 0)", params![id, name]);
        let token = |role| {
            let user = new_id().unwrap();
            let sql =
                "INSERT INTO users (id, organisation, name, role, password, created_ms) VALUES (?1, ?2, ?3, ?3, '', 0)";
            self.sql(sql, params![user, id, role]);
            self.token(&id, Some(&user), None)
        };
        Organisation { admin: token("admin"), operator: token("operator"), viewer: token("viewer"), id }
    }

    /// The token of a machine.
    pub fn machine_token(&self, organisation: &Organisation, machine: &str) -> Token {
        self.token(&organisation.id, None, Some(machine))
    }

    fn token(&self, organisation: &str, user: Option<&str>, machine: Option<&str>) -> Token {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).unwrap();
        let text = format!("ht_{}", hex::text(&secret));
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        self.sql(
            "INSERT INTO tokens (id, organisation, user_id, machine, kind, name, hash, created_ms, expires_ms)
             VALUES (?1, ?2, ?3, ?4, 'token', 't', ?5, 0, ?6)",
            params![new_id().unwrap(), organisation, user, machine, hash, now_ms() + 3_600_000],
        );
        Token(text)
    }

    pub fn repository(&self, organisation: &Organisation, name: &str) -> String {
        let id = new_id().unwrap();
        let sql = "INSERT INTO repositories (id, organisation, name, store_kind, store_location, created_ms)
                   VALUES (?1, ?2, ?3, 'directory', ?1, 0)";
        self.sql(sql, params![id, organisation.id, name]);
        id
    }

    /// What a machine may do in a repository.
    pub fn rights(&self, machine: &str, repository: &str, may_restore: &str) {
        let sql = "INSERT INTO machine_repositories (machine, repository, may_restore) VALUES (?1, ?2, ?3)";
        self.sql(sql, params![machine, repository, may_restore]);
    }

    pub fn image(
        &self,
        organisation: &Organisation,
        repository: &str,
        machine: &str,
        name: &str,
        at_ms: i64,
    ) -> String {
        let image = new_id().unwrap();
        let sql =
            "INSERT INTO images (organisation, repository, image, machine, name, received_ms, object_bytes, receipt)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, 100, 'signed')";
        self.sql(sql, params![organisation.id, repository, image, machine, name, at_ms]);
        image
    }

    pub async fn raw(&self, token: &Token, method: Method, path: &str, kind: &str, body: Body) -> http::Response<Body> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {}", token.0))
            .header("content-type", kind);
        self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap()
    }

    pub async fn ask(&self, token: &Token, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let response = self.raw(token, method, path, "application/json", body).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    pub async fn get(&self, token: &Token, path: &str) -> Value {
        let (status, answer) = self.ask(token, Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    pub async fn post(&self, token: &Token, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(token, Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// The status and the code of an answer that refuses.
    pub async fn refused(&self, token: &Token, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        let (status, answer) = self.ask(token, method, path, body).await;
        (status.as_u16(), answer["code"].as_str().unwrap_or_default().to_owned())
    }

    pub async fn machine(&self, organisation: &Organisation, name: &str) -> String {
        let answer = self.post(&organisation.operator, "/machines", serde_json::json!({ "name": name })).await;
        answer["id"].as_str().unwrap().to_owned()
    }

    pub async fn tick(&self, now_ms: i64) {
        scheduler::tick(&self.state, scheduler::Options::default(), now_ms).await.unwrap();
    }
}

/// The values of `field` in a page.
pub fn field(page: &Value, field: &str) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item[field].as_str().unwrap_or_default().to_owned()).collect()
}
