//! What a machine may do in which repository.

use super::audit::{self, By};
use crate::access::{Principal, Role};
use crate::answers::{Bodied, Common, Guarded, Named};
use crate::error::{ApiError, Result};
use crate::extract::Path;
use crate::json::Json;
use crate::page::Page;
use crate::state::AppState;
use axum::extract::State;
use http::StatusCode;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which images a machine may restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MayRestore {
    /// None.
    None,
    /// Those that it added itself.
    Own,
    /// Those that it added itself, and those that were granted.
    Granted,
    /// All.
    All,
}

impl MayRestore {
    fn word(self) -> &'static str {
        match self {
            MayRestore::None => "none",
            MayRestore::Own => "own",
            MayRestore::Granted => "granted",
            MayRestore::All => "all",
        }
    }
}

impl FromSql for MayRestore {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let word = value.as_str()?;
        let all = [MayRestore::None, MayRestore::Own, MayRestore::Granted, MayRestore::All];
        all.into_iter().find(|may| may.word() == word).ok_or(FromSqlError::InvalidType)
    }
}

impl ToSql for MayRestore {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.word().into())
    }
}

/// What a machine may do in a repository.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// Whether it may add images.
    pub may_add: bool,
    /// Which images it may restore.
    pub may_restore: MayRestore,
}

/// What a machine may do in a repository.
#[derive(Debug, Serialize, ToSchema)]
pub struct MachineRights {
    /// Name of the repository.
    pub repository: String,
    /// Whether it may add images.
    pub may_add: bool,
    /// Which images it may restore.
    pub may_restore: MayRestore,
}

fn rights_of(row: &Row<'_>) -> rusqlite::Result<MachineRights> {
    Ok(MachineRights { repository: row.get(0)?, may_add: row.get(1)?, may_restore: row.get(2)? })
}

/// Looks whether the organisation has this machine.
pub(super) fn find_machine(connection: &Connection, organisation: &str, id: &str) -> Result<()> {
    connection
        .prepare_cached("SELECT 1 FROM machines WHERE organisation = ?1 AND id = ?2")?
        .query_row([organisation, id], |_| Ok(()))
        .optional()?
        .ok_or_else(|| ApiError::not_found(format_args!("machine {id}")))
}

/// Looks whether the organisation has this group.
pub(super) fn find_group(connection: &Connection, organisation: &str, id: &str) -> Result<()> {
    connection
        .prepare_cached("SELECT 1 FROM groups WHERE organisation = ?1 AND id = ?2")?
        .query_row([organisation, id], |_| Ok(()))
        .optional()?
        .ok_or_else(|| ApiError::not_found(format_args!("group {id}")))
}

/// The id of the organisation's repository of this name.
pub(super) fn find_repository(connection: &Connection, organisation: &str, name: &str) -> Result<String> {
    connection
        .prepare_cached("SELECT id FROM repositories WHERE organisation = ?1 AND name = ?2")?
        .query_row([organisation, name], |row| row.get(0))
        .optional()?
        .ok_or_else(|| ApiError::not_found(format_args!("repository {name}")))
}

const SELECT: &str = "SELECT r.name, m.may_add, m.may_restore FROM machine_repositories m
    JOIN repositories r ON r.id = m.repository WHERE m.machine = ?1";

/// List what a machine may do in which repository
#[utoipa::path(get, operation_id = "machine_rights_list", path = "/machines/{id}/repositories", tag = "machines",
    params(("id" = String, Path, description = "Id of the machine")),
    responses((status = 200, body = Page<MachineRights>), Common, Guarded, Named))]
pub async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Page<MachineRights>>> {
    principal.require_user(Role::Operator)?;
    let items = state.database.read(move |connection| {
        find_machine(connection, &principal.organisation, &id)?;
        let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY r.name"))?;
        Ok(statement.query_map([id], rights_of)?.collect::<Result<_, _>>()?)
    });
    Ok(Json(Page { items: items.await?, next: None }))
}

/// Show what a machine may do in a repository
#[utoipa::path(get, operation_id = "machine_rights_get", path = "/machines/{id}/repositories/{repository}", tag = "machines",
    params(("id" = String, Path, description = "Id of the machine"), ("repository" = String, Path, description = "Its name")),
    responses((status = 200, body = MachineRights), Common, Guarded, Named))]
pub async fn get(
    State(state): State<AppState>,
    principal: Principal,
    Path((id, repository)): Path<(String, String)>,
) -> Result<Json<MachineRights>> {
    principal.require_user(Role::Operator)?;
    let rights = state.database.read(move |connection| {
        find_machine(connection, &principal.organisation, &id)?;
        let repository = find_repository(connection, &principal.organisation, &repository)?;
        connection
            .prepare_cached(&format!("{SELECT} AND r.id = ?2"))?
            .query_row([&id, &repository], rights_of)
            .optional()?
            .ok_or_else(|| ApiError::not_found("right of this machine in this repository"))
    });
    rights.await.map(Json)
}

/// Set what a machine may do in a repository
///
/// Operators and admins. Nothing lets a machine delete.
#[utoipa::path(put, operation_id = "machine_rights_put", path = "/machines/{id}/repositories/{repository}", tag = "machines", request_body = Rights,
    params(("id" = String, Path, description = "Id of the machine"), ("repository" = String, Path, description = "Its name")),
    responses((status = 200, body = MachineRights), Common, Guarded, Bodied, Named))]
pub async fn put(
    State(state): State<AppState>,
    principal: Principal,
    Path((id, repository)): Path<(String, String)>,
    Json(rights): Json<Rights>,
) -> Result<Json<MachineRights>> {
    principal.require_user(Role::Operator)?;
    let set = audit::write(&state, move |transaction, audit| {
        find_machine(transaction, &principal.organisation, &id)?;
        let repository_id = find_repository(transaction, &principal.organisation, &repository)?;
        transaction.execute(
            "INSERT INTO machine_repositories (machine, repository, may_add, may_restore) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (machine, repository) DO UPDATE SET may_add = ?3, may_restore = ?4",
            params![id, repository_id, rights.may_add, rights.may_restore],
        )?;
        let detail = format!("add {}, restore {}", rights.may_add, rights.may_restore.word());
        let by = By::principal(&principal);
        let note = by.did("machine.rights-set", format!("repository {repository_id}")).machine(&id).detail(detail);
        audit.note(transaction, note)?;
        Ok(MachineRights { repository, may_add: rights.may_add, may_restore: rights.may_restore })
    });
    set.await.map(Json)
}

/// Take a machine's rights in a repository away
#[utoipa::path(delete, operation_id = "machine_rights_delete", path = "/machines/{id}/repositories/{repository}", tag = "machines",
    params(("id" = String, Path, description = "Id of the machine"), ("repository" = String, Path, description = "Its name")),
    responses((status = 204, description = "It has none now"), Common, Guarded, Named))]
pub async fn delete(
    State(state): State<AppState>,
    principal: Principal,
    Path((id, repository)): Path<(String, String)>,
) -> Result<StatusCode> {
    principal.require_user(Role::Operator)?;
    audit::write(&state, move |transaction, audit| {
        find_machine(transaction, &principal.organisation, &id)?;
        let repository = find_repository(transaction, &principal.organisation, &repository)?;
        let sql = "DELETE FROM machine_repositories WHERE machine = ?1 AND repository = ?2";
        if transaction.execute(sql, [&id, &repository])? > 0 {
            let by = By::principal(&principal);
            audit
                .note(transaction, by.did("machine.rights-removed", format!("repository {repository}")).machine(&id))?;
        }
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
