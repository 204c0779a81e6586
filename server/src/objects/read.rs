//! Reading objects, in pieces.

use super::policy::Wish;
use super::{grant, key};
use crate::access::Principal;
use crate::answers::{Common, Guarded, Named};
use crate::database::blocking;
use crate::error::{ApiError, Code, ErrorBody, Result};
use crate::extract::{Path, Query};
use crate::state::AppState;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use holotype_repo::keyless::KeylessRepository;
use holotype_repo::remote::OBJECT_BYTES;
use holotype_repo::store::{Folder, ObjectKey, Store};
use http::{HeaderMap, StatusCode, header};
use prometheus_client::metrics::counter::Counter;
use serde::Deserialize;
use std::ops::Range;
use std::sync::Arc;
use utoipa::IntoParams;

/// What one connection holds of an object at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Which part of an object.
#[derive(Debug, Deserialize, IntoParams)]
pub struct PartQuery {
    /// `footer`: of a pack its footer alone.
    part: Option<String>,
}

/// Gives the bytes of an object, or a range of them.
#[utoipa::path(
    get, path = "/repositories/{name}/objects/{folder}/{object}", tag = "objects",
    params(
        ("name" = String, Path, description = "Name of the repository"),
        ("folder" = inline(super::FolderName), Path, description = "Folder of the repository"),
        ("object" = String, Path, description = "Name of the object"),
        ("Range" = Option<String>, Header, description = "bytes=FIRST-LAST"),
        PartQuery,
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 206, body = Vec<u8>, content_type = "application/octet-stream", description = "The range"),
        (status = 416, body = ErrorBody), (status = 422, body = ErrorBody),
        Common, Guarded, Named,
    )
)]
pub async fn read(
    State(app): State<AppState>,
    principal: Principal,
    Path((name, folder, object)): Path<(String, String, String)>,
    Query(query): Query<PartQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let key = key(&folder, &object)?;
    let wish = match query.part.as_deref() {
        None => Wish::Read,
        Some("footer") if matches!(key.folder(), Folder::Packs | Folder::Meta) => Wish::ReadFooter,
        Some(_) => return Err(ApiError::new(Code::InvalidRequest, "there is no such part of that object")),
    };
    let granted = grant(&app, &principal, name, Some((wish, key.folder(), Some(object)))).await?;
    let repository = granted.repository;
    if wish == Wish::ReadFooter {
        let (footer, pack_bytes) = blocking(move || Ok(repository.footer(&key)?)).await?;
        app.metrics.sent_bytes.inc_by(footer.len() as u64);
        return respond(StatusCode::OK, footer.len() as u64, pack_bytes, None, Body::from(footer));
    }
    let wanted = headers.get(header::RANGE).map(range_of).transpose()?;
    let (total, range, first) = {
        let (repository, key) = (Arc::clone(&repository), key.clone());
        blocking(move || {
            let total = repository.store().size(&key)?;
            let range = match wanted {
                Some(range) if range.end > total => {
                    let message = format!("the object has {total} bytes");
                    return Err(ApiError::new(Code::RangeNotSatisfiable, message));
                }
                Some(range) => range,
                None => 0..total,
            };
            let first = range.start..range.end.min(range.start + PIECE_BYTES);
            let first = repository.store().get_range(&key, first)?;
            Ok((total, range, first))
        })
        .await?
    };
    let length = range.end - range.start;
    let sent = app.metrics.sent_bytes.clone();
    let body = match first.len() as u64 == length {
        true => {
            sent.inc_by(length);
            Body::from(first)
        }
        false => pieces(repository, key, range.clone(), first, sent),
    };
    match wanted_range(&headers) {
        true => respond(StatusCode::PARTIAL_CONTENT, length, total, Some(range), body),
        false => respond(StatusCode::OK, length, total, None, body),
    }
}

fn wanted_range(headers: &HeaderMap) -> bool {
    headers.contains_key(header::RANGE)
}

/// The pieces of a range, each read when the one before is on its way: a client that takes nothing
/// holds one piece and no thread.
fn pieces(
    repository: Arc<KeylessRepository>,
    key: ObjectKey,
    range: Range<u64>,
    first: Vec<u8>,
    sent: Counter,
) -> Body {
    let next = range.start + first.len() as u64..range.end;
    let state = (repository, key, next, Some(first), sent);
    Body::from_stream(stream::unfold(state, |(repository, key, rest, first, sent)| async move {
        if let Some(first) = first {
            sent.inc_by(first.len() as u64);
            return Some((Ok(Bytes::from(first)), (repository, key, rest, None, sent)));
        }
        if rest.is_empty() {
            return None;
        }
        let piece = rest.start..rest.end.min(rest.start + PIECE_BYTES);
        let rest = piece.end..rest.end;
        let (from, of) = (Arc::clone(&repository), key.clone());
        // An error cuts the connection: the client asks again from there, and is told then.
        let read = blocking(move || Ok(from.store().get_range(&of, piece)?)).await;
        let rest = if read.is_err() { rest.end..rest.end } else { rest };
        if let Ok(piece) = &read {
            sent.inc_by(piece.len() as u64);
        }
        Some((read.map(Bytes::from), (repository, key, rest, None, sent)))
    }))
}

fn respond(
    status: StatusCode,
    length: u64,
    object_bytes: u64,
    range: Option<Range<u64>>,
    body: Body,
) -> Result<Response> {
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::CONTENT_LENGTH, length)
        .header(OBJECT_BYTES, object_bytes);
    if let Some(range) = range {
        let last = range.end.saturating_sub(1);
        response = response.header(header::CONTENT_RANGE, format!("bytes {}-{last}/{object_bytes}", range.start));
    }
    response.body(body).map_err(|error| ApiError::internal(format!("answer: {error}")))
}

/// `bytes=FIRST-LAST`; other forms are not spoken.
fn range_of(value: &http::HeaderValue) -> Result<Range<u64>> {
    let parse = || {
        let (first, last) = value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then(|| Some(first..last.checked_add(1)?)).flatten()
    };
    parse().ok_or_else(|| ApiError::new(Code::RangeNotSatisfiable, "a range is bytes=FIRST-LAST"))
}

/// Tells the length of an object.
#[utoipa::path(
    head, path = "/repositories/{name}/objects/{folder}/{object}", tag = "objects",
    params(
        ("name" = String, Path, description = "Name of the repository"),
        ("folder" = inline(super::FolderName), Path, description = "Folder of the repository"),
        ("object" = String, Path, description = "Name of the object"),
    ),
    responses(
        (status = 200, description = "It is there", headers(("Holotype-Object-Bytes" = u64, description = "Its length"))),
        (status = 400), (status = 401), (status = 403), (status = 404), (status = 429), (status = 500), (status = 503),
    )
)]
pub async fn head(
    State(app): State<AppState>,
    principal: Principal,
    Path((name, folder, object)): Path<(String, String, String)>,
) -> Result<Response> {
    let key = key(&folder, &object)?;
    let granted = grant(&app, &principal, name, Some((Wish::List, key.folder(), Some(object)))).await?;
    let bytes = blocking(move || Ok(granted.repository.store().size(&key)?)).await?;
    respond(StatusCode::OK, bytes, bytes, None, Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ranges_are_spoken() {
        let range = |text: &str| range_of(&text.parse().unwrap()).ok();
        assert_eq!(range("bytes=0-0"), Some(0..1));
        assert_eq!(range("bytes=5-9"), Some(5..10));
        for bad in ["bytes=", "bytes=1", "bytes=-5", "bytes=5-", "bytes=5-4", "lines=1-2", "bytes=0-1,2-3"] {
            assert_eq!(range(bad), None, "{bad}");
        }
        assert_eq!(range(&format!("bytes=0-{}", u64::MAX)), None);
    }
}
