//! What a handler left unread of a request's body is read before the answer goes out, within bounds.
//!
//! Over HTTP/1 a body follows its head. A server that answers by the head alone and closes cuts the client off while it
//! is still sending, and the client sees a broken connection in place of the answer (RFC 9112, section 9.6).

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Request, Version};
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;

/// Most bytes of a body that nobody wants, which are read all the same. Of a longer body the connection is closed.
const MOST_BYTES: u64 = 256 << 10;
/// How long a client may take to send them.
const WITHIN: Duration = Duration::from_secs(5);

/// A body that goes back to the connection when its reader drops it.
struct Lent {
    body: Option<Incoming>,
    back: Option<oneshot::Sender<Incoming>>,
}

/// Where a lent body comes back.
pub(crate) struct Unread(Option<oneshot::Receiver<Incoming>>);

/// Lends the body of `request` to its handler. Given away is a body of HTTP/2, whose stream ends by itself, and one whose
/// client waits to be asked for it.
pub(crate) fn lend(request: Request<Incoming>) -> (Request<Body>, Unread) {
    let waits = request.headers().contains_key(EXPECT);
    if waits || request.version() == Version::HTTP_2 || request.body().is_end_stream() {
        return (request.map(Body::new), Unread(None));
    }
    let (back, receiver) = oneshot::channel();
    let request = request.map(|body| Body::new(Lent { body: Some(body), back: Some(back) }));
    (request, Unread(Some(receiver)))
}

impl Unread {
    /// Reads and forgets what is left of the body. Where more is left than is read, the answer says that the connection
    /// ends: a client that is not told sends its next request into the void.
    pub(crate) async fn drain(self, answer: &mut Response) {
        let Some(mut body) = self.0.and_then(|mut back| back.try_recv().ok()) else { return };
        let drained = body.size_hint().lower() <= MOST_BYTES
            && tokio::time::timeout(WITHIN, read_to_end(&mut body)).await.unwrap_or(false);
        if !drained {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Whether the end came within [`MOST_BYTES`].
async fn read_to_end(body: &mut Incoming) -> bool {
    let mut left = MOST_BYTES;
    loop {
        let bytes = match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
        };
        match left.checked_sub(bytes) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            // Nobody waits for it once the connection is gone.
            let _ = back.send(body);
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
