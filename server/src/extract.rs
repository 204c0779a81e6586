//! Paths and queries, refused in our own words.

use crate::error::{ApiError, Code};
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use serde::de::DeserializeOwned;

/// Parameters of the path.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // An object whose name cannot be one is not there.
        RawPathParams::from_request_parts(parts, state).await.map_err(|_| ApiError::not_found("such path"))?;
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|_| ApiError::not_found("such path"))
    }
}

/// Parameters of the query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::try_from_uri(&parts.uri).map_err(|error| {
            let reason: String = error.body_text().chars().take(200).collect();
            ApiError::new(Code::InvalidRequest, format!("the query is not the one wanted here: {reason}"))
        })?;
        Ok(Self(query.0))
    }
}
