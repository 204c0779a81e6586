//! Refusals that many paths have in common, for the OpenAPI document.

use crate::error::ErrorBody;
use utoipa::IntoResponses;

/// What every path may answer.
#[derive(IntoResponses)]
pub enum Common {
    /// The request makes no sense
    #[response(status = 400)]
    InvalidRequest(#[to_schema] ErrorBody),
    /// The server failed; its log tells why
    #[response(status = 500)]
    Internal(#[to_schema] ErrorBody),
    /// Shutting down or overloaded
    #[response(status = 503)]
    Unavailable(#[to_schema] ErrorBody),
    /// The server's disk is full
    #[response(status = 507)]
    NoSpace(#[to_schema] ErrorBody),
}

/// What every path that wants a token may answer.
#[derive(IntoResponses)]
pub enum Guarded {
    /// No token, or one that is unknown, expired or revoked
    #[response(status = 401)]
    NotAuthenticated(#[to_schema] ErrorBody),
    /// This token may not do that
    #[response(status = 403)]
    NotAllowed(#[to_schema] ErrorBody),
    /// Too many guesses; `Retry-After` tells when to go on
    #[response(status = 429)]
    TooManyRequests(#[to_schema] ErrorBody),
}

/// What paths that prove who asks may answer.
#[derive(IntoResponses)]
pub enum Guessable {
    /// What was given does not hold
    #[response(status = 401)]
    NotAuthenticated(#[to_schema] ErrorBody),
    /// Too many guesses; `Retry-After` tells when to go on
    #[response(status = 429)]
    TooManyRequests(#[to_schema] ErrorBody),
}

/// What every path that takes a JSON body may answer.
#[derive(IntoResponses)]
pub enum Bodied {
    /// The body is too long
    #[response(status = 413)]
    TooLarge(#[to_schema] ErrorBody),
    /// The body is no JSON
    #[response(status = 415)]
    UnsupportedMediaType(#[to_schema] ErrorBody),
}

/// What every path that names an object may answer.
#[derive(IntoResponses)]
pub enum Named {
    /// It is not there, or not for this token to see
    #[response(status = 404)]
    NotFound(#[to_schema] ErrorBody),
}

/// What every path that changes something may answer.
#[derive(IntoResponses)]
pub enum Changing {
    /// Something stands under that name, or the state does not allow it
    #[response(status = 409)]
    Conflict(#[to_schema] ErrorBody),
}
