//! Runs, as the machine sees them that does them.

use super::openapi::{ChangeRefusals, Refusals};
use super::run_store::{self, Run, RunState};
use super::shared::*;
use crate::access::Principal;
use crate::clock::now_ms;
use crate::error::Result;
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::state::AppState;
use axum::extract::State;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_machine_runs))
        .routes(routes!(start_run))
        .routes(routes!(report_progress))
        .routes(routes!(end_run))
}

/// Runs that a machine is told of at once.
const MAX_RUNS: u32 = 100;

/// What a machine is to do.
#[derive(Debug, Serialize, ToSchema)]
struct Job {
    /// The run.
    id: String,
    task: String,
    /// `backup` or `restore`.
    action: String,
    /// Name of the repository, as in its URL.
    repository: Option<String>,
    /// What is restored.
    image: Option<String>,
    options: Map<String, Value>,
    created_ms: i64,
}

/// What a machine is to do: what it was cut off in, then what is queued, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct Jobs {
    items: Vec<Job>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u8")]
struct WaitSeconds(u8);

impl TryFrom<u8> for WaitSeconds {
    type Error = &'static str;

    fn try_from(seconds: u8) -> std::result::Result<Self, Self::Error> {
        (seconds <= 60).then_some(Self(seconds)).ok_or("wait_seconds is 0 to 60")
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WaitQuery {
    /// How long to wait for a run where none is queued; not at all where nothing is said.
    #[param(value_type = Option<u8>, minimum = 0, maximum = 60)]
    wait_seconds: Option<WaitSeconds>,
}

/// How far a run is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Progress {
    done_bytes: Count,
    total_bytes: Option<Count>,
    /// What it is doing, in a word.
    #[schema(value_type = Option<String>, max_length = 100, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    stage: Option<Text<100>>,
}

/// How a run may end.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EndState {
    Done,
    Failed,
    Cancelled,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct End {
    state: EndState,
    /// The image that a backup made.
    #[schema(value_type = Option<String>, max_length = 200, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    image: Option<Text<200>>,
    /// How it ended, in a sentence.
    #[schema(value_type = String, max_length = 4000, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    result: Text<4000>,
    /// What a restore signed.
    #[schema(value_type = Option<String>, max_length = 32768, pattern = "^[^\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f]*$")]
    receipt: Option<Lines<32768>>,
}

fn queued(connection: &Connection, machine: &str) -> Result<Vec<Job>> {
    let mut statement = connection.prepare_cached(
        "SELECT r.id, r.task, t.action, p.name, t.image, t.options, r.created_ms
         FROM task_runs r JOIN tasks t ON t.id = r.task LEFT JOIN repositories p ON p.id = t.repository
         WHERE r.machine = ?1 AND r.state IN ('running', 'queued') ORDER BY r.state = 'queued', r.created_ms LIMIT ?2",
    )?;
    let jobs = statement.query_map(params![machine, MAX_RUNS], |row| {
        Ok(Job {
            id: row.get(0)?,
            task: row.get(1)?,
            action: row.get(2)?,
            repository: row.get(3)?,
            image: row.get(4)?,
            options: serde_json::from_str(row.get_ref(5)?.as_str()?).unwrap_or_default(),
            created_ms: row.get(6)?,
        })
    })?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

/// Shows what the machine that asks is to do, and waits for it. A run that it began and did not end comes first: it was
/// cut off in it.
#[utoipa::path(get, path = "/machine/runs", tag = "machine side", operation_id = "list_machine_runs", params(WaitQuery),
    responses((status = 200, description = "What is queued, maybe nothing", body = Jobs), Refusals))]
async fn list_machine_runs(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<WaitQuery>,
) -> Result<Json<Jobs>> {
    let machine = principal.require_machine()?.to_owned();
    let seconds = query.wait_seconds.map_or(0, |wait| wait.0.into());
    let until = Instant::now() + Duration::from_secs(seconds);
    // Listening begins before looking, so nothing slips through between.
    let mut live = state.events.listen();
    let asking = machine.clone();
    let sql = "UPDATE machines SET seen_ms = ?2 WHERE id = ?1";
    state.database.write(move |transaction| Ok(transaction.execute(sql, params![asking, now_ms()])?)).await?;
    loop {
        let asking = machine.clone();
        let items = state.database.read(move |connection| queued(connection, &asking)).await?;
        if !items.is_empty() || Instant::now() >= until {
            return Ok(Json(Jobs { items }));
        }
        loop {
            let heard = tokio::select! {
                heard = tokio::time::timeout_at(until, live.recv()) => heard,
                () = state.stopped() => return Ok(Json(Jobs { items })),
            };
            match heard {
                Ok(Ok(event)) if event.name != "progress" || event.data["machine"] != machine.as_str() => {}
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => break,
                Ok(Err(RecvError::Closed)) | Err(_) => return Ok(Json(Jobs { items })),
            }
        }
    }
}

/// Begins a run, or begins it anew after it was cut off. No other of this machine may be running.
#[utoipa::path(post, path = "/machine/runs/{id}/start", tag = "machine side", operation_id = "start_run",
    params(("id" = String, Path, description = "The run")),
    responses((status = 200, description = "As it is now", body = Run), Refusals, ChangeRefusals))]
async fn start_run(State(state): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<Json<Run>> {
    let (organisation, machine) = (principal.organisation.clone(), principal.require_machine()?.to_owned());
    let run = change(&state, &principal, move |transaction, journal| {
        let run = run_store::find(transaction, &organisation, Some(&machine), &id)?;
        run_store::start(transaction, journal, &run, now_ms())?;
        let run = run_store::find(transaction, &organisation, Some(&machine), &id)?;
        journal.progress(run_store::progress(&run));
        Ok(run)
    });
    run.await.map(Json)
}

/// Tells how far a run is. 409 where it was cancelled meanwhile: then the machine stops.
#[utoipa::path(post, path = "/machine/runs/{id}/progress", tag = "machine side", operation_id = "report_progress",
    params(("id" = String, Path, description = "The run")), request_body = Progress,
    responses((status = 200, description = "As it is now", body = Run), Refusals, ChangeRefusals))]
async fn report_progress(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(progress): Json<Progress>,
) -> Result<Json<Run>> {
    let (organisation, machine) = (principal.organisation.clone(), principal.require_machine()?.to_owned());
    let run = change(&state, &principal, move |transaction, journal| {
        let run = run_store::find(transaction, &organisation, Some(&machine), &id)?;
        if run.state != RunState::Running {
            return Err(conflict(format!("the run is {}, not running", run.state.word())));
        }
        transaction.execute(
            "UPDATE task_runs SET done_bytes = ?2, total_bytes = coalesce(?3, total_bytes),
             stage = coalesce(?4, stage), progress_ms = ?5 WHERE id = ?1",
            params![
                id,
                progress.done_bytes.0,
                progress.total_bytes.map(|count| count.0),
                progress.stage.map(|stage| stage.0),
                now_ms()
            ],
        )?;
        let run = run_store::find(transaction, &organisation, Some(&machine), &id)?;
        journal.progress(run_store::progress(&run));
        Ok(run)
    });
    run.await.map(Json)
}

/// Ends a run that is running.
#[utoipa::path(post, path = "/machine/runs/{id}/end", tag = "machine side", operation_id = "end_run",
    params(("id" = String, Path, description = "The run")), request_body = End,
    responses((status = 200, description = "As it is now", body = Run), Refusals, ChangeRefusals))]
async fn end_run(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(end): Json<End>,
) -> Result<Json<Run>> {
    let (organisation, machine) = (principal.organisation.clone(), principal.require_machine()?.to_owned());
    let run = change(&state, &principal, move |transaction, journal| {
        let run = run_store::find(transaction, &organisation, Some(&machine), &id)?;
        if run.state != RunState::Running {
            return Err(conflict(format!("the run is {}, not running", run.state.word())));
        }
        let ended = match end.state {
            EndState::Done => RunState::Done,
            EndState::Failed => RunState::Failed,
            EndState::Cancelled => RunState::Cancelled,
        };
        run_store::end(transaction, journal, &run, ended, &end.result.0, now_ms())?;
        let sql = "UPDATE task_runs SET image = ?2, receipt = ?3 WHERE id = ?1";
        transaction.execute(sql, params![id, end.image.map(|image| image.0), end.receipt.map(|receipt| receipt.0)])?;
        run_store::find(transaction, &organisation, Some(&machine), &id)
    });
    run.await.map(Json)
}
