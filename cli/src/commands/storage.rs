//! `holotype storage`.

use super::management::{id, text};
use crate::arguments::{GlobalArguments, StorageAction, StorageKind};
use crate::exit::{Exit, Result};
use crate::output::{self, Table};
use crate::server_api::ServerApi;
use serde_json::{Value, json};

/// Manages a server's storages.
pub fn run(global: &GlobalArguments, action: &StorageAction) -> Result {
    let api = ServerApi::open(global)?;
    match action {
        StorageAction::List => {
            let storages: Vec<Value> = api.list("/storages")?;
            if global.json {
                output::json(&storages);
                return Ok(Exit::Done);
            }
            let mut table = Table::new(&["NAME", "ID", "KIND", "LOCATION"]);
            for storage in &storages {
                table.row(["name", "id", "kind", "location"].map(|field| text(storage, field).to_owned()));
            }
            table.print();
        }
        StorageAction::Add { name, kind, location } => {
            let kind = match kind {
                StorageKind::Repository => "repository",
                StorageKind::Nfs => "nfs",
                StorageKind::Smb => "smb",
                StorageKind::Local => "local",
            };
            let body = json!({ "name": name, "kind": kind, "location": location });
            let storage: Value = api.post("/storages", &body)?;
            match global.json {
                true => output::json(&storage),
                false => output::line(format!("storage {name} added  {}", text(&storage, "id"))),
            }
        }
        StorageAction::Remove { storage } => {
            api.delete(&format!("/storages/{}", id(&api, "storages", "storage", storage)?))?;
            match global.json {
                true => output::json(&json!({ "name": storage })),
                false => output::line(format!("storage {storage} removed")),
            }
        }
    }
    Ok(Exit::Done)
}
