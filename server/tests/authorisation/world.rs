//! A server's router over a copy of the fixture.

use crate::actors::Actor;
use crate::fixture::{FOREIGN, Fixture};
use crate::table::{Line, Sends};
use axum::body::Body;
use axum::extract::ConnectInfo;
use holotype_repo::Store;
use holotype_repo::https::ServerPin;
use holotype_repo::store::LocalStore;
use holotype_server::database::Database;
use holotype_server::router::router;
use holotype_server::state::AppState;
use holotype_server::testing::{ORGANISATION, secret_of};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use rusqlite::types::ValueRef;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use tempfile::TempDir;
use tower::ServiceExt;

pub struct World<'a> {
    pub fixture: &'a Fixture,
    state: AppState,
    router: axum::Router,
    directory: TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// A request with its parameters filled in.
pub struct Asked {
    pub method: Method,
    /// As the document has it.
    pub template: String,
    pub path: String,
    pub body: Vec<u8>,
}

/// Whether a request names what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fake {
    /// It does.
    No,
    /// All it names is nothing.
    All,
    /// All but the repository.
    ButRepository,
}

/// The parts of a line, with the fixture's values or with nothing's.
pub fn asked(fixture: &Fixture, line: &Line, fake: Fake) -> Asked {
    let (method, pattern) = line.request.split_once(' ').unwrap();
    let (mut template, mut path) = (String::new(), String::new());
    for (number, part) in pattern.split('/').enumerate() {
        let slash = if number == 0 { "" } else { "/" };
        let (named, filled) = match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(parameter) => {
                let (name, value) = parameter.split_once('=').unwrap();
                let value = match fixture.values.get(value).filter(|_| name != "folder") {
                    Some((real, other)) => match fake {
                        Fake::No => real,
                        Fake::ButRepository if value.starts_with("lab") => real,
                        _ => other,
                    },
                    None => value,
                };
                (format!("{{{name}}}"), value.to_owned())
            }
            None => (part.to_owned(), part.to_owned()),
        };
        template.push_str(&format!("{slash}{named}"));
        path.push_str(&format!("{slash}{filled}"));
    }
    if !matches!(template.as_str(), "/healthz" | "/metrics") {
        (template, path) = (format!("/api/v1{template}"), format!("/api/v1{path}"));
    }
    let is_fake = fake != Fake::No;
    path.push_str(&fixture.fill(line.query, is_fake));
    let body = match line.sends {
        Sends::Nothing => Vec::new(),
        Sends::Json(text) => fixture.fill(text, is_fake).into_bytes(),
        Sends::Bytes(name) => fixture.bytes[name].clone(),
        Sends::Made(make) => make(fixture).to_string().into_bytes(),
    };
    Asked { method: method.parse().unwrap(), template, path, body }
}

impl<'a> World<'a> {
    pub fn new(fixture: &'a Fixture, line: &Line) -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(fixture.directory.path(), directory.path());
        let database = Database::open(&directory.path().join("server.sqlite")).unwrap();
        let stores = directory.path().join("stores");
        database
            .write_blocking(|transaction| {
                let sql = "UPDATE repositories SET store_location = ?1 || '/' || name";
                transaction.execute(sql, [stores.to_str()])?;
                transaction.execute_batch(line.sql)?;
                Ok(())
            })
            .unwrap();
        if !line.gone.is_empty() {
            LocalStore::open(stores.join("lab")).unwrap().delete(&fixture.key(line.gone)).unwrap();
        }
        let state = AppState::new(directory.path().to_owned(), database);
        state.room.set_floor_bytes(0);
        state.boot_files.set_pin(ServerPin::of(b"a certificate"));
        Self { fixture, router: router(state.clone()), state, directory }
    }

    pub async fn ask(&self, line: &Line, actor: Actor, asked: Asked) -> Answer {
        let peer: SocketAddr = if line.local { "127.0.0.1:4444" } else { "192.0.2.1:4444" }.parse().unwrap();
        let mut request = Request::builder().method(&asked.method).uri(&asked.path).extension(ConnectInfo(peer));
        if let Some(token) = actor.token {
            request = request.header("authorization", format!("Bearer {}", secret_of(token)));
        }
        match line.sends {
            Sends::Json(_) | Sends::Made(_) => request = request.header("content-type", "application/json"),
            Sends::Bytes(name) => {
                request = request.header("content-type", "application/octet-stream");
                if matches!(name, "pack" | "meta") {
                    request = request.header("holotype-footer-bytes", footer_bytes(&asked.body));
                }
            }
            Sends::Nothing => {}
        }
        if asked.method == Method::PUT {
            request = request.header("content-length", asked.body.len());
        }
        let response = self.router.clone().oneshot(request.body(Body::from(asked.body)).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let endless = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = match endless {
            true => Vec::new(),
            false => response.into_body().collect().await.unwrap().to_bytes().to_vec(),
        };
        Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// Everything that there is: rows and files. What is noted of who asked is left out.
    pub fn dump(&self) -> BTreeSet<String> {
        let rows = self.state.database.read_blocking(|connection| {
            let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                       AND name NOT IN ('events') AND name NOT LIKE 'image_names%' ORDER BY name";
            let tables: Vec<String> =
                connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let mut lines = BTreeSet::new();
            for table in tables {
                let mut statement = connection.prepare_cached(&format!("SELECT * FROM {table}"))?;
                let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let mut line = table.clone();
                    for (number, name) in names.iter().enumerate() {
                        if matches!(name.as_str(), "used_ms" | "seen_ms" | "next_event") {
                            continue;
                        }
                        match row.get_ref(number)? {
                            ValueRef::Text(text) => line.push_str(&format!(" {}", String::from_utf8_lossy(text))),
                            other => line.push_str(&format!(" {other:?}")),
                        }
                    }
                    lines.insert(line);
                }
            }
            Ok(lines)
        });
        let mut lines = rows.unwrap();
        files(self.directory.path(), self.directory.path(), &mut lines);
        lines
    }

    /// What a foreigner did to this organisation between two dumps.
    pub fn harm(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Option<String> {
        let lost = before.difference(after).find(|line| !line.contains(FOREIGN));
        let ours = after.difference(before).find(|line| line.contains(ORGANISATION));
        lost.or(ours).cloned()
    }
}

fn footer_bytes(pack: &[u8]) -> u32 {
    // The end of a pack: length of the footer, then 12 bytes; before them, a signature of 64.
    let at = pack.len() - 16;
    u32::from_le_bytes(pack[at..at + 4].try_into().unwrap()) + 64 + 16
}

fn files(root: &Path, directory: &Path, lines: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            // The index is made anew whenever it is wanted.
            if name != "indexes" || directory != root {
                files(root, &entry.path(), lines);
            }
        } else if !name.starts_with("server.sqlite") {
            lines.insert(format!("file {} {}", entry.path().display(), entry.metadata().unwrap().len()));
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
