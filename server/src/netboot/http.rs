//! Plain HTTP for firmware: boot files and scripts, to read from alone. Nothing secret is there.

use super::service::{Content, Service};
use super::tftp::Listening;
use crate::listen::{Counted, Limits, Open};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::SeekFrom;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::net::{TcpListener, TcpStream};

const LIMITS: Limits = Limits { connections: 512, per_address: 16 };
/// How long a client may take for a request's head, and how long a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// After this time a connection is closed, whatever it does.
const LONGEST_CONNECTION: Duration = Duration::from_secs(1800);
const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 16 << 10;
const READ_BYTES: usize = 256 << 10;
/// After an accept failed for want of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves for as long as it is let; connections end with it.
pub(super) async fn serve(listener: TcpListener, listening: Listening, service: Arc<Service>) {
    let open = Arc::<std::sync::Mutex<Open>>::default();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("network boot: a connection could not be taken: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(counted) = Counted::count(&open, peer.ip(), LIMITS, service.state()) else {
            tracing::debug!(%peer, "network boot: too many connections: closed");
            continue;
        };
        let serving = connection(stream, peer, listening.url.clone(), Arc::clone(&service));
        connections.spawn(async move {
            if tokio::time::timeout(LONGEST_CONNECTION, serving).await.is_err() {
                tracing::debug!(%peer, "network boot: a connection took too long");
            }
            drop(counted);
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, url: String, service: Arc<Service>) {
    let _ = stream.set_nodelay(true);
    let answering = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (url, service) = (url.clone(), Arc::clone(&service));
        async move { Ok::<_, Infallible>(answer(&request, peer, &url, &service).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), answering)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, "network boot: connection ended: {error}");
    }
}

async fn answer(request: &Request<Incoming>, peer: SocketAddr, url: &str, service: &Arc<Service>) -> Response<Body> {
    let is_head = request.method() == Method::HEAD;
    if !is_head && request.method() != Method::GET {
        let mut refused = short(StatusCode::METHOD_NOT_ALLOWED);
        refused.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let path = request.uri().path();
    let content = match decoded(path) {
        Some(path) => service.open(&path, url, peer.ip().to_canonical()).await,
        None => None,
    };
    let Some(content) = content else {
        tracing::debug!(%peer, path, "HTTP boot: not found");
        service.metrics().fetched("not-found");
        return short(StatusCode::NOT_FOUND);
    };
    let length = content.length();
    let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
    let Some((status, first, count)) = range_of(range, length) else {
        let mut refused = short(StatusCode::RANGE_NOT_SATISFIABLE);
        header(&mut refused, CONTENT_RANGE, &format!("bytes */{length}"));
        return refused;
    };
    tracing::debug!(%peer, path, first, count, method = %request.method(), "HTTP boot");
    let body = if is_head { Body::empty() } else { body(content, first, count) };
    if !is_head {
        service.metrics().fetched("sent");
    }
    let mut response = Response::new(body);
    *response.status_mut() = status;
    header(&mut response, CONTENT_TYPE, content_type(path));
    header(&mut response, CONTENT_LENGTH, &count.to_string());
    header(&mut response, ACCEPT_RANGES, "bytes");
    if status == StatusCode::PARTIAL_CONTENT {
        header(&mut response, CONTENT_RANGE, &format!("bytes {first}-{}/{length}", first + count - 1));
    }
    response
}

fn header(response: &mut Response<Body>, name: http::HeaderName, value: &str) {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn short(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{status}\n")));
    *response.status_mut() = status;
    response
}

/// UEFI looks at it, besides the name's end.
fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("efi") => "application/efi",
        Some("ipxe" | "cfg") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// Bytes of a file are read as the client takes them.
fn body(content: Content, first: u64, count: u64) -> Body {
    let (file, count) = match content {
        Content::Bytes(bytes) => {
            // Within `usize`: it is in memory.
            return Body::from(Bytes::from(bytes).slice(first as usize..(first + count) as usize));
        }
        Content::File(file, _) => (tokio::fs::File::from_std(file), count),
    };
    Body::from_stream(stream::try_unfold((file, Some(first), count), |(mut file, seek, left)| async move {
        if left == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        if let Some(first) = seek {
            file.seek(SeekFrom::Start(first)).await?;
        }
        let mut bytes = vec![0; left.min(READ_BYTES as u64) as usize];
        let read = file.read(&mut bytes).await?;
        if read == 0 {
            // It was cut meanwhile; the client sees a broken connection, and not a file that is too short.
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.truncate(read);
        Ok(Some((Bytes::from(bytes), (file, None, left - read as u64))))
    }))
}

/// `%2e` and the like as the bytes they stand for.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).map(|digit| digit as u8);
        bytes.push(16 * digit(rest.next())? + digit(rest.next())?);
    }
    String::from_utf8(bytes).ok()
}

/// Status, first byte and count of what is sent; `None` where nothing of what is asked for is there. What is no range
/// of bytes, or several, is as if it was not asked (RFC 9110, section 14.2).
fn range_of(range: Option<&str>, length: u64) -> Option<(StatusCode, u64, u64)> {
    let all = (StatusCode::OK, 0, length);
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")).and_then(|one| one.split_once('-'))
    else {
        return Some(all);
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let (first, end) = match (first, last) {
        ("", last) => match number(last) {
            None => return Some(all),
            Some(0) => return None,
            Some(count) => (length.saturating_sub(count), length),
        },
        (first, "") => match number(first) {
            None => return Some(all),
            Some(first) => (first, length),
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(length)),
            _ => return Some(all),
        },
    };
    (first < end).then(|| (StatusCode::PARTIAL_CONTENT, first, end - first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges() {
        let partial = |first, count| Some((StatusCode::PARTIAL_CONTENT, first, count));
        let all = Some((StatusCode::OK, 0, 100));
        for (range, wanted) in [
            (None, all),
            (Some("bytes=0-9"), partial(0, 10)),
            (Some("bytes=90-"), partial(90, 10)),
            (Some("bytes=90-500"), partial(90, 10)),
            (Some("bytes=-10"), partial(90, 10)),
            (Some("bytes=-500"), partial(0, 100)),
            (Some("bytes=100-"), None),
            (Some("bytes=-0"), None),
            (Some("bytes=9-5"), all),
            (Some("bytes=0-1,5-6"), all),
            (Some("lines=0-1"), all),
            (Some("bytes=0-18446744073709551615"), partial(0, 100)),
        ] {
            assert_eq!(range_of(range, 100), wanted, "{range:?}");
        }
        assert_eq!(range_of(Some("bytes=0-"), 0), None);
    }

    #[test]
    fn paths_are_decoded() {
        assert_eq!(decoded("/a%2fb%2E").as_deref(), Some("/a/b."));
        for bad in ["/%", "/%4", "/%zz", "/%ff", "/%+1"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn hostile_heads_do_no_harm(range in "(bytes=)?[0-9,-]{0,45}", length in any::<u64>(), path in ".{0,80}") {
            if let Some((_, first, count)) = range_of(Some(&range), length) {
                prop_assert!(first.checked_add(count).is_some_and(|end| end <= length));
            }
            let _ = decoded(&path).map(|path| super::super::files::Wanted::parse(&path));
        }
    }
}
