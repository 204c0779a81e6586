//! The keys of granted images: sealed to one machine's key by who may open the image. The server keeps what it cannot read.

use super::audit::{self, By};
use super::machine_rights::{find_machine, find_repository};
use crate::access::{Principal, Role};
use crate::answers::{Bodied, Changing, Common, Guarded, Named};
use crate::error::{ApiError, Code, Result};
use crate::extract::Path;
use crate::objects::policy;
use crate::state::AppState;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use holotype_repo::grant::GrantRecord;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use rusqlite::{OptionalExtension, params};

/// Longest grant that is kept: 64 bytes for each pack, so of an image of some 15 TB.
const MAX_BYTES: usize = 16 << 20;

/// Store the keys of a granted image
///
/// Operators and admins. They grant the image too. They must be for the machine's present key.
#[utoipa::path(put, operation_id = "grant_keys_put", path = "/machines/{id}/grants/{repository}/{image}/keys", tag = "machines",
    params(("id" = String, Path, description = "Id of the machine"), ("repository" = String, Path, description = "Its name"),
        ("image" = String, Path, description = "Name of the image object")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204, description = "They are stored"), Common, Guarded, Bodied, Named, Changing))]
pub async fn put(
    State(state): State<AppState>,
    principal: Principal,
    Path((id, repository, image)): Path<(String, String, String)>,
    body: Body,
) -> Result<StatusCode> {
    principal.require_user(Role::Operator)?;
    let invalid = |why: String| ApiError::new(Code::InvalidRequest, why);
    let (organisation, asked, name) = (principal.organisation.clone(), id.clone(), repository.clone());
    let known = state.database.read(move |connection| {
        find_machine(connection, &organisation, &asked)?;
        find_repository(connection, &organisation, &name)
    });
    known.await?;
    let keys = match Limited::new(body, MAX_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(ApiError::new(Code::TooLarge, format!("a grant has {MAX_BYTES} bytes at most")));
        }
        Err(_) => return Err(invalid("the body broke off".into())),
    };
    let record = GrantRecord::decode(&keys).map_err(|error| invalid(format!("the body is no grant: {error}")))?;
    if record.image.to_string() != image {
        return Err(invalid(format!("the grant is of image {}", record.image)));
    }
    let granted_ms = state.clock.now_ms();
    audit::write(&state, move |transaction, audit| {
        find_machine(transaction, &principal.organisation, &id)?;
        let repository = find_repository(transaction, &principal.organisation, &repository)?;
        let sql = "SELECT public_key FROM machines WHERE id = ?1";
        let key: Option<String> = transaction.query_row(sql, [&id], |row| row.get(0))?;
        if key != Some(record.machine.to_string()) {
            let why = "the grant is for another key than the machine's; make it anew";
            return Err(ApiError::new(Code::Conflict, why));
        }
        transaction.execute(
            "INSERT INTO image_grants (repository, image, machine, granted_ms, keys, public_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (machine, repository, image) DO UPDATE SET keys = ?5, public_key = ?6",
            params![repository, image, id, granted_ms, &keys[..], key],
        )?;
        let note = By::principal(&principal).did("image.keys-granted", format!("image {image}")).machine(&id);
        audit.note(transaction, note.detail(format!("repository {repository}")))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get the keys of an image that is granted to the machine that asks
///
/// 404 where no operator has granted them to the machine's present key, or the grant has ended.
#[utoipa::path(get, operation_id = "grant_keys_get", path = "/machine/grants/{repository}/{image}/keys", tag = "machine side",
    params(("repository" = String, Path, description = "Its name"),
        ("image" = String, Path, description = "Name of the image object")),
    responses((status = 200, description = "The keys, sealed to the machine's key", body = Vec<u8>, content_type = "application/octet-stream"),
        Common, Guarded, Named))]
pub async fn get(
    State(state): State<AppState>,
    principal: Principal,
    Path((repository, image)): Path<(String, String)>,
) -> Result<Response> {
    let machine = principal.require_machine()?.to_owned();
    let now_ms = state.clock.now_ms();
    let keys = state.database.read(move |connection| {
        let repository = policy::find(connection, &principal, &repository)?.id;
        let sql = "SELECT g.keys FROM image_grants g JOIN machines m ON m.id = g.machine
            WHERE g.machine = ?1 AND g.repository = ?2 AND g.image = ?3 AND g.public_key = m.public_key
            AND coalesce(g.expires_ms > ?4, 1)";
        let row = connection.query_row(sql, params![machine, repository, image, now_ms], |row| row.get(0));
        let keys: Option<Vec<u8>> = row.optional()?.flatten();
        keys.ok_or_else(|| ApiError::not_found(format_args!("grant of image {image}")))
    });
    Ok(([(CONTENT_TYPE, "application/octet-stream")], keys.await?).into_response())
}
