//! Tokens of users and machines: listed without their secrets, made, revoked.

use super::audit::{self, By};
use super::machine_rights;
use super::tokens::{self, MAX_LIFE_SECONDS, NewToken, Owner};
use crate::access::{Actor, Principal, Role};
use crate::answers::{Bodied, Common, Guarded, Named};
use crate::error::{ApiError, Code, Result};
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::page::{Page, PageQuery};
use crate::state::AppState;
use crate::text::Name;
use axum::extract::State;
use http::StatusCode;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const MIN_LIFE_SECONDS: u64 = 60;
const DEFAULT_LIFE_SECONDS: u64 = 90 * 24 * 3600;
/// Repositories that a token is narrowed to, at most.
const MAX_REPOSITORIES: usize = 64;

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    /// Id.
    pub id: String,
    /// `session` or `token`.
    pub kind: String,
    /// A name for people.
    pub name: String,
    /// Id of the user whose it is.
    pub user: Option<String>,
    /// Id of the machine whose it is.
    pub machine: Option<String>,
    /// Names of the repositories it is narrowed to; empty where it is not narrowed.
    pub repositories: Vec<String>,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
    /// When it was used last, to the minute.
    pub used_ms: Option<i64>,
}

/// A token to be made: of a machine, or one's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTokenRequest {
    /// A name for people.
    pub name: Name,
    /// Id of the machine it is for; one's own without it.
    pub machine: Option<String>,
    /// Names of the repositories it is narrowed to; without it, all of the machine's. For machines only.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub repositories: Option<Vec<Name>>,
    /// How long it is good for, up to 366 days; 90 days without it.
    #[schema(minimum = 60, maximum = 31622400)]
    pub expires_in_seconds: Option<u64>,
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
pub struct FreshToken {
    /// Its id.
    pub id: String,
    /// The token: send it as `Authorization: Bearer TOKEN`. It is shown this once.
    pub token: String,
    /// When it ends, in milliseconds since 1970 (UTC).
    pub expires_ms: i64,
}

/// Seconds that a request asks for, within bounds, in milliseconds.
pub(super) fn life_ms(asked: Option<u64>, default: u64, max: u64) -> Result<i64> {
    let seconds = asked.unwrap_or(default);
    match (MIN_LIFE_SECONDS..=max).contains(&seconds) {
        true => Ok(seconds as i64 * 1000),
        false => {
            let why = format!("expires_in_seconds has to be from {MIN_LIFE_SECONDS} to {max}");
            Err(ApiError::new(Code::InvalidRequest, why))
        }
    }
}

fn token_of(row: &Row<'_>) -> rusqlite::Result<Token> {
    let repositories: Option<String> = row.get(9)?;
    Ok(Token {
        id: row.get(0)?,
        kind: row.get(1)?,
        name: row.get(2)?,
        user: row.get(3)?,
        machine: row.get(4)?,
        created_ms: row.get(5)?,
        expires_ms: row.get(6)?,
        revoked_ms: row.get(7)?,
        used_ms: row.get(8)?,
        repositories: repositories.map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default(),
    })
}

const SELECT: &str = "SELECT t.id, t.kind, t.name, t.user_id, t.machine, t.created_ms, t.expires_ms, t.revoked_ms, t.used_ms,
    (SELECT group_concat(r.name) FROM token_repositories n JOIN repositories r ON r.id = n.repository WHERE n.token = t.id)
    FROM tokens t";
/// Which tokens one sees: one's own; operators those of machines too; admins all. Each way has an index.
fn visible(sees: u8) -> &'static str {
    match sees {
        0 => "+t.organisation = ?1 AND t.user_id = ?2 AND ?3 = 0",
        1 => "t.organisation = ?1 AND (t.user_id = ?2 OR t.machine IS NOT NULL) AND ?3 = 1",
        _ => "t.organisation = ?1 AND ?2 <> '' AND ?3 = 2",
    }
}

/// The user who asks, and how much they see.
fn sight(principal: &Principal) -> Result<(String, u8)> {
    let user = principal.require_user(Role::Viewer)?.to_owned();
    let sees = match principal.actor {
        Actor::User { role: Role::Admin, .. } => 2,
        Actor::User { role: Role::Operator, .. } => 1,
        _ => 0,
    };
    Ok((user, sees))
}

/// List tokens
///
/// One's own; operators see those of machines too, admins all. Secrets are not shown. Ordered by time.
#[utoipa::path(get, operation_id = "token_list_list", path = "/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, body = Page<Token>), Common, Guarded))]
pub async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Token>>> {
    let (user, sees) = sight(&principal)?;
    let page = state.database.read(move |connection| {
        let (after_ms, after_id) = place(query.after())?;
        let limit = query.items();
        let sql = format!(
            "{SELECT} WHERE {} AND (t.created_ms, t.id) > (?4, ?5) ORDER BY t.created_ms, t.id LIMIT ?6",
            visible(sees)
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let values = params![principal.organisation, user, sees, after_ms, after_id, limit + 1];
        let rows = statement.query_map(values, token_of)?;
        let next = |token: &Token| format!("{}.{}", token.created_ms, token.id);
        Ok(Page::of(rows.collect::<Result<_, _>>()?, limit, next))
    });
    page.await.map(Json)
}

/// Where a list by time goes on.
pub(super) fn place(after: &str) -> Result<(i64, &str)> {
    if after.is_empty() {
        return Ok((i64::MIN, ""));
    }
    let place = after.split_once('.').and_then(|(ms, id)| Some((ms.parse().ok()?, id)));
    place.ok_or_else(|| ApiError::new(Code::InvalidRequest, "`after` is not what a page gave as `next`"))
}

/// Make a token
///
/// One's own, or that of a machine: operators and admins. It is shown this once.
#[utoipa::path(post, operation_id = "token_list_create", path = "/tokens", tag = "tokens", request_body = NewTokenRequest,
    responses((status = 201, body = FreshToken), Common, Guarded, Bodied, Named))]
pub async fn create(
    State(state): State<AppState>,
    principal: Principal,
    Json(request): Json<NewTokenRequest>,
) -> Result<(StatusCode, Json<FreshToken>)> {
    let user = principal.require_user(Role::Viewer)?.to_owned();
    if request.machine.is_some() {
        principal.require_user(Role::Operator)?;
    }
    let repositories = request.repositories.unwrap_or_default();
    if !repositories.is_empty() && request.machine.is_none() {
        return Err(ApiError::new(Code::InvalidRequest, "only a machine's token can be narrowed to repositories"));
    }
    if repositories.len() > MAX_REPOSITORIES {
        return Err(ApiError::new(Code::InvalidRequest, format!("at most {MAX_REPOSITORIES} repositories")));
    }
    let created_ms = state.clock.now_ms();
    let expires_ms = created_ms + life_ms(request.expires_in_seconds, DEFAULT_LIFE_SECONDS, MAX_LIFE_SECONDS)?;
    let made = audit::write(&state, move |transaction, audit| {
        let organisation = principal.organisation.as_str();
        let owner = match &request.machine {
            Some(machine) => {
                machine_rights::find_machine(transaction, organisation, machine)?;
                Owner::Machine(machine)
            }
            None => Owner::User(&user),
        };
        let name = request.name.as_str();
        let new = NewToken { organisation, owner, kind: "token", name, created_ms, expires_ms };
        let made = tokens::insert(transaction, &new)?;
        for name in &repositories {
            let repository = machine_rights::find_repository(transaction, organisation, name.as_str())?;
            let sql = "INSERT OR IGNORE INTO token_repositories (token, repository) VALUES (?1, ?2)";
            transaction.execute(sql, [&made.id, &repository])?;
        }
        let mut note = By::principal(&principal).did("token.created", format!("token {}", made.id)).detail(name);
        if let Some(machine) = &request.machine {
            note = note.machine(machine);
        }
        audit.note(transaction, note)?;
        Ok(made)
    });
    let made = made.await?;
    Ok((StatusCode::CREATED, Json(FreshToken { id: made.id, token: made.secret, expires_ms: made.expires_ms })))
}

/// Revoke a token
///
/// One's own; operators those of machines too, admins all. It is worth nothing at once.
#[utoipa::path(delete, operation_id = "token_list_revoke", path = "/tokens/{id}", tag = "tokens", params(("id" = String, Path, description = "Id of the token")),
    responses((status = 204, description = "It is worth nothing now"), Common, Guarded, Named))]
pub async fn revoke(State(state): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    let (user, sees) = sight(&principal)?;
    let now_ms = state.clock.now_ms();
    audit::write(&state, move |transaction, audit| {
        let token = find(transaction, &principal.organisation, &user, sees, &id)?;
        if token.revoked_ms.is_some() {
            return Ok(());
        }
        transaction.execute("UPDATE tokens SET revoked_ms = ?2 WHERE id = ?1", params![id, now_ms])?;
        let mut note = By::principal(&principal).did("token.revoked", format!("token {id}")).detail(token.name);
        if let Some(machine) = &token.machine {
            note = note.machine(machine);
        }
        audit.note(transaction, note)
    })
    .await?;
    state.accounts.forget_tokens();
    Ok(StatusCode::NO_CONTENT)
}

fn find(connection: &Connection, organisation: &str, user: &str, sees: u8, id: &str) -> Result<Token> {
    connection
        .prepare_cached(&format!("{SELECT} WHERE {} AND t.id = ?4", visible(sees)))?
        .query_row(params![organisation, user, sees, id], token_of)
        .optional()?
        .ok_or_else(|| ApiError::not_found(format_args!("token {id}")))
}
