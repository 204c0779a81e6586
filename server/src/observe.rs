//! What is seen of every request: a line in the log, figures, and the routes for those who watch.

use crate::error::{ApiError, Code};
use crate::state::AppState;
use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use std::net::SocketAddr;
use std::time::Instant;
use subtle::ConstantTimeEq;

/// The text format of Prometheus, version OpenMetrics 1.0.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes for those who watch the server.
pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/healthz", get(health)).route("/metrics", get(metrics))
}

/// Counts and logs a request. Neither query nor body nor any header is logged: there may be secrets in them.
pub(crate) async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let path = request.uri().path().to_owned();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    // A method that is none of the usual ones is the client's own text.
    let counted = if method.as_str().len() <= 7 { method.as_str() } else { "other" };
    state.metrics.answered(counted, &route, status, took);
    let peer = peer.map(|peer| peer.to_string());
    let took_ms = took.as_millis() as u64;
    if status >= 500 {
        tracing::warn!(%method, path, status, took_ms, peer, "request failed");
    } else {
        tracing::debug!(%method, path, status, took_ms, peer, "request");
    }
    response
}

/// Whether the server can do its work: its database answers.
async fn health(State(state): State<AppState>) -> Result<&'static str, ApiError> {
    let answered = state.database.read(|database| Ok(database.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))?));
    match answered.await {
        Ok(_) => Ok("ok\n"),
        Err(error) => {
            tracing::error!("health: {error}");
            Err(ApiError::new(Code::Unavailable, "the management database does not answer"))
        }
    }
}

/// Figures are the provider's, not an organisation's: with the configured token, or from this host.
async fn metrics(
    State(state): State<AppState>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let allowed = match &state.metrics_token {
        Some(token) => {
            let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let given = given.strip_prefix("Bearer ").unwrap_or_default();
            bool::from(given.as_bytes().ct_eq(token.expose()))
        }
        None => peer.is_some_and(|peer| peer.0.0.ip().is_loopback()),
    };
    if !allowed {
        return Err(ApiError::not_found("such path"));
    }
    let counts = state.database.read(|database| {
        let mut statement = database.prepare_cached(
            "SELECT state, count(*) FROM task_runs WHERE state IN ('queued', 'running') GROUP BY state",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    });
    let counts = counts.await?;
    for known in ["queued", "running"] {
        let runs = counts.iter().find(|(state, _)| state == known).map_or(0, |(_, runs)| *runs);
        state.metrics.set_runs(known, runs);
    }
    Ok(([(CONTENT_TYPE, METRICS_TYPE)], state.metrics.text()).into_response())
}
