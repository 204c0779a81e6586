//! Who asks: the token of a request.

use super::audit::{self, By};
use super::guesses;
use super::token_cache::GoodToken;
use super::tokens::TokenSecret;
use crate::access::{Actor, Principal, Role};
use crate::error::{ApiError, Code, Result};
use crate::state::AppState;
use axum::extract::{ConnectInfo, FromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use rusqlite::{Connection, OptionalExtension, params};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use subtle::ConstantTimeEq;

/// When a token was used last is noted at most this often.
const NOTE_USE_MS: i64 = 60_000;

/// Where a request came from; unspecified where nobody says, as in tests.
pub(super) struct Address(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip().to_canonical())))
    }
}

impl FromRequestParts<AppState> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        if let Some(principal) = parts.extensions.get::<Principal>() {
            return Ok(principal.clone());
        }
        let Ok(Address(address)) = Address::from_request_parts(parts, state).await;
        // Who shows nothing guesses nothing.
        let shown = bearer(parts).ok_or_else(no_good)?;
        let secret = TokenSecret::parse(shown);
        let good = match secret {
            Some(secret) => authenticate(state, &secret, address).await?,
            None => return Err(refuse(state, address)),
        };
        let principal = Principal { organisation: good.organisation, actor: good.actor, token: good.id, address };
        parts.extensions.insert(principal.clone());
        Ok(principal)
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, token) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn no_good() -> ApiError {
    ApiError::new(Code::NotAuthenticated, "the token is missing, unknown, expired or revoked")
}

/// One answer, whatever is wrong. A guess too many from one address gets another, which tells nothing
/// of the token either. A good token is never refused for what its neighbours do: nobody guesses 256
/// bits, the limit is there for the load and for the trail.
fn refuse(state: &AppState, address: IpAddr) -> ApiError {
    let now_ms = state.clock.now_ms();
    state.metrics.logins_refused.inc();
    match state.accounts.wrong_tokens.take(guesses::network(address), now_ms) {
        Ok(()) => no_good(),
        Err(wait_ms) => guesses::too_many(wait_ms),
    }
}

/// A token as the database has it.
struct Row {
    good: GoodToken,
    hash: [u8; 32],
    used_ms: Option<i64>,
    ended: bool,
}

async fn authenticate(state: &AppState, secret: &TokenSecret, address: IpAddr) -> Result<GoodToken> {
    let hash = secret.hash();
    let now_ms = state.clock.now_ms();
    let before = match state.accounts.tokens.get(&hash, now_ms) {
        Ok(good) => return Ok(good),
        Err(before) => before,
    };
    let row = state.database.read(move |connection| find(connection, &hash, now_ms)).await?;
    let Some(row) = row.filter(|row| bool::from(row.hash.ct_eq(&hash))) else {
        if note_is_due(state, address, now_ms) {
            tracing::warn!("{address} shows a token that is none");
        }
        return Err(refuse(state, address));
    };
    if row.ended {
        if note_is_due(state, address, now_ms) {
            let by = By::nobody(&row.good.organisation, address);
            audit::note_later(state, by.refused("token.refused", format!("token {}", row.good.id)));
        }
        return Err(refuse(state, address));
    }
    state.accounts.tokens.insert(hash, row.good.clone(), now_ms, before);
    if row.used_ms.is_none_or(|used_ms| now_ms - used_ms >= NOTE_USE_MS || used_ms > now_ms) {
        note_use(state, &row.good, now_ms);
    }
    Ok(row.good)
}

fn note_is_due(state: &AppState, address: IpAddr, now_ms: i64) -> bool {
    state.accounts.noted_refusals.take(guesses::network(address), now_ms).is_ok()
}

fn find(connection: &Connection, hash: &[u8; 32], now_ms: i64) -> Result<Option<Row>> {
    let mut statement = connection.prepare_cached(
        "SELECT t.id, t.organisation, t.hash, t.expires_ms, t.revoked_ms, t.used_ms, t.user_id, u.role, u.disabled_ms,
                t.machine
         FROM tokens t LEFT JOIN users u ON u.id = t.user_id WHERE t.hash = ?1",
    )?;
    let row = statement.query_row([hash], |row| {
        let user: Option<String> = row.get(6)?;
        let role = row.get::<_, Option<String>>(7)?.and_then(|role| Role::from_word(&role));
        let machine: Option<String> = row.get(9)?;
        let actor = match (user, role, machine) {
            (Some(id), Some(role), None) => Some(Actor::User { id, role }),
            (None, None, Some(id)) => Some(Actor::Machine { id }),
            _ => None,
        };
        let expires_ms: i64 = row.get(3)?;
        let revoked = row.get::<_, Option<i64>>(4)?.is_some();
        let disabled = row.get::<_, Option<i64>>(8)?.is_some();
        let (id, organisation, hash, used_ms) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(5)?);
        let ended = revoked || disabled || expires_ms <= now_ms;
        Ok(actor.map(|actor| Row { good: GoodToken { id, organisation, actor, expires_ms }, hash, used_ms, ended }))
    });
    Ok(row.optional()?.flatten())
}

/// Notes the use in the background: no request waits for it.
fn note_use(state: &AppState, good: &GoodToken, now_ms: i64) {
    let (state, good) = (state.clone(), good.clone());
    tokio::spawn(async move {
        let noted = state.database.write(move |transaction| {
            transaction.execute("UPDATE tokens SET used_ms = ?2 WHERE id = ?1", params![good.id, now_ms])?;
            if let Actor::Machine { id } = &good.actor {
                transaction.execute("UPDATE machines SET seen_ms = ?2 WHERE id = ?1", params![id, now_ms])?;
            }
            Ok(())
        });
        if let Err(error) = noted.await {
            tracing::error!("could not note that a token was used: {error}");
        }
    });
}
