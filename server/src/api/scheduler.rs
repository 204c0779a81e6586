//! Turns tasks that are due into runs, and gives up runs that nobody hears of any more.

use super::calendar::Calendar;
use super::run_store::{self, RunState};
use super::shared::Journal;
use crate::clock::now_ms;
use crate::error::Result;
use crate::state::AppState;
use rusqlite::{Transaction, params};
use std::future::Future;
use std::time::Duration;

/// How often the scheduler looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Tasks and runs that one transaction handles, so that requests get their turn.
const BATCH: u32 = 100;

/// What may be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A running run whose machine has said nothing for so long has failed.
    pub silent_ms: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { silent_ms: 24 * 60 * 60 * 1000 }
    }
}

/// Runs until `shutdown` is ready. Failures of the database are logged, and tried again.
pub async fn run(state: AppState, options: Options, shutdown: impl Future<Output = ()>) {
    tokio::pin!(shutdown);
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            _ = period.tick() => {}
        }
        if let Err(error) = tick(&state, options, now_ms()).await {
            tracing::error!("scheduler: {error}; it tries again");
        }
    }
}

/// Handles everything that is due at `now_ms`.
///
/// # Errors
/// Where the database fails. What was handled before stays handled.
pub async fn tick(state: &AppState, options: Options, now_ms: i64) -> Result<()> {
    loop {
        let handled = state.database.write(move |transaction| {
            let (due, mut live) = fire_due(transaction, now_ms)?;
            let (silent, more) = give_up(transaction, now_ms, options.silent_ms)?;
            live.extend(more);
            Ok((due.max(silent), live))
        });
        let (handled, live) = handled.await?;
        live.into_iter().for_each(|event| state.events.tell(event));
        if handled < BATCH as usize {
            return Ok(());
        }
    }
}

type Handled = (usize, Vec<crate::events::LiveEvent>);

struct Due {
    id: String,
    organisation: String,
    machine: Option<String>,
    rule: Option<String>,
    time_zone: Option<String>,
}

/// Queues runs of tasks that are due. The next time is written in the same transaction: a crash
/// leaves both or neither, so no time is run twice and none is lost.
fn fire_due(transaction: &Transaction<'_>, now_ms: i64) -> Result<Handled> {
    let mut statement = transaction.prepare_cached(
        "SELECT id, organisation, machine, rule, time_zone FROM tasks
         WHERE next_ms IS NOT NULL AND enabled = 1 AND next_ms <= ?1 ORDER BY next_ms LIMIT ?2",
    )?;
    let due = statement.query_map(params![now_ms, BATCH], |row| {
        Ok(Due {
            id: row.get(0)?,
            organisation: row.get(1)?,
            machine: row.get(2)?,
            rule: row.get(3)?,
            time_zone: row.get(4)?,
        })
    })?;
    let due: Vec<Due> = due.collect::<rusqlite::Result<_>>()?;
    let mut live = Vec::new();
    for task in &due {
        let mut journal = Journal::of_server(&task.organisation);
        let calendar = task.rule.as_ref().map(|rule| Calendar::parse(rule, task.time_zone.as_deref().unwrap_or("UTC")));
        // A rule that was understood once is understood again, unless its time zone is gone; then it is over.
        let next_ms = calendar.and_then(|calendar| calendar.ok()?.next_ms(now_ms));
        transaction.execute("UPDATE tasks SET next_ms = ?2 WHERE id = ?1", params![task.id, next_ms])?;
        let runs = run_store::queue(transaction, &mut journal, &task.organisation, &task.id, now_ms)?;
        let detail = match runs {
            0 => "no run: its machines have one open, or there are none".to_owned(),
            runs => format!("{runs} runs"),
        };
        journal.note(transaction, "task.due", task.machine.as_deref(), format!("task {}", task.id), detail)?;
        live.extend(journal.into_live());
    }
    Ok((due.len(), live))
}

/// Ends runs whose machines have said nothing for `silent_ms`.
fn give_up(transaction: &Transaction<'_>, now_ms: i64, silent_ms: i64) -> Result<Handled> {
    let sql = format!(
        "SELECT {}, r.organisation FROM task_runs r
         WHERE r.state = 'running' AND coalesce(r.progress_ms, r.started_ms) < ?1 LIMIT ?2",
        run_store::COLUMNS
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let silent = statement.query_map(params![now_ms.saturating_sub(silent_ms), BATCH], |row| {
        Ok((run_store::run(row)?, row.get::<_, String>(14)?))
    })?;
    let silent: Vec<_> = silent.collect::<rusqlite::Result<_>>()?;
    let mut live = Vec::new();
    for (run, organisation) in &silent {
        let mut journal = Journal::of_server(organisation);
        let result = format!("the machine has said nothing for {} s", silent_ms / 1000);
        run_store::end(transaction, &mut journal, run, RunState::Failed, &result, now_ms)?;
        live.extend(journal.into_live());
    }
    Ok((silent.len(), live))
}
