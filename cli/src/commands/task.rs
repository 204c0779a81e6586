//! `holotype task`.

use super::management::{id, text, time};
use super::roll_out::{RollOut, give_keys};
use crate::arguments::{GlobalArguments, NewTask, RestoreTask, TaskAction};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Table};
use crate::server_api::ServerApi;
use crate::units::size;
use serde_json::{Value, json};
use std::io::BufRead;

/// Longest line of the stream that is looked at.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Manages a server's tasks.
pub fn run(global: &GlobalArguments, action: &TaskAction) -> Result {
    let api = ServerApi::open(global)?;
    match action {
        TaskAction::Backup(task) => told(global, &create(&api, "backup", task, None)?, "made"),
        TaskAction::Restore(restore) => roll_out(global, &api, restore),
        TaskAction::List => list(global, &api),
        TaskAction::Show { task } => show(global, &api, &find(&api, task)?),
        TaskAction::Cancel { task } => {
            let task: Value = api.post(&format!("/tasks/{}/cancel", find(&api, task)?), &json!({}))?;
            told(global, &task, "cancelled")
        }
        TaskAction::Watch { task } => watch(global, &api, &find(&api, task)?),
    }
}

fn find(api: &ServerApi, task: &str) -> Result<String> {
    id(api, "tasks", "task", task)
}

fn told(global: &GlobalArguments, task: &Value, what: &str) -> Result {
    match global.json {
        true => output::json(task),
        false if global.quiet => {}
        false => output::line(format!("task {} {what}  {}", text(task, "name"), text(task, "id"))),
    }
    Ok(Exit::Done)
}

/// Makes a task that restores, after the machines were given the keys for it.
fn roll_out(global: &GlobalArguments, api: &ServerApi, restore: &RestoreTask) -> Result {
    if restore.no_keys {
        let image = restore.image.to_string();
        return told(global, &create(api, "restore", &restore.task, Some(&image))?, "made");
    }
    let (keys, machines) = give_keys(global, api, restore)?;
    let task = create(api, "restore", &restore.task, Some(&keys.image()))?;
    if !restore.approve {
        return told(global, &task, "made");
    }
    if !global.json {
        told(global, &task, "made")?;
    }
    let task = text(&task, "id");
    let runs = RollOut::new(global, api, &keys, task, &machines).approve_until_done()?;
    ended(global, task, &runs)
}

fn create(api: &ServerApi, action: &str, new: &NewTask, image: Option<&str>) -> Result<Value> {
    let machine = new.machine.as_ref().map(|name| id(api, "machines", "machine", name)).transpose()?;
    let group = new.group.as_ref().map(|name| id(api, "groups", "group", name)).transpose()?;
    let whom = new.machine.as_ref().or(new.group.as_ref()).map_or("", String::as_str);
    let name = new.name.clone().unwrap_or_else(|| format!("{action} {whom}").chars().take(100).collect());
    let options = new.disk.as_ref().map_or_else(|| json!({}), |disk| json!({ "disk": disk }));
    let body = json!({
        "name": name, "action": action, "machine": machine, "group": group, "repository": new.repository,
        "image": image, "options": options, "at": new.at, "rule": new.rule, "time_zone": new.time_zone,
    });
    api.post("/tasks", &body)
}

fn list(global: &GlobalArguments, api: &ServerApi) -> Result {
    let tasks: Vec<Value> = api.list("/tasks")?;
    if global.json {
        output::json(&tasks);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "ID", "ACTION", "RULE", "NEXT", "ENABLED"]);
    for task in &tasks {
        let enabled = if task["enabled"] == true { "yes" } else { "no" };
        let rule = format!("{} {}", text(task, "rule"), text(task, "time_zone"));
        table.row([
            text(task, "name").to_owned(),
            text(task, "id").to_owned(),
            text(task, "action").to_owned(),
            rule.trim().to_owned(),
            time(task, "next_ms"),
            enabled.to_owned(),
        ]);
    }
    table.print();
    Ok(Exit::Done)
}

fn show(global: &GlobalArguments, api: &ServerApi, task: &str) -> Result {
    let mut shown: Value = api.get(&format!("/tasks/{task}"))?;
    let runs: Vec<Value> = api.list(&format!("/runs?task={task}"))?;
    if global.json {
        shown["runs"] = Value::Array(runs);
        output::json(&shown);
        return Ok(Exit::Done);
    }
    let mut table = Table::plain();
    for field in ["name", "id", "action", "machine", "group", "repository", "image", "rule", "time_zone"] {
        table.value(&field.replace('_', " "), text(&shown, field));
    }
    table.value("next", time(&shown, "next_ms"));
    table.print();
    let mut table = Table::new(&["RUN", "MACHINE", "STATE", "CREATED", "DONE", "RESULT"]);
    for run in &runs {
        table.row([
            text(run, "id").to_owned(),
            text(run, "machine").to_owned(),
            text(run, "state").to_owned(),
            time(run, "created_ms"),
            progress(run),
            text(run, "result").to_owned(),
        ]);
    }
    table.print();
    Ok(Exit::Done)
}

fn progress(run: &Value) -> String {
    let done = size(run["done_bytes"].as_u64().unwrap_or_default());
    run["total_bytes"].as_u64().map_or(done.clone(), |total| format!("{done} of {}", size(total)))
}

/// Follows the stream of events; where it ends, it is opened again. Nothing is missed: the runs are
/// asked for after each opening.
fn watch(global: &GlobalArguments, api: &ServerApi, task: &str) -> Result {
    loop {
        let mut stream = api.stream("/events/stream")?;
        let runs: Vec<Value> = api.list(&format!("/runs?task={task}"))?;
        let open = |run: &&Value| matches!(text(run, "state"), "queued" | "running");
        let mut waiting: Vec<String> = runs.iter().filter(open).map(|run| text(run, "id").to_owned()).collect();
        while !waiting.is_empty() {
            let Some(event) = next_progress(&mut stream)? else { break };
            let Some(place) = waiting.iter().position(|run| *run == text(&event, "run")) else { continue };
            if !global.json && !global.quiet {
                let line = format!(
                    "{}  {}  {}  {}  {}",
                    text(&event, "machine"),
                    text(&event, "state"),
                    text(&event, "stage"),
                    progress(&event),
                    text(&event, "result")
                );
                output::line(line.trim_end().replace(char::is_control, "?"));
            }
            if !matches!(text(&event, "state"), "queued" | "running") {
                waiting.swap_remove(place);
            }
        }
        if waiting.is_empty() {
            return ended(global, task, &api.list::<Value>(&format!("/runs?task={task}"))?);
        }
    }
}

/// How the runs ended.
fn ended(global: &GlobalArguments, task: &str, runs: &[Value]) -> Result {
    check_ends(task, runs)?;
    if global.json {
        output::json(&runs);
    }
    Ok(Exit::Done)
}

/// The command fails where a run failed or was cancelled.
fn check_ends(task: &str, runs: &[Value]) -> Result<()> {
    let count = |state| runs.iter().filter(|run| text(run, "state") == state).count();
    let (all, failed, cancelled) = (runs.len(), count("failed"), count("cancelled"));
    if failed > 0 {
        let besides = if cancelled > 0 { format!(", {cancelled} were cancelled") } else { String::new() };
        return Err(Failure::failed("run-failed", format!("task {task}: {failed} of {all} runs failed{besides}")));
    }
    if cancelled > 0 {
        return Err(Failure::failed("run-cancelled", format!("task {task}: {cancelled} of {all} runs were cancelled")));
    }
    Ok(())
}

/// The next progress of a run, or none where the stream ends or something was missed.
fn next_progress(stream: &mut impl BufRead) -> Result<Option<Value>> {
    let mut name = String::new();
    loop {
        let mut line = Vec::new();
        let read = std::io::Read::take(&mut *stream, MAX_LINE_BYTES).read_until(b'\n', &mut line);
        if read.map_err(|error| Failure::io("event stream", "read it", error))? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line);
        match line.trim_end().split_once(':') {
            Some(("event", value)) => value.trim().clone_into(&mut name),
            Some(("data", value)) if name == "progress" => return Ok(serde_json::from_str(value.trim()).ok()),
            Some(("data", _)) if name == "missed" => return Ok(None),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_failed_or_were_cancelled_fail_the_command() {
        let kind = |states: &[&str]| {
            let runs: Vec<Value> = states.iter().map(|state| json!({ "state": state })).collect();
            check_ends("7", &runs).err().map(|failure| failure.kind())
        };
        assert_eq!(kind(&["done", "done"]), None);
        assert_eq!(kind(&["done", "cancelled"]), Some("run-cancelled"));
        assert_eq!(kind(&["cancelled", "failed"]), Some("run-failed"));
    }

    #[test]
    fn the_stream_is_read_event_by_event() {
        let mut stream: &[u8] = b":\n\nevent: event\nid: 1\ndata: {}\n\nevent: progress\ndata: {\"run\":\"7\"}\n\n";
        assert_eq!(next_progress(&mut stream).unwrap().unwrap()["run"], "7");
        assert!(next_progress(&mut stream).unwrap().is_none());
        let mut stream: &[u8] = b"event: missed\ndata: {}\n\nevent: progress\ndata: {}\n\n";
        assert!(next_progress(&mut stream).unwrap().is_none());
    }
}
