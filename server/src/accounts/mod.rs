//! Accounts: organisations, users, machines' keys, tokens, enrolment.

use crate::access::Principal;
use crate::error::{ApiError, Code};
use crate::state::AppState;
use axum::extract::FromRequestParts;
use http::request::Parts;
use utoipa_axum::router::OpenApiRouter;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}

impl FromRequestParts<AppState> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(_parts: &mut Parts, _state: &AppState) -> Result<Self, ApiError> {
        Err(ApiError::new(Code::NotAuthenticated, "no token was given"))
    }
}
