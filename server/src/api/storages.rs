//! Storages: destinations that machines may be told of besides repositories.

use super::openapi::{ChangeRefusals, Refusals};
use super::shared::*;
use crate::access::{Principal, Role};
use crate::clock::{new_id, now_ms};
use crate::error::Result;
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::page::Page;
use crate::state::AppState;
use crate::text::Name;
use axum::extract::State;
use http::StatusCode;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_storages, create_storage)).routes(routes!(
        get_storage,
        change_storage,
        delete_storage
    ))
}

/// What a storage is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum StorageKind {
    /// A repository of a Holotype server.
    Repository,
    /// A share of an NFS server.
    Nfs,
    /// A share of an SMB server.
    Smb,
    /// A disk or a stick.
    Local,
}

impl StorageKind {
    fn word(self) -> &'static str {
        match self {
            StorageKind::Repository => "repository",
            StorageKind::Nfs => "nfs",
            StorageKind::Smb => "smb",
            StorageKind::Local => "local",
        }
    }
}

/// A destination for images.
#[derive(Debug, Serialize, ToSchema)]
struct Storage {
    id: String,
    name: String,
    /// `repository`, `nfs`, `smb` or `local`.
    kind: String,
    location: String,
    created_ms: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StorageQuery {
    /// `next` of the page before; the list goes by name.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    after: Option<String>,
    /// Items of the page, 100 where nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// Part of a name or a location.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    q: Option<String>,
    /// This name alone.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    name: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewStorage {
    name: Name,
    kind: StorageKind,
    /// Where it is; never with a password in it.
    #[schema(value_type = String, max_length = 1000, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    location: Text<1000>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StorageChange {
    name: Option<Name>,
    /// Where it is; never with a password in it.
    #[schema(value_type = Option<String>, max_length = 1000, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    location: Option<Text<1000>>,
}

const SELECT: &str = "SELECT id, name, kind, location, created_ms FROM storages WHERE organisation = ?";

fn storage(row: &Row<'_>) -> rusqlite::Result<Storage> {
    let [id, name, kind, location] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
    Ok(Storage { id, name, kind, location, created_ms: row.get(4)? })
}

fn find(connection: &Connection, organisation: &str, id: &str) -> Result<Storage> {
    let sql = format!("{SELECT} AND id = ?");
    one(connection.prepare_cached(&sql)?.query_row([organisation, id], storage), "storage")
}

/// Refuses `user:password@host` and `password=…`: the database holds no secrets in clear.
fn refuse_password(location: &str) -> Result<()> {
    let authority = location.split_once("://").map_or(location, |(_, rest)| rest);
    let authority = authority.trim_start_matches(['/', '\\']);
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    let lower = location.to_ascii_lowercase();
    if user.is_some_and(|user| user.contains(':') || user.to_ascii_lowercase().contains("%3a"))
        || ["password=", "passwd=", "pass=", "pwd="].iter().any(|word| lower.contains(word))
    {
        return Err(invalid("location: it holds a password; passwords are given to the machine, not kept here"));
    }
    Ok(())
}

/// Lists storages, by name; for machines too, which offer them where a backup goes to. They hold no password.
#[utoipa::path(get, path = "/storages", tag = "storages", operation_id = "list_storages", params(StorageQuery),
    responses((status = 200, description = "A page", body = Page<Storage>), Refusals))]
async fn list_storages(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<StorageQuery>,
) -> Result<Json<Page<Storage>>> {
    let page = state.database.read(move |connection| {
        let mut select = Select::new(SELECT, [principal.organisation.into()]);
        if let Some(after) = query.after {
            select.and("name > ?", after);
        }
        if let Some(name) = query.name {
            select.and("name = ?", name);
        }
        if let Some(text) = query.q {
            select.and("(name LIKE ? ESCAPE '\\' OR location LIKE ? ESCAPE '\\')", contains_pattern(&text));
        }
        select.page(connection, "name", query.limit, storage, |storage| storage.name.clone())
    });
    page.await.map(Json)
}

/// Shows a storage.
#[utoipa::path(get, path = "/storages/{id}", tag = "storages", operation_id = "get_storage",
    params(("id" = String, Path, description = "The storage")),
    responses((status = 200, description = "The storage", body = Storage), Refusals))]
async fn get_storage(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Storage>> {
    principal.require_user(Role::Viewer)?;
    state.database.read(move |connection| find(connection, &principal.organisation, &id)).await.map(Json)
}

/// Adds a storage.
#[utoipa::path(post, path = "/storages", tag = "storages", operation_id = "create_storage", request_body = NewStorage,
    responses((status = 201, description = "It was added", body = Storage), Refusals, ChangeRefusals))]
async fn create_storage(
    State(state): State<AppState>,
    principal: Principal,
    Json(new): Json<NewStorage>,
) -> Result<(StatusCode, Json<Storage>)> {
    principal.require_user(Role::Admin)?;
    refuse_password(&new.location.0)?;
    let organisation = principal.organisation.clone();
    let storage = change(&state, &principal, move |transaction, journal| {
        let id = new_id()?;
        let sql = "INSERT INTO storages (id, organisation, name, kind, location, created_ms)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let row = params![id, organisation, new.name.as_str(), new.kind.word(), new.location.0, now_ms()];
        changed(transaction.execute(sql, row), "storage")?;
        journal.note(transaction, "storage.created", None, format!("storage {id}"), new.name.as_str())?;
        find(transaction, &organisation, &id)
    });
    Ok((StatusCode::CREATED, Json(storage.await?)))
}

/// Changes a storage.
#[utoipa::path(patch, path = "/storages/{id}", tag = "storages", operation_id = "change_storage",
    params(("id" = String, Path, description = "The storage")), request_body = StorageChange,
    responses((status = 200, description = "As it is now", body = Storage), Refusals, ChangeRefusals))]
async fn change_storage(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(new): Json<StorageChange>,
) -> Result<Json<Storage>> {
    principal.require_user(Role::Admin)?;
    new.location.as_ref().map_or(Ok(()), |location| refuse_password(&location.0))?;
    let organisation = principal.organisation.clone();
    let storage = change(&state, &principal, move |transaction, journal| {
        let sql = "UPDATE storages SET name = coalesce(?3, name), location = coalesce(?4, location)
                   WHERE id = ?1 AND organisation = ?2";
        let name = new.name.as_ref().map(Name::as_str);
        let row = params![id, organisation, name, new.location.map(|location| location.0)];
        changed(transaction.execute(sql, row), "storage")?;
        journal.note(transaction, "storage.changed", None, format!("storage {id}"), "")?;
        find(transaction, &organisation, &id)
    });
    storage.await.map(Json)
}

/// Takes a storage off the list. What lies there stays.
#[utoipa::path(delete, path = "/storages/{id}", tag = "storages", operation_id = "delete_storage",
    params(("id" = String, Path, description = "The storage")),
    responses((status = 204, description = "It is gone"), Refusals, ChangeRefusals))]
async fn delete_storage(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    principal.require_user(Role::Admin)?;
    let organisation = principal.organisation.clone();
    change(&state, &principal, move |transaction, journal| {
        let sql = "DELETE FROM storages WHERE id = ?1 AND organisation = ?2";
        changed(transaction.execute(sql, [&id, &organisation]), "storage")?;
        journal.note(transaction, "storage.deleted", None, format!("storage {id}"), "")
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_refused() {
        for location in ["smb://ann:pw@nas/share", "//ann:pw@nas/share", "ann%3Apw@nas", "//nas/share?Password=x"] {
            assert!(refuse_password(location).is_err(), "{location}");
        }
        for location in ["smb://ann@nas:445/share", "nas:/export", "/dev/disk/by-id/x", "https://[::1]:8443/a"] {
            assert!(refuse_password(location).is_ok(), "{location}");
        }
    }
}
