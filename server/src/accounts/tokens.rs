//! Tokens: 256 random bits that are shown once; the database has their hash.

use crate::clock::new_id;
use crate::error::{ApiError, Result};
use holotype_repo::core::hex;
use rusqlite::{Transaction, params};
use zeroize::{Zeroize, Zeroizing};

const PREFIX: &str = "ht_";
const SECRET_BYTES: usize = 32;

/// Longest life of a token.
pub(super) const MAX_LIFE_SECONDS: u64 = 366 * 24 * 3600;
/// Sessions that ended so long ago are forgotten.
const KEEP_SESSIONS_MS: i64 = 30 * 24 * 3600 * 1000;

/// The secret of a token. Never printed.
pub(super) struct TokenSecret(Zeroizing<String>);

impl TokenSecret {
    pub fn random() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(&mut *bytes).map_err(|error| ApiError::internal(format!("no random bytes: {error}")))?;
        let mut digits = hex::text(&*bytes);
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + digits.len()));
        text.push_str(PREFIX);
        text.push_str(&digits);
        digits.zeroize();
        Ok(Self(text))
    }

    /// What is asked with: `None` where it cannot be a token.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_one = digits.len() == 2 * SECRET_BYTES && digits.bytes().all(is_digit);
        is_one.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// What the database has of it.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.0.as_bytes()).as_bytes()
    }

    /// The text, to be shown once.
    pub fn into_text(mut self) -> String {
        std::mem::take(&mut *self.0)
    }
}

/// Whose a token is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner<'a> {
    User(&'a str),
    Machine(&'a str),
}

/// What a token is made for.
pub(super) struct NewToken<'a> {
    pub organisation: &'a str,
    pub owner: Owner<'a>,
    /// `session` or `token`.
    pub kind: &'static str,
    pub name: &'a str,
    pub created_ms: i64,
    pub expires_ms: i64,
}

/// A token that was just made.
pub(super) struct MadeToken {
    pub id: String,
    pub secret: String,
    pub expires_ms: i64,
}

/// Makes a token with a random id.
pub(super) fn insert(transaction: &Transaction<'_>, new: &NewToken<'_>) -> Result<MadeToken> {
    insert_as(transaction, new_id()?, new)
}

/// Makes a token with this id, which must not be there.
pub(super) fn insert_as(transaction: &Transaction<'_>, id: String, new: &NewToken<'_>) -> Result<MadeToken> {
    let secret = TokenSecret::random()?;
    let (user, machine) = match new.owner {
        Owner::User(id) => (Some(id), None),
        Owner::Machine(id) => (None, Some(id)),
    };
    transaction
        .prepare_cached(
            "INSERT INTO tokens (id, organisation, user_id, machine, kind, name, hash, created_ms, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id,
            new.organisation,
            user,
            machine,
            new.kind,
            new.name,
            secret.hash(),
            new.created_ms,
            new.expires_ms
        ])?;
    Ok(MadeToken { id, secret: secret.into_text(), expires_ms: new.expires_ms })
}

/// Forgets sessions of an organisation that ended long ago.
pub(super) fn forget_old_sessions(transaction: &Transaction<'_>, organisation: &str, now_ms: i64) -> Result<()> {
    let before_ms = now_ms - KEEP_SESSIONS_MS;
    transaction
        .prepare_cached(
            "DELETE FROM tokens WHERE organisation = ?1 AND created_ms < ?2 AND kind = 'session' AND expires_ms < ?2",
        )?
        .execute(params![organisation, before_ms])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_random_and_of_one_form() {
        let (one, other) = (TokenSecret::random().unwrap(), TokenSecret::random().unwrap());
        assert_ne!(one.hash(), other.hash());
        let hash = one.hash();
        let text = one.into_text();
        assert_eq!(text.len(), 67);
        assert_eq!(TokenSecret::parse(&text).unwrap().hash(), hash);
        for bad in [&text[1..], &text[..66], &text.to_uppercase(), &text.replace("ht_", "ht-"), "", "ht_", "é"] {
            assert!(TokenSecret::parse(bad).is_none(), "{bad}");
        }
    }
}
