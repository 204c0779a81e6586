//! Errors as a client sees them: a stable code for programs, a sentence for people.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// Result of this crate.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Stable words for programs. Each has one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// 400: the request makes no sense.
    InvalidRequest,
    /// 401: no token, or one that is unknown, expired or revoked.
    NotAuthenticated,
    /// 403: this token may not do that.
    NotAllowed,
    /// 404: it is not there, or not for this token to see.
    NotFound,
    /// 405: the path does not take this method.
    MethodNotAllowed,
    /// 409: something stands under that name, or the state does not allow it.
    Conflict,
    /// 412: the upload goes on elsewhere than the client says.
    WrongOffset,
    /// 413: longer than allowed.
    TooLarge,
    /// 415: another content type is wanted.
    UnsupportedMediaType,
    /// 416: no such bytes.
    RangeNotSatisfiable,
    /// 422: the bytes are not what their name says.
    Damaged,
    /// 429: too many guesses or requests.
    TooManyRequests,
    /// 500: a fault of the server; its log tells more.
    Internal,
    /// 503: shutting down or overloaded.
    Unavailable,
    /// 507: the disk is too full for new backups.
    NoSpace,
}

impl Code {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Code::InvalidRequest => StatusCode::BAD_REQUEST,
            Code::NotAuthenticated => StatusCode::UNAUTHORIZED,
            Code::NotAllowed => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::Conflict => StatusCode::CONFLICT,
            Code::WrongOffset => StatusCode::PRECONDITION_FAILED,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Code::Damaged => StatusCode::UNPROCESSABLE_ENTITY,
            Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
        }
    }
}

/// A failure of a request. What the server alone should know goes to its log, never into the answer.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    message: String,
    /// For the log alone.
    cause: Option<String>,
    retry_after_seconds: Option<u64>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// A stable word.
    pub code: Code,
    /// A sentence for people.
    pub message: String,
}

impl ApiError {
    /// An error with a sentence for the client.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), cause: None, retry_after_seconds: None }
    }

    /// A fault of the server: the client hears that it is one, the log hears `cause`.
    pub fn internal(cause: impl Into<String>) -> Self {
        let message = "the server failed; its log tells why".to_owned();
        Self { code: Code::Internal, message, cause: Some(cause.into()), retry_after_seconds: None }
    }

    /// `what` (as "machine 0123…") is not there, or not for this token to see: the same answer.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("there is no {what}"))
    }

    /// With a time after which trying again makes sense.
    #[must_use]
    pub fn retry_after_seconds(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Its word.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.as_deref().unwrap_or(&self.message))
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            match self.code {
                Code::Internal | Code::NoSpace => tracing::error!("{cause}"),
                // The client's doing.
                _ => tracing::debug!("{cause}"),
            }
        }
        let body = ErrorBody { code: self.code, message: self.message };
        let mut response = (self.code.status(), Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(http::header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::NotAuthenticated {
            headers.insert(http::header::WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => {
                let mut full = Self::new(Code::NoSpace, "the server's disk is full");
                full.cause = Some(format!("database: {error}"));
                full
            }
            _ => Self::internal(format!("database: {error}")),
        }
    }
}

impl From<holotype_repo::Error> for ApiError {
    fn from(error: holotype_repo::Error) -> Self {
        use holotype_repo::ErrorKind;
        let (code, message) = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NoSuchImage => (Code::NotFound, "there is no such object"),
            ErrorKind::AlreadyExists => (Code::Conflict, "other bytes stand under that name; they were kept"),
            ErrorKind::NoSpace => (Code::NoSpace, "the server has no room for it"),
            ErrorKind::Damaged => (Code::Damaged, "the bytes are not what their name says"),
            _ => return Self::internal(error.to_string()),
        };
        let mut api = Self::new(code, message);
        api.cause = Some(error.to_string());
        api
    }
}
