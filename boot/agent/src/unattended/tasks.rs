//! The server's tasks: poll for runs, do them one after another, tell how far each is and how it ended.

use super::image_name_of;
use crate::screens::{BackupOrder, Finished, ImageView, Location, News, RestoreOrder};
use crate::server::{Run, RunEnd, RunState, ServerSide, sleep};
use crate::work::{Telling, Worker, disks};
use holotype_boot::profile::Place;
use holotype_repo::CancelToken;
use http::StatusCode;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often the server is told how far a run is.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// How long a run that may not begin now is let be.
const CONFLICT_WAIT: Duration = Duration::from_secs(5);

/// Waits for the first run, and ends when none is queued any more.
pub(super) fn run(worker: &mut Worker, telling: &Telling) -> Result<Finished, String> {
    let server = worker.server().ok_or("the medium's profile names no server")?;
    let cancelled = || telling.cancel.is_cancelled();
    let tell = |step: &str| telling.step(step);
    let patience = worker.setup.server_patience;
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    let (mut seen, mut told) = (HashSet::new(), HashSet::new());
    let mut unreadable_bytes = 0;
    loop {
        if lines.is_empty() {
            telling.step("waiting for a task of the server");
        }
        let runs = server.queued_runs(patience, tell, &cancelled).map_err(|failure| failure.to_string())?;
        let next = runs.into_iter().find(|run| !seen.contains(&run.id));
        match next {
            _ if cancelled() => return Err("it was stopped".to_owned()),
            None if lines.is_empty() => continue,
            None => break,
            Some(run) => {
                seen.insert(run.id.clone());
                match server.start_run(&run, patience, tell, &cancelled) {
                    // Cancelled meanwhile, or another of this machine is running: that one may end.
                    Err(failure) if failure.is(StatusCode::CONFLICT) => {
                        if lines.is_empty() {
                            seen.remove(&run.id);
                        }
                        if told.insert(run.id.clone()) {
                            telling.news(News::Warning(failure.to_string()));
                        }
                        sleep(CONFLICT_WAIT, &cancelled);
                        continue;
                    }
                    other => other.map_err(|failure| failure.to_string())?,
                }
                let (end, unreadable) = do_run(worker, &server, &run, telling);
                unreadable_bytes += unreadable;
                telling.meter.clear();
                telling.step("telling the server how it ended");
                // Who stopped the run does not stop its result: that has its own end.
                let stopped = telling.cancel.is_cancelled();
                server
                    .end_run(&run, &end, patience, tell, &|| !stopped && cancelled())
                    .map_err(|failure| format!("{}; but the server was not told: {failure}", end.result))?;
                if end.state != RunState::Done {
                    failures.push(format!("{}: {}", run.action, end.result));
                }
                lines.push((run.action.clone(), end.result));
            }
        }
    }
    match failures.is_empty() {
        true => {
            let (warnings, next) = (Vec::new(), String::new());
            Ok(Finished { what: "The server's tasks".to_owned(), lines, warnings, unreadable_bytes, next })
        }
        false => Err(failures.join("; ")),
    }
}

/// Does a run. Bytes that could not be read beside.
fn do_run(worker: &mut Worker, server: &Arc<ServerSide>, run: &Run, telling: &Telling) -> (RunEnd, u64) {
    // The server stops this run alone; a person stops everything.
    let all = telling.cancel.clone();
    let telling = &telling.stopped_by(CancelToken::new());
    let stop = Arc::new(AtomicBool::new(false));
    let by_server = Arc::new(AtomicBool::new(false));
    let reporter = {
        let (server, run, meter) = (Arc::clone(server), run.clone(), Arc::clone(&telling.meter));
        let (stop, by_server, cancel) = (Arc::clone(&stop), Arc::clone(&by_server), telling.cancel.clone());
        std::thread::spawn(move || report(&server, &run, &meter, &stop, &by_server, &all, &cancel))
    };
    let result = perform(worker, run, telling);
    stop.store(true, Ordering::Release);
    let _ = reporter.join();
    let state = match &result {
        Ok(_) => RunState::Done,
        Err(_) if telling.cancel.is_cancelled() => RunState::Cancelled,
        Err(_) => RunState::Failed,
    };
    match result {
        Ok((end, unreadable)) => (end, unreadable),
        Err(result) => {
            let result = match by_server.load(Ordering::Acquire) {
                true => format!("cancelled on the server: {result}"),
                false => result,
            };
            (RunEnd { state, image: None, result, receipt: None }, 0)
        }
    }
}

fn perform(worker: &mut Worker, run: &Run, telling: &Telling) -> Result<(RunEnd, u64), String> {
    let repository = run.repository.clone().ok_or("the task names no repository")?;
    let location = Location::Place(Place::Server { repository });
    let option = |name: &str| run.options.get(name).and_then(serde_json::Value::as_str);
    let disks = disks::list(&worker.setup.files)?;
    let disk = disks::choose_named(&disks, option("disk"))?.clone();
    match run.action.as_str() {
        "backup" => {
            let pc = worker.setup.profile.as_ref().map_or("pc", |profile| profile.name.as_str());
            let name = option("name").map_or_else(|| image_name_of(pc), str::to_owned);
            let order = BackupOrder { disk, name, image_password: None };
            telling.step(&format!("backing up {}", order.disk.path.display()));
            let done = worker.backup_unattended(&location, &order, telling)?;
            let finished = done.finished();
            let image = done.report.image.map(|image| image.to_string());
            let result = sentence("backed up", &finished);
            Ok((RunEnd { state: RunState::Done, image, result, receipt: None }, finished.unreadable_bytes))
        }
        "restore" => {
            let image = run.image.clone().ok_or("the task names no image")?;
            let verify = run.options.get("verify").and_then(serde_json::Value::as_bool).unwrap_or(false);
            let image = ImageView { id: image, ..ImageView::default() };
            let order = RestoreOrder { image, target: disk, image_password: None, verify };
            telling.step(&format!("restoring onto {}", order.target.path.display()));
            let done = worker.restore_unattended(&location, &order, telling)?;
            let finished = done.finished();
            let result = sentence("restored", &finished);
            let receipt = Some(done.receipt);
            Ok((RunEnd { state: RunState::Done, image: None, result, receipt }, finished.unreadable_bytes))
        }
        other => Err(format!("the task is `{other}`, which this program does not know; make the medium anew")),
    }
}

/// The result in a sentence.
fn sentence(what: &str, finished: &Finished) -> String {
    let value = |name: &str| finished.lines.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value);
    let mut text = match what {
        "restored" => format!("restored {} onto {} in {}", value("Restored"), value("Onto"), value("Time")),
        _ => format!("backed up {}, stored {}, in {}", value("Disk"), value("Stored"), value("Time")),
    };
    if finished.unreadable_bytes > 0 {
        text.push_str(&format!("; NOT COMPLETE: {} bytes could not be read", finished.unreadable_bytes));
    }
    for warning in &finished.warnings {
        text.push_str("; ");
        text.push_str(warning);
    }
    text
}

/// Tells the server how far it is until it is over. A server that is gone is told later; one that says that the run is
/// not running any more has cancelled it.
fn report(
    server: &ServerSide,
    run: &Run,
    meter: &crate::work::Meter,
    stop: &AtomicBool,
    by_server: &AtomicBool,
    all: &CancelToken,
    cancel: &CancelToken,
) {
    let mut next = Instant::now();
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(50));
        if all.is_cancelled() {
            return cancel.cancel();
        }
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + REPORT_EVERY;
        let Some(progress) = meter.progress() else { continue };
        match server.report_progress(run, &progress.stage, progress.done_bytes, progress.total_bytes) {
            Err(failure) if failure.is(StatusCode::CONFLICT) => {
                by_server.store(true, Ordering::Release);
                cancel.cancel();
                return;
            }
            _ => {}
        }
    }
}
