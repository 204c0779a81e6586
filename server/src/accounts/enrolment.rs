//! A machine enrols: with a code, and with proof that it holds its key.

use super::address_twins::{address_twins, told_of};
use super::audit::{self, Audit, By};
use super::enrolment_codes::{hash_of, insert_machine};
use super::guesses;
use super::principal::Address;
use super::tokens::{self, MAX_LIFE_SECONDS, MadeToken, NewToken, Owner};
use crate::answers::{Bodied, Changing, Common, Guessable};
use crate::error::{ApiError, Code, Result};
use crate::json::Json;
use crate::state::AppState;
use crate::text::{Name, SecretText};
use axum::extract::State;
use holotype_repo::core::{WriterId, hex, machine_proof, signature};
use http::StatusCode;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// Network cards of one machine, at most.
const MAX_MACS: usize = 64;

/// A machine that wants to enrol.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// The code; dashes, spaces and case do not matter.
    pub code: SecretText,
    /// What the machine is to be called, where the code is for none yet.
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
    /// Signature over `holotype machine enrolment v1`, a zero byte, the code in capitals without dashes, and the
    /// public key (32 bytes): 128 lower-case hexadecimal digits.
    #[schema(min_length = 128, max_length = 128)]
    pub signature: String,
}

/// A machine that is enrolled.
#[derive(Serialize, ToSchema)]
pub struct Enrolled {
    /// Id of the machine.
    pub machine: String,
    /// A token: send it as `Authorization: Bearer TOKEN`. It is shown this once.
    pub token: String,
    /// When it ends, in milliseconds since 1970 (UTC).
    pub expires_ms: i64,
}

/// What a machine shows of itself, checked. But for the key, it may lie.
pub(super) struct Shown {
    pub public_key: String,
    pub smbios_uuid: Option<String>,
    pub serial: Option<String>,
    pub macs: Vec<String>,
}

/// What was checked of a request.
struct Wish {
    code_hash: [u8; 32],
    name: String,
    shown: Shown,
    address: IpAddr,
    now_ms: i64,
}

/// A code as the database has it.
struct CodeRow {
    id: String,
    organisation: String,
    machine: Option<String>,
    repository: Option<String>,
    group: Option<String>,
    good: bool,
}

/// `00:11:22:33:44:55` in lower case.
fn normal_mac(text: &str) -> Option<String> {
    let normal = text.to_ascii_lowercase().replace('-', ":");
    let good = normal.len() == 17 && normal.split(':').all(|part| hex::bytes::<1>(part).is_some());
    (good && normal.split(':').count() == 6).then_some(normal)
}

fn normal_uuid(text: &str) -> Option<String> {
    let normal = text.to_ascii_lowercase();
    let lengths: Vec<usize> = normal.split('-').map(str::len).collect();
    let good = lengths == [8, 4, 4, 4, 12] && normal.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    good.then_some(normal)
}

fn refused() -> ApiError {
    ApiError::new(Code::NotAuthenticated, "the code is wrong, used or too old, or the signature does not hold")
}

/// Enrol a machine
///
/// The code is used up. Enrolling anew with a code for the same machine replaces its key and ends its tokens.
#[utoipa::path(post, operation_id = "enrolment_enrol", path = "/enrol", tag = "enrolment", security(()), request_body = EnrolRequest,
    responses((status = 201, body = Enrolled), Common, Guessable, Bodied, Changing))]
pub async fn enrol(
    State(state): State<AppState>,
    Address(address): Address,
    Json(request): Json<EnrolRequest>,
) -> Result<(StatusCode, Json<Enrolled>)> {
    let now_ms = state.clock.now_ms();
    let network = guesses::network(address);
    state.accounts.wrong_guesses.take(network, now_ms).map_err(guesses::too_many)?;
    let wish = check(request, address, now_ms)?;
    let (machine, made) = audit::write(&state, move |transaction, audit| enrol_in(transaction, audit, &wish))
        .await?
        .inspect_err(|_| {
            state.metrics.logins_refused.inc();
        })?;
    state.accounts.wrong_guesses.give_back(network);
    state.accounts.forget_tokens();
    let enrolled = Enrolled { machine, token: made.secret, expires_ms: made.expires_ms };
    Ok((StatusCode::CREATED, Json(enrolled)))
}

/// Checks what can be checked without the database, the signature too.
fn check(request: EnrolRequest, address: IpAddr, now_ms: i64) -> Result<Wish> {
    let invalid = |why: &str| ApiError::new(Code::InvalidRequest, why);
    let key = hex::bytes(&request.public_key).map(WriterId);
    let key = key.ok_or_else(|| invalid("public_key has to be 64 lower-case hexadecimal digits"))?;
    let signature = hex::bytes(&request.signature);
    let signature = signature.ok_or_else(|| invalid("signature has to be 128 lower-case hexadecimal digits"))?;
    let shown = shown(request.public_key, request.smbios_uuid, request.serial, &request.macs)?;
    let code = machine_proof::normal_code(request.code.expose()).ok_or_else(refused)?;
    let message = machine_proof::enrolment_message(&code, &key);
    signature::verify("enrolment", &key, signature::MACHINE_ENROLMENT, &message, &signature).map_err(|_| refused())?;
    Ok(Wish { code_hash: hash_of(&code), name: request.name.into(), shown, address, now_ms })
}

/// Checks what a machine shows of itself.
pub(super) fn shown(
    public_key: String,
    smbios_uuid: Option<String>,
    serial: Option<Name>,
    macs: &[String],
) -> Result<Shown> {
    let invalid = |why: &str| ApiError::new(Code::InvalidRequest, why);
    if macs.len() > MAX_MACS {
        return Err(invalid("macs: there are too many"));
    }
    let macs = macs.iter().map(|mac| normal_mac(mac)).collect::<Option<_>>();
    let macs = macs.ok_or_else(|| invalid("macs have to be of the form 00:11:22:33:44:55"))?;
    let smbios_uuid = smbios_uuid.map(|uuid| normal_uuid(&uuid).ok_or_else(|| invalid("smbios_uuid is none")));
    Ok(Shown { public_key, smbios_uuid: smbios_uuid.transpose()?, serial: serial.map(String::from), macs })
}

/// Makes this the machine's key and ends what was given to the key before. Gives a sentence where the machine has an
/// address of another one.
pub(super) fn take_key(
    transaction: &Transaction<'_>,
    machine: &str,
    shown: &Shown,
    now_ms: i64,
) -> Result<Option<String>> {
    let before = address_twins(transaction, machine)?;
    transaction.execute(
        "UPDATE machines SET public_key = ?2, smbios_uuid = coalesce(?3, smbios_uuid), serial = coalesce(?4, serial),
         seen_ms = ?5 WHERE id = ?1",
        params![machine, shown.public_key, shown.smbios_uuid, shown.serial, now_ms],
    )?;
    let sql = "UPDATE tokens SET revoked_ms = ?2 WHERE machine = ?1 AND revoked_ms IS NULL";
    transaction.execute(sql, params![machine, now_ms])?;
    transaction.execute("DELETE FROM machine_addresses WHERE machine = ?1 AND kind = 'mac'", [machine])?;
    for mac in &shown.macs {
        let sql = "INSERT OR IGNORE INTO machine_addresses (machine, kind, address) VALUES (?1, 'mac', ?2)";
        transaction.execute(sql, [machine, mac.as_str()])?;
    }
    Ok(told_of(&address_twins(transaction, machine)?, &before))
}

/// Notes that a machine has an address of another one, where it has.
pub(super) fn note_twins(
    transaction: &Transaction<'_>,
    audit: &mut Audit,
    by: &By,
    machine: &str,
    told: Option<String>,
) -> Result<()> {
    let Some(told) = told else { return Ok(()) };
    tracing::warn!(machine, "{told}");
    audit
        .note(transaction, by.did("machine.address-shared", format!("machine {machine}")).machine(machine).detail(told))
}

/// Gives a machine its place: the repository where it may add images and restore its own, and its group.
pub(super) fn let_in(
    transaction: &Transaction<'_>,
    machine: &str,
    repository: Option<&str>,
    group: Option<&str>,
) -> Result<()> {
    if let Some(repository) = repository {
        transaction.execute(
            "INSERT INTO machine_repositories (machine, repository) VALUES (?1, ?2)
             ON CONFLICT (machine, repository) DO NOTHING",
            [machine, repository],
        )?;
    }
    if let Some(group) = group {
        transaction
            .execute("INSERT OR IGNORE INTO group_machines (group_id, machine) VALUES (?1, ?2)", [group, machine])?;
    }
    Ok(())
}

/// The outer error rolls back, the code stays good then; the inner one is a guess, which is noted.
fn enrol_in(transaction: &Transaction<'_>, audit: &mut Audit, wish: &Wish) -> Result<Result<(String, MadeToken)>> {
    let Some(code) = find_code(transaction, wish)? else { return Ok(Err(refused())) };
    let by = By::nobody(&code.organisation, wish.address);
    if !code.good {
        audit.note(transaction, by.refused("machine.enrol-refused", format!("enrolment code {}", code.id)))?;
        return Ok(Err(refused()));
    }
    transaction.execute("UPDATE enrolment_codes SET used_ms = ?2 WHERE id = ?1", params![code.id, wish.now_ms])?;
    let machine = machine_of(transaction, &code, wish)?;
    let twins = take_key(transaction, &machine, &wish.shown, wish.now_ms)?;
    let_in(transaction, &machine, code.repository.as_deref(), code.group.as_deref())?;
    let made = tokens::insert(
        transaction,
        &NewToken {
            organisation: &code.organisation,
            owner: Owner::Machine(&machine),
            kind: "token",
            name: "enrolment",
            created_ms: wish.now_ms,
            expires_ms: wish.now_ms + MAX_LIFE_SECONDS as i64 * 1000,
        },
    )?;
    let by = By { actor: format!("machine {machine}"), ..by };
    let note = by.did("machine.enrolled", format!("machine {machine}")).machine(&machine);
    audit.note(transaction, note.detail(format!("enrolment code {}", code.id)))?;
    note_twins(transaction, audit, &by, &machine, twins)?;
    Ok(Ok((machine, made)))
}

fn find_code(transaction: &Transaction<'_>, wish: &Wish) -> Result<Option<CodeRow>> {
    let sql = "SELECT id, organisation, machine, repository, group_id, used_ms IS NULL AND expires_ms > ?2
               FROM enrolment_codes WHERE hash = ?1";
    let row = transaction.query_row(sql, params![wish.code_hash, wish.now_ms], |row| {
        let (id, organisation, machine) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (repository, group, good) = (row.get(3)?, row.get(4)?, row.get(5)?);
        Ok(CodeRow { id, organisation, machine, repository, group, good })
    });
    Ok(row.optional()?)
}

/// The machine that enrols: the code's, the one that has this key already, or a new one.
fn machine_of(transaction: &Transaction<'_>, code: &CodeRow, wish: &Wish) -> Result<String> {
    let sql = "SELECT id, organisation FROM machines WHERE public_key = ?1";
    let has_key: Option<(String, String)> =
        transaction.query_row(sql, [&wish.shown.public_key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match (&code.machine, has_key) {
        // Who holds the key knows already that it is in use; nobody else gets here.
        (_, Some((_, organisation))) if organisation != code.organisation => {
            Err(ApiError::new(Code::Conflict, "this key cannot be used; make a new one"))
        }
        (Some(machine), Some((id, _))) if *machine != id => {
            Err(ApiError::new(Code::Conflict, "this key is that of another machine; make a new one"))
        }
        (Some(machine), _) => Ok(machine.clone()),
        (None, Some((id, _))) => Ok(id),
        (None, None) => insert_machine(transaction, &code.organisation, &wish.name, wish.now_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_uuids_have_one_form() {
        assert_eq!(normal_mac("00-1A:2b:33:44:ff").as_deref(), Some("00:1a:2b:33:44:ff"));
        for bad in
            ["", "00:11:22:33:44", "00:11:22:33:44:5g", "0:011:22:33:44:55", "é0:11:22:33:44:5", "001:1:22:33:44:55"]
        {
            assert_eq!(normal_mac(bad), None, "{bad}");
        }
        let uuid = "4C4C4544-0043-3010-8052-B4C04F564231";
        assert_eq!(normal_uuid(uuid), Some(uuid.to_ascii_lowercase()));
        assert_eq!(normal_uuid(&uuid.replace('-', "0")), None);
    }
}
