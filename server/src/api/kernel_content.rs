//! The bytes of kernel images: files under their hashes.

use super::kernel_images::{KernelImage, find};
use super::openapi::{ChangeRefusals, Refusals};
use super::shared::*;
use crate::access::{Principal, Role};
use crate::clock::{new_id, now_ms};
use crate::database::blocking;
use crate::error::{ApiError, Code, Result};
use crate::extract::Path;
use crate::json::Json;
use crate::state::AppState;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use rusqlite::params;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get_kernel_content, put_kernel_content))
}

/// Where they lie in the data directory.
const DIRECTORY: &str = "kernels";
/// What the names of files begin with that are not whole yet.
const NEW_PREFIX: &str = "new-";
/// Bytes that are read at once.
const BLOCK_BYTES: usize = 256 << 10;

fn directory(state: &AppState) -> PathBuf {
    state.data_dir.join(DIRECTORY)
}

fn io_error(action: &str, error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ApiError::new(Code::NoSpace, "the server has no room for it")
        }
        _ => ApiError::internal(format!("kernel image: could not {action}: {error}")),
    }
}

/// A file that goes away unless it is kept.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // What stays behind goes at the next start; it is never taken for a kernel.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes what uploads left behind that a crash cut off. To be called before the server serves.
pub fn sweep_kernel_uploads(data_dir: &std::path::Path) {
    for entry in fs::read_dir(data_dir.join(DIRECTORY)).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(NEW_PREFIX))
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), "could not remove half a kernel image: {error}");
        }
    }
}

/// Stores the bytes of a kernel image. They must be what its description says.
#[utoipa::path(put, path = "/kernel-images/{id}/content", tag = "boot", operation_id = "put_kernel_content",
    params(("id" = String, Path, description = "The kernel image")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "They are stored", body = KernelImage), Refusals, ChangeRefusals,
        (status = 422, description = "They are not what the description says", body = crate::error::ErrorBody)))]
async fn put_kernel_content(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<KernelImage>> {
    principal.require_user(Role::Admin)?;
    let (organisation, asked) = (principal.organisation.clone(), id.clone());
    let image = state.database.read(move |connection| find(connection, &organisation, &asked)).await?;
    let directory = directory(&state);
    let temporary = receive(&directory, body, &image).await?;
    let (organisation, path) = (principal.organisation.clone(), directory.join(&image.hash));
    let stored = change(&state, &principal, move |transaction, journal| {
        // Removing unused files is done in a write too, so the two never meet.
        let mut temporary = temporary;
        let image = find(transaction, &organisation, &id)?;
        if path.file_name().is_none_or(|name| name != image.hash.as_str()) {
            return Err(conflict("the description was changed meanwhile; send the bytes again"));
        }
        if let Some(from) = temporary.0.take() {
            let synced = fs::rename(&from, &path).and_then(|()| File::open(&directory)?.sync_all());
            synced.map_err(|error| io_error("put it in place", &error))?;
        }
        transaction.execute("UPDATE kernel_images SET stored_ms = ?2 WHERE id = ?1", params![id, now_ms()])?;
        journal.note(transaction, "kernel-image.stored", None, format!("kernel image {id}"), image.hash)?;
        find(transaction, &organisation, &id)
    });
    stored.await.map(Json)
}

/// Receives the bytes into a synced file, and checks them.
async fn receive(directory: &std::path::Path, body: Body, image: &KernelImage) -> Result<Temporary> {
    fs::create_dir_all(directory).map_err(|error| io_error("make its directory", &error))?;
    let path = directory.join(format!("{NEW_PREFIX}{}", new_id()?));
    let temporary = Temporary(Some(path.clone()));
    let mut file = tokio::fs::File::create_new(&path).await.map_err(|error| io_error("make its file", &error))?;
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0_i64);
    let mut stream = body.into_data_stream();
    while let Some(block) = stream.next().await {
        let block = block.map_err(|_| invalid("the body broke off"))?;
        bytes = bytes.saturating_add(i64::try_from(block.len()).unwrap_or(i64::MAX));
        if bytes > image.bytes {
            let why = format!("the body is longer than the {} bytes that were described", image.bytes);
            return Err(ApiError::new(Code::TooLarge, why));
        }
        hasher.update(&block);
        file.write_all(&block).await.map_err(|error| io_error("write it", &error))?;
    }
    if bytes != image.bytes || hasher.finalize().to_hex().as_str() != image.hash {
        return Err(ApiError::new(Code::Damaged, "the bytes are not those that were described; nothing was stored"));
    }
    file.flush().await.map_err(|error| io_error("write it", &error))?;
    file.sync_all().await.map_err(|error| io_error("sync it", &error))?;
    Ok(temporary)
}

/// Gives the bytes of a kernel image, to machines of the organisation too.
#[utoipa::path(get, path = "/kernel-images/{id}/content", tag = "boot", operation_id = "get_kernel_content",
    params(("id" = String, Path, description = "The kernel image")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        Refusals))]
async fn get_kernel_content(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Response> {
    let organisation = principal.organisation.clone();
    let image = state.database.read(move |connection| find(connection, &organisation, &id)).await?;
    if image.stored_ms.is_none() {
        return Err(ApiError::not_found("such kernel image"));
    }
    let file = tokio::fs::File::open(directory(&state).join(&image.hash)).await;
    let file = file.map_err(|error| io_error("open it", &error))?;
    let blocks = stream::unfold(file, |mut file| async move {
        let mut block = vec![0; BLOCK_BYTES];
        match file.read(&mut block).await {
            Ok(0) => None,
            Ok(length) => {
                block.truncate(length);
                Some((Ok(Bytes::from(block)), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    });
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, image.bytes.to_string()),
        (ETAG, format!("\"{}\"", image.hash)),
    ];
    Ok((headers, Body::from_stream(blocks)).into_response())
}

/// Removes the bytes under `hash` where no kernel image has them any more.
pub(super) async fn remove_unused(state: &AppState, hash: String) -> Result<()> {
    let (database, path) = (state.database.clone(), directory(state).join(&hash));
    blocking(move || {
        database.write_blocking(|transaction| {
            let sql = "SELECT count(*) FROM kernel_images WHERE hash = ?1 AND stored_ms IS NOT NULL";
            if transaction.query_row(sql, [&hash], |row| row.get::<_, i64>(0))? > 0 {
                return Ok(());
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove it", &error)),
                _ => Ok(()),
            }
        })
    })
    .await
}
