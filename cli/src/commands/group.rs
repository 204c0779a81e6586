//! `holotype group`.

use super::management::{id, text, time};
use crate::arguments::{GlobalArguments, GroupAction, Member, MemberAction};
use crate::exit::{Exit, Result};
use crate::output::{self, Table};
use crate::server_api::ServerApi;
use http::Method;
use serde_json::{Value, json};

/// Manages a server's groups.
pub fn run(global: &GlobalArguments, action: &GroupAction) -> Result {
    let api = ServerApi::open(global)?;
    let path = |group: &str| Ok::<_, crate::exit::Failure>(format!("/groups/{}", id(&api, "groups", "group", group)?));
    let done = match action {
        GroupAction::List => return list(global, &api),
        GroupAction::Add { name } => api.post("/groups", &json!({ "name": name }))?,
        GroupAction::Rename { group, name } => api.patch(&path(group)?, &json!({ "name": name }))?,
        GroupAction::Remove { group } => {
            api.delete(&path(group)?)?;
            json!({ "name": group })
        }
        GroupAction::Member(action) => {
            let (method, Member { group, machine }) = match action {
                MemberAction::Add(member) => (Method::PUT, member),
                MemberAction::Remove(member) => (Method::DELETE, member),
            };
            let member = format!("{}/machines/{}", path(group)?, id(&api, "machines", "machine", machine)?);
            api.send(method, &member, None)?;
            api.get(&path(group)?)?
        }
    };
    match global.json {
        true => output::json(&done),
        false if global.quiet => {}
        false => output::line(format!("group {}: done", text(&done, "name"))),
    }
    Ok(Exit::Done)
}

fn list(global: &GlobalArguments, api: &ServerApi) -> Result {
    let groups: Vec<Value> = api.list("/groups")?;
    if global.json {
        output::json(&groups);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "ID", "MACHINES", "CREATED"]);
    for group in &groups {
        let machines = group["machines"].to_string();
        table.row([text(group, "name").to_owned(), text(group, "id").to_owned(), machines, time(group, "created_ms")]);
    }
    table.print();
    Ok(Exit::Done)
}
