//! Groups of machines.

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
    OpenApiRouter::new()
        .routes(routes!(list_groups, create_group))
        .routes(routes!(get_group, rename_group, delete_group))
        .routes(routes!(add_group_member, remove_group_member))
}

/// Machines under one name. `GET /machines?group=ID` lists them.
#[derive(Debug, Serialize, ToSchema)]
struct Group {
    id: String,
    name: String,
    /// Machines in it.
    machines: i64,
    created_ms: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GroupQuery {
    /// `next` of the page before; the list goes by name.
    #[serde(default, deserialize_with = "bounded")]
    #[param(max_length = 200)]
    after: Option<String>,
    /// Items of the page, 100 where nothing is said.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// Part of a name.
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
struct GroupName {
    name: Name,
}

const SELECT: &str =
    "SELECT g.id, g.name, (SELECT count(*) FROM group_machines m WHERE m.group_id = g.id), g.created_ms
                      FROM groups g WHERE g.organisation = ?";

fn group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group { id: row.get(0)?, name: row.get(1)?, machines: row.get(2)?, created_ms: row.get(3)? })
}

fn find(connection: &Connection, organisation: &str, id: &str) -> Result<Group> {
    let sql = format!("{SELECT} AND g.id = ?");
    one(connection.prepare_cached(&sql)?.query_row([organisation, id], group), "group")
}

/// Lists groups, by name.
#[utoipa::path(get, path = "/groups", tag = "groups", operation_id = "list_groups", params(GroupQuery),
    responses((status = 200, description = "A page", body = Page<Group>), Refusals))]
async fn list_groups(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<GroupQuery>,
) -> Result<Json<Page<Group>>> {
    principal.require_user(Role::Viewer)?;
    let page = state.database.read(move |connection| {
        let mut select = Select::new(SELECT, [principal.organisation.into()]);
        if let Some(after) = query.after {
            select.and("g.name > ?", after);
        }
        if let Some(name) = query.name {
            select.and("g.name = ?", name);
        }
        if let Some(text) = query.q {
            select.and("g.name LIKE ? ESCAPE '\\'", contains_pattern(&text));
        }
        select.page(connection, "g.name", query.limit, group, |group| group.name.clone())
    });
    page.await.map(Json)
}

/// Shows a group.
#[utoipa::path(get, path = "/groups/{id}", tag = "groups", operation_id = "get_group",
    params(("id" = String, Path, description = "The group")),
    responses((status = 200, description = "The group", body = Group), Refusals))]
async fn get_group(State(state): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<Json<Group>> {
    principal.require_user(Role::Viewer)?;
    state.database.read(move |connection| find(connection, &principal.organisation, &id)).await.map(Json)
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", tag = "groups", operation_id = "create_group", request_body = GroupName,
    responses((status = 201, description = "It was made", body = Group), Refusals, ChangeRefusals))]
async fn create_group(
    State(state): State<AppState>,
    principal: Principal,
    Json(new): Json<GroupName>,
) -> Result<(StatusCode, Json<Group>)> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    let group = change(&state, &principal, move |transaction, journal| {
        let id = new_id()?;
        let sql = "INSERT INTO groups (id, organisation, name, created_ms) VALUES (?1, ?2, ?3, ?4)";
        changed(transaction.execute(sql, params![id, organisation, new.name.as_str(), now_ms()]), "group")?;
        journal.note(transaction, "group.created", None, format!("group {id}"), new.name.as_str())?;
        find(transaction, &organisation, &id)
    });
    Ok((StatusCode::CREATED, Json(group.await?)))
}

/// Renames a group.
#[utoipa::path(patch, path = "/groups/{id}", tag = "groups", operation_id = "rename_group",
    params(("id" = String, Path, description = "The group")), request_body = GroupName,
    responses((status = 200, description = "As it is now", body = Group), Refusals, ChangeRefusals))]
async fn rename_group(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(new): Json<GroupName>,
) -> Result<Json<Group>> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    let group = change(&state, &principal, move |transaction, journal| {
        let sql = "UPDATE groups SET name = ?3 WHERE id = ?1 AND organisation = ?2";
        changed(transaction.execute(sql, [&id, &organisation, new.name.as_str()]), "group")?;
        journal.note(transaction, "group.changed", None, format!("group {id}"), new.name.as_str())?;
        find(transaction, &organisation, &id)
    });
    group.await.map(Json)
}

/// Deletes a group with its tasks. Its machines stay.
#[utoipa::path(delete, path = "/groups/{id}", tag = "groups", operation_id = "delete_group",
    params(("id" = String, Path, description = "The group")),
    responses((status = 204, description = "It is gone"), Refusals, ChangeRefusals))]
async fn delete_group(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    principal.require_user(Role::Admin)?;
    let organisation = principal.organisation.clone();
    change(&state, &principal, move |transaction, journal| {
        let sql = "DELETE FROM groups WHERE id = ?1 AND organisation = ?2";
        changed(transaction.execute(sql, [&id, &organisation]), "group")?;
        journal.note(transaction, "group.deleted", None, format!("group {id}"), "")
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts a machine into a group; it may be there already.
#[utoipa::path(put, path = "/groups/{id}/machines/{machine}", tag = "groups", operation_id = "add_group_member",
    params(("id" = String, Path, description = "The group"), ("machine" = String, Path, description = "The machine")),
    responses((status = 204, description = "It is in the group"), Refusals, ChangeRefusals))]
async fn add_group_member(
    State(state): State<AppState>,
    principal: Principal,
    Path((id, machine)): Path<(String, String)>,
) -> Result<StatusCode> {
    let sql = "INSERT OR IGNORE INTO group_machines (group_id, machine) VALUES (?1, ?2)";
    change_membership(state, principal, id, machine, sql, "group.machine-added").await
}

/// Takes a machine out of a group; it may be out already.
#[utoipa::path(delete, path = "/groups/{id}/machines/{machine}", tag = "groups", operation_id = "remove_group_member",
    params(("id" = String, Path, description = "The group"), ("machine" = String, Path, description = "The machine")),
    responses((status = 204, description = "It is not in the group"), Refusals, ChangeRefusals))]
async fn remove_group_member(
    State(state): State<AppState>,
    principal: Principal,
    Path((id, machine)): Path<(String, String)>,
) -> Result<StatusCode> {
    let sql = "DELETE FROM group_machines WHERE group_id = ?1 AND machine = ?2";
    change_membership(state, principal, id, machine, sql, "group.machine-removed").await
}

/// Runs `sql` on a group (`?1`) and a machine (`?2`) of the organisation; notes it where it changed something.
async fn change_membership(
    state: AppState,
    principal: Principal,
    id: String,
    machine: String,
    sql: &'static str,
    kind: &'static str,
) -> Result<StatusCode> {
    principal.require_user(Role::Operator)?;
    let organisation = principal.organisation.clone();
    change(&state, &principal, move |transaction, journal| {
        require(transaction, Table::Groups, &organisation, &id)?;
        require(transaction, Table::Machines, &organisation, &machine)?;
        match transaction.execute(sql, [&id, &machine])? {
            0 => Ok(()),
            _ => journal.note(transaction, kind, Some(&machine), format!("group {id}"), ""),
        }
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
