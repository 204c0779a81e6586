//! What the server lists for this machine: repositories, storages, images.

use super::api::ApiFailure;
use super::identity::ServerSide;
use crate::screens::ImageView;
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Items of a page, and pages that are asked for.
const PAGE_ITEMS: usize = 500;
const MOST_PAGES: usize = 10;

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

/// A repository on the server.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedRepository {
    /// Its id there.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A storage of the server's list.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedStorage {
    /// Its name.
    pub name: String,
    /// `repository`, `nfs`, `smb` or `local`.
    pub kind: String,
    /// Where it is.
    pub location: String,
}

#[derive(Deserialize)]
struct ListedImage {
    image: String,
    machine: Option<String>,
    name: Option<String>,
    received_ms: i64,
    source_bytes: Option<u64>,
    deleted_ms: Option<i64>,
}

impl ServerSide {
    fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ApiFailure> {
        let (mut all, mut after) = (Vec::new(), String::new());
        for _ in 0..MOST_PAGES {
            let sign = if path.contains('?') { '&' } else { '?' };
            let page: Page<T> = self.api.ask(Method::GET, &format!("{path}{sign}limit={PAGE_ITEMS}{after}"), None)?;
            all.extend(page.items);
            match page.next {
                Some(next) => after = format!("&after={}", escape(&next)),
                None => break,
            }
        }
        Ok(all)
    }

    /// Repositories that this machine has rights in.
    ///
    /// # Errors
    /// Where the server does not tell.
    pub fn repositories(&self) -> Result<Vec<ListedRepository>, ApiFailure> {
        self.list("/repositories")
    }

    /// The server's list of storages.
    ///
    /// # Errors
    /// Where the server does not tell.
    pub fn storages(&self) -> Result<Vec<ListedStorage>, ApiFailure> {
        self.list("/storages")
    }

    /// Images that this machine may see in a repository: its own first, then the newest first.
    ///
    /// # Errors
    /// Where the server does not tell.
    pub fn images(&self, repository: &str) -> Result<Vec<ImageView>, ApiFailure> {
        let listed: Vec<ListedImage> = self.list(&format!("/images?repository={}", escape(repository)))?;
        let view = |image: ListedImage| ImageView {
            is_own: image.machine.as_deref() == Some(self.machine()),
            id: image.image,
            name: image.name.unwrap_or_default(),
            time: minute_of(image.received_ms),
            source_bytes: image.source_bytes.unwrap_or(0),
            is_protected: false,
        };
        let mut images: Vec<ImageView> =
            listed.into_iter().filter(|image| image.deleted_ms.is_none()).map(view).collect();
        images.sort_by_key(|image| !image.is_own);
        Ok(images)
    }

    /// Tells what an image is called, which is sealed in the repository, for the server's list.
    ///
    /// # Errors
    /// Where the server does not take it.
    pub fn report_image(
        &self,
        repository: &str,
        image: &str,
        name: &str,
        source_bytes: u64,
        stored_bytes: u64,
    ) -> Result<(), ApiFailure> {
        let name = Some(name).filter(|name| name.chars().count() <= 100);
        let body = json!({ "name": name, "source_bytes": source_bytes, "stored_bytes": stored_bytes });
        let path = format!("/images/{}/{image}/report", escape(repository));
        self.api.ask::<Value>(Method::POST, &path, Some(&body)).map(drop)
    }
}

/// `2026-11-23 05:14`, UTC.
pub(crate) fn minute_of(at_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(at_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string();
    time.get(..16).unwrap_or(&time).replace('T', " ")
}

/// A text as a value of a query or a segment of a path.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
