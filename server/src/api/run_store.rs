//! Runs in the database: a task's work on one machine, and the states it goes through.
//!
//! ```text
//! queued ──▶ running ──▶ done, failed, cancelled
//!      └───────────────────────────▶ cancelled
//! ```

use super::shared::{Journal, conflict, one};
use crate::clock::new_id;
use crate::error::Result;
use crate::events::Outcome;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RunState {
    Queued,
    Running,
    Done,
    Failed,
    Cancelled,
}

impl RunState {
    pub(super) fn word(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Done => "done",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "queued" => RunState::Queued,
            "running" => RunState::Running,
            "done" => RunState::Done,
            "cancelled" => RunState::Cancelled,
            _ => RunState::Failed,
        }
    }

    /// Whether it is yet to end.
    fn is_open(self) -> bool {
        matches!(self, RunState::Queued | RunState::Running)
    }
}

/// A task's work on one machine.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) task: String,
    pub(super) machine: String,
    pub(super) state: RunState,
    pub(super) created_ms: i64,
    pub(super) started_ms: Option<i64>,
    pub(super) ended_ms: Option<i64>,
    /// Last progress: bytes of bytes.
    pub(super) done_bytes: i64,
    pub(super) total_bytes: Option<i64>,
    pub(super) progress_ms: Option<i64>,
    /// What it is doing, in a word.
    pub(super) stage: Option<String>,
    /// The image that a backup made.
    pub(super) image: Option<String>,
    /// How it ended, in a sentence.
    pub(super) result: Option<String>,
    /// What a restore signed.
    pub(super) receipt: Option<String>,
}

pub(super) const COLUMNS: &str =
    "r.id, r.task, r.machine, r.state, r.created_ms, r.started_ms, r.ended_ms, r.done_bytes,
                                  r.total_bytes, r.progress_ms, r.stage, r.image, r.result, r.receipt";

pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: row.get(0)?,
        task: row.get(1)?,
        machine: row.get(2)?,
        state: RunState::of(row.get_ref(3)?.as_str()?),
        created_ms: row.get(4)?,
        started_ms: row.get(5)?,
        ended_ms: row.get(6)?,
        done_bytes: row.get(7)?,
        total_bytes: row.get(8)?,
        progress_ms: row.get(9)?,
        stage: row.get(10)?,
        image: row.get(11)?,
        result: row.get(12)?,
        receipt: row.get(13)?,
    })
}

/// A run of this organisation, and of this machine where one is given.
pub(super) fn find(connection: &Connection, organisation: &str, machine: Option<&str>, id: &str) -> Result<Run> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task_runs r WHERE r.id = ?1 AND r.organisation = ?2
                       AND (?3 IS NULL OR r.machine = ?3)"
    );
    one(connection.prepare_cached(&sql)?.query_row(params![id, organisation, machine], run), "run")
}

/// The runs of a task that are yet to end.
pub(super) fn open_runs(connection: &Connection, task: &str) -> Result<Vec<Run>> {
    let sql = format!("SELECT {COLUMNS} FROM task_runs r WHERE r.task = ?1 AND r.state IN ('queued', 'running')");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_map([task], run)?.collect::<rusqlite::Result<_>>()?)
}

/// Queues a run on every machine of a task. A machine that still has one of this task open gets no
/// second one: times that were missed become one run.
pub(super) fn queue(
    transaction: &Transaction<'_>,
    journal: &mut Journal,
    organisation: &str,
    task: &str,
    now_ms: i64,
) -> Result<usize> {
    let mut statement = transaction.prepare_cached(
        "SELECT m.id FROM machines m WHERE m.organisation = ?2 AND m.id IN (
             SELECT machine FROM tasks WHERE id = ?1
             UNION SELECT g.machine FROM tasks t JOIN group_machines g ON g.group_id = t.group_id WHERE t.id = ?1)
         AND NOT EXISTS (SELECT 1 FROM task_runs r WHERE r.task = ?1 AND r.machine = m.id
                         AND r.state IN ('queued', 'running'))
         ORDER BY m.name",
    )?;
    let machines = statement.query_map([task, organisation], |row| row.get(0))?;
    let machines: Vec<String> = machines.collect::<rusqlite::Result<_>>()?;
    for machine in &machines {
        let id = new_id()?;
        transaction
            .prepare_cached(
                "INSERT INTO task_runs (id, organisation, task, machine, state, created_ms)
                 VALUES (?1, ?2, ?3, ?4, 'queued', ?5)",
            )?
            .execute(params![id, organisation, task, machine, now_ms])?;
        grant_image(transaction, task, machine, now_ms)?;
        journal.note(transaction, "run.queued", Some(machine), format!("run {id}"), "")?;
        journal.progress(progress(&find(transaction, organisation, Some(machine), &id)?));
    }
    Ok(machines.len())
}

/// How long a machine may restore what a task has it restore.
const GRANT_MS: i64 = 30 * 24 * 3600 * 1000;

/// A machine that shall restore an image may see it: an operator's task is the word for it, unless the machine's right
/// says that it restores nothing. A grant that lasts longer is left as it is.
fn grant_image(transaction: &Transaction<'_>, task: &str, machine: &str, now_ms: i64) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO machine_repositories (machine, repository, may_add, may_restore)
             SELECT ?2, repository, 0, 'granted' FROM tasks
             WHERE id = ?1 AND action = 'restore' AND repository IS NOT NULL
             ON CONFLICT (machine, repository) DO UPDATE SET may_restore = 'granted' WHERE may_restore = 'own'",
        )?
        .execute(params![task, machine])?;
    transaction
        .prepare_cached(
            "INSERT INTO image_grants (repository, image, machine, granted_ms, expires_ms)
             SELECT repository, image, ?2, ?3, ?3 + ?4 FROM tasks
             WHERE id = ?1 AND action = 'restore' AND repository IS NOT NULL AND image IS NOT NULL
             ON CONFLICT (machine, repository, image) DO UPDATE SET expires_ms = max(expires_ms, excluded.expires_ms)",
        )?
        .execute(params![task, machine, now_ms, GRANT_MS])?;
    Ok(())
}

/// The name of a machine that restores nothing of that repository by its right: of this one, or of this group.
pub(super) fn who_may_not_restore(
    connection: &Connection,
    (machine, group): (Option<&str>, Option<&str>),
    repository: &str,
) -> Result<Option<String>> {
    let sql = "SELECT m.name FROM machines m
         WHERE (m.id = ?1 OR m.id IN (SELECT machine FROM group_machines WHERE group_id = ?2))
         AND EXISTS (SELECT 1 FROM machine_repositories r WHERE r.machine = m.id AND r.repository = ?3
             AND r.may_restore = 'none')
         ORDER BY m.name LIMIT 1";
    let name = connection.query_row(sql, params![machine, group, repository], |row| row.get(0));
    Ok(name.optional()?)
}

/// What listeners hear of a run.
pub(super) fn progress(run: &Run) -> serde_json::Value {
    json!({
        "run": run.id, "task": run.task, "machine": run.machine, "state": run.state, "done_bytes": run.done_bytes,
        "total_bytes": run.total_bytes, "stage": run.stage, "result": run.result,
    })
}

/// Begins a run that is queued, or that was cut off: a machine that asks for what it does already was started anew in the
/// middle of it. A machine does one thing at a time.
pub(super) fn start(transaction: &Transaction<'_>, journal: &mut Journal, run: &Run, now_ms: i64) -> Result<()> {
    if run.state == RunState::Running {
        let sql = "UPDATE task_runs SET started_ms = ?2, done_bytes = 0, progress_ms = NULL WHERE id = ?1";
        transaction.execute(sql, params![run.id, now_ms])?;
        return journal.note(transaction, "run.restarted", Some(&run.machine), format!("run {}", run.id), "");
    }
    if run.state != RunState::Queued {
        return Err(conflict(format!("the run is {}, not queued", run.state.word())));
    }
    let sql = "SELECT count(*) FROM task_runs WHERE machine = ?1 AND state = 'running'";
    if transaction.query_row(sql, [&run.machine], |row| row.get::<_, i64>(0))? > 0 {
        return Err(conflict("another run of this machine is running; end it first"));
    }
    let sql = "UPDATE task_runs SET state = 'running', started_ms = ?2 WHERE id = ?1";
    transaction.execute(sql, params![run.id, now_ms])?;
    journal.note(transaction, "run.started", Some(&run.machine), format!("run {}", run.id), "")
}

/// Ends a run that has not ended.
pub(super) fn end(
    transaction: &Transaction<'_>,
    journal: &mut Journal,
    run: &Run,
    state: RunState,
    result: &str,
    now_ms: i64,
) -> Result<()> {
    if !run.state.is_open() || run.state == RunState::Queued && state != RunState::Cancelled {
        return Err(conflict(format!("the run is {}, so it cannot become {}", run.state.word(), state.word())));
    }
    let sql = "UPDATE task_runs SET state = ?2, ended_ms = ?3, result = ?4 WHERE id = ?1";
    transaction.execute(sql, params![run.id, state.word(), now_ms, result])?;
    let (kind, outcome) = match state {
        RunState::Done => ("run.done", Outcome::Done),
        RunState::Cancelled => ("run.cancelled", Outcome::Done),
        _ => ("run.failed", Outcome::Failed),
    };
    journal.note_outcome(transaction, kind, Some(&run.machine), format!("run {}", run.id), result, outcome)?;
    let ended = Run { state, result: Some(result.to_owned()), ..run.clone() };
    journal.progress(progress(&ended));
    Ok(())
}
