//! `holotype machine claims`, `approve` and `refuse`: machines that showed a key and wait.

use super::management::{id, text, time};
use crate::arguments::{ApproveArguments, GlobalArguments};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Table};
use crate::server_api::ServerApi;
use serde_json::{Value, json};

/// Lists the machines that wait.
pub fn list(global: &GlobalArguments, api: &ServerApi) -> Result {
    let claims: Vec<Value> = api.list("/machine-claims")?;
    if global.json {
        output::json(&claims);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["FINGERPRINT", "NAME", "FROM", "MAC", "IS MAYBE", "ASKED"]);
    for claim in &claims {
        let names = claim["candidates"].as_array().into_iter().flatten().map(|candidate| text(candidate, "name"));
        table.row([
            text(claim, "fingerprint").to_owned(),
            text(claim, "name").to_owned(),
            text(claim, "address").to_owned(),
            claim["macs"][0].as_str().unwrap_or_default().to_owned(),
            names.collect::<Vec<_>>().join(", "),
            time(claim, "asked_ms"),
        ]);
    }
    table.print();
    Ok(Exit::Done)
}

/// The claim with this id or fingerprint, among those that wait.
fn find(api: &ServerApi, claim: &str) -> Result<Value> {
    let plain = |text: &str| text.replace('-', "").to_ascii_uppercase();
    let wanted = plain(claim);
    let claims: Vec<Value> = api.list("/machine-claims")?;
    let found = claims
        .into_iter()
        .find(|waiting| plain(text(waiting, "fingerprint")) == wanted || plain(text(waiting, "id")) == wanted);
    found.ok_or_else(|| {
        let why = format!("{claim}: no machine with this fingerprint waits; `holotype machine claims` lists them");
        Failure::failed("not-found", why)
    })
}

/// Makes the key that a machine showed its key.
pub fn approve(global: &GlobalArguments, api: &ServerApi, arguments: &ApproveArguments) -> Result {
    let claim = find(api, &arguments.fingerprint)?;
    let machine = arguments.machine.as_ref().map(|name| id(api, "machines", "machine", name)).transpose()?;
    let group = arguments.group.as_ref().map(|name| id(api, "groups", "group", name)).transpose()?;
    let body = json!({
        "machine": machine, "name": arguments.name, "repository": arguments.repository, "group": group,
    });
    let approved = approve_claim(api, &claim, &body)?;
    told(global, &approved, "approved")
}

/// Approves a claim.
pub(super) fn approve_claim(api: &ServerApi, claim: &Value, body: &Value) -> Result<Value> {
    api.post(&format!("/machine-claims/{}/approve", text(claim, "id")), body)
}

/// Refuses the key that a machine showed.
pub fn refuse(global: &GlobalArguments, api: &ServerApi, fingerprint: &str) -> Result {
    let claim = find(api, fingerprint)?;
    let refused: Value = api.post(&format!("/machine-claims/{}/refuse", text(&claim, "id")), &json!({}))?;
    told(global, &refused, "refused")
}

fn told(global: &GlobalArguments, claim: &Value, what: &str) -> Result {
    match global.json {
        true => output::json(claim),
        false if global.quiet => {}
        false => {
            let machine = claim["machine"].as_str().map(|machine| format!("  machine {machine}")).unwrap_or_default();
            output::line(format!("{} {what}  {}{machine}", text(claim, "name"), text(claim, "fingerprint")));
        }
    }
    Ok(Exit::Done)
}
