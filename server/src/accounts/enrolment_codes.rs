//! Enrolment codes: each lets one machine in, once.

use super::audit::{self, By};
use super::machine_rights::{find_group, find_machine, find_repository};
use super::token_list::{life_ms, place};
use crate::access::{Principal, Role};
use crate::answers::{Bodied, Changing, Common, Guarded, Named};
use crate::clock::new_id;
use crate::error::{ApiError, Code, Result};
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::page::{Page, PageQuery};
use crate::state::AppState;
use crate::text::Name;
use axum::extract::State;
use holotype_repo::core::machine_proof::{self, CODE_CHARACTERS};
use http::StatusCode;
use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const DEFAULT_LIFE_SECONDS: u64 = 24 * 3600;
const MAX_LIFE_SECONDS: u64 = 30 * 24 * 3600;

/// A code to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCode {
    /// Id of the machine that it is for; without it and `name`, it makes a machine of the name that comes with it.
    pub machine: Option<String>,
    /// Makes a machine of this name now, for which the code is.
    pub name: Option<Name>,
    /// Name of the repository where the machine may add images and restore its own.
    pub repository: Option<Name>,
    /// Id of the group that the machine joins.
    pub group: Option<String>,
    /// How long it is good for, up to 30 days; one day without it.
    #[schema(minimum = 60, maximum = 2592000)]
    pub expires_in_seconds: Option<u64>,
}

/// A code that was just made.
#[derive(Serialize, ToSchema)]
pub struct FreshCode {
    /// Its id.
    pub id: String,
    /// The code, to be typed at the machine. It is shown this once.
    pub code: String,
    /// Id of the machine that it is for.
    pub machine: Option<String>,
    /// When it ends, in milliseconds since 1970 (UTC).
    pub expires_ms: i64,
}

/// A code, without itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnrolmentCode {
    /// Id.
    pub id: String,
    /// Id of the machine that it is for.
    pub machine: Option<String>,
    /// Name of the repository.
    pub repository: Option<String>,
    /// Id of the group.
    pub group: Option<String>,
    /// When it was made, in milliseconds since 1970 (UTC).
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// When it was used.
    pub used_ms: Option<i64>,
}

/// What the database has of a code in its one form.
pub(super) fn hash_of(normal_code: &str) -> [u8; 32] {
    *blake3::hash(normal_code.as_bytes()).as_bytes()
}

/// Make an enrolment code
///
/// Operators and admins. It is shown this once.
#[utoipa::path(post, operation_id = "enrolment_codes_create", path = "/enrolment-codes", tag = "enrolment", request_body = NewCode,
    responses((status = 201, body = FreshCode), Common, Guarded, Bodied, Named, Changing))]
pub async fn create(
    State(state): State<AppState>,
    principal: Principal,
    Json(new): Json<NewCode>,
) -> Result<(StatusCode, Json<FreshCode>)> {
    principal.require_user(Role::Operator)?;
    if new.machine.is_some() && new.name.is_some() {
        return Err(ApiError::new(Code::InvalidRequest, "give `machine` or `name`, not both"));
    }
    let created_ms = state.clock.now_ms();
    let expires_ms = created_ms + life_ms(new.expires_in_seconds, DEFAULT_LIFE_SECONDS, MAX_LIFE_SECONDS)?;
    let code = audit::write(&state, move |transaction, audit| {
        let organisation = &principal.organisation;
        let machine = match (new.machine, new.name) {
            (Some(id), _) => find_machine(transaction, organisation, &id).map(|()| Some(id))?,
            (None, Some(name)) => Some(insert_machine(transaction, organisation, name.as_str(), created_ms)?),
            (None, None) => None,
        };
        let repository = new.repository.map(|name| find_repository(transaction, organisation, name.as_str()));
        let repository = repository.transpose()?;
        if let Some(group) = &new.group {
            find_group(transaction, organisation, group)?;
        }
        let code = new_code()?;
        let lets_in =
            LetsIn { machine: machine.as_deref(), repository: repository.as_deref(), group: new.group.as_deref() };
        let id = insert(transaction, organisation, &code, &lets_in, created_ms, expires_ms)?;
        let mut note = By::principal(&principal).did("enrolment-code.created", format!("enrolment code {id}"));
        if let Some(machine) = &machine {
            note = note.machine(machine);
        }
        audit.note(transaction, note)?;
        Ok(FreshCode { id, code, machine, expires_ms })
    });
    Ok((StatusCode::CREATED, Json(code.await?)))
}

/// Whom a code lets in, and where.
#[derive(Default)]
pub(crate) struct LetsIn<'a> {
    /// Id of the machine that it is for.
    pub machine: Option<&'a str>,
    /// Id of the repository where it may add images and restore its own.
    pub repository: Option<&'a str>,
    /// Id of the group that it joins.
    pub group: Option<&'a str>,
}

/// A code that nobody knows yet.
pub(crate) fn new_code() -> Result<String> {
    let mut random = [0; CODE_CHARACTERS * 5 / 8];
    getrandom::fill(&mut random).map_err(|error| ApiError::internal(format!("no random bytes: {error}")))?;
    Ok(machine_proof::code_text(&random))
}

/// Makes a code good; gives its id.
pub(crate) fn insert(
    transaction: &Transaction<'_>,
    organisation: &str,
    code: &str,
    lets_in: &LetsIn<'_>,
    created_ms: i64,
    expires_ms: i64,
) -> Result<String> {
    let normal = machine_proof::normal_code(code).ok_or_else(|| ApiError::internal("a code is none"))?;
    let id = new_id()?;
    let LetsIn { machine, repository, group } = lets_in;
    transaction.execute(
        "INSERT INTO enrolment_codes (id, organisation, hash, machine, repository, group_id, created_ms, expires_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![id, organisation, hash_of(&normal), machine, repository, group, created_ms, expires_ms],
    )?;
    Ok(id)
}

/// Adds a machine without a key.
pub(super) fn insert_machine(
    transaction: &Transaction<'_>,
    organisation: &str,
    name: &str,
    created_ms: i64,
) -> Result<String> {
    let id = new_id()?;
    let added = transaction.execute(
        "INSERT INTO machines (id, organisation, name, created_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (organisation, name) DO NOTHING",
        params![id, organisation, name, created_ms],
    )?;
    match added {
        0 => Err(ApiError::new(Code::Conflict, format!("there is a machine {name} already; give another name"))),
        _ => Ok(id),
    }
}

/// List enrolment codes
///
/// Operators and admins. Ordered by time.
#[utoipa::path(get, operation_id = "enrolment_codes_list", path = "/enrolment-codes", tag = "enrolment", params(PageQuery),
    responses((status = 200, body = Page<EnrolmentCode>), Common, Guarded))]
pub async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<EnrolmentCode>>> {
    principal.require_user(Role::Operator)?;
    let page = state.database.read(move |connection| {
        let (after_ms, after_id) = place(query.after())?;
        let mut statement = connection.prepare_cached(
            "SELECT c.id, c.machine, r.name, c.group_id, c.created_ms, c.expires_ms, c.used_ms FROM enrolment_codes c
             LEFT JOIN repositories r ON r.id = c.repository
             WHERE c.organisation = ?1 AND (c.created_ms, c.id) > (?2, ?3) ORDER BY c.created_ms, c.id LIMIT ?4",
        )?;
        let limit = query.items();
        let rows = statement.query_map(params![principal.organisation, after_ms, after_id, limit + 1], |row| {
            let (id, machine, repository, group) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let (created_ms, expires_ms, used_ms) = (row.get(4)?, row.get(5)?, row.get(6)?);
            Ok(EnrolmentCode { id, machine, repository, group, created_ms, expires_ms, used_ms })
        })?;
        let next = |code: &EnrolmentCode| format!("{}.{}", code.created_ms, code.id);
        Ok(Page::of(rows.collect::<Result<_, _>>()?, limit, next))
    });
    page.await.map(Json)
}

/// Take an enrolment code back
///
/// Operators and admins.
#[utoipa::path(delete, operation_id = "enrolment_codes_delete", path = "/enrolment-codes/{id}", tag = "enrolment",
    params(("id" = String, Path, description = "Id of the code")),
    responses((status = 204, description = "It lets nobody in now"), Common, Guarded, Named))]
pub async fn delete(State(state): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    principal.require_user(Role::Operator)?;
    audit::write(&state, move |transaction, audit| {
        let sql = "DELETE FROM enrolment_codes WHERE organisation = ?1 AND id = ?2";
        match transaction.execute(sql, [&principal.organisation, &id])? {
            0 => Err(ApiError::not_found(format_args!("enrolment code {id}"))),
            _ => {
                let by = By::principal(&principal);
                audit.note(transaction, by.did("enrolment-code.deleted", format!("enrolment code {id}")))
            }
        }
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
