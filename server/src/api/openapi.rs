//! Refusals that all handlers share, as the OpenAPI document tells them.

use crate::error::ErrorBody;
use utoipa::IntoResponses;

/// What a request that reads may be refused with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes answers; they are made of ApiError")]
pub(super) enum Refusals {
    /// The request makes no sense.
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// No token, or one that is unknown, expired or revoked.
    #[response(status = 401)]
    NotAuthenticated(ErrorBody),
    /// This token may not do that.
    #[response(status = 403)]
    NotAllowed(ErrorBody),
    /// It is not there, or not for this token to see.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// Too many requests.
    #[response(status = 429)]
    TooManyRequests(ErrorBody),
    /// A fault of the server.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// Shutting down or overloaded.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// What a request that changes something may be refused with besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it describes answers; they are made of ApiError")]
pub(super) enum ChangeRefusals {
    /// Something stands under that name, or the state does not allow it.
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The body is too long.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// Another content type is wanted.
    #[response(status = 415)]
    UnsupportedMediaType(ErrorBody),
    /// The disk is full.
    #[response(status = 507)]
    NoSpace(ErrorBody),
}
