//! Events: the audit trail in pages.

use super::openapi::Refusals;
use super::shared::*;
use crate::access::{Principal, Role};
use crate::error::Result;
use crate::extract::Query;
use crate::json::Json;
use crate::page::Page;
use crate::state::AppState;
use axum::extract::State;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_events))
}

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Event {
    /// Its number in the organisation.
    pub(super) number: i64,
    at_ms: i64,
    /// A word with a dot, as `machine.created`.
    kind: String,
    /// `user ID`, `machine ID`, `server` or `nobody`.
    actor: String,
    machine: Option<String>,
    subject: String,
    /// Where the request came from.
    address: Option<String>,
    /// `done`, `refused` or `failed`.
    outcome: String,
    detail: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// `next` of the page before; the newest come first.
    #[param(max_length = 15, pattern = "^[0-9]{1,15}$")]
    after: Option<String>,
    /// Items of the page, 100 where nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// This kind alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    kind: Option<String>,
    /// About this machine alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    machine: Option<String>,
    /// Not before: milliseconds since 1970 (UTC).
    #[param(value_type = Option<i64>, minimum = 0, maximum = 9007199254740991_i64)]
    from_ms: Option<Count>,
    /// Before: milliseconds since 1970 (UTC).
    #[param(value_type = Option<i64>, minimum = 0, maximum = 9007199254740991_i64)]
    to_ms: Option<Count>,
}

pub(super) const COLUMNS: &str =
    "e.number, e.at_ms, e.kind, e.actor, e.machine, e.subject, e.address, e.outcome, e.detail";

pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        number: row.get(0)?,
        at_ms: row.get(1)?,
        kind: row.get(2)?,
        actor: row.get(3)?,
        machine: row.get(4)?,
        subject: row.get(5)?,
        address: row.get(6)?,
        outcome: row.get(7)?,
        detail: row.get(8)?,
    })
}

/// The number of the first event at or after `at_ms`. Times never go back from one number to the
/// next, so halving finds it without an index.
fn first_at(connection: &Connection, organisation: &str, at_ms: i64) -> Result<i64> {
    let sql = "SELECT next_event FROM organisations WHERE id = ?1";
    let end: i64 = connection.prepare_cached(sql)?.query_row([organisation], |row| row.get(0))?;
    let sql = "SELECT at_ms FROM events WHERE organisation = ?1 AND number >= ?2 ORDER BY number LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low) / 2;
        let time: Option<i64> = statement.query_row(params![organisation, middle], |row| row.get(0)).optional()?;
        match time.is_some_and(|time| time < at_ms) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    Ok(low)
}

/// Lists events, the newest first.
#[utoipa::path(get, path = "/events", tag = "events", operation_id = "list_events", params(EventQuery),
    responses((status = 200, description = "A page", body = Page<Event>), Refusals))]
async fn list_events(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<EventQuery>,
) -> Result<Json<Page<Event>>> {
    principal.require_user(Role::Viewer)?;
    let page = state.database.read(move |connection| {
        let organisation = principal.organisation;
        // Without statistics the planner would walk through all events for a rare one.
        let index = match (&query.machine, &query.kind) {
            (Some(_), _) => "INDEXED BY events_by_machine",
            (None, Some(_)) => "INDEXED BY events_by_kind",
            (None, None) => "",
        };
        let sql = format!("SELECT {COLUMNS} FROM events e {index} WHERE e.organisation = ?");
        let mut select = Select::new(sql, [organisation.clone().into()]);
        if let Some(after) = query.after {
            select.and("e.number < ?", after.parse::<i64>().map_err(|_| bad_cursor())?);
        }
        if let Some(machine) = query.machine {
            select.and("e.machine = ?", machine);
        }
        if let Some(kind) = query.kind {
            select.and("e.kind = ?", kind);
        }
        if let Some(Count(from_ms)) = query.from_ms {
            select.and("e.number >= ?", first_at(connection, &organisation, from_ms)?);
        }
        if let Some(Count(to_ms)) = query.to_ms {
            select.and("e.number < ?", first_at(connection, &organisation, to_ms)?);
        }
        select.page(connection, "e.number DESC", query.limit, event, |event| event.number.to_string())
    });
    page.await.map(Json)
}
