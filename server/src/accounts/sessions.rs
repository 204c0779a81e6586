//! Users log in and out.

use super::audit::{self, By};
use super::guesses;
use super::principal::Address;
use super::tokens::{self, NewToken, Owner};
use crate::access::{Principal, Role};
use crate::answers::{Bodied, Common, Guarded, Guessable};
use crate::error::{ApiError, Code, Result};
use crate::json::Json;
use crate::state::AppState;
use crate::text::{Name, SecretText};
use axum::extract::State;
use http::StatusCode;
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long a session lasts.
const SESSION_MS: i64 = 12 * 3600 * 1000;

/// Who logs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// Name of the organisation; `default` without it.
    pub organisation: Option<Name>,
    /// Name of the user.
    pub user: Name,
    /// Their password.
    pub password: SecretText,
}

/// A session.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// The token: send it as `Authorization: Bearer TOKEN`. It is shown this once.
    pub token: String,
    /// When it ends, in milliseconds since 1970 (UTC).
    pub expires_ms: i64,
    /// Id of the user.
    pub user: String,
    /// What they may do.
    pub role: Role,
}

struct Account {
    organisation: String,
    /// Id, role, hash of the password, whether they may log in.
    user: Option<(String, Role, String, bool)>,
}

/// Log in
///
/// A user that is not there and a wrong password get the same answer after the same time.
#[utoipa::path(post, operation_id = "sessions_login", path = "/login", tag = "accounts", security(()), request_body = LoginRequest,
    responses((status = 200, body = Session), Common, Guessable, Bodied))]
pub async fn login(
    State(state): State<AppState>,
    Address(address): Address,
    Json(request): Json<LoginRequest>,
) -> Result<Json<Session>> {
    let now_ms = state.clock.now_ms();
    let network = guesses::network(address);
    let organisation = request.organisation.as_ref().map_or("default", Name::as_str).to_owned();
    let user = request.user.as_str().to_owned();
    let pair = pair(&organisation, &user, &network.to_string());
    state.accounts.wrong_passwords.begin(pair, now_ms).map_err(guesses::too_many)?;
    state.accounts.wrong_guesses.take(network, now_ms).map_err(guesses::too_many)?;

    let account = state.database.read(move |connection| find(connection, &organisation, &user)).await?;
    let stored = account.as_ref().and_then(|account| account.user.as_ref()).map(|user| user.2.clone());
    let right = state.accounts.passwords.verify(stored, request.password).await?;
    match account {
        Some(Account { organisation, user: Some((id, role, stored, true)) }) if right => {
            let session = begin(&state, organisation, id, role, stored, address).await?;
            state.accounts.wrong_passwords.forgive(&pair);
            state.accounts.wrong_guesses.give_back(network);
            Ok(Json(session))
        }
        account => {
            if let Some(account) = account {
                // A name that is nobody's is not noted: it may be a password in the wrong field.
                let user = account.user.map_or("an unknown user".to_owned(), |user| format!("user {}", user.0));
                let by = By::nobody(&account.organisation, address);
                audit::note_later(&state, by.refused("user.login-refused", user));
            }
            state.metrics.logins_refused.inc();
            Err(refused())
        }
    }
}

fn refused() -> ApiError {
    ApiError::new(Code::NotAuthenticated, "the organisation, the user or the password is wrong")
}

/// Whom guesses are counted for. Each part has its length before it, so that no two are the same.
fn pair(organisation: &str, user: &str, network: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [organisation, user, network] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Counts guesses at a password that is asked for again.
pub(super) fn pair_of_user(user: &str, network: &str) -> [u8; 32] {
    pair("", user, network)
}

fn find(connection: &Connection, organisation: &str, user: &str) -> Result<Option<Account>> {
    let id: Option<String> = connection
        .prepare_cached("SELECT id FROM organisations WHERE name = ?1")?
        .query_row([organisation], |row| row.get(0))
        .optional()?;
    let user = connection
        .prepare_cached(
            "SELECT id, role, password, disabled_ms IS NULL FROM users WHERE organisation = ?1 AND name = ?2",
        )?
        .query_row(params![id, user], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let user = user.and_then(|(id, role, password, enabled)| Some((id, Role::from_word(&role)?, password, enabled)));
    Ok(id.map(|organisation| Account { organisation, user }))
}

async fn begin(
    state: &AppState,
    organisation: String,
    user: String,
    role: Role,
    stored: String,
    address: std::net::IpAddr,
) -> Result<Session> {
    let now_ms = state.clock.now_ms();
    audit::write(state, move |transaction, audit| {
        // Whoever was disabled, or has another password since it was looked at, does not come in.
        let still: bool = transaction
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM users WHERE id = ?1 AND password = ?2 AND disabled_ms IS NULL)",
            )?
            .query_row(params![user, stored], |row| row.get(0))?;
        if !still {
            return Err(refused());
        }
        tokens::forget_old_sessions(transaction, &organisation, now_ms)?;
        let made = tokens::insert(
            transaction,
            &NewToken {
                organisation: &organisation,
                owner: Owner::User(&user),
                kind: "session",
                name: "",
                created_ms: now_ms,
                expires_ms: now_ms + SESSION_MS,
            },
        )?;
        let by = By { actor: format!("user {user}"), ..By::nobody(&organisation, address) };
        audit.note(transaction, by.did("user.login", format!("user {user}")))?;
        Ok(Session { token: made.secret, expires_ms: made.expires_ms, user, role })
    })
    .await
}

/// Log out
///
/// The token of this request ends, whatever kind it is of.
#[utoipa::path(post, operation_id = "sessions_logout", path = "/logout", tag = "accounts",
    responses((status = 204, description = "The token is worth nothing now"), Common, Guarded))]
pub async fn logout(State(state): State<AppState>, principal: Principal) -> Result<StatusCode> {
    let now_ms = state.clock.now_ms();
    audit::write(&state, move |transaction, audit| {
        transaction.execute(
            "UPDATE tokens SET revoked_ms = coalesce(revoked_ms, ?2) WHERE id = ?1",
            params![principal.token, now_ms],
        )?;
        let by = By::principal(&principal);
        audit.note(transaction, by.did("user.logout", format!("token {}", principal.token)))
    })
    .await?;
    state.accounts.forget_tokens();
    Ok(StatusCode::NO_CONTENT)
}
