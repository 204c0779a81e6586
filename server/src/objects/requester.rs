//! Who asks for objects.

use crate::access::Principal;
use crate::error::ApiError;
use crate::state::AppState;
use axum::extract::FromRequestParts;
use http::request::Parts;

/// The principal of a request. One that a layer of the server has found already is taken as it is;
/// clients cannot put one there.
pub struct Requester(pub Principal);

impl FromRequestParts<AppState> for Requester {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        if let Some(principal) = parts.extensions.get::<Principal>() {
            return Ok(Self(principal.clone()));
        }
        Principal::from_request_parts(parts, state).await.map(Self)
    }
}
