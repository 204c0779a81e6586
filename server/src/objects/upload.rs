//! Taking objects: bodies pass in pieces through a short queue to a thread that hashes and writes them.

use super::policy::Wish;
use super::{Granted, grant, key, records};
use crate::access::Principal;
use crate::answers::{Common, Guarded, Named};
use crate::database::blocking;
use crate::error::{ApiError, Code, ErrorBody, Result};
use crate::extract::Path;
use crate::state::AppState;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use holotype_repo::ErrorKind;
use holotype_repo::keyless::most_bytes;
use holotype_repo::remote::{FOOTER_BYTES, OBJECT_BYTES, RECEIVED_BYTES};
use holotype_repo::store::{ObjectKey, Put, Store, Upload};
use http::{HeaderMap, StatusCode, header};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Pieces of a body that wait for the thread that writes; each has some 100 KiB at most.
const QUEUED_PIECES: usize = 4;
/// A client that sends nothing for so long is given up; what came is kept.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A refused body of this length is read to its end, so that the client hears why.
const MAX_DRAINED_BYTES: u64 = 1 << 20;
/// And for how long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What the headers of an upload say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    from: u64,
    body_bytes: u64,
    total_bytes: u64,
    footer_bytes: Option<u64>,
}

/// Stores an object. Nothing is overwritten, and nothing is visible before all of it was checked.
#[utoipa::path(
    put, path = "/repositories/{name}/objects/{folder}/{object}", tag = "objects",
    params(
        ("name" = String, Path, description = "Name of the repository"),
        ("folder" = inline(super::FolderName), Path, description = "Folder of the repository"),
        ("object" = String, Path, description = "Name of the object"),
        ("Content-Range" = Option<String>, Header, description = "bytes FIRST-LAST/TOTAL: an upload that broke off goes on"),
        ("Holotype-Footer-Bytes" = Option<u64>, Header, description = "Of packs: length of the footer"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "It is stored"), (status = 200, description = "The same bytes stood there"),
        (status = 409, body = ErrorBody), (status = 412, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, body = ErrorBody),
        Common, Guarded, Named,
    )
)]
pub async fn add(
    State(app): State<AppState>,
    principal: Principal,
    Path((name, folder, object)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response> {
    let mut body = body.into_data_stream();
    let result = take(app, principal, name, key(&folder, &object), &headers, &mut body).await;
    if let Ok(response) = &result
        && response.status().is_success()
    {
        return result;
    }
    // Who waits to be told to go on has sent nothing.
    if !headers.contains_key(header::EXPECT) {
        // A client that sends nothing does not keep its refusal back.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain(&mut body, MAX_DRAINED_BYTES)).await;
    }
    result
}

async fn take(
    app: AppState,
    principal: Principal,
    name: String,
    key: Result<ObjectKey>,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<Response> {
    let key = key?;
    let said = said(headers)?;
    let most = most_bytes(key.folder());
    if said.total_bytes > most {
        let why = format!("{} takes objects of up to {most} bytes", key.folder().name());
        return Err(ApiError::new(Code::TooLarge, why));
    }
    let wish = (Wish::Add, key.folder(), Some(key.name().to_owned()));
    let granted = grant(&app, &principal, name, Some(wish)).await?;
    let (pieces, taken) = mpsc::channel(QUEUED_PIECES);
    let (ready, is_ready) = oneshot::channel();
    let work = tokio::task::spawn_blocking(move || receive(&app, &principal, &granted, &key, said, ready, taken));
    // Only then is the client told to send: what can be refused has been.
    if is_ready.await.is_ok() {
        feed(body, pieces).await;
    }
    match work.await {
        Ok(Ok(Taken::Put(put))) => answer(if put == Put::Stored { StatusCode::CREATED } else { StatusCode::OK }, &[]),
        Ok(Ok(Taken::GoesOnAt(received))) => {
            let error = ApiError::new(Code::WrongOffset, format!("{received} bytes of that upload are there"));
            let mut response = axum::response::IntoResponse::into_response(error);
            response.headers_mut().insert(RECEIVED_BYTES, received.into());
            Ok(response)
        }
        Ok(Err(error)) => Err(error),
        Err(error) => Err(ApiError::internal(format!("an upload ended early: {error}"))),
    }
}

/// Passes the body on; where nobody takes it any more, it is read to its end all the same, so that the
/// client hears the reason.
async fn feed(body: &mut BodyDataStream, pieces: mpsc::Sender<Bytes>) {
    let mut wanted = true;
    while let Ok(Some(Ok(piece))) = tokio::time::timeout(STALL_TIMEOUT, body.next()).await {
        if wanted && pieces.send(piece).await.is_err() {
            wanted = false;
        }
    }
}

async fn drain(body: &mut BodyDataStream, most_bytes: u64) {
    let mut seen = 0;
    while seen < most_bytes
        && let Ok(Some(Ok(piece))) = tokio::time::timeout(STALL_TIMEOUT, body.next()).await
    {
        seen += piece.len() as u64;
    }
}

enum Taken {
    Put(Put),
    /// Another offset was said.
    GoesOnAt(u64),
}

/// The thread's part: opens the upload, says that it is ready, hashes and writes what comes, checks,
/// and only then makes it visible.
fn receive(
    app: &AppState,
    principal: &Principal,
    granted: &Granted,
    key: &ObjectKey,
    said: Said,
    ready: oneshot::Sender<()>,
    mut pieces: mpsc::Receiver<Bytes>,
) -> Result<Taken> {
    let repository = &granted.repository;
    let store = repository.store();
    app.room.check(key.folder(), said.body_bytes, store.free_bytes()?).inspect_err(|_| {
        app.metrics.no_space.inc();
    })?;
    let mut check = repository.check(key, said.total_bytes, said.footer_bytes).map_err(refused)?;
    let tag = tag(principal, key);
    let mut upload = store.upload(key, said.total_bytes, &tag)?;
    if said.from == 0 && upload.received_bytes() > 0 {
        // The client begins anew.
        upload.discard();
        upload = store.upload(key, said.total_bytes, &tag)?;
    }
    if upload.received_bytes() != said.from {
        return Ok(Taken::GoesOnAt(upload.received_bytes()));
    }
    // Hashed again: what lies there may not be what came, after a crash.
    upload.replay(&mut |piece| check.update(piece))?;
    if ready.send(()).is_err() {
        return Err(broke_off());
    }
    while let Some(piece) = pieces.blocking_recv() {
        check.update(&piece).map_err(refused)?;
        upload.write(&piece)?;
    }
    if upload.received_bytes() != said.total_bytes {
        // Kept as it is: it goes on later.
        return Err(broke_off());
    }
    let contents = match check.finish() {
        Ok(contents) => contents,
        Err(error) => {
            upload.discard();
            app.metrics.uploads_refused.inc();
            return Err(refused(error));
        }
    };
    if let Err(error) = records::note_lease(app, principal, &granted.seen.id, key) {
        upload.discard();
        return Err(error);
    }
    let put = commit(upload)?;
    if put == Put::Stored {
        app.metrics.received_bytes.inc_by(said.total_bytes);
        let frames = contents.iter().flat_map(|contents| &contents.frames);
        app.metrics.chunks_received.inc_by(frames.map(|frame| frame.len() as u64).sum());
    }
    repository.note_stored(contents)?;
    records::note_image(app, principal, &granted.seen.id, key, said.total_bytes)?;
    Ok(Taken::Put(put))
}

fn commit(upload: Box<dyn Upload + '_>) -> Result<Put> {
    Ok(upload.commit()?)
}

fn broke_off() -> ApiError {
    ApiError::new(Code::InvalidRequest, "the upload broke off")
}

/// What a check says is for the client to hear.
fn refused(error: holotype_repo::Error) -> ApiError {
    match error.kind() {
        ErrorKind::Damaged | ErrorKind::Unsupported => ApiError::new(Code::Damaged, error.to_string()),
        ErrorKind::InvalidInput => ApiError::new(Code::InvalidRequest, error.to_string()),
        _ => error.into(),
    }
}

/// An upload is gone on with by who began it, and by nobody else.
fn tag(principal: &Principal, key: &ObjectKey) -> String {
    let hash = blake3::hash(format!("{}\n{key}", principal.name()).as_bytes());
    hash.to_hex()[..40].to_owned()
}

fn said(headers: &HeaderMap) -> Result<Said> {
    let invalid = |why: &str| ApiError::new(Code::InvalidRequest, why.to_owned());
    let number = |name: &str| headers.get(name).map(|value| value.to_str().ok()?.parse::<u64>().ok());
    let body_bytes =
        number(header::CONTENT_LENGTH.as_str()).flatten().ok_or_else(|| invalid("the length is missing"))?;
    let footer_bytes = match number(FOOTER_BYTES) {
        Some(None) => return Err(invalid("the length of the footer is no number")),
        other => other.flatten(),
    };
    let Some(range) = headers.get(header::CONTENT_RANGE) else {
        return Ok(Said { from: 0, body_bytes, total_bytes: body_bytes, footer_bytes });
    };
    let parse = || {
        let (range, total) = range.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
        let total_bytes: u64 = total.parse().ok()?;
        if range == "*" {
            return (body_bytes == 0).then_some((total_bytes, total_bytes));
        }
        let (first, last) = range.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let fits = last.checked_add(1) == Some(total_bytes) && first.checked_add(body_bytes) == Some(total_bytes);
        fits.then_some((first, total_bytes))
    };
    let (from, total_bytes) =
        parse().ok_or_else(|| invalid("the range does not fit: bytes FIRST-LAST/TOTAL, up to the end"))?;
    Ok(Said { from, body_bytes, total_bytes, footer_bytes })
}

fn answer(status: StatusCode, headers: &[(&'static str, u64)]) -> Result<Response> {
    let mut response = Response::builder().status(status).header(header::CONTENT_LENGTH, 0);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::empty()).map_err(|error| ApiError::internal(format!("answer: {error}")))
}

/// Tells how far an upload came, and whether the object is there, durably.
#[utoipa::path(
    head, path = "/repositories/{name}/uploads/{folder}/{object}", tag = "objects",
    params(
        ("name" = String, Path, description = "Name of the repository"),
        ("folder" = inline(super::FolderName), Path, description = "Folder of the repository"),
        ("object" = String, Path, description = "Name of the object"),
    ),
    responses(
        (status = 200, description = "How far it came", headers(
            ("Holotype-Received-Bytes" = u64, description = "Bytes of an upload that broke off"),
            ("Holotype-Object-Bytes" = u64, description = "Length of the object, where it is there"),
        )),
        (status = 400), (status = 401), (status = 403), (status = 404), (status = 429), (status = 500), (status = 503),
    )
)]
pub async fn state(
    State(app): State<AppState>,
    principal: Principal,
    Path((name, folder, object)): Path<(String, String, String)>,
) -> Result<Response> {
    let key = key(&folder, &object)?;
    let granted = grant(&app, &principal, name, Some((Wish::Add, key.folder(), Some(object)))).await?;
    let headers = blocking(move || {
        let store = granted.repository.store();
        let mut headers = vec![(RECEIVED_BYTES, store.received_bytes(&tag(&principal, &key))?)];
        match store.confirm(&key) {
            Ok(bytes) => headers.push((OBJECT_BYTES, bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(headers)
    })
    .await?;
    answer(StatusCode::OK, &headers)
}

/// Removes an object; that it is not there is no error.
#[utoipa::path(
    delete, path = "/repositories/{name}/objects/{folder}/{object}", tag = "objects",
    params(
        ("name" = String, Path, description = "Name of the repository"),
        ("folder" = inline(super::FolderName), Path, description = "Folder of the repository"),
        ("object" = String, Path, description = "Name of the object"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        Common, Guarded, Named,
    )
)]
pub async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    Path((name, folder, object)): Path<(String, String, String)>,
) -> Result<StatusCode> {
    let key = key(&folder, &object)?;
    let granted = grant(&app, &principal, name, Some((Wish::Delete, key.folder(), Some(object)))).await?;
    blocking(move || {
        granted.repository.store().delete(&key)?;
        granted.repository.note_deleted(&key)?;
        records::note_deleted(&app, &granted.seen.id, &key)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_uploads_have_to_fit() {
        let said_of = |length: &str, range: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, length.parse().unwrap());
            if !range.is_empty() {
                headers.insert(header::CONTENT_RANGE, range.parse().unwrap());
            }
            said(&headers).ok().map(|said| (said.from, said.total_bytes))
        };
        assert_eq!(said_of("10", ""), Some((0, 10)));
        assert_eq!(said_of("10", "bytes 5-14/15"), Some((5, 15)));
        assert_eq!(said_of("0", "bytes */15"), Some((15, 15)));
        for (length, range) in [
            ("10", "bytes 5-13/15"),
            ("9", "bytes 5-14/15"),
            ("10", "bytes 5-14/*"),
            ("10", "bytes */15"),
            ("x", ""),
            ("10", "5-14/15"),
            ("1", "bytes 18446744073709551615-18446744073709551615/18446744073709551615"),
        ] {
            assert_eq!(said_of(length, range), None, "{length} {range}");
        }
    }
}
