//! Events: what happened, for the audit trail, and live for those who listen.

use crate::clock::now_ms;
use crate::error::Result;
use rusqlite::{Transaction, params};
use serde::Serialize;
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// Events that a slow listener may be behind before it misses some.
const BACKLOG: usize = 1024;

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was not allowed.
    Refused,
    /// It could not be done.
    Failed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

/// What is noted. Never a secret.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Whose.
    pub organisation: String,
    /// A word with a dot, as `machine.enrolled`.
    pub kind: &'static str,
    /// `user ID`, `machine ID`, `server` or `nobody`.
    pub actor: String,
    /// The machine it is about, if any.
    pub machine: Option<String>,
    /// The object it is about, in words.
    pub subject: String,
    /// Where the request came from.
    pub address: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// More, in a sentence.
    pub detail: String,
}

/// Something that listeners hear of as it happens.
#[derive(Debug, Clone)]
pub struct LiveEvent {
    /// Whose; listeners of others do not get it.
    pub organisation: String,
    /// Name of the event in the stream: `event`, or `progress` of a task run.
    pub name: &'static str,
    /// Its number, where it is noted in the database.
    pub number: Option<i64>,
    /// A JSON object.
    pub data: serde_json::Value,
}

/// Passes live events on.
#[derive(Clone)]
pub struct Events(broadcast::Sender<LiveEvent>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Events {
    /// Everything from now on, of all organisations: the caller filters.
    pub fn listen(&self) -> broadcast::Receiver<LiveEvent> {
        self.0.subscribe()
    }

    /// Tells listeners.
    pub fn tell(&self, event: LiveEvent) {
        // Nobody may be listening.
        let _ = self.0.send(event);
    }
}

/// Notes an event with the rest of the transaction. Give what it returns to [`Events::tell`] once
/// the transaction is committed.
///
/// # Errors
/// Where the database fails.
pub fn record(transaction: &Transaction<'_>, event: &NewEvent) -> Result<LiveEvent> {
    let number: i64 = transaction
        .prepare_cached("UPDATE organisations SET next_event = next_event + 1 WHERE id = ?1 RETURNING next_event - 1")?
        .query_row([&event.organisation], |row| row.get(0))?;
    // Times never go back from one number to the next, also where the clock does: lists rely on it.
    let before: Option<i64> = transaction
        .prepare_cached("SELECT max(at_ms) FROM events WHERE organisation = ?1 AND number = ?2 - 1")?
        .query_row(params![event.organisation, number], |row| row.get(0))?;
    let at_ms = now_ms().max(before.unwrap_or(0));
    transaction
        .prepare_cached(
            "INSERT INTO events (organisation, number, at_ms, kind, actor, machine, subject, address, outcome, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            event.organisation,
            number,
            at_ms,
            event.kind,
            event.actor,
            event.machine,
            event.subject,
            event.address,
            event.outcome.word(),
            event.detail,
        ])?;
    let data = serde_json::json!({
        "number": number, "at_ms": at_ms, "kind": event.kind, "actor": event.actor, "machine": event.machine,
        "subject": event.subject, "address": event.address, "outcome": event.outcome.word(), "detail": event.detail,
    });
    Ok(LiveEvent { organisation: event.organisation.clone(), name: "event", number: Some(number), data })
}
