//! Tokens that were good a moment ago, so that not every request reads the database.

use crate::access::Actor;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long one is believed: another process may have changed the database meanwhile.
const BELIEVED_MS: i64 = 5_000;
const MAX_ENTRIES: usize = 10_000;

/// What a good token says.
#[derive(Debug, Clone)]
pub(super) struct GoodToken {
    pub id: String,
    pub organisation: String,
    pub actor: Actor,
    pub expires_ms: i64,
}

#[derive(Default)]
struct Entries {
    /// Counts what was revoked: what was read before that must not come in after it.
    revocations: u64,
    by_hash: HashMap<[u8; 32], (GoodToken, i64)>,
}

/// Good tokens by hash.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<Entries>);

/// The state of the cache before the database was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before(u64);

impl TokenCache {
    /// The token, if it was good a moment ago; else what [`TokenCache::insert`] wants to know.
    pub fn get(&self, hash: &[u8; 32], now_ms: i64) -> Result<GoodToken, Before> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.by_hash.get(hash) {
            Some((good, read_ms)) if (0..BELIEVED_MS).contains(&(now_ms - read_ms)) && now_ms < good.expires_ms => {
                Ok(good.clone())
            }
            _ => Err(Before(entries.revocations)),
        }
    }

    /// Keeps a token that the database had after `before`.
    pub fn insert(&self, hash: [u8; 32], good: GoodToken, now_ms: i64, before: Before) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.revocations != before.0 {
            return;
        }
        if entries.by_hash.len() >= MAX_ENTRIES {
            entries.by_hash.clear();
        }
        entries.by_hash.insert(hash, (good, now_ms));
    }

    /// Something was revoked or changed: everything is read anew.
    pub fn forget(&self) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.revocations += 1;
        entries.by_hash.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> GoodToken {
        let actor = Actor::Machine { id: "m".to_owned() };
        GoodToken { id: "t".to_owned(), organisation: "o".to_owned(), actor, expires_ms: 3_000 }
    }

    #[test]
    fn a_token_is_believed_for_a_moment() {
        let cache = TokenCache::default();
        let before = cache.get(&[1; 32], 0).unwrap_err();
        cache.insert([1; 32], good(), 0, before);
        assert!(cache.get(&[1; 32], 2_999).is_ok());
        assert!(cache.get(&[1; 32], 3_000).is_err(), "it has expired");
        assert!(cache.get(&[1; 32], -1).is_err(), "the clock was set back");
        cache.insert([1; 32], GoodToken { expires_ms: 99_000, ..good() }, 0, before);
        assert!(cache.get(&[1; 32], BELIEVED_MS - 1).is_ok());
        assert!(cache.get(&[1; 32], BELIEVED_MS).is_err());
    }

    #[test]
    fn what_was_read_before_a_revocation_does_not_come_in() {
        let cache = TokenCache::default();
        let before = cache.get(&[1; 32], 0).unwrap_err();
        cache.forget();
        cache.insert([1; 32], good(), 0, before);
        assert!(cache.get(&[1; 32], 0).is_err());
    }
}
