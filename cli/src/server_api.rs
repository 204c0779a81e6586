//! The management API of a Holotype server: JSON over HTTPS.

use crate::arguments::GlobalArguments;
use crate::exit::{Failure, Result};
use crate::token_file;
use holotype_repo::core::secret::SecretBytes;
use holotype_repo::https::{Endpoint, HttpsClient};
use http::{Method, Request, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// What all paths begin with.
const PREFIX: &str = "/api/v1";
/// A longer answer is none of this API.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// Items that are asked for at once.
const PAGE_ITEMS: u32 = 500;

/// A client of the management API.
pub struct ServerApi {
    client: HttpsClient,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    message: String,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl ServerApi {
    /// The server of the command line, with the token of `--token-file` or of `holotype login`.
    pub fn open(global: &GlobalArguments) -> Result<Self> {
        Self::connect(global, Some(token(global)?))
    }

    /// The server at `origin`, with the token of the command line.
    pub fn at(origin: &str, global: &GlobalArguments) -> Result<Self> {
        let endpoint = Endpoint { origin: origin.to_owned(), pin: global.server_pin, token: Some(token(global)?) };
        Ok(Self { client: HttpsClient::new(endpoint)? })
    }

    /// The server of the command line, without a token.
    pub fn open_without_token(global: &GlobalArguments) -> Result<Self> {
        Self::connect(global, None)
    }

    fn connect(global: &GlobalArguments, token: Option<SecretBytes>) -> Result<Self> {
        let endpoint = Endpoint { origin: origin(global)?, pin: global.server_pin, token };
        Ok(Self { client: HttpsClient::new(endpoint)? })
    }

    /// Gets what is at `path`, which is below `/api/v1` and begins with a slash.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.answer(Method::GET, path, None)
    }

    /// Gets all items of a list, page by page. `path` may have a query.
    pub fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut page_path = format!("{path}{}limit={PAGE_ITEMS}", if path.contains('?') { '&' } else { '?' });
            if let Some(after) = &after {
                page_path = format!("{page_path}&after={}", escape(after));
            }
            let page: Page<T> = self.get(&page_path)?;
            all.extend(page.items);
            // A server that names the same place twice would never come to an end.
            match page.next {
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                _ => return Ok(all),
            }
        }
    }

    /// Opens a stream of events. It is read line by line.
    pub fn stream(&self, path: &str) -> Result<impl std::io::BufRead + use<>> {
        let subject = format!("{}{PREFIX}{path}", self.client.origin());
        let request = Request::get(format!("{PREFIX}{path}")).body(());
        let response = self.client.send(request.map_err(|error| Failure::usage(format!("{subject}: {error}")))?)?;
        let status = response.status();
        if !status.is_success() {
            let bytes = response.into_body().into_with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
            return Err(failure(&subject, status, &bytes.unwrap_or_default(), None));
        }
        Ok(std::io::BufReader::new(response.into_body().into_reader()))
    }

    /// Posts `body` and gives the bytes of the answer, to be read, and how many there are.
    pub fn download(&self, path: &str, body: &Value) -> Result<(impl std::io::Read + use<>, u64)> {
        let subject = format!("{}{PREFIX}{path}", self.client.origin());
        let text = serde_json::to_vec(body).map_err(|error| Failure::usage(format!("{subject}: {error}")))?;
        let request = Request::post(format!("{PREFIX}{path}")).header(header::CONTENT_TYPE, "application/json");
        let request = request.body(text.as_slice()).map_err(|error| Failure::usage(format!("{subject}: {error}")))?;
        let response = self.client.send(request)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let number = |name| headers.get(name).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if !status.is_success() {
            let bytes = response.into_body().into_with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
            return Err(failure(&subject, status, &bytes.unwrap_or_default(), number(header::RETRY_AFTER)));
        }
        let bytes = number(header::CONTENT_LENGTH).ok_or_else(|| {
            Failure::failed("no-such-server", format!("{subject}: the answer does not say how long it is"))
        })?;
        Ok((response.into_body().into_reader(), bytes))
    }

    /// Posts `body`.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.answer(Method::POST, path, Some(body))
    }

    /// Puts `body`.
    pub fn put<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.answer(Method::PUT, path, Some(body))
    }

    /// Puts bytes; the answer does not matter where it is good.
    pub fn put_bytes(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.answer_to::<Value>(Method::PUT, path, Some(("application/octet-stream", bytes))).map(drop)
    }

    /// Changes what is at `path` to what `body` says.
    pub fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.answer(Method::PATCH, path, Some(body))
    }

    /// Deletes.
    pub fn delete(&self, path: &str) -> Result<()> {
        self.answer::<Value>(Method::DELETE, path, None).map(drop)
    }

    /// Sends a request whose answer does not matter where it is good.
    pub fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<()> {
        self.answer::<Value>(method, path, body).map(drop)
    }

    fn answer<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> Result<T> {
        let mut bytes = Zeroizing::new(Vec::new());
        let Some(body) = body else { return self.answer_to(method, path, None) };
        serde_json::to_writer(&mut *bytes, body)
            .map_err(|error| Failure::failed("no-such-server", format!("{path}: could not ask: {error}")))?;
        self.answer_to(method, path, Some(("application/json", &bytes)))
    }

    fn answer_to<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<(&str, &[u8])>) -> Result<T> {
        let subject = format!("{}{PREFIX}{path}", self.client.origin());
        let refuse = |why: String| Failure::failed("no-such-server", format!("{subject}: {why}"));
        let request = Request::builder().method(method).uri(format!("{PREFIX}{path}"));
        let response = if let Some((kind, bytes)) = body {
            let request = request.header(header::CONTENT_TYPE, kind).body(bytes);
            self.client.send(request.map_err(|error| Failure::usage(format!("{subject}: {error}")))?)?
        } else {
            self.client.send(request.body(()).map_err(|error| Failure::usage(format!("{subject}: {error}")))?)?
        };
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|text| text.parse::<u64>().ok());
        let bytes = response.into_body().into_with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        let bytes =
            bytes.map_err(|error| Failure::failed("io", format!("{subject}: the answer broke off: {error}")))?;
        let bytes = Zeroizing::new(bytes);
        if !status.is_success() {
            return Err(failure(&subject, status, &bytes, retry_after));
        }
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text)
            .map_err(|error| refuse(format!("the answer is not that of a Holotype server of this version: {error}")))
    }
}

/// What a refusal of the server means here.
fn failure(subject: &str, status: StatusCode, body: &[u8], retry_after_seconds: Option<u64>) -> Failure {
    let Ok(body) = serde_json::from_slice::<ErrorBody>(body) else {
        let why = format!("{subject}: the answer is {status} and not that of a Holotype server; look at --server");
        return Failure::failed("no-such-server", why);
    };
    let (kind, advice) = match body.code.as_str() {
        "invalid-request" => ("invalid-request", ""),
        // Whoever asks there has no token yet.
        "not-authenticated" if subject.ends_with("/login") || subject.ends_with("/enrol") => ("not-authenticated", ""),
        "not-authenticated" => ("not-authenticated", "; log in with `holotype login`, or give another --token-file"),
        "not-allowed" => ("not-allowed", ""),
        "not-found" => ("not-found", ""),
        "conflict" => ("conflict", ""),
        "too-large" => ("too-large", ""),
        "too-many-requests" => ("too-many-requests", ""),
        "unavailable" => ("unavailable", "; try again later"),
        "no-space" => ("no-space", ""),
        "internal" => ("internal", ""),
        _ => ("failed", ""),
    };
    let message = body.message.replace(char::is_control, "?");
    let wait = retry_after_seconds.map(|seconds| format!("; try again in {seconds} s")).unwrap_or_default();
    Failure::failed(kind, format!("{subject}: {message}{advice}{wait}"))
}

/// `https://HOST:PORT` of `--server`.
pub fn origin(global: &GlobalArguments) -> Result<String> {
    let server = global.server.as_deref().filter(|server| !server.is_empty());
    let server = server.ok_or_else(|| {
        Failure::usage("server: none is given; give --server https://HOST:PORT or set HOLOTYPE_SERVER")
    })?;
    Ok(server.trim_end_matches('/').to_owned())
}

/// The token in `--token-file`, or that of `holotype login`.
pub fn token(global: &GlobalArguments) -> Result<SecretBytes> {
    token_file::read(global)?.ok_or_else(|| {
        let why = "token: there is none; log in with `holotype login`, or give --token-file FILE";
        Failure::failed("not-authenticated", why)
    })
}

/// A name as a segment of a path or a value of a query.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(escape("a-Z.9_~"), "a-Z.9_~");
        assert_eq!(escape("Raum 3/ü?&"), "Raum%203%2F%C3%BC%3F%26");
    }

    #[test]
    fn refusals_become_failures() {
        let told = failure(
            "https://a/b",
            StatusCode::TOO_MANY_REQUESTS,
            br#"{"code":"too-many-requests","message":"too\u001b many"}"#,
            Some(7),
        );
        assert_eq!(
            (told.kind(), told.to_string().as_str()),
            ("too-many-requests", "https://a/b: too? many; try again in 7 s")
        );
        assert_eq!(failure("x", StatusCode::BAD_GATEWAY, b"<html>", None).kind(), "no-such-server");
    }
}
