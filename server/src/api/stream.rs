//! Events as they happen, as server-sent events.

use super::events::{COLUMNS, event};
use super::openapi::Refusals;
use crate::access::{Actor, Principal, Role};
use crate::error::Result;
use crate::events::LiveEvent;
use crate::state::AppState;
use axum::extract::State;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures_util::{Stream, stream};
use http::HeaderMap;
use rusqlite::params;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(stream_events))
}

/// A stream ends after so long and the client comes again, so that a revoked token does not listen on.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// A comment is sent where nothing happens, so that both ends notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events that are read from the database at once.
const BATCH: u32 = 500;

/// Who listens, and how far they are.
struct Listener {
    state: AppState,
    principal: Principal,
    live: Receiver<LiveEvent>,
    /// What is read and yet to be sent.
    pending: VecDeque<Sent>,
    /// While this is some, events after it are read from the database.
    catching_up: Option<i64>,
    /// The last number that was sent.
    sent: i64,
    until: Instant,
}

impl Listener {
    /// Reads the next events from the database.
    async fn catch_up(&mut self, after: i64) -> Result<()> {
        let organisation = self.principal.organisation.clone();
        let events = self.state.database.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM events e WHERE e.organisation = ?1 AND e.number > ?2 ORDER BY e.number LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let events = statement.query_map(params![organisation, after, BATCH], event)?;
            Ok(events.collect::<rusqlite::Result<Vec<_>>>()?)
        });
        let events = events.await?;
        self.catching_up = events.last().map(|event| event.number);
        self.sent = self.catching_up.unwrap_or(self.sent);
        for event in events {
            let data = serde_json::to_value(&event).unwrap_or_default();
            self.pending.push_back(sent("event", Some(event.number), &data));
        }
        Ok(())
    }

    /// Whether a live event is for this listener.
    fn wants(&self, event: &LiveEvent) -> bool {
        event.organisation == self.principal.organisation
            && match &self.principal.actor {
                Actor::User { .. } => event.number.is_none_or(|number| number > self.sent),
                Actor::Machine { id } => event.name == "progress" && event.data["machine"] == id.as_str(),
            }
    }

    async fn next(mut self) -> Option<(Result<Sent, Infallible>, Self)> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some((Ok(event), self));
            }
            if let Some(after) = self.catching_up {
                if let Err(error) = self.catch_up(after).await {
                    tracing::error!("event stream: {error}");
                    return None;
                }
                continue;
            }
            let heard = tokio::select! {
                heard = tokio::time::timeout_at(self.until, self.live.recv()) => heard,
                // The client comes again, with the number it has.
                () = self.state.stopped() => return None,
            };
            match heard {
                Ok(Ok(event)) if self.wants(&event) => {
                    self.sent = event.number.unwrap_or(self.sent);
                    return Some((Ok(sent(event.name, event.number, &event.data)), self));
                }
                Ok(Ok(_)) => {}
                // How many were missed would tell of other organisations.
                Ok(Err(RecvError::Lagged(_))) => {
                    return Some((Ok(sent("missed", None, &serde_json::json!({}))), self));
                }
                Ok(Err(RecvError::Closed)) | Err(_) => return None,
            }
        }
    }
}

fn sent(name: &str, number: Option<i64>, data: &serde_json::Value) -> Sent {
    // JSON has no line breaks outside of strings, and escapes those in them.
    let sent = Sent::default().event(name).data(data.to_string());
    number.map_or(sent.clone(), |number| sent.id(number.to_string()))
}

/// Tells what happens, as it happens: `event` (what `/events` lists), `progress` (of a run), and `missed`
/// where the listener was too slow and should come again with `Last-Event-ID`. With that header, events
/// after that number come first. The stream ends after a quarter of an hour. Machines hear of their own runs alone.
#[utoipa::path(get, path = "/events/stream", tag = "events", operation_id = "stream_events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Number of the last event that was received")),
    responses((status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream"),
        Refusals))]
async fn stream_events(
    State(state): State<AppState>,
    principal: Principal,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>> {
    let is_user = match principal.actor {
        Actor::User { .. } => principal.require_user(Role::Viewer).map(|_| true)?,
        Actor::Machine { .. } => false,
    };
    // What cannot be a number of ours means nothing: the stream begins now.
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    let catching_up = last.filter(|last| *last >= 0 && is_user);
    // Listening begins before reading, so nothing slips through between.
    let live = state.events.listen();
    let until = Instant::now() + LONGEST;
    let listener = Listener {
        state,
        principal,
        live,
        pending: VecDeque::new(),
        catching_up,
        sent: catching_up.unwrap_or(0),
        until,
    };
    Ok(Sse::new(stream::unfold(listener, Listener::next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}
