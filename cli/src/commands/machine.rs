//! `holotype machine`.

use super::management::{id, query, text, time};
use super::{claims, machine_media, machine_rights};
use crate::arguments::{GlobalArguments, MachineAction};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Table};
use crate::server_api::ServerApi;
use crate::units::size;
use serde_json::{Value, json};

/// Manages a server's machines.
pub fn run(global: &GlobalArguments, action: &MachineAction) -> Result {
    let api = ServerApi::open(global)?;
    match action {
        MachineAction::List { search, group } => list(global, &api, search.as_deref(), group.as_deref()),
        MachineAction::Show { machine } => {
            let machine: Value = api.get(&path(&api, machine)?)?;
            show(global, &machine);
            Ok(Exit::Done)
        }
        MachineAction::Add { name, notes } => {
            let machine: Value = api.post("/machines", &json!({ "name": name, "notes": notes }))?;
            told(global, &machine, "added")
        }
        MachineAction::Rename { machine, name } => {
            let machine: Value = api.patch(&path(&api, machine)?, &json!({ "name": name }))?;
            told(global, &machine, "renamed")
        }
        MachineAction::Remove { machine } => {
            api.delete(&path(&api, machine)?)?;
            told(global, &json!({ "name": machine }), "removed")
        }
        MachineAction::Rights(arguments) => machine_rights::rights(global, &api, arguments),
        MachineAction::Grant(arguments) => machine_rights::grant(global, &api, arguments),
        MachineAction::Claims => claims::list(global, &api),
        MachineAction::Approve(arguments) => claims::approve(global, &api, arguments),
        MachineAction::Refuse { fingerprint } => claims::refuse(global, &api, fingerprint),
        MachineAction::Grants { machine } => machine_rights::grants(global, &api, machine),
        MachineAction::RevokeGrant { machine, repository, image } => {
            machine_rights::revoke_grant(global, &api, machine, repository, image)
        }
        MachineAction::Media(arguments) => machine_media::run(global, &api, arguments),
        MachineAction::Inventory => inventory(global, &api),
    }
}

/// Tells what this machine is made of.
fn inventory(global: &GlobalArguments, api: &ServerApi) -> Result {
    let me: Value = api.get("/me")?;
    let machine = me["machine"]["id"].as_str().ok_or_else(|| {
        let advice = "give the token that `holotype enrol` or `holotype token add --machine` made";
        Failure::failed("not-allowed", format!("token: it is that of a user, not of this machine; {advice}"))
    })?;
    let parts = serde_json::to_value(holotype_repo::os::MachineParts::read()?).unwrap_or_default();
    let machine: Value = api.put(&format!("/machines/{machine}/inventory"), &parts)?;
    show(global, &machine);
    Ok(Exit::Done)
}

pub(super) fn path(api: &ServerApi, machine: &str) -> Result<String> {
    Ok(format!("/machines/{}", id(api, "machines", "machine", machine)?))
}

fn told(global: &GlobalArguments, machine: &Value, what: &str) -> Result {
    match global.json {
        true => output::json(machine),
        false if global.quiet => {}
        false => output::line(format!("machine {} {what}  {}", text(machine, "name"), text(machine, "id")).trim_end()),
    }
    Ok(Exit::Done)
}

fn list(global: &GlobalArguments, api: &ServerApi, search: Option<&str>, group: Option<&str>) -> Result {
    let group = group.map(|group| id(api, "groups", "group", group)).transpose()?;
    let machines: Vec<Value> =
        api.list(&format!("/machines{}", query(&[("q", search), ("group", group.as_deref())])))?;
    if global.json {
        output::json(&machines);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "ID", "ENROLLED", "SEEN", "SERIAL"]);
    for machine in &machines {
        let enrolled = if machine["enrolled"] == true { "yes" } else { "no" };
        table.row([
            text(machine, "name").to_owned(),
            text(machine, "id").to_owned(),
            enrolled.to_owned(),
            time(machine, "seen_ms"),
            text(machine, "serial").to_owned(),
        ]);
    }
    table.print();
    let shares = machines.iter().filter(|machine| machine["shares_address"] == true);
    let shares: Vec<&str> = shares.map(|machine| text(machine, "name")).collect();
    if !shares.is_empty() {
        let names = shares.join(", ");
        output::line(format!("careful: a network address is that of two machines: {names}; see machine show NAME"));
    }
    Ok(Exit::Done)
}

fn show(global: &GlobalArguments, machine: &Value) {
    if global.json {
        return output::json(machine);
    }
    let mut table = Table::plain();
    for field in ["name", "id", "smbios_uuid", "serial", "notes"] {
        table.value(&field.replace('_', " "), text(machine, field));
    }
    table.value("enrolled", if machine["enrolled"] == true { "yes" } else { "no" });
    table.value("seen", time(machine, "seen_ms"));
    for (name, field) in [("address", "ip_addresses"), ("mac", "mac_addresses")] {
        let addresses = machine[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        addresses.for_each(|address| table.value(name, address));
    }
    for group in machine["groups"].as_array().into_iter().flatten() {
        table.value("group", text(group, "name"));
    }
    for disk in machine["disks"].as_array().into_iter().flatten() {
        let bytes = size(disk["bytes"].as_u64().unwrap_or_default());
        table.value("disk", format!("{} {bytes} {}", text(disk, "path"), text(disk, "model")));
    }
    table.value("last image", text(&machine["last_image"], "id"));
    table.print();
    for twin in machine["address_twins"].as_array().into_iter().flatten() {
        let other = twin["name"].as_str().unwrap_or("another machine");
        output::line(format!(
            "careful: {} is an address of {other} too; network boot tells them apart by their UUIDs alone: remove the \
             machine that is not there any more (holotype machine remove), or give one of them another address",
            text(twin, "mac")
        ));
    }
}
