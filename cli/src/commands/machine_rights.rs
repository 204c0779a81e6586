//! `holotype machine rights`, `grant`, `grants`, `revoke-grant`.

use super::grant_keys::{Given, GrantKeys};
use super::machine::path;
use super::management::{text, time};
use crate::arguments::{GlobalArguments, GrantArguments, RestoreRight, RightsArguments};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Table};
use crate::server_api::{ServerApi, escape};
use clap::ValueEnum;
use serde_json::{Value, json};

/// Shows what a machine may do, or sets it.
pub fn rights(global: &GlobalArguments, api: &ServerApi, arguments: &RightsArguments) -> Result {
    let list = format!("{}/repositories", path(api, &arguments.machine)?);
    let Some(repository) = &arguments.repository else { return show(global, api.list(&list)?) };
    let place = format!("{list}/{}", escape(repository));
    if arguments.none {
        api.delete(&place)?;
        return told(global, &json!({ "repository": repository }), "no rights");
    }
    if !arguments.add && !arguments.no_add && arguments.restore.is_none() {
        return show(global, vec![api.get(&place)?]);
    }
    // What is not given stays as it is; without rights yet, it is what enrolment gives.
    let before: Option<Value> = match api.get(&place) {
        Ok(rights) => Some(rights),
        Err(failure) if failure.kind() == "not-found" => None,
        Err(failure) => return Err(failure),
    };
    let before = before.unwrap_or_else(|| json!({ "may_add": true, "may_restore": "own" }));
    let may_add = if arguments.add || arguments.no_add { json!(arguments.add) } else { before["may_add"].clone() };
    let may_restore = arguments.restore.map_or_else(|| before["may_restore"].clone(), |right| json!(word(right)));
    let set: Value = api.put(&place, &json!({ "may_add": may_add, "may_restore": may_restore }))?;
    show(global, vec![set])
}

fn word(right: RestoreRight) -> String {
    right.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn show(global: &GlobalArguments, rights: Vec<Value>) -> Result {
    if global.json {
        output::json(&rights);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["REPOSITORY", "ADD", "RESTORE"]);
    for right in &rights {
        let add = if right["may_add"] == true { "yes" } else { "no" };
        table.row([text(right, "repository").to_owned(), add.to_owned(), text(right, "may_restore").to_owned()]);
    }
    table.print();
    Ok(Exit::Done)
}

/// Grants an image to a machine. The grant counts where the machine's right is `granted`.
pub fn grant(global: &GlobalArguments, api: &ServerApi, arguments: &GrantArguments) -> Result {
    let GrantArguments { machine, repository, image, days, .. } = arguments;
    let machine = path(api, machine)?;
    let keys = match arguments.keys {
        true => Some(GrantKeys::collect(global, repository, image, arguments.image_password_file.as_deref())?),
        false => None,
    };
    let image = keys.as_ref().map_or_else(|| image.to_string(), GrantKeys::image);
    let body =
        json!({ "repository": repository, "image": image, "expires_in_seconds": days.map(|days| days * 86_400) });
    let granted: Value = api.post(&format!("{machine}/grants"), &body)?;
    if let Some(keys) = keys
        && keys.give(api, &api.get(&machine)?)? == Given::NoKey
    {
        let why = "it has no key of its own yet; enrol or approve it first";
        return Err(Failure::failed("no-key", format!("machine {}: {why}", arguments.machine)));
    }
    let counts = match api.get::<Value>(&format!("{machine}/repositories/{}", escape(repository))) {
        Ok(rights) => matches!(text(&rights, "may_restore"), "granted" | "all"),
        Err(failure) if failure.kind() == "not-found" => false,
        Err(failure) => return Err(failure),
    };
    if !counts {
        tracing::warn!(
            "the grant does not count yet: `holotype machine rights MACHINE {repository} --restore granted` makes it count"
        );
    }
    told(global, &granted, "granted")
}

/// Lists what is granted to a machine.
pub fn grants(global: &GlobalArguments, api: &ServerApi, machine: &str) -> Result {
    let grants: Vec<Value> = api.list(&format!("{}/grants", path(api, machine)?))?;
    if global.json {
        output::json(&grants);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["REPOSITORY", "IMAGE", "SINCE", "UNTIL"]);
    for grant in &grants {
        let (repository, image) = (text(grant, "repository").to_owned(), text(grant, "image").to_owned());
        table.row([repository, image, time(grant, "granted_ms"), time(grant, "expires_ms")]);
    }
    table.print();
    Ok(Exit::Done)
}

/// Takes a grant back.
pub fn revoke_grant(global: &GlobalArguments, api: &ServerApi, machine: &str, repository: &str, image: &str) -> Result {
    let list = format!("{}/grants", path(api, machine)?);
    let granted: Vec<Value> = api.list(&list)?;
    if !granted.iter().any(|grant| text(grant, "repository") == repository && text(grant, "image") == image) {
        let why = format!("grant of {image} in {repository}: there is none; see `holotype machine grants`");
        return Err(Failure::failed("not-found", why));
    }
    api.delete(&format!("{list}/{}/{}", escape(repository), escape(image)))?;
    told(global, &json!({ "repository": repository, "image": image }), "grant taken back")
}

fn told(global: &GlobalArguments, value: &Value, what: &str) -> Result {
    match global.json {
        true => output::json(value),
        false if global.quiet => {}
        false => output::line(format!("{} {}  {what}", text(value, "repository"), text(value, "image"))),
    }
    Ok(Exit::Done)
}
