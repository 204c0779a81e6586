//! Users of an organisation, managed by its admins.

use super::audit::{self, By};
use super::{first_start, passwords};
use crate::access::{Principal, Role};
use crate::answers::{Bodied, Changing, Common, Guarded, Named};
use crate::clock::new_id;
use crate::error::{ApiError, Code, Result};
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::page::{Page, PageQuery};
use crate::state::AppState;
use crate::text::{Name, SecretText};
use axum::extract::State;
use http::StatusCode;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const COLUMNS: &str = "id, name, role, created_ms, disabled_ms";

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    /// Id.
    pub id: String,
    /// Name, by which they log in.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// When they were made, in milliseconds since 1970 (UTC).
    pub created_ms: i64,
    /// Since when they may not log in.
    pub disabled_ms: Option<i64>,
}

/// A user to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Name, by which they log in.
    pub name: Name,
    /// What they may do.
    pub role: Role,
    /// Their password, of 10 characters or more.
    pub password: SecretText,
}

/// What of a user is to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// What they may do from now on.
    pub role: Option<Role>,
    /// Whether they are shut out.
    pub disabled: Option<bool>,
}

fn user_of(row: &Row<'_>) -> rusqlite::Result<User> {
    let word: String = row.get(2)?;
    let role = Role::from_word(&word).ok_or(rusqlite::Error::InvalidQuery)?;
    Ok(User { id: row.get(0)?, name: row.get(1)?, role, created_ms: row.get(3)?, disabled_ms: row.get(4)? })
}

pub(super) fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format_args!("user {id}"))
}

fn find(connection: &Connection, organisation: &str, id: &str) -> Result<User> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM users WHERE organisation = ?1 AND id = ?2"))?
        .query_row([organisation, id], user_of)
        .optional()?
        .ok_or_else(|| not_found(id))
}

/// List users
///
/// Admins only. Ordered by name.
#[utoipa::path(get, operation_id = "users_list", path = "/users", tag = "users", params(PageQuery),
    responses((status = 200, body = Page<User>), Common, Guarded))]
pub async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<User>>> {
    principal.require_user(Role::Admin)?;
    let page = state.database.read(move |connection| {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM users WHERE organisation = ?1 AND name > ?2 ORDER BY name LIMIT ?3"
        ))?;
        let limit = query.items();
        let rows = statement.query_map(params![principal.organisation, query.after(), limit + 1], user_of)?;
        Ok(Page::of(rows.collect::<Result<_, _>>()?, limit, |user: &User| user.name.clone()))
    });
    page.await.map(Json)
}

/// Make a user
///
/// Admins only.
#[utoipa::path(post, operation_id = "users_create", path = "/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = User), Common, Guarded, Bodied, Changing))]
pub async fn create(
    State(state): State<AppState>,
    principal: Principal,
    Json(new): Json<NewUser>,
) -> Result<(StatusCode, Json<User>)> {
    principal.require_user(Role::Admin)?;
    passwords::check_new(&new.password)?;
    let password = state.accounts.passwords.hash(new.password).await?;
    let created_ms = state.clock.now_ms();
    let user = audit::write(&state, move |transaction, audit| {
        let user = User { id: new_id()?, name: new.name.into(), role: new.role, created_ms, disabled_ms: None };
        insert(transaction, &principal.organisation, &user, &password)?;
        let by = By::principal(&principal);
        audit.note(transaction, by.did("user.created", format!("user {}", user.id)).detail(user.role.to_string()))?;
        Ok(user)
    });
    Ok((StatusCode::CREATED, Json(user.await?)))
}

/// Adds a user whose password was hashed.
pub(crate) fn insert(transaction: &Transaction<'_>, organisation: &str, user: &User, password: &str) -> Result<()> {
    let added = transaction.execute(
        "INSERT INTO users (id, organisation, name, role, password, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (organisation, name) DO NOTHING",
        params![user.id, organisation, user.name, user.role.to_string(), password, user.created_ms],
    )?;
    match added {
        0 => Err(ApiError::new(Code::Conflict, format!("there is a user {} already; give another name", user.name))),
        _ => Ok(()),
    }
}

/// Show a user
///
/// Admins, and everyone themselves.
#[utoipa::path(get, operation_id = "users_get", path = "/users/{id}", tag = "users", params(("id" = String, Path, description = "Id of the user")),
    responses((status = 200, body = User), Common, Guarded, Named))]
pub async fn get(State(state): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<Json<User>> {
    if principal.require_user(Role::Viewer)? != id {
        principal.require_user(Role::Admin)?;
    }
    state.database.read(move |connection| find(connection, &principal.organisation, &id)).await.map(Json)
}

/// Change a user's role, shut them out or let them in again
///
/// Admins only. An organisation keeps at least one admin who is not shut out.
#[utoipa::path(patch, operation_id = "users_change", path = "/users/{id}", tag = "users", request_body = UserChange,
    params(("id" = String, Path, description = "Id of the user")),
    responses((status = 200, body = User), Common, Guarded, Bodied, Named, Changing))]
pub async fn change(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(change): Json<UserChange>,
) -> Result<Json<User>> {
    principal.require_user(Role::Admin)?;
    let now_ms = state.clock.now_ms();
    let user = audit::write(&state, move |transaction, audit| {
        let mut user = find(transaction, &principal.organisation, &id)?;
        let by = By::principal(&principal);
        if let Some(role) = change.role.filter(|role| *role != user.role) {
            let detail = format!("{} to {role}", user.role);
            user.role = role;
            audit.note(transaction, by.did("user.role-changed", format!("user {id}")).detail(detail))?;
        }
        if let Some(disabled) = change.disabled.filter(|disabled| *disabled != user.disabled_ms.is_some()) {
            user.disabled_ms = disabled.then_some(now_ms);
            let kind = if disabled { "user.disabled" } else { "user.enabled" };
            audit.note(transaction, by.did(kind, format!("user {id}")))?;
        }
        transaction.execute(
            "UPDATE users SET role = ?2, disabled_ms = ?3 WHERE id = ?1",
            params![id, user.role.to_string(), user.disabled_ms],
        )?;
        if user.disabled_ms.is_some() {
            // Whoever is let in again logs in again; tokens live on.
            end_sessions(transaction, &id, "", now_ms)?;
        }
        keep_an_admin(transaction, &principal.organisation)?;
        Ok(user)
    });
    let user = user.await?;
    state.accounts.forget_tokens();
    Ok(Json(user))
}

/// Delete a user
///
/// Admins only. Their tokens end; what they made stays. An organisation keeps at least one admin.
#[utoipa::path(delete, operation_id = "users_delete", path = "/users/{id}", tag = "users", params(("id" = String, Path, description = "Id of the user")),
    responses((status = 204, description = "They are gone"), Common, Guarded, Named, Changing))]
pub async fn delete(State(state): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    principal.require_user(Role::Admin)?;
    let (organisation_name, name) = audit::write(&state, move |transaction, audit| {
        let user = find(transaction, &principal.organisation, &id)?;
        transaction.execute("DELETE FROM users WHERE id = ?1", [&id])?;
        keep_an_admin(transaction, &principal.organisation)?;
        let note = By::principal(&principal).did("user.deleted", format!("user {id}")).detail(&user.name);
        audit.note(transaction, note)?;
        let sql = "SELECT name FROM organisations WHERE id = ?1";
        let organisation_name: String = transaction.query_row(sql, [&principal.organisation], |row| row.get(0))?;
        Ok((organisation_name, user.name))
    })
    .await?;
    state.accounts.forget_tokens();
    first_start::forget_password(&state.data_dir, &organisation_name, &name);
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the sessions of a user but for one.
pub(super) fn end_sessions(transaction: &Transaction<'_>, user: &str, but: &str, now_ms: i64) -> Result<()> {
    transaction.execute(
        "UPDATE tokens SET revoked_ms = ?3 WHERE user_id = ?1 AND id <> ?2 AND kind = 'session' AND revoked_ms IS NULL",
        params![user, but, now_ms],
    )?;
    Ok(())
}

/// Refuses, and so rolls back, what would leave nobody to manage the organisation.
fn keep_an_admin(transaction: &Transaction<'_>, organisation: &str) -> Result<()> {
    let one_is_left: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM users WHERE organisation = ?1 AND role = 'admin' AND disabled_ms IS NULL)",
        [organisation],
        |row| row.get(0),
    )?;
    match one_is_left {
        true => Ok(()),
        false => Err(ApiError::new(Code::Conflict, "this is the last admin; make another one first")),
    }
}
