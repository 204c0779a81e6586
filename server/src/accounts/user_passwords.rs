//! Users' passwords change.

use super::audit::{self, By};
use super::{first_start, guesses, passwords, sessions, users};
use crate::access::{Principal, Role};
use crate::answers::{Bodied, Changing, Common, Guarded, Named};
use crate::error::{ApiError, Code, Result};
use crate::extract::Path;
use crate::json::Json;
use crate::state::AppState;
use crate::text::SecretText;
use axum::extract::State;
use http::StatusCode;
use rusqlite::{OptionalExtension, params};
use serde::Deserialize;
use utoipa::ToSchema;

/// A password to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The new one, of 10 characters or more.
    pub password: SecretText,
    /// The old one; whoever changes their own has to give it.
    pub old_password: Option<SecretText>,
}

/// Set a user's password
///
/// One's own with the old one: other sessions end. An admin sets that of others: their sessions and tokens end.
#[utoipa::path(put, operation_id = "user_passwords_set", path = "/users/{id}/password", tag = "users", request_body = PasswordChange,
    params(("id" = String, Path, description = "Id of the user")),
    responses((status = 204, description = "It is set"), Common, Guarded, Bodied, Named, Changing))]
pub async fn set(
    State(state): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode> {
    let own = principal.require_user(Role::Viewer)? == id;
    if !own {
        principal.require_user(Role::Admin)?;
    }
    passwords::check_new(&change.password)?;
    let (organisation, user) = (principal.organisation.clone(), id.clone());
    let found: Option<(String, String, String)> = state
        .database
        .read(move |connection| {
            let sql = "SELECT u.password, u.name, o.name FROM users u JOIN organisations o ON o.id = u.organisation
                       WHERE u.organisation = ?1 AND u.id = ?2";
            let row =
                connection.query_row(sql, [organisation, user], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            Ok(row.optional()?)
        })
        .await?;
    let (stored, name, organisation_name) = found.ok_or_else(|| users::not_found(&id))?;
    if own {
        check_old(&state, &principal, &id, stored.clone(), change.old_password).await?;
    }
    let password = state.accounts.passwords.hash(change.password).await?;
    let now_ms = state.clock.now_ms();
    audit::write(&state, move |transaction, audit| {
        let sql = "UPDATE users SET password = ?2 WHERE id = ?1 AND password = ?3";
        if transaction.execute(sql, params![id, password, stored])? == 0 {
            return Err(ApiError::new(Code::Conflict, "the password was changed by somebody else just now"));
        }
        match own {
            true => users::end_sessions(transaction, &id, &principal.token, now_ms)?,
            false => {
                let sql = "UPDATE tokens SET revoked_ms = ?2 WHERE user_id = ?1 AND revoked_ms IS NULL";
                transaction.execute(sql, params![id, now_ms])?;
            }
        }
        audit.note(transaction, By::principal(&principal).did("user.password-changed", format!("user {id}")))
    })
    .await?;
    state.accounts.forget_tokens();
    first_start::forget_password(&state.data_dir, &organisation_name, &name);
    Ok(StatusCode::NO_CONTENT)
}

/// A token that was found lying about must not be enough to take the account over.
async fn check_old(
    state: &AppState,
    principal: &Principal,
    id: &str,
    stored: String,
    old: Option<SecretText>,
) -> Result<()> {
    let missing = || ApiError::new(Code::InvalidRequest, "old_password is needed to change one's own password");
    let old = old.ok_or_else(missing)?;
    let now_ms = state.clock.now_ms();
    let network = guesses::network(principal.address);
    let pair = sessions::pair_of_user(id, &network.to_string());
    state.accounts.wrong_passwords.begin(pair, now_ms).map_err(guesses::too_many)?;
    if state.accounts.passwords.verify(Some(stored), old).await? {
        state.accounts.wrong_passwords.forgive(&pair);
        return Ok(());
    }
    audit::note_later(state, By::principal(principal).refused("user.password-refused", format!("user {id}")));
    Err(ApiError::new(Code::NotAllowed, "the old password is wrong"))
}
