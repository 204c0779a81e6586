//! A server on loopback for tests: real TLS, real files, tokens whose secrets are made of short
//! names. Panics where anything fails.

use crate::access::Role;
use crate::clock::new_id;
use crate::database::Database;
use crate::repositories::{DIRECTORY, Repositories};
use crate::router::router;
use crate::state::AppState;
use axum::extract::ConnectInfo;
use holotype_repo::core::secret::SecretBytes;
use holotype_repo::https::{Endpoint, ServerPin};
use holotype_repo::keyless::Rules;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rusqlite::params;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Id of the organisation that everything belongs to.
pub const ORGANISATION: &str = "0123456789abcdef0123456789abcdef";

/// A data directory, its certificate, and the server over it while it runs.
pub struct TestServer {
    data_dir: PathBuf,
    certificate: Vec<u8>,
    key: Vec<u8>,
    pin: ServerPin,
    address: SocketAddr,
    rules: Rules,
    running: Option<(Runtime, AppState)>,
}

impl TestServer {
    /// Starts a server over this directory.
    pub fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, Rules::Checked)
    }

    /// The same with other rules for objects.
    pub fn start_with(data_dir: &Path, rules: Rules) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.der().to_vec();
        let mut server = Self {
            data_dir: data_dir.to_owned(),
            pin: ServerPin::of(&certificate),
            certificate,
            key: made.signing_key.serialize_der(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            rules,
            running: None,
        };
        server.resume();
        server
    }

    /// Starts again at the same address, after [`TestServer::stop`].
    pub fn resume(&mut self) {
        let database = Database::open(&self.data_dir.join("server.sqlite")).unwrap();
        let state = AppState::new(self.data_dir.clone(), database);
        state.repositories.set_rules(self.rules);
        state.room.set_floor_bytes(0);
        state.boot_files.set_pin(self.pin);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![self.certificate.clone().into()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone())),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let router = router(state.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let Ok((socket, peer)) = listener.accept().await else { continue };
                let _ = socket.set_nodelay(true);
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(socket) = acceptor.accept(socket).await else { return };
                    let service = router.map_request(move |mut request: Request<_>| {
                        request.extensions_mut().insert(ConnectInfo(peer));
                        request
                    });
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service)).await;
                });
            }
        });
        self.running = Some((runtime, state));
    }

    /// Cuts every connection and ends; what threads have begun, they may still do.
    pub fn stop(&mut self) {
        if let Some((runtime, _)) = self.running.take() {
            runtime.shutdown_timeout(std::time::Duration::from_secs(10));
        }
    }

    /// The state, while it runs.
    pub fn state(&self) -> &AppState {
        &self.running.as_ref().unwrap().1
    }

    /// `https://127.0.0.1:PORT`
    pub fn origin(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Of its certificate.
    pub fn pin(&self) -> ServerPin {
        self.pin
    }

    /// How a client with this token reaches it.
    pub fn endpoint(&self, token: &str) -> Endpoint {
        Endpoint {
            origin: self.origin(),
            pin: Some(self.pin),
            token: Some(SecretBytes::new(secret_of(token).into_bytes())),
        }
    }

    fn write(&self, sql: &str, values: impl rusqlite::Params) {
        self.state().database.write_blocking(|transaction| Ok(transaction.execute(sql, values)?)).unwrap();
    }

    fn organisation(&self) {
        self.write(
            "INSERT OR IGNORE INTO organisations (id, name, created_ms) VALUES (?1, 'test', 0)",
            params![ORGANISATION],
        );
    }

    /// Adds an empty repository and gives its directory.
    pub fn add_repository(&self, name: &str) -> PathBuf {
        let path = self.data_dir.join("stores").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        Repositories::create_store(DIRECTORY, path.to_str().unwrap()).unwrap();
        self.organisation();
        self.write(
            "INSERT INTO repositories (id, organisation, name, store_kind, store_location, created_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            params![new_id().unwrap(), ORGANISATION, name, DIRECTORY, path.to_str().unwrap()],
        );
        path
    }

    fn add_token(&self, token: &str, organisation: &str, user: Option<&str>, machine: Option<&str>) {
        self.write(
            "INSERT INTO tokens (id, organisation, user_id, machine, kind, name, hash, created_ms, expires_ms)
             VALUES (?1, ?2, ?3, ?4, 'token', ?5, ?6, 0, ?7)",
            params![
                new_id().unwrap(),
                organisation,
                user,
                machine,
                token,
                blake3::hash(secret_of(token).as_bytes()).as_bytes(),
                i64::MAX
            ],
        );
    }

    /// A user with this token.
    pub fn add_user(&self, token: &str, role: Role) {
        self.organisation();
        let id = new_id().unwrap();
        self.write(
            "INSERT INTO users (id, organisation, name, role, password, created_ms) VALUES (?1, ?2, ?1, ?3, '', 0)",
            params![id, ORGANISATION, role.to_string()],
        );
        self.add_token(token, ORGANISATION, Some(&id), None);
    }

    /// A user of another organisation with this token.
    pub fn add_stranger(&self, token: &str) {
        let id = new_id().unwrap();
        let organisation = "ffffffffffffffffffffffffffffffff";
        self.write(
            "INSERT OR IGNORE INTO organisations (id, name, created_ms) VALUES (?1, 'strangers', 0)",
            params![organisation],
        );
        self.write(
            "INSERT INTO users (id, organisation, name, role, password, created_ms) VALUES (?1, ?2, ?1, 'admin', '', 0)",
            params![id, organisation],
        );
        self.add_token(token, organisation, Some(&id), None);
    }

    /// A machine with this token, which may add to the repository, and restore as `may_restore` says;
    /// gives its id.
    pub fn add_machine(&self, token: &str, repository: &str, may_restore: &str) -> String {
        self.organisation();
        let id = new_id().unwrap();
        self.write(
            "INSERT INTO machines (id, organisation, name, created_ms) VALUES (?1, ?2, ?1, 0)",
            params![id, ORGANISATION],
        );
        self.write(
            "INSERT INTO machine_repositories (machine, repository, may_restore)
             SELECT ?1, id, ?3 FROM repositories WHERE name = ?2",
            params![id, repository, may_restore],
        );
        self.add_token(token, ORGANISATION, None, Some(&id));
        id
    }
}

/// The secret of a token that a test calls by a short name.
pub fn secret_of(token: &str) -> String {
    format!("ht_{}", blake3::hash(token.as_bytes()).to_hex())
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}
