//! `holotype image` and `holotype event`: what a server has noted.

use super::management::{first, id, query, size, text, time};
use crate::arguments::{EventAction, GlobalArguments, ImageAction};
use crate::exit::{Exit, Result};
use crate::output::{self, Table};
use crate::server_api::{ServerApi, escape};
use serde_json::Value;

/// Shows a server's images.
pub fn images(global: &GlobalArguments, action: &ImageAction) -> Result {
    let api = ServerApi::open(global)?;
    let (search, machine, repository, limit) = match action {
        ImageAction::List { search, machine, repository, limit } => (search, machine, repository, *limit),
        ImageAction::Show { repository, image } => {
            let image: Value = api.get(&format!("/images/{}/{}", escape(repository), escape(image)))?;
            if global.json {
                output::json(&image);
                return Ok(Exit::Done);
            }
            let mut table = Table::plain();
            for field in ["image", "name", "repository", "machine", "user"] {
                table.value(field, text(&image, field));
            }
            table.value("received", time(&image, "received_ms"));
            table.value("source", size(&image, "source_bytes"));
            table.value("stored", size(&image, "stored_bytes"));
            table.value("receipt", text(&image, "receipt"));
            table.print();
            return Ok(Exit::Done);
        }
    };
    let machine = machine.as_ref().map(|machine| id(&api, "machines", "machine", machine)).transpose()?;
    let filters = [("q", search.as_deref()), ("machine", machine.as_deref()), ("repository", repository.as_deref())];
    let images = first(&api, &format!("/images{}", query(&filters)), limit)?;
    if global.json {
        output::json(&images);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["IMAGE", "NAME", "RECEIVED", "SIZE", "STORED"]);
    for image in &images {
        table.row([
            text(image, "image").to_owned(),
            text(image, "name").to_owned(),
            time(image, "received_ms"),
            size(image, "source_bytes"),
            size(image, "stored_bytes"),
        ]);
    }
    table.print();
    Ok(Exit::Done)
}

/// Shows a server's events.
pub fn events(global: &GlobalArguments, action: &EventAction) -> Result {
    let EventAction::List { kind, machine, limit } = action;
    let api = ServerApi::open(global)?;
    let machine = machine.as_ref().map(|machine| id(&api, "machines", "machine", machine)).transpose()?;
    let filters = [("kind", kind.as_deref()), ("machine", machine.as_deref())];
    let events = first(&api, &format!("/events{}", query(&filters)), *limit)?;
    if global.json {
        output::json(&events);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NUMBER", "TIME", "KIND", "OUTCOME", "BY", "ABOUT", "DETAIL"]);
    for event in &events {
        let [kind, outcome, by, about, detail] =
            ["kind", "outcome", "actor", "subject", "detail"].map(|field| text(event, field).to_owned());
        table.row([event["number"].to_string(), time(event, "at_ms"), kind, outcome, by, about, detail]);
    }
    table.print();
    Ok(Exit::Done)
}
