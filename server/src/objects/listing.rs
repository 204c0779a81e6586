//! What a repository is and holds.

use super::policy::{self, Wish};
use super::{folder, grant};
use crate::access::Principal;
use crate::answers::{Common, Guarded, Named};
use crate::database::blocking;
use crate::error::Result;
use crate::extract::{Path, Query};
use crate::state::AppState;
use axum::Json;
use axum::extract::State;
use holotype_repo::Store;
use holotype_repo::store::Folder;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Objects in a page, at most.
const MAX_PAGE_OBJECTS: usize = 10_000;

/// A repository.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepositoryInfo {
    /// Its name.
    pub name: String,
    /// Free bytes of its disk; absent where nobody can tell.
    pub free_bytes: Option<u64>,
    /// Whether there is room for new backups.
    pub takes_backups: bool,
}

/// Says whether the repository is there, and how much room it has.
#[utoipa::path(
    get, path = "/repositories/{name}", tag = "objects",
    params(("name" = String, Path, description = "Name of the repository")),
    responses(
        (status = 200, body = RepositoryInfo),
        Common, Guarded, Named,
    )
)]
pub async fn info(
    State(app): State<AppState>,
    principal: Principal,
    Path(name): Path<String>,
) -> Result<Json<RepositoryInfo>> {
    let granted = grant(&app, &principal, name.clone(), None).await?;
    let free_bytes = blocking(move || Ok(granted.repository.store().free_bytes()?)).await?;
    Ok(Json(RepositoryInfo { name, free_bytes, takes_backups: app.room.takes_backups(free_bytes) }))
}

/// Which page of a listing.
#[derive(Debug, Deserialize, IntoParams)]
pub struct PageQuery {
    /// Only names after this one.
    after: Option<String>,
    /// How many, at most 10000.
    #[serde(default, deserialize_with = "within_bounds")]
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
}

fn within_bounds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<usize>, D::Error> {
    match Option::<usize>::deserialize(deserializer)? {
        Some(limit) if !(1..=MAX_PAGE_OBJECTS).contains(&limit) => {
            Err(serde::de::Error::custom(format_args!("limit is 1 to {MAX_PAGE_OBJECTS}")))
        }
        limit => Ok(limit),
    }
}

/// A page of a listing.
#[derive(Debug, Serialize, ToSchema)]
pub struct ObjectPage {
    /// In the order of their names.
    pub objects: Vec<ObjectEntry>,
    /// Whether more follow.
    pub more: bool,
}

/// An object.
#[derive(Debug, Serialize, ToSchema)]
pub struct ObjectEntry {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Lists a folder.
#[utoipa::path(
    get, path = "/repositories/{name}/objects/{folder}", tag = "objects",
    params(
        ("name" = String, Path, description = "Name of the repository"),
        ("folder" = inline(super::FolderName), Path, description = "Folder of the repository"),
        PageQuery,
    ),
    responses(
        (status = 200, body = ObjectPage),
        Common, Guarded, Named,
    )
)]
pub async fn list(
    State(app): State<AppState>,
    principal: Principal,
    Path((name, folder_name)): Path<(String, String)>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ObjectPage>> {
    let folder = folder(&folder_name)?;
    let granted = grant(&app, &principal, name, Some((Wish::List, folder, None))).await?;
    let limit = query.limit.unwrap_or(MAX_PAGE_OBJECTS).clamp(1, MAX_PAGE_OBJECTS);
    blocking(move || {
        let visible = match folder {
            Folder::Images => app.database.read_blocking(|it| policy::visible_images(it, &granted.seen))?,
            _ => None,
        };
        let mut objects = granted.repository.store().list(folder)?;
        objects.retain(|object| {
            query.after.as_deref().is_none_or(|after| object.key.name() > after)
                && visible.as_ref().is_none_or(|names| names.contains(object.key.name()))
        });
        objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let more = objects.len() > limit;
        objects.truncate(limit);
        let entry = |object: holotype_repo::store::ObjectInfo| ObjectEntry {
            name: object.key.name().to_owned(),
            bytes: object.bytes,
        };
        Ok(Json(ObjectPage { objects: objects.into_iter().map(entry).collect(), more }))
    })
    .await
}
