//! Roll out: one image onto the machines of a task, with their keys, and followed to its end where that is asked for.

use super::claims::approve_claim;
use super::grant_keys::{Given, GrantKeys};
use super::management::{id, text};
use crate::arguments::{GlobalArguments, NewTask, RestoreTask};
use crate::exit::{Failure, Result};
use crate::server_api::ServerApi;
use crate::{output, signals};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often it is looked for machines that wait.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A machine that waits asks every 5 seconds (boot/agent/src/server/identity.rs). One that has not for so long is off, or
/// was booted anew and has another key.
const SILENT_AFTER: Duration = Duration::from_secs(60);

/// The machines that a task is for.
fn machines(api: &ServerApi, task: &NewTask) -> Result<Vec<Value>> {
    match (&task.machine, &task.group) {
        (Some(name), _) => Ok(vec![api.get(&format!("/machines/{}", id(api, "machines", "machine", name)?))?]),
        (None, Some(name)) => api.list(&format!("/machines?group={}", id(api, "groups", "group", name)?)),
        (None, None) => Ok(Vec::new()),
    }
}

/// Collects the keys and gives them to the machines that have a key of their own; gives all machines besides.
pub(super) fn give_keys(
    global: &GlobalArguments,
    api: &ServerApi,
    restore: &RestoreTask,
) -> Result<(GrantKeys, Vec<Value>)> {
    let machines = machines(api, &restore.task)?;
    if machines.is_empty() && restore.approve {
        let group = restore.task.group.as_deref().unwrap_or_default();
        let why =
            format!("group {group}: no machine is in it; add some with `holotype group member add {group} MACHINE`");
        return Err(Failure::failed("no-machines", why));
    }
    let password_file = restore.image_password_file.as_deref();
    let keys = GrantKeys::collect(global, &restore.task.repository, &restore.image, password_file)?;
    for machine in &machines {
        if keys.give(api, machine)? == Given::NoKey && !restore.approve {
            tracing::warn!(
                "machine {} has no key yet: once it has enrolled or was approved, grant it the keys with \
                 `holotype machine grant {} {} {} --keys`",
                text(machine, "name"),
                text(machine, "name"),
                restore.task.repository,
                keys.image()
            );
        }
    }
    Ok((keys, machines))
}

/// Whether a claim that has a machine's address is of another PC, by its UUID.
fn is_other(claim: &Value, machine: &Value) -> bool {
    matches!((claim["smbios_uuid"].as_str(), machine["smbios_uuid"].as_str()), (Some(shown), Some(known)) if shown != known)
}

/// Which machines still wait. When a server says that one asked is not compared with this computer's clock.
#[derive(Default)]
struct Waiting {
    /// By claim: when it asked last, and when that was seen to change.
    seen: BTreeMap<String, (i64, Option<Instant>)>,
    has_looked: bool,
}

impl Waiting {
    /// Those of the claims whose machine asked meanwhile. What was there at the first look has to ask once more.
    fn alive(&mut self, claims: Vec<Value>, now: Instant) -> Vec<Value> {
        let has_looked = std::mem::replace(&mut self.has_looked, true);
        let mut is_alive = |claim: &Value| {
            let asked_ms = claim["asked_ms"].as_i64().unwrap_or_default();
            let new = (asked_ms, has_looked.then_some(now));
            let seen = self.seen.entry(text(claim, "id").to_owned()).or_insert(new);
            if seen.0 != asked_ms {
                *seen = (asked_ms, Some(now));
            }
            seen.1.is_some_and(|changed| now.duration_since(changed) < SILENT_AFTER)
        };
        claims.into_iter().filter(|claim| is_alive(claim)).collect()
    }
}

/// Failures that may pass: the server restarts, or somebody else was faster. Each is told once.
#[derive(Default)]
struct Troubles {
    told: BTreeSet<String>,
}

impl Troubles {
    /// What was done, or nothing where that is to be tried again.
    fn pass<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(done) => Ok(Some(done)),
            Err(failure) if matches!(failure.kind(), "io" | "conflict" | "unavailable" | "too-many-requests") => {
                if self.told.insert(failure.to_string()) {
                    tracing::warn!("{failure}; going on, and trying again");
                }
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}

/// A roll-out that is followed.
pub(super) struct RollOut<'a> {
    global: &'a GlobalArguments,
    api: &'a ServerApi,
    keys: &'a GrantKeys,
    task: &'a str,
    /// Names of its machines, by id.
    wanted: BTreeMap<String, String>,
    waiting: Waiting,
    troubles: Troubles,
    /// Machines that were approved and have yet to get the keys.
    without_keys: BTreeSet<String>,
    strangers: BTreeSet<String>,
    /// States of runs that were told.
    states: BTreeMap<String, String>,
}

impl<'a> RollOut<'a> {
    /// That of a task, onto these machines.
    pub(super) fn new(
        global: &'a GlobalArguments,
        api: &'a ServerApi,
        keys: &'a GrantKeys,
        task: &'a str,
        machines: &[Value],
    ) -> Self {
        let wanted =
            machines.iter().map(|machine| (text(machine, "id").to_owned(), text(machine, "name").to_owned())).collect();
        Self {
            global,
            api,
            keys,
            task,
            wanted,
            waiting: Waiting::default(),
            troubles: Troubles::default(),
            without_keys: BTreeSet::new(),
            strangers: BTreeSet::new(),
            states: BTreeMap::new(),
        }
    }

    /// Until all runs of the task have ended: machines of the task that show a new key are approved and given the image's
    /// keys. Which machine it is, is told by its addresses and its UUID; who can lie about those on this network can get
    /// the image. Gives the runs.
    pub(super) fn approve_until_done(mut self) -> Result<Vec<Value>> {
        let cancel = signals::cancel_token()?;
        loop {
            let looked = Instant::now();
            let claims = self.api.list::<Value>("/machine-claims");
            for claim in self.troubles.pass(claims)?.map_or_else(Vec::new, |all| self.waiting.alive(all, looked)) {
                let approved = self.approve(&claim);
                self.troubles.pass(approved)?;
            }
            for machine in self.without_keys.clone() {
                let given = self.machine(&machine).and_then(|machine| self.keys.give(self.api, &machine));
                if self.troubles.pass(given)?.is_some() {
                    self.without_keys.remove(&machine);
                }
            }
            let runs = self.api.list::<Value>(&format!("/runs?task={}", self.task));
            if let Some(runs) = self.troubles.pass(runs)? {
                runs.iter().for_each(|run| self.tell(run));
                if runs.iter().all(|run| !matches!(text(run, "state"), "queued" | "running")) {
                    return Ok(runs);
                }
            }
            if cancel.is_cancelled() {
                return Err(holotype_repo::Error::cancelled().into());
            }
            std::thread::sleep(LOOK_EVERY.saturating_sub(looked.elapsed()));
        }
    }

    fn machine(&self, id: &str) -> Result<Value> {
        self.api.get(&format!("/machines/{id}"))
    }

    /// Approves a claim where it is of one of the machines.
    fn approve(&mut self, claim: &Value) -> Result<()> {
        let candidates = claim["candidates"].as_array().cloned().unwrap_or_default();
        let [candidate] = &candidates[..] else { return Ok(()) };
        let machine = text(candidate, "machine");
        let Some(name) = self.wanted.get(machine) else { return Ok(()) };
        let fingerprint = text(claim, "fingerprint");
        if is_other(claim, &self.machine(machine)?) {
            if self.strangers.insert(text(claim, "id").to_owned()) {
                tracing::warn!(
                    "a PC with an address of {name} and another UUID shows the key {fingerprint}, and is not taken for \
                     {name}; if it is (a new board), approve it with `holotype machine approve {fingerprint} --machine \
                     {name}`, else with --name"
                );
            }
            return Ok(());
        }
        // Also where the answer is lost: it may have been approved.
        self.without_keys.insert(machine.to_owned());
        approve_claim(self.api, claim, &json!({ "machine": machine }))?;
        if !self.global.quiet && !self.global.json {
            output::line(format!("{name}  approved  key {fingerprint}"));
        }
        Ok(())
    }

    /// Tells of a run whose state is another than before.
    fn tell(&mut self, run: &Value) {
        let state = text(run, "state");
        let before = self.states.insert(text(run, "id").to_owned(), state.to_owned());
        if before.as_deref() != Some(state) && !self.global.quiet && !self.global.json {
            let name = self.wanted.get(text(run, "machine")).map_or("", String::as_str);
            output::line(format!("{name}  {state}  {}", text(run, "result")).trim_end().replace(char::is_control, "?"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_machines_that_ask_are_alive() {
        let claim = |id: &str, asked_ms: i64| json!({ "id": id, "asked_ms": asked_ms });
        let mut waiting = Waiting::default();
        let start = Instant::now();
        let mut alive = |claims: Vec<Value>, seconds: u64| -> Vec<String> {
            let alive = waiting.alive(claims, start + Duration::from_secs(seconds));
            alive.iter().map(|claim| text(claim, "id").to_owned()).collect()
        };
        // Neither may be alive: nobody knows how old they are.
        assert!(alive(vec![claim("dead", 7), claim("a", 7)], 0).is_empty());
        assert_eq!(alive(vec![claim("dead", 7), claim("a", 12), claim("new", 3)], 2), ["a", "new"]);
        assert_eq!(alive(vec![claim("dead", 7), claim("a", 12), claim("new", 3)], 61), ["a", "new"]);
        assert_eq!(alive(vec![claim("dead", 7), claim("a", 70), claim("new", 3)], 62), ["a"]);
    }

    #[test]
    fn what_may_pass_does_not_end_it() {
        let mut troubles = Troubles::default();
        assert_eq!(troubles.pass(Ok(1)).unwrap(), Some(1));
        for kind in ["io", "conflict", "io"] {
            assert_eq!(troubles.pass::<()>(Err(Failure::failed(kind, "why"))).unwrap(), None);
        }
        assert_eq!(troubles.told.len(), 1);
        assert_eq!(troubles.pass::<()>(Err(Failure::failed("not-allowed", "why"))).unwrap_err().kind(), "not-allowed");
    }
}
