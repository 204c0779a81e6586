//! The listener: connections are counted, TLS and request heads have deadlines, HTTP/1.1 and 2.

use crate::state::AppState;
use crate::unread;
use axum::Router;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// How long a client may take for the handshake of TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client may take for a request's head, and how long a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Requests at once over one connection of HTTP/2.
const MAX_STREAMS: u32 = 64;
/// Bytes of a body that wait for a slow reader on one connection of HTTP/2.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// After an accept failed for want of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How many connections are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// In all.
    pub connections: usize,
    /// From one address.
    pub per_address: usize,
}

/// Open connections by address.
#[derive(Default)]
pub(crate) struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection that is counted until it is dropped.
pub(crate) struct Counted {
    open: Arc<Mutex<Open>>,
    address: IpAddr,
    state: AppState,
}

impl Counted {
    /// `None` where there are too many.
    pub(crate) fn count(open: &Arc<Mutex<Open>>, address: IpAddr, limits: Limits, state: &AppState) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= limits.connections || from_there >= limits.per_address {
            state.metrics.connections_refused.inc();
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, from_there + 1);
        state.metrics.connections_open.inc();
        Some(Self { open: Arc::clone(open), address, state: state.clone() })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(left) = counts.by_address.get_mut(&self.address) {
            *left -= 1;
            if *left == 0 {
                counts.by_address.remove(&self.address);
            }
        }
        self.state.metrics.connections_open.dec();
    }
}

/// Serves until `stopping` says so, then lets requests finish for `stop_within`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    router: Router,
    limits: Limits,
    state: AppState,
    mut stopping: watch::Receiver<bool>,
    stop_within: Duration,
) {
    let acceptor = TlsAcceptor::from(tls);
    let open = Arc::new(Mutex::new(Open::default()));
    let graceful = GracefulShutdown::new();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Some(counted) = Counted::count(&open, peer.ip(), limits, &state) else {
            tracing::debug!(%peer, "too many connections: closed");
            continue;
        };
        let connection = connection(stream, peer, acceptor.clone(), router.clone(), graceful.watcher());
        connections.spawn(async move {
            connection.await;
            drop(counted);
        });
    }
    drop(listener);
    if tokio::time::timeout(stop_within, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off; their clients can go on later");
    }
    connections.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, "no TLS: {error}"),
        Err(_) => return tracing::debug!(%peer, "no TLS in time"),
    };
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let (request, unread) = unread::lend(request);
        let answered = router.clone().oneshot(request);
        async move {
            let mut answer = answered.await?;
            unread.drain(&mut answer).await;
            Ok::<_, Infallible>(answer)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(8 * MAX_HEAD_BYTES)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(2 * STREAM_WINDOW_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES as u32);
    let served = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%peer, "connection ended: {error}");
    }
}
