//! A machine shows its key without a code, as one does that was booted over the network. An operator compares the key's
//! fingerprint with what the machine's screen shows, and approves it.

use super::audit::{self, By};
use super::enrolment::{Shown, shown};
use super::guesses;
use super::principal::Address;
use crate::answers::{Bodied, Common, Guessable};
use crate::error::{ApiError, Code, Result};
use crate::json::Json;
use crate::state::AppState;
use crate::text::Name;
use axum::extract::State;
use holotype_repo::core::{WriterId, hex, machine_proof, signature};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// Claims of one organisation that wait, at most.
const MAX_WAITING: u32 = 1000;
/// A machine that has not asked for so long waits no more.
const FORGOTTEN_MS: i64 = 24 * 3600 * 1000;
const ID_CONTEXT: &str = "holotype 2026 v1 machine claim id";

/// A machine that has a key and no code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// Name of the organisation; `default` where nothing is said.
    pub organisation: Option<Name>,
    /// What the machine calls itself.
    pub name: Name,
    /// Its Ed25519 public key: 64 lower-case hexadecimal digits.
    #[schema(min_length = 64, max_length = 64)]
    pub public_key: String,
    /// UUID of the machine by its firmware.
    #[schema(min_length = 36, max_length = 36)]
    pub smbios_uuid: Option<String>,
    /// Serial number of the machine by its firmware.
    pub serial: Option<Name>,
    /// Addresses of its network cards, as `00:11:22:33:44:55`; they identify nobody.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub macs: Vec<String>,
    /// Signature over `holotype machine claim v1`, a zero byte, the organisation's name, and the public key (32 bytes):
    /// 128 lower-case hexadecimal digits.
    #[schema(min_length = 128, max_length = 128)]
    pub signature: String,
}

/// How far a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClaimState {
    /// An operator has yet to look.
    Waiting,
    /// The key is the machine's.
    Approved,
    /// It is not to be.
    Refused,
}

impl ClaimState {
    pub(super) fn word(self) -> &'static str {
        match self {
            ClaimState::Waiting => "waiting",
            ClaimState::Approved => "approved",
            ClaimState::Refused => "refused",
        }
    }

    pub(super) fn of(word: &str) -> Self {
        match word {
            "waiting" => ClaimState::Waiting,
            "approved" => ClaimState::Approved,
            _ => ClaimState::Refused,
        }
    }
}

/// What a machine is told of its claim.
#[derive(Debug, Serialize, ToSchema)]
pub struct Claimed {
    /// Id of the claim.
    pub claim: String,
    /// How far it is.
    pub state: ClaimState,
    /// What the operator sees of the key, for comparison.
    pub fingerprint: String,
    /// Id of the machine, once it is approved: with it and the key it opens sessions.
    pub machine: Option<String>,
}

struct Wish {
    id: String,
    organisation: String,
    name: String,
    shown: Shown,
    address: IpAddr,
    now_ms: i64,
    takes_unknown: bool,
}

/// Claim to be a machine
///
/// To be asked again every few seconds until the state is no longer `waiting`. A key that is a machine's already is
/// `approved` at once. Where the server takes no unknown machines, one whose addresses and UUID nobody knows is `refused`.
#[utoipa::path(post, operation_id = "machine_claims_claim", path = "/machine/claims", tag = "enrolment", security(()), request_body = ClaimRequest,
    responses((status = 200, body = Claimed), Common, Guessable, Bodied))]
pub async fn claim(
    State(state): State<AppState>,
    Address(address): Address,
    Json(request): Json<ClaimRequest>,
) -> Result<Json<Claimed>> {
    let invalid = |why: &str| ApiError::new(Code::InvalidRequest, why);
    let key = hex::bytes(&request.public_key).map(WriterId);
    let key = key.ok_or_else(|| invalid("public_key has to be 64 lower-case hexadecimal digits"))?;
    let proof = hex::bytes(&request.signature)
        .ok_or_else(|| invalid("signature has to be 128 lower-case hexadecimal digits"))?;
    let organisation = request.organisation.as_ref().map_or(super::DEFAULT_ORGANISATION, Name::as_str).to_owned();
    let shown = shown(request.public_key, request.smbios_uuid, request.serial, &request.macs)?;
    let now_ms = state.clock.now_ms();
    let network = guesses::network(address);
    state.accounts.wrong_guesses.take(network, now_ms).map_err(guesses::too_many)?;
    let message = machine_proof::claim_message(&organisation, &key);
    signature::verify("claim", &key, signature::MACHINE_CLAIM, &message, &proof)
        .map_err(|_| ApiError::new(Code::NotAuthenticated, "the signature is not by that key"))?;
    let id = hex::text(&blake3::derive_key(ID_CONTEXT, &message)[..16]);
    let name = request.name.into();
    let takes_unknown = state.accounts.takes_unknown_machines();
    let wish = Wish { id: id.clone(), organisation, name, shown, address, now_ms, takes_unknown };
    let (claim_state, machine, known) =
        audit::write(&state, move |transaction, audit| claim_in(transaction, audit, &wish)).await?;
    if known {
        state.accounts.wrong_guesses.give_back(network);
    }
    let fingerprint = machine_proof::fingerprint(&key);
    Ok(Json(Claimed { claim: id, state: claim_state, fingerprint, machine }))
}

/// State, machine, and whether it was there already. An organisation that there is not answers as one where the claim
/// waits.
fn claim_in(
    transaction: &Transaction<'_>,
    audit: &mut audit::Audit,
    wish: &Wish,
) -> Result<(ClaimState, Option<String>, bool)> {
    let sql = "SELECT id FROM organisations WHERE name = ?1";
    let organisation: Option<String> = transaction.query_row(sql, [&wish.organisation], |row| row.get(0)).optional()?;
    let Some(organisation) = organisation else { return Ok((ClaimState::Waiting, None, false)) };
    let sql = "SELECT id FROM machines WHERE organisation = ?1 AND public_key = ?2";
    let has_key = transaction.query_row(sql, [&organisation, &wish.shown.public_key], |row| row.get(0)).optional()?;
    if let Some(machine) = has_key {
        return Ok((ClaimState::Approved, Some(machine), true));
    }
    let sql = "SELECT state FROM machine_claims WHERE id = ?1";
    let there: Option<String> = transaction.query_row(sql, [&wish.id], |row| row.get(0)).optional()?;
    match there.as_deref().map(ClaimState::of) {
        // Approved, and the machine got another key since: then it is to be looked at again.
        Some(ClaimState::Waiting | ClaimState::Approved) => {
            let sql = "UPDATE machine_claims SET asked_ms = ?2, state = 'waiting', machine = NULL WHERE id = ?1";
            transaction.execute(sql, params![wish.id, wish.now_ms])?;
            return Ok((ClaimState::Waiting, None, true));
        }
        Some(ClaimState::Refused) => return Ok((ClaimState::Refused, None, true)),
        None => {}
    }
    if !wish.takes_unknown && !is_known(transaction, &organisation, &wish.shown)? {
        return Ok((ClaimState::Refused, None, false));
    }
    let sql = "DELETE FROM machine_claims WHERE organisation = ?1 AND asked_ms < ?2";
    transaction.execute(sql, params![organisation, wish.now_ms - FORGOTTEN_MS])?;
    let sql = "SELECT count(*) FROM machine_claims WHERE organisation = ?1 AND state = 'waiting'";
    if transaction.query_row(sql, [&organisation], |row| row.get::<_, u32>(0))? >= MAX_WAITING {
        let why = "too many machines wait to be approved; have an operator look at them";
        return Err(ApiError::new(Code::Unavailable, why));
    }
    transaction.execute(
        "INSERT INTO machine_claims (id, organisation, public_key, name, smbios_uuid, serial, macs, address, state,
         created_ms, asked_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'waiting', ?9, ?9)",
        params![
            wish.id,
            organisation,
            wish.shown.public_key,
            wish.name,
            wish.shown.smbios_uuid,
            wish.shown.serial,
            serde_json::to_string(&wish.shown.macs).unwrap_or_default(),
            wish.address.to_string(),
            wish.now_ms
        ],
    )?;
    let by = By::nobody(&organisation, wish.address);
    audit.note(transaction, by.did("machine.claimed", format!("claim {}", wish.id)).detail(wish.name.clone()))?;
    Ok((ClaimState::Waiting, None, false))
}

/// Whether the organisation has a machine with this UUID or one of these addresses.
fn is_known(transaction: &Transaction<'_>, organisation: &str, shown: &Shown) -> Result<bool> {
    Ok(!alike(transaction, organisation, shown.smbios_uuid.as_deref(), &shown.macs)?.is_empty())
}

/// A machine that a claim may be of: id and name.
pub(super) type Alike = (String, String);

/// The organisation's machines with this UUID or one of these addresses; several where they collide, ten at most.
pub(super) fn alike(
    connection: &rusqlite::Connection,
    organisation: &str,
    smbios_uuid: Option<&str>,
    macs: &[String],
) -> Result<Vec<Alike>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name FROM machines WHERE organisation = ?1 AND (smbios_uuid = ?2 OR id IN
           (SELECT machine FROM machine_addresses WHERE kind = 'mac' AND address IN (SELECT value FROM json_each(?3))))
         ORDER BY name LIMIT 10",
    )?;
    let macs = serde_json::to_string(macs).unwrap_or_default();
    let rows = statement.query_map(params![organisation, smbios_uuid, macs], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
