//! Runs, as users see them.

use super::openapi::{ChangeRefusals, Refusals};
use super::run_store::{self, COLUMNS, Run, RunState};
use super::shared::*;
use crate::access::{Principal, Role};
use crate::clock::now_ms;
use crate::error::Result;
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::page::Page;
use crate::state::AppState;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_runs)).routes(routes!(get_run)).routes(routes!(cancel_run))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunQuery {
    /// `next` of the page before; the newest come first.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200, pattern = "^[0-9]{1,15}\\.[0-9a-f]{1,32}$")]
    after: Option<String>,
    /// Items of the page, 100 where nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// Runs of this task alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    task: Option<String>,
    /// Runs on this machine alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    machine: Option<String>,
    /// Runs in this state alone.
    #[param(inline)]
    state: Option<RunState>,
}

/// Lists runs, the newest first.
#[utoipa::path(get, path = "/runs", tag = "tasks", operation_id = "list_runs", params(RunQuery),
    responses((status = 200, description = "A page", body = Page<Run>), Refusals))]
async fn list_runs(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<RunQuery>,
) -> Result<Json<Page<Run>>> {
    principal.require_user(Role::Viewer)?;
    let page = state.database.read(move |connection| {
        let index = match (&query.task, &query.machine, &query.state) {
            (Some(_), ..) => "INDEXED BY task_runs_by_task",
            (None, Some(_), _) => "INDEXED BY task_runs_by_machine",
            (None, None, Some(_)) => "INDEXED BY task_runs_by_state",
            (None, None, None) => "",
        };
        let sql = format!("SELECT {COLUMNS} FROM task_runs r {index} WHERE r.organisation = ?");
        let mut select = Select::new(sql, [principal.organisation.into()]);
        if let Some((created_ms, id)) = query.after.as_deref().map(split_pair).transpose()? {
            select.and_all("(r.created_ms, r.id) < (?, ?)", [created_ms.into(), id.to_owned().into()]);
        }
        let state = query.state.map(|state| state.word().to_owned());
        let filters = [("r.task = ?", query.task), ("r.machine = ?", query.machine), ("r.state = ?", state)];
        filters
            .into_iter()
            .filter_map(|(sql, value)| Some((sql, value?)))
            .for_each(|(sql, value)| select.and(sql, value));
        let order = "r.created_ms DESC, r.id DESC";
        select.page(connection, order, query.limit, run_store::run, |run| pair(run.created_ms, &run.id))
    });
    page.await.map(Json)
}

/// Shows a run.
#[utoipa::path(get, path = "/runs/{id}", tag = "tasks", operation_id = "get_run",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, description = "The run", body = Run), Refusals))]
async fn get_run(State(state): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<Json<Run>> {
    principal.require_user(Role::Viewer)?;
    state
        .database
        .read(move |connection| run_store::find(connection, &principal.organisation, None, &id))
        .await
        .map(Json)
}

/// Cancels a run. A machine that is at it hears so with its next progress.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "tasks", operation_id = "cancel_run",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, description = "As it is now", body = Run), Refusals, ChangeRefusals))]
async fn cancel_run(State(state): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<Json<Run>> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    let run = change(&state, &principal, move |transaction, journal| {
        let run = run_store::find(transaction, &organisation, None, &id)?;
        run_store::end(transaction, journal, &run, RunState::Cancelled, "cancelled by a user", now_ms())?;
        run_store::find(transaction, &organisation, None, &id)
    });
    run.await.map(Json)
}
