//! Repositories over the network: objects, uploads, and which chunks are missing.
//!
//! docs/PROTOCOL.md has the requests. Bodies pass in pieces: the server never holds a whole pack.

mod listing;
mod locate;
pub mod policy;
mod read;
mod records;
mod upload;

use crate::access::Principal;
use crate::database::blocking;
use crate::error::{ApiError, Code, Result};
use crate::state::AppState;
use holotype_repo::keyless::KeylessRepository;
use holotype_repo::store::{Folder, ObjectKey};
use policy::{Seen, Wish};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(listing::info))
        .routes(routes!(listing::list))
        .routes(routes!(read::read, read::head, upload::add, upload::remove))
        .routes(routes!(upload::state))
        .routes(routes!(locate::locate))
}

/// The folders of a repository, for the OpenAPI document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes a parameter; that is read as a `Folder`")]
enum FolderName {
    Config,
    Keys,
    Packs,
    Meta,
    Index,
    Images,
    Receipts,
    Leases,
    Tombstones,
}

/// A repository that was found, and may be used as was wished.
struct Granted {
    seen: Seen,
    repository: Arc<KeylessRepository>,
}

/// Finds the repository, asks whether the wish is granted, and opens it.
async fn grant(
    state: &AppState,
    principal: &Principal,
    name: String,
    wish: Option<(Wish, Folder, Option<String>)>,
) -> Result<Granted> {
    let (state, principal) = (state.clone(), principal.clone());
    blocking(move || {
        let seen = state.database.read_blocking(|connection| {
            let seen = policy::find(connection, &principal, &name)?;
            if let Some((wish, folder, object)) = &wish {
                policy::check(connection, &seen, *wish, *folder, object.as_deref())?;
            }
            Ok(seen)
        })?;
        let repository = state.repositories.get(&seen.id, &seen.store_kind, &seen.store_location)?;
        Ok(Granted { seen, repository })
    })
    .await
}

/// The folder of that name.
fn folder(name: &str) -> Result<Folder> {
    let found = Folder::ALL.into_iter().find(|folder| folder.name() == name);
    found.ok_or_else(|| ApiError::not_found("such folder"))
}

/// The object of that name.
fn key(folder_name: &str, object: &str) -> Result<ObjectKey> {
    ObjectKey::new(folder(folder_name)?, object)
        .ok_or_else(|| ApiError::new(Code::InvalidRequest, "no object can have that name"))
}
