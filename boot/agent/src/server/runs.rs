//! Runs of the server's tasks: what this machine is to do, how far it is, and how it ended.

use super::api::{ApiFailure, sleep};
use super::identity::ServerSide;
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// How long a server that is gone is waited for between runs, and to take a result.
const PATIENCE: Duration = Duration::from_secs(1800);
/// The same for the result of a run that a person has stopped.
const STOPPED_PATIENCE: Duration = Duration::from_secs(15);
/// How long one question for runs waits at the server, in seconds: a person who stops it waits no longer.
const POLL_SECONDS: u8 = 5;
/// Longest result, in characters, as the server takes it.
const MOST_RESULT_CHARACTERS: usize = 4000;

/// How long the keys of an image are waited for, that an operator's command is about to leave.
const KEYS_PATIENCE: Duration = Duration::from_secs(600);
/// How often they are asked for.
const KEYS_WAIT: Duration = Duration::from_secs(3);

/// A run that is queued for this machine.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// `backup` or `restore`.
    pub action: String,
    /// Name of the repository.
    pub repository: Option<String>,
    /// What is restored.
    pub image: Option<String>,
    /// Which disk, and other choices.
    #[serde(default)]
    pub options: Map<String, Value>,
}

#[derive(Deserialize)]
struct Runs {
    items: Vec<Run>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Stopped by a person or by the server.
    Cancelled,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct RunEnd {
    /// How.
    pub state: RunState,
    /// The image that a backup made.
    pub image: Option<String>,
    /// In a sentence.
    pub result: String,
    /// What a restore signed.
    pub receipt: Option<String>,
}

impl ServerSide {
    /// What is queued, the oldest first; waits a little where nothing is. A server that is gone is waited for.
    ///
    /// # Errors
    /// Where the server refuses, or is gone for long.
    pub fn queued_runs(
        &self,
        patience: Option<Duration>,
        tell: impl FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Run>, ApiFailure> {
        let path = format!("/machine/runs?wait_seconds={POLL_SECONDS}");
        let patience = patience.unwrap_or(PATIENCE);
        let runs: Runs = self.api.ask_patiently((Method::GET, &path, None), patience, tell, cancelled)?;
        Ok(runs.items)
    }

    /// The keys of an image that an operator granted to this machine's key. An operator's command may be about to leave
    /// them: they are waited for.
    ///
    /// # Errors
    /// Where there are none, or the server does not answer.
    pub fn granted_keys(
        &self,
        repository: &str,
        image: &str,
        mut tell: impl FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, ApiFailure> {
        let (path, started) = (format!("/machine/grants/{repository}/{image}/keys"), Instant::now());
        loop {
            match self.api.bytes(&path) {
                Err(failure)
                    if (failure.is(http::StatusCode::NOT_FOUND) || failure.can_pass())
                        && started.elapsed() < KEYS_PATIENCE
                        && !cancelled() =>
                {
                    tell("waiting for an operator to grant the keys of the image to this PC");
                    sleep(KEYS_WAIT, cancelled);
                }
                other => return other,
            }
        }
    }

    /// Begins a run.
    ///
    /// # Errors
    /// 409 where it is not queued any more.
    pub fn start_run(
        &self,
        run: &Run,
        patience: Option<Duration>,
        tell: impl FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ApiFailure> {
        let path = format!("/machine/runs/{}/start", run.id);
        let asked = (Method::POST, path.as_str(), None);
        self.api.ask_patiently::<Value>(asked, patience.unwrap_or(PATIENCE), tell, cancelled).map(drop)
    }

    /// Tells how far a run is; asked once.
    ///
    /// # Errors
    /// 409 where it was cancelled.
    pub fn report_progress(
        &self,
        run: &Run,
        stage: &str,
        done_bytes: u64,
        total_bytes: Option<u64>,
    ) -> Result<(), ApiFailure> {
        let stage: String = stage.chars().filter(|c| !c.is_control()).take(100).collect();
        let body = json!({ "done_bytes": done_bytes, "total_bytes": total_bytes, "stage": stage });
        self.api.ask::<Value>(Method::POST, &format!("/machine/runs/{}/progress", run.id), Some(&body)).map(drop)
    }

    /// Records how a run ended. A server that is gone is waited for, not long where a person stopped the run.
    ///
    /// # Errors
    /// Where it does not take it.
    pub fn end_run(
        &self,
        run: &Run,
        end: &RunEnd,
        patience: Option<Duration>,
        tell: impl FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ApiFailure> {
        let state = match end.state {
            RunState::Done => "done",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
        };
        let result = end.result.chars().map(|c| if c.is_control() { ' ' } else { c });
        let result: String = result.take(MOST_RESULT_CHARACTERS).collect();
        let body = json!({ "state": state, "image": end.image, "result": result, "receipt": end.receipt });
        let path = format!("/machine/runs/{}/end", run.id);
        let asked = (Method::POST, path.as_str(), Some(&body));
        let patience = match end.state {
            RunState::Cancelled => STOPPED_PATIENCE,
            _ => patience.unwrap_or(PATIENCE),
        };
        match self.api.ask_patiently::<Value>(asked, patience, tell, cancelled) {
            // An answer that was lost: it is recorded already.
            Err(failure) if failure.is(http::StatusCode::CONFLICT) => Ok(()),
            other => other.map(drop),
        }
    }
}
