//! Who one is, and what time it is.

use crate::access::{Actor, Principal, Role};
use crate::answers::{Common, Guarded};
use crate::error::Result;
use crate::json::Json;
use crate::state::AppState;
use axum::extract::State;
use rusqlite::{Connection, params};
use serde::Serialize;
use utoipa::ToSchema;

/// The server's time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Time {
    /// Milliseconds since 1970 (UTC).
    pub now_ms: i64,
}

/// The server's time
///
/// For machines whose clock is off: what they sign has to have the right time.
#[utoipa::path(get, operation_id = "me_time", path = "/time", tag = "accounts", security(()), responses((status = 200, body = Time), Common))]
pub async fn time(State(state): State<AppState>) -> Json<Time> {
    Json(Time { now_ms: state.clock.now_ms() })
}

/// Who one is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// Id of the organisation.
    pub organisation: String,
    /// Its name.
    pub organisation_name: String,
    /// The user, where it is one.
    pub user: Option<MyUser>,
    /// The machine, where it is one.
    pub machine: Option<MyMachine>,
    /// Id of the token that was shown.
    pub token: String,
    /// When it ends, in milliseconds since 1970 (UTC).
    pub token_expires_ms: i64,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyUser {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// A machine.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyMachine {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// What it may do in which repository, with this token.
    pub repositories: Vec<MyRepository>,
}

/// What a machine may do in a repository.
#[derive(Debug, Serialize, ToSchema)]
pub struct MyRepository {
    /// Name of the repository.
    pub name: String,
    /// Whether it may add images.
    pub may_add: bool,
    /// What it may restore.
    pub may_restore: super::machine_rights::MayRestore,
}

/// Who am I
#[utoipa::path(get, operation_id = "me_me", path = "/me", tag = "accounts", responses((status = 200, body = Me), Common, Guarded))]
pub async fn me(State(state): State<AppState>, principal: Principal) -> Result<Json<Me>> {
    state.database.read(move |connection| read(connection, principal)).await.map(Json)
}

fn read(connection: &Connection, principal: Principal) -> Result<Me> {
    let name = |table: &str, id: &str| -> Result<String> {
        Ok(connection.query_row(&format!("SELECT name FROM {table} WHERE id = ?1"), [id], |row| row.get(0))?)
    };
    let organisation_name = name("organisations", &principal.organisation)?;
    let token_expires_ms =
        connection.query_row("SELECT expires_ms FROM tokens WHERE id = ?1", [&principal.token], |row| row.get(0))?;
    let (mut user, mut machine) = (None, None);
    match principal.actor {
        Actor::User { id, role } => user = Some(MyUser { name: name("users", &id)?, id, role }),
        Actor::Machine { id } => {
            let repositories = repositories(connection, &id, &principal.token)?;
            machine = Some(MyMachine { name: name("machines", &id)?, id, repositories });
        }
    }
    let (organisation, token) = (principal.organisation, principal.token);
    Ok(Me { organisation, organisation_name, user, machine, token, token_expires_ms })
}

fn repositories(connection: &Connection, machine: &str, token: &str) -> Result<Vec<MyRepository>> {
    let mut statement = connection.prepare_cached(
        "SELECT r.name, m.may_add, m.may_restore FROM machine_repositories m JOIN repositories r ON r.id = m.repository
         WHERE m.machine = ?1
           AND (NOT EXISTS (SELECT 1 FROM token_repositories WHERE token = ?2)
                OR EXISTS (SELECT 1 FROM token_repositories WHERE token = ?2 AND repository = r.id))
         ORDER BY r.name",
    )?;
    let rows = statement.query_map(params![machine, token], |row| {
        Ok(MyRepository { name: row.get(0)?, may_add: row.get(1)?, may_restore: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
