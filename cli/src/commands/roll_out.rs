//! Roll out: one image onto the machines of a task, with their keys, and followed to its end where that is asked for.

use super::claims::approve_claim;
use super::grant_keys::{Given, GrantKeys};
use super::management::{id, text};
use crate::arguments::{GlobalArguments, NewTask, RestoreTask};
use crate::exit::Result;
use crate::output;
use crate::server_api::ServerApi;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often it is looked for machines that wait.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The machines that a task is for.
fn machines(api: &ServerApi, task: &NewTask) -> Result<Vec<Value>> {
    match (&task.machine, &task.group) {
        (Some(name), _) => Ok(vec![api.get(&format!("/machines/{}", id(api, "machines", "machine", name)?))?]),
        (None, Some(name)) => api.list(&format!("/machines?group={}", id(api, "groups", "group", name)?)),
        (None, None) => Ok(Vec::new()),
    }
}

/// Collects the keys and gives them to the machines that have a key of their own.
pub(super) fn give_keys(global: &GlobalArguments, api: &ServerApi, restore: &RestoreTask) -> Result<GrantKeys> {
    let password_file = restore.image_password_file.as_deref();
    let keys = GrantKeys::collect(global, &restore.task.repository, &restore.image, password_file)?;
    for machine in machines(api, &restore.task)? {
        if keys.give(api, &machine)? == Given::NoKey && !restore.approve {
            tracing::warn!(
                "machine {} has no key yet: once it has enrolled or was approved, grant it the keys with \
                 `holotype machine grant {} {} {} --keys`",
                text(&machine, "name"),
                text(&machine, "name"),
                restore.task.repository,
                keys.image()
            );
        }
    }
    Ok(keys)
}

/// Whether a claim that has a machine's address is of another PC, by its UUID.
fn is_other(claim: &Value, machine: &Value) -> bool {
    matches!((claim["smbios_uuid"].as_str(), machine["smbios_uuid"].as_str()), (Some(shown), Some(known)) if shown != known)
}

/// Until all runs of the task have ended: machines of the task that show a new key are approved and given the image's
/// keys. Which machine it is, is told by its addresses and its UUID; who can lie about those on this network can get the
/// image.
pub(super) fn approve_until_done(
    global: &GlobalArguments,
    api: &ServerApi,
    restore: &RestoreTask,
    keys: &GrantKeys,
    task: &str,
) -> Result<()> {
    let wanted: BTreeMap<String, String> = machines(api, &restore.task)?
        .iter()
        .map(|machine| (text(machine, "id").to_owned(), text(machine, "name").to_owned()))
        .collect();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let mut strangers: BTreeSet<String> = BTreeSet::new();
    loop {
        let looked = Instant::now();
        for claim in api.list::<Value>("/machine-claims")? {
            let candidates = claim["candidates"].as_array().cloned().unwrap_or_default();
            let [candidate] = &candidates[..] else { continue };
            let machine = text(candidate, "machine");
            let Some(name) = wanted.get(machine) else { continue };
            if is_other(&claim, &api.get(&format!("/machines/{machine}"))?) {
                if strangers.insert(text(&claim, "id").to_owned()) {
                    let fingerprint = text(&claim, "fingerprint");
                    tracing::warn!(
                        "a PC with an address of {name} and another UUID shows the key {fingerprint}, and is not taken for \
                         {name}; if it is (a new board), approve it with `holotype machine approve {fingerprint} --machine \
                         {name}`, else with --name"
                    );
                }
                continue;
            }
            approve_claim(api, &claim, &json!({ "machine": machine }))?;
            keys.give(api, &api.get(&format!("/machines/{machine}"))?)?;
            if !global.quiet && !global.json {
                output::line(format!("{name}  approved  key {}", text(&claim, "fingerprint")));
            }
        }
        let runs: Vec<Value> = api.list(&format!("/runs?task={task}"))?;
        for run in &runs {
            let state = text(run, "state");
            if told.insert(text(run, "id").to_owned(), state.to_owned()).as_deref() != Some(state)
                && !global.quiet
                && !global.json
            {
                let name = wanted.get(text(run, "machine")).map_or("", String::as_str);
                output::line(
                    format!("{name}  {state}  {}", text(run, "result")).trim_end().replace(char::is_control, "?"),
                );
            }
        }
        if runs.iter().all(|run| !matches!(text(run, "state"), "queued" | "running")) {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY.saturating_sub(looked.elapsed()));
    }
}
