//! A repository on a Holotype server: a [`Store`] over HTTPS. docs/PROTOCOL.md has the requests.
//!
//! What can be tried again is: a server that restarts, a connection that breaks, an answer of "later".
//! Nothing of the repository's safety depends on the server's word: packs are leaned on by their signed
//! footers, chunks are checked by their ids, image objects by their signatures.

mod answer;
mod locate;
mod read;
mod retry;
mod write;

use crate::error::{Error, ErrorKind, Result};
use crate::https::{Endpoint, HttpsClient};
use crate::store::{Folder, Locator, ObjectInfo, ObjectKey, Put, Store};
use answer::{Attempt, Info, refused};
use holotype_core::secret::SecretBytes;
use retry::Patience;
pub use retry::Waiting;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::{Request, StatusCode};

/// Received bytes of an upload, in answers.
pub const RECEIVED_BYTES: &str = "holotype-received-bytes";
/// Length of a whole object, in answers.
pub const OBJECT_BYTES: &str = "holotype-object-bytes";
/// Length of a pack's footer, in uploads.
pub const FOOTER_BYTES: &str = "holotype-footer-bytes";
/// Longest name of a repository on a server.
pub const MAX_NAME_BYTES: usize = 64;

/// How long a figure of free bytes is believed.
const FREE_BYTES_HOLD: Duration = Duration::from_secs(5);

/// Whether a repository on a server can have this name: 1 to 64 of `[a-z0-9-]`.
pub fn valid_repository_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

/// Objects on a server.
pub struct HttpsStore {
    client: HttpsClient,
    name: String,
    patience: Patience,
    free: Mutex<Option<(Instant, Option<u64>)>>,
}

impl HttpsStore {
    /// The repository `name` of the server; it is asked whether it is there.
    ///
    /// # Errors
    /// `InvalidInput` for the address, `NotFound`, `PermissionDenied` where the token is refused,
    /// `NotAllowed` where the server is not the pinned one, `Io` where it does not answer.
    pub fn open(endpoint: Endpoint, name: &str) -> Result<Self> {
        Self::open_patiently(endpoint, name, retry::BUDGET)
    }

    /// The same, where a server that is gone is waited for up to `budget`.
    ///
    /// # Errors
    /// Those of [`HttpsStore::open`].
    pub fn open_patiently(endpoint: Endpoint, name: &str, budget: Duration) -> Result<Self> {
        Self::open_with(endpoint, name, Patience::new(budget))
    }

    /// The same, with somebody who is told of waits and can end them. `budget` is 300 s where nothing is said.
    ///
    /// # Errors
    /// Those of [`HttpsStore::open`]; `Cancelled` where `waiting` ends a wait, from every request.
    pub fn open_told(
        endpoint: Endpoint,
        name: &str,
        budget: Option<Duration>,
        waiting: Arc<dyn Waiting>,
    ) -> Result<Self> {
        Self::open_with(endpoint, name, Patience::new(budget.unwrap_or(retry::BUDGET)).told_to(waiting))
    }

    fn open_with(endpoint: Endpoint, name: &str, patience: Patience) -> Result<Self> {
        if !valid_repository_name(name) {
            let why = "is no name of a repository on a server: 1 to 64 characters a-z, 0-9 and -";
            return Err(Error::new(ErrorKind::InvalidInput, format!("`{name}`"), why)
                .advise("give --repo https://HOST:PORT/NAME"));
        }
        let client = HttpsClient::new(endpoint)?;
        let store = Self { client, name: name.to_owned(), patience, free: Mutex::default() };
        store.info()?;
        Ok(store)
    }

    /// Sends another token from now on; see [`HttpsClient::renew_token`].
    pub fn renew_token(&self, token: SecretBytes) {
        self.client.renew_token(token);
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/repositories/{}{rest}", self.name)
    }

    fn object_path(&self, key: &ObjectKey) -> String {
        self.path(&format!("/objects/{}/{}", key.folder().name(), key.name()))
    }

    /// For messages about an object.
    fn subject(&self, key: &ObjectKey) -> String {
        format!("{} {key}", self.describe())
    }

    fn info(&self) -> Result<Info> {
        let subject = self.describe();
        self.patience.run(&subject, |_| {
            let response = self.client.send(request("GET", &self.path("")))?;
            match response.status() {
                StatusCode::OK => answer::json(&subject, response),
                StatusCode::NOT_FOUND => Err(Attempt::Failed(
                    Error::new(ErrorKind::NotFound, &*subject, "the server has no such repository for this token")
                        .advise("check the name; the server's operator adds repositories with `holotype server`"),
                )),
                _ => Err(refused(&subject, response)),
            }
        })
    }
}

/// A request without a body.
fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(path).body(()).expect("names of objects are fit for paths")
}

impl std::fmt::Debug for HttpsStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpsStore({})", self.describe())
    }
}

impl Store for HttpsStore {
    fn put(&self, key: &ObjectKey, parts: &[&[u8]]) -> Result<Put> {
        self.put_parts(key, parts)
    }

    fn get(&self, key: &ObjectKey) -> Result<Vec<u8>> {
        self.read_whole(key)
    }

    fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Vec<u8>> {
        self.read_range(key, range)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64> {
        self.read_size(key)
    }

    fn list(&self, folder: Folder) -> Result<Vec<ObjectInfo>> {
        self.read_listing(folder)
    }

    fn delete(&self, key: &ObjectKey) -> Result<()> {
        let subject = self.subject(key);
        self.patience.run(&subject, |_| {
            let response = self.client.send(request("DELETE", &self.object_path(key)))?;
            match response.status() {
                StatusCode::NO_CONTENT => Ok(()),
                _ => Err(refused(&subject, response)),
            }
        })
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        let lock = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, free)) = *lock()
            && asked.elapsed() < FREE_BYTES_HOLD
        {
            return Ok(free);
        }
        let free = self.info()?.free_bytes;
        *lock() = Some((Instant::now(), free));
        Ok(free)
    }

    fn confirm(&self, key: &ObjectKey) -> Result<u64> {
        match self.upload_state(key)? {
            write::UploadState { object_bytes: Some(bytes), .. } => Ok(bytes),
            _ => Err(Error::new(ErrorKind::NotFound, self.subject(key), "there is no such object")),
        }
    }

    fn locator(&self) -> Option<&dyn Locator> {
        Some(self)
    }

    fn describe(&self) -> String {
        format!("{}/{}", self.client.origin(), self.name)
    }
}
