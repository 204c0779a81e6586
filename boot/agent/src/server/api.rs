//! Requests of the management API, and what refusals mean.

use holotype_repo::core::secret::SecretBytes;
use holotype_repo::https::{Endpoint, HttpsClient};
use http::{Method, Request, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// What all paths begin with.
const PREFIX: &str = "/api/v1";
/// A longer answer is none of this API.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

const ADVICE_GONE: &str = "; look at the network cable, at the server's address, and whether the server runs";
/// What to do where the server has let this machine in before and does not any more.
pub(crate) const ADVICE_ENDED: &str = "; the session of this PC was ended on the server, or the machine was removed there: ask the operator, then try again";

/// Why a request was not answered as it was hoped.
#[derive(Debug)]
pub struct ApiFailure {
    /// The answer's status; absent where none came.
    pub status: Option<StatusCode>,
    /// The server's time by the answer's head, in milliseconds since 1970 (UTC).
    pub server_ms: Option<i64>,
    sentence: String,
    can_pass: bool,
}

impl ApiFailure {
    fn new(sentence: String) -> Self {
        Self { status: None, server_ms: None, sentence, can_pass: false }
    }

    /// Whether it may go away by itself: no answer, or "later".
    pub fn can_pass(&self) -> bool {
        self.can_pass
    }

    /// Whether the answer was this.
    pub fn is(&self, status: StatusCode) -> bool {
        self.status == Some(status)
    }
}

impl fmt::Display for ApiFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

/// A client of the management API.
pub struct Api {
    client: HttpsClient,
    /// Whether this machine was let in once.
    has_session: AtomicBool,
}

impl Api {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// Where the address is none.
    pub fn new(endpoint: Endpoint) -> Result<Self, ApiFailure> {
        let client = HttpsClient::new(endpoint).map_err(|error| ApiFailure::new(error.to_string()))?;
        Ok(Self { client, has_session: AtomicBool::new(false) })
    }

    /// Sends this token from now on.
    pub fn renew_token(&self, token: SecretBytes) {
        self.client.renew_token(token);
        self.has_session.store(true, Ordering::Relaxed);
    }

    /// Asks once. `path` is below `/api/v1`.
    ///
    /// # Errors
    /// Where no good answer came.
    pub fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> Result<T, ApiFailure> {
        let bytes = self.answer(method, path, body)?;
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        let why =
            |error| format!("{}: the answer is not that of a server of this version: {error}", self.subject(path));
        serde_json::from_slice(text).map_err(|error| ApiFailure::new(why(error)))
    }

    /// Gets bytes, once.
    ///
    /// # Errors
    /// Where no good answer came.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, ApiFailure> {
        self.answer(Method::GET, path, None).map(|mut bytes| std::mem::take(&mut *bytes))
    }

    fn subject(&self, path: &str) -> String {
        format!("{}{PREFIX}{}", self.client.origin(), path.split('?').next().unwrap_or(path))
    }

    fn answer(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Zeroizing<Vec<u8>>, ApiFailure> {
        let subject = self.subject(path);
        let refuse = |why: &dyn fmt::Display| ApiFailure::new(format!("{subject}: {why}"));
        let mut request = Request::builder().method(method).uri(format!("{PREFIX}{path}"));
        let mut bytes = Zeroizing::new(Vec::new());
        let response = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                serde_json::to_writer(&mut *bytes, body).map_err(|error| refuse(&error))?;
                self.client.send(request.body(bytes.as_slice()).map_err(|error| refuse(&error))?)
            }
            None => self.client.send(request.body(()).map_err(|error| refuse(&error))?),
        };
        let response = response.map_err(|error| {
            let can_pass = error.kind() == holotype_repo::ErrorKind::Io;
            let advice = if error.advice().is_none() { ADVICE_GONE } else { "" };
            ApiFailure { can_pass, ..ApiFailure::new(format!("{error}{advice}")) }
        })?;
        let status = response.status();
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let server_ms = date.map(|date| date.timestamp().as_millisecond());
        let bytes = response.into_body().into_with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        let bytes = bytes.map_err(|error| {
            let sentence = format!("{subject}: the answer broke off: {error}");
            ApiFailure { can_pass: true, ..ApiFailure::new(sentence) }
        })?;
        let bytes = Zeroizing::new(bytes);
        if !status.is_success() {
            let why = match serde_json::from_slice::<ErrorBody>(&bytes) {
                Ok(body) => body.message.chars().filter(|c| !c.is_control()).take(500).collect(),
                Err(_) => format!("the answer is {status} and not that of a Holotype server; look at the address"),
            };
            let can_pass = matches!(status.as_u16(), 429 | 502 | 503 | 504);
            let ended = status == StatusCode::UNAUTHORIZED && self.has_session.load(Ordering::Relaxed);
            let sentence = format!("{subject}: {why}{}", if ended { ADVICE_ENDED } else { "" });
            return Err(ApiFailure { status: Some(status), server_ms, sentence, can_pass });
        }
        Ok(bytes)
    }

    /// Asks until an answer comes that will not change by waiting, for at most `patience`; tells each wait.
    ///
    /// # Errors
    /// The last failure.
    pub fn ask_patiently<T: DeserializeOwned>(
        &self,
        (method, path, body): (Method, &str, Option<&Value>),
        patience: Duration,
        mut tell: impl FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<T, ApiFailure> {
        let (started, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            match self.ask(method.clone(), path, body) {
                Err(failure) if failure.can_pass && started.elapsed() + wait < patience && !cancelled() => {
                    tell(&format!("{failure}; trying again in {} s", wait.as_secs().max(1)));
                    sleep(wait, cancelled);
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                other => return other,
            }
        }
    }
}

/// Sleeps, and ends early where it is cancelled.
pub fn sleep(wait: Duration, cancelled: &dyn Fn() -> bool) {
    let until = Instant::now() + wait;
    while !cancelled() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50).min(wait));
    }
}
