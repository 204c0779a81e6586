//! Claims, as operators see them: they approve or refuse them.

use super::audit::{self, By};
use super::claims::{ClaimState, alike};
use super::enrolment::{Shown, let_in, note_twins, take_key};
use super::enrolment_codes::insert_machine;
use super::machine_rights::{find_group, find_machine, find_repository};
use super::token_list::place;
use crate::access::{Principal, Role};
use crate::answers::{Bodied, Changing, Common, Guarded, Named};
use crate::error::{ApiError, Code, Result};
use crate::extract::{Path, Query};
use crate::json::Json;
use crate::page::{Page, PageQuery};
use crate::state::AppState;
use crate::text::Name;
use axum::extract::State;
use holotype_repo::core::{WriterId, machine_proof};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A machine that a claim may be of.
#[derive(Debug, Serialize, ToSchema)]
pub struct Candidate {
    /// Id of the machine.
    pub machine: String,
    /// Its name.
    pub name: String,
}

/// A machine that shows a key and waits for an operator.
#[derive(Debug, Serialize, ToSchema)]
pub struct Claim {
    /// Id of the claim.
    pub id: String,
    /// What the machine calls itself.
    pub name: String,
    /// What is to be compared with what its screen shows.
    pub fingerprint: String,
    /// Its Ed25519 public key.
    pub public_key: String,
    /// UUID by its firmware, as it says.
    pub smbios_uuid: Option<String>,
    /// Serial number by its firmware, as it says.
    pub serial: Option<String>,
    /// Addresses of its network cards, as it says.
    pub macs: Vec<String>,
    /// From where it asked first.
    pub address: String,
    /// How far it is.
    pub state: ClaimState,
    /// Id of the machine whose key it became.
    pub machine: Option<String>,
    /// Machines with that UUID or one of those addresses.
    pub candidates: Vec<Candidate>,
    /// When it asked first, in milliseconds since 1970 (UTC).
    pub created_ms: i64,
    /// When it asked last.
    pub asked_ms: i64,
}

const SELECT: &str = "SELECT id, name, public_key, smbios_uuid, serial, macs, address, state, machine, created_ms,
    asked_ms FROM machine_claims WHERE organisation = ?1";

fn claim_of(row: &Row<'_>) -> rusqlite::Result<Claim> {
    let (public_key, macs, state): (String, String, String) = (row.get(2)?, row.get(5)?, row.get(7)?);
    let fingerprint = public_key.parse::<WriterId>().map(|key| machine_proof::fingerprint(&key)).unwrap_or_default();
    Ok(Claim {
        id: row.get(0)?,
        name: row.get(1)?,
        fingerprint,
        public_key,
        smbios_uuid: row.get(3)?,
        serial: row.get(4)?,
        macs: serde_json::from_str(&macs).unwrap_or_default(),
        address: row.get(6)?,
        state: ClaimState::of(&state),
        machine: row.get(8)?,
        candidates: Vec::new(),
        created_ms: row.get(9)?,
        asked_ms: row.get(10)?,
    })
}

fn with_candidates(connection: &Connection, organisation: &str, mut claim: Claim) -> Result<Claim> {
    let alike = alike(connection, organisation, claim.smbios_uuid.as_deref(), &claim.macs)?;
    claim.candidates = alike.into_iter().map(|(machine, name)| Candidate { machine, name }).collect();
    Ok(claim)
}

fn find(connection: &Connection, organisation: &str, id: &str) -> Result<Claim> {
    let sql = format!("{SELECT} AND id = ?2");
    let found = connection.prepare_cached(&sql)?.query_row([organisation, id], claim_of).optional()?;
    let claim = found.ok_or_else(|| ApiError::not_found(format_args!("claim {id}")))?;
    with_candidates(connection, organisation, claim)
}

/// List the machines that wait to be approved
///
/// Operators and admins. Ordered by time.
#[utoipa::path(get, operation_id = "machine_claims_list", path = "/machine-claims", tag = "enrolment", params(PageQuery),
    responses((status = 200, body = Page<Claim>), Common, Guarded))]
pub async fn list(
    State(state): State<AppState>,
    principal: Principal,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Claim>>> {
    principal.require_user(Role::Operator)?;
    let page = state.database.read(move |connection| {
        let (after_ms, after_id) = place(query.after())?;
        let sql =
            format!("{SELECT} AND state = 'waiting' AND (created_ms, id) > (?2, ?3) ORDER BY created_ms, id LIMIT ?4");
        let limit = query.items();
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![principal.organisation, after_ms, after_id, limit + 1], claim_of)?;
        let mut claims = Vec::new();
        for claim in rows {
            claims.push(with_candidates(connection, &principal.organisation, claim?)?);
        }
        Ok(Page::of(claims, limit, |claim| format!("{}.{}", claim.created_ms, claim.id)))
    });
    page.await.map(Json)
}

/// What an approved claim becomes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Id of the machine whose key it becomes. Without it: the one candidate, or where there is none a new machine.
    pub machine: Option<String>,
    /// Name of a new machine; what it calls itself without it.
    pub name: Option<Name>,
    /// Name of the repository where the machine may add images and restore its own.
    pub repository: Option<Name>,
    /// Id of the group that the machine joins.
    pub group: Option<String>,
}

/// Approve a machine that waits
///
/// Operators and admins. The key replaces the machine's former one, whose tokens end.
#[utoipa::path(post, operation_id = "machine_claims_approve", path = "/machine-claims/{id}/approve", tag = "enrolment",
    params(("id" = String, Path, description = "Id of the claim")), request_body = Approval,
    responses((status = 200, body = Claim), Common, Guarded, Bodied, Named, Changing))]
pub async fn approve(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(approval): Json<Approval>,
) -> Result<Json<Claim>> {
    principal.require_user(Role::Operator)?;
    let now_ms = state.clock.now_ms();
    let claim = audit::write(&state, move |transaction, audit| {
        let organisation = &principal.organisation;
        let claim = find(transaction, organisation, &id)?;
        if claim.state != ClaimState::Waiting {
            return Err(ApiError::new(Code::Conflict, format!("the claim is {}, not waiting", claim.state.word())));
        }
        let machine = machine_of(transaction, organisation, &claim, &approval, now_ms)?;
        let shown = Shown {
            public_key: claim.public_key,
            smbios_uuid: claim.smbios_uuid,
            serial: claim.serial,
            macs: claim.macs,
        };
        let sql = "SELECT 1 FROM machines WHERE public_key = ?1 AND id <> ?2";
        if transaction.query_row(sql, [&shown.public_key, &machine], |_| Ok(())).optional()?.is_some() {
            return Err(ApiError::new(Code::Conflict, "this key is another machine's"));
        }
        let twins = take_key(transaction, &machine, &shown, now_ms)?;
        let repository = approval.repository.map(|name| find_repository(transaction, organisation, name.as_str()));
        if let Some(group) = &approval.group {
            find_group(transaction, organisation, group)?;
        }
        let_in(transaction, &machine, repository.transpose()?.as_deref(), approval.group.as_deref())?;
        let sql = "UPDATE machine_claims SET state = 'approved', machine = ?2 WHERE id = ?1";
        transaction.execute(sql, [&id, &machine])?;
        let note = By::principal(&principal).did("machine.approved", format!("claim {id}")).machine(&machine);
        audit.note(transaction, note.detail(format!("key {}", claim.fingerprint)))?;
        note_twins(transaction, audit, &By::principal(&principal), &machine, twins)?;
        find(transaction, organisation, &id)
    });
    let claim = claim.await?;
    state.accounts.forget_tokens();
    Ok(Json(claim))
}

fn machine_of(
    transaction: &Transaction<'_>,
    organisation: &str,
    claim: &Claim,
    approval: &Approval,
    now_ms: i64,
) -> Result<String> {
    if let Some(machine) = &approval.machine {
        find_machine(transaction, organisation, machine)?;
        return Ok(machine.clone());
    }
    match (&claim.candidates[..], &approval.name) {
        ([one], None) => {
            let sql = "SELECT smbios_uuid FROM machines WHERE id = ?1";
            let known: Option<String> = transaction.query_row(sql, [&one.machine], |row| row.get(0))?;
            match (&known, &claim.smbios_uuid) {
                (Some(known), Some(shown)) if known != shown => {
                    let why = format!(
                        "{} has its address and another UUID: it is another PC, or that one with a new board; say which \
                         machine it is, or give it a name of its own",
                        one.name
                    );
                    Err(ApiError::new(Code::Conflict, why))
                }
                _ => Ok(one.machine.clone()),
            }
        }
        ([], name) => {
            let name = name.as_ref().map_or(claim.name.as_str(), Name::as_str);
            insert_machine(transaction, organisation, name, now_ms)
        }
        (_, Some(name)) => insert_machine(transaction, organisation, name.as_str(), now_ms),
        (several, None) => {
            let names: Vec<&str> = several.iter().map(|candidate| candidate.name.as_str()).collect();
            let why = format!("several machines have its addresses: {}; say which one it is", names.join(", "));
            Err(ApiError::new(Code::Conflict, why))
        }
    }
}

/// Refuse a machine that waits
///
/// Operators and admins. A refused key stays refused until nobody asks for it for a day.
#[utoipa::path(post, operation_id = "machine_claims_refuse", path = "/machine-claims/{id}/refuse", tag = "enrolment",
    params(("id" = String, Path, description = "Id of the claim")),
    responses((status = 200, body = Claim), Common, Guarded, Named, Changing))]
pub async fn refuse(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Claim>> {
    principal.require_user(Role::Operator)?;
    let claim = audit::write(&state, move |transaction, audit| {
        let claim = find(transaction, &principal.organisation, &id)?;
        if claim.state != ClaimState::Waiting {
            return Err(ApiError::new(Code::Conflict, format!("the claim is {}, not waiting", claim.state.word())));
        }
        transaction.execute("UPDATE machine_claims SET state = 'refused' WHERE id = ?1", [&id])?;
        audit.note(transaction, By::principal(&principal).did("machine.refused", format!("claim {id}")))?;
        find(transaction, &principal.organisation, &id)
    });
    claim.await.map(Json)
}
