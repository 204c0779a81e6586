//! Which of these chunks are stored, and where.

use super::grant;
use super::policy::Wish;
use crate::access::Principal;
use crate::answers::{Common, Guarded, Named};
use crate::database::blocking;
use crate::error::{ApiError, Code, ErrorBody, Result};
use crate::extract::Path;
use crate::state::AppState;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use holotype_repo::store::Folder;
use holotype_repo::store::locate::{ID_BYTES, MAX_LOCATE_IDS, decode_question};
use std::time::Duration;

/// How long a question may take to come.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Says for each id which pack holds it and where. docs/PROTOCOL.md has the bytes.
#[utoipa::path(
    post, path = "/repositories/{name}/chunks/locate", tag = "objects",
    params(("name" = String, Path, description = "Name of the repository")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "Ids, 32 bytes each"),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "Packs and places"),
        (status = 413, body = ErrorBody),
        Common, Guarded, Named,
    )
)]
pub async fn locate(
    State(app): State<AppState>,
    principal: Principal,
    Path(name): Path<String>,
    body: Body,
) -> Result<Response> {
    // The answer says no more than the packs' footers do.
    let granted = grant(&app, &principal, name, Some((Wish::ReadFooter, Folder::Packs, None))).await?;
    let question = tokio::time::timeout(QUESTION_TIMEOUT, to_bytes(body, MAX_LOCATE_IDS * ID_BYTES)).await;
    let question = question
        .map_err(|_| ApiError::new(Code::InvalidRequest, "the question did not come in time"))?
        .map_err(|_| ApiError::new(Code::TooLarge, format!("a question has {MAX_LOCATE_IDS} ids at most")))?;
    let answer = blocking(move || {
        let ids = decode_question(&question).map_err(|error| ApiError::new(Code::InvalidRequest, error.to_string()))?;
        drop(question);
        let located = granted.repository.locate(&ids)?;
        app.metrics.chunks_asked.inc_by(ids.len() as u64);
        app.metrics.chunks_known.inc_by(located.places.iter().flatten().count() as u64);
        Ok(located.encode())
    })
    .await?;
    Ok(([(http::header::CONTENT_TYPE, "application/octet-stream")], answer).into_response())
}
