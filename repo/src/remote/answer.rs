//! What a server answers, and what to make of it.

use crate::error::{Error, ErrorKind};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use ureq::Body;
use ureq::http::{Response, StatusCode, header};

/// Longest JSON that is read.
const MAX_JSON_BYTES: u64 = 16 << 20;
/// Longest sentence of an error that is passed on.
const MAX_MESSAGE_BYTES: usize = 500;
/// A server may not make a client sleep longer than this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How one attempt ended without success.
#[derive(Debug)]
pub(super) enum Attempt {
    /// Trying again makes no sense.
    Failed(Error),
    /// It may go later.
    Later { error: Error, after: Option<Duration> },
    /// An upload goes on at another place than was thought.
    Elsewhere { error: Error, received_bytes: u64 },
}

impl From<Error> for Attempt {
    /// Of a request without an answer.
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Io => Attempt::Later { error, after: None },
            _ => Attempt::Failed(error),
        }
    }
}

/// `GET .`
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub free_bytes: Option<u64>,
}

/// A page of a listing.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub objects: Vec<PageObject>,
    pub more: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct PageObject {
    pub name: String,
    pub bytes: u64,
}

#[derive(Debug, Deserialize)]
struct ErrorBody {
    message: String,
}

/// Reads JSON.
pub(super) fn json<T: DeserializeOwned>(subject: &str, response: Response<Body>) -> Result<T, Attempt> {
    let read = response.into_body().into_with_config().limit(MAX_JSON_BYTES).read_json();
    read.map_err(|error| match error {
        ureq::Error::Io(_) | ureq::Error::Timeout(_) => Attempt::from(broke_off(subject, &error)),
        _ => Attempt::Failed(strange(subject, "what it says cannot be read")),
    })
}

/// An answer that broke off; it can be asked for again.
pub(super) fn broke_off(subject: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, subject, format!("the server's answer broke off: {error}"))
}

/// An answer that no Holotype server gives.
pub(super) fn strange(subject: &str, why: &str) -> Error {
    Error::new(ErrorKind::Io, subject, format!("the server's answer makes no sense: {why}"))
        .advise("check that the address is that of a Holotype server of this version")
}

/// A number in a header.
pub(super) fn number(response: &Response<Body>, name: &str) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.parse().ok()
}

/// What to make of a status that is no success.
pub(super) fn refused(subject: &str, response: Response<Body>) -> Attempt {
    let status = response.status();
    let after = number(&response, header::RETRY_AFTER.as_str());
    let after = after.map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    let received = number(&response, super::RECEIVED_BYTES);
    // Reading it also makes the connection fit for the next request.
    let body = response.into_body().into_with_config().limit(64 << 10).read_json::<ErrorBody>();
    let said = body.map(|body| said(&body.message)).unwrap_or_else(|_| format!("status {status}"));
    let error = |kind| Error::new(kind, subject, said.clone());
    match status {
        StatusCode::PRECONDITION_FAILED => {
            Attempt::Elsewhere { error: error(ErrorKind::Io), received_bytes: received.unwrap_or(0) }
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT
        | StatusCode::REQUEST_TIMEOUT => Attempt::Later { error: error(ErrorKind::Io), after },
        StatusCode::UNAUTHORIZED => Attempt::Failed(
            Error::new(ErrorKind::PermissionDenied, subject, format!("the server refuses the token: {said}"))
                .advise("give a valid one with --token-file"),
        ),
        StatusCode::FORBIDDEN => Attempt::Failed(
            Error::new(ErrorKind::PermissionDenied, subject, format!("the server does not allow it: {said}"))
                .advise("use a token that may do that"),
        ),
        StatusCode::NOT_FOUND => Attempt::Failed(error(ErrorKind::NotFound)),
        StatusCode::CONFLICT => Attempt::Failed(error(ErrorKind::AlreadyExists)),
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::RANGE_NOT_SATISFIABLE => {
            Attempt::Failed(error(ErrorKind::Damaged))
        }
        StatusCode::INSUFFICIENT_STORAGE => {
            Attempt::Failed(error(ErrorKind::NoSpace).advise("free space on the server, then run it again"))
        }
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Attempt::Failed(error(ErrorKind::InvalidInput)),
        _ if status.is_success() || status.is_redirection() => {
            Attempt::Failed(strange(subject, &format!("status {status}")))
        }
        _ => Attempt::Failed(error(ErrorKind::Io)),
    }
}

/// A server's sentence, fit for a terminal.
fn said(message: &str) -> String {
    let clean: String = message.chars().filter(|c| !c.is_control()).collect();
    let end = (0..=MAX_MESSAGE_BYTES.min(clean.len())).rev().find(|at| clean.is_char_boundary(*at)).unwrap_or(0);
    clean[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_servers_are_cut_and_cleaned() {
        assert_eq!(said("no\u{1b}[31m such\nthing"), "no[31m suchthing");
        assert_eq!(said(&"é".repeat(400)).len(), 500);
    }
}
