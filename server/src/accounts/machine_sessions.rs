//! A machine opens a session by its key.

use super::audit::{self, By};
use super::guesses;
use super::principal::Address;
use super::tokens::{self, NewToken, Owner};
use crate::answers::{Bodied, Common, Guessable};
use crate::error::{ApiError, Code, Result};
use crate::json::Json;
use crate::state::AppState;
use axum::extract::State;
use holotype_repo::core::machine_proof::{self, NONCE_BYTES};
use holotype_repo::core::{WriterId, hex, signature};
use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long a session lasts.
const SESSION_MS: i64 = 3600 * 1000;
/// How far the machine's clock may be off, either way: the window has ten minutes.
const MAX_SKEW_MS: i64 = 5 * 60 * 1000;
/// Names what a proof was used for; no proof is used twice.
const ID_CONTEXT: &str = "holotype 2026 v1 machine session id";

/// A machine that wants a session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// Id of the machine.
    #[schema(min_length = 32, max_length = 32)]
    pub machine: String,
    /// The machine's time, in milliseconds since 1970 (UTC).
    pub at_ms: i64,
    /// 16 random bytes, new each time: 32 lower-case hexadecimal digits.
    #[schema(min_length = 32, max_length = 32)]
    pub nonce: String,
    /// Signature over `holotype machine session v1`, a zero byte, the machine's id (32 characters), `at_ms` (8
    /// bytes, little-endian) and the nonce (16 bytes): 128 lower-case hexadecimal digits.
    #[schema(min_length = 128, max_length = 128)]
    pub signature: String,
}

/// A machine's session.
#[derive(Serialize, ToSchema)]
pub struct MachineSession {
    /// The token: send it as `Authorization: Bearer TOKEN`. It is shown this once.
    pub token: String,
    /// When it ends, in milliseconds since 1970 (UTC).
    pub expires_ms: i64,
}

fn refused() -> ApiError {
    ApiError::new(Code::NotAuthenticated, "there is no such machine, or the signature is not by its key")
}

/// Open a machine's session
///
/// A proof counts once, and for five minutes before and after its time.
#[utoipa::path(post, operation_id = "machine_sessions_open", path = "/machines/session", tag = "machines", security(()), request_body = SessionRequest,
    responses((status = 200, body = MachineSession), Common, Guessable, Bodied))]
pub async fn open(
    State(state): State<AppState>,
    Address(address): Address,
    Json(request): Json<SessionRequest>,
) -> Result<Json<MachineSession>> {
    let invalid = |why: &str| ApiError::new(Code::InvalidRequest, why);
    let nonce: [u8; NONCE_BYTES] =
        hex::bytes(&request.nonce).ok_or_else(|| invalid("nonce has to be 32 lower-case hexadecimal digits"))?;
    let proof = hex::bytes(&request.signature)
        .ok_or_else(|| invalid("signature has to be 128 lower-case hexadecimal digits"))?;
    hex::bytes::<16>(&request.machine).ok_or_else(|| invalid("machine has to be the id of one"))?;
    let now_ms = state.clock.now_ms();
    if request.at_ms.abs_diff(now_ms) > MAX_SKEW_MS as u64 {
        let why = format!("the machine's clock is off; the server's says {now_ms} ms since 1970 (UTC)");
        return Err(ApiError::new(Code::NotAuthenticated, why));
    }
    let network = guesses::network(address);
    state.accounts.wrong_guesses.take(network, now_ms).map_err(guesses::too_many)?;
    let machine = request.machine;
    let message = machine_proof::session_message(&machine, request.at_ms, &nonce);
    let asked = machine.clone();
    let known: Option<(String, Option<String>)> = state
        .database
        .read(move |connection| {
            let sql = "SELECT organisation, public_key FROM machines WHERE id = ?1";
            Ok(connection.query_row(sql, [asked], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
        })
        .await?;
    let key = known.as_ref().and_then(|(_, key)| hex::bytes(key.as_deref()?)).map(WriterId);
    let holds =
        key.is_some_and(|key| signature::verify("session", &key, signature::MACHINE_SESSION, &message, &proof).is_ok());
    let (organisation, key) = match (known, key) {
        (Some((organisation, _)), Some(key)) if holds => (organisation, key),
        (known, _) => {
            if let Some((organisation, _)) = known {
                let by = By::nobody(&organisation, address);
                let note = by.refused("machine.session-refused", format!("machine {machine}")).machine(&machine);
                audit::note_later(&state, note);
            }
            state.metrics.logins_refused.inc();
            return Err(refused());
        }
    };
    let session = begin(&state, organisation, machine, key, &message, address).await?;
    state.accounts.wrong_guesses.give_back(network);
    Ok(Json(session))
}

/// The token's id is made of the proof, so that the database itself refuses a proof that comes again,
/// also after the server was started anew: sessions are kept for longer than a proof counts.
async fn begin(
    state: &AppState,
    organisation: String,
    machine: String,
    key: WriterId,
    message: &[u8],
    address: std::net::IpAddr,
) -> Result<MachineSession> {
    let id = hex::text(&blake3::derive_key(ID_CONTEXT, message)[..16]);
    let now_ms = state.clock.now_ms();
    audit::write(state, move |transaction, audit| {
        let by = By { actor: format!("machine {machine}"), ..By::nobody(&organisation, address) };
        let sql = "SELECT EXISTS (SELECT 1 FROM machines WHERE id = ?1 AND public_key = ?2)";
        let still: bool = transaction.query_row(sql, [&machine, &key.to_string()], |row| row.get(0))?;
        if !still {
            return Ok(Err(refused()));
        }
        let used: bool =
            transaction.query_row("SELECT EXISTS (SELECT 1 FROM tokens WHERE id = ?1)", [&id], |row| row.get(0))?;
        if used {
            audit.note(
                transaction,
                by.refused("machine.session-replayed", format!("machine {machine}")).machine(&machine),
            )?;
            return Ok(Err(ApiError::new(Code::NotAuthenticated, "this proof was used already; make a new one")));
        }
        tokens::forget_old_sessions(transaction, &organisation, now_ms)?;
        let new = NewToken {
            organisation: &organisation,
            owner: Owner::Machine(&machine),
            kind: "session",
            name: "",
            created_ms: now_ms,
            expires_ms: now_ms + SESSION_MS,
        };
        let made = tokens::insert_as(transaction, id, &new)?;
        audit.note(transaction, by.did("machine.session", format!("machine {machine}")).machine(&machine))?;
        Ok(Ok(MachineSession { token: made.secret, expires_ms: made.expires_ms }))
    })
    .await?
}
