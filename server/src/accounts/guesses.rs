//! Guesses: how many are allowed, from where, and against whom.

use crate::error::{ApiError, Code};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Addresses or accounts that are remembered at once.
const MAX_ENTRIES: usize = 10_000;
/// Wrong guesses at one account from one address before it has to wait.
const FREE_GUESSES: u32 = 5;
/// The first wait; each later one is twice as long.
const FIRST_WAIT_MS: i64 = 15_000;
/// The longest wait.
const MAX_WAIT_MS: i64 = 15 * 60_000;
/// After this long without a guess, all is forgotten.
const FORGET_MS: i64 = 60 * 60_000;

/// Whom a limit is for: an address, of IPv6 the network of one customer.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

/// A bucket for each key: so many at once, and one more each `refill_ms`.
///
/// It holds the time when the bucket would be full again; that is all there is to know of it.
pub(super) struct Buckets<Key> {
    capacity: i64,
    refill_ms: i64,
    full_again_ms: Mutex<HashMap<Key, i64>>,
}

impl<Key: Hash + Eq + Copy> Buckets<Key> {
    pub fn new(capacity: i64, refill_ms: i64) -> Self {
        Self { capacity, refill_ms, full_again_ms: Mutex::default() }
    }

    /// Takes one, or says in how many milliseconds there is one.
    pub fn take(&self, key: Key, now_ms: i64) -> Result<(), i64> {
        let mut entries = self.full_again_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&key) {
            entries.retain(|_, full| *full > now_ms);
            evict(&mut entries, |full| *full);
        }
        let full = entries.entry(key).or_insert(now_ms);
        // A clock that was set back must not lock anybody out for longer than an empty bucket does.
        let after = (*full).clamp(now_ms, now_ms + self.capacity * self.refill_ms) + self.refill_ms;
        let wait_ms = after - now_ms - self.capacity * self.refill_ms;
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        *full = after;
        Ok(())
    }

    /// Gives one back: it was no wrong guess.
    pub fn give_back(&self, key: Key) {
        let mut entries = self.full_again_ms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full) = entries.get_mut(&key) {
            *full -= self.refill_ms;
        }
    }
}

/// Room for one more: of a full table, what matters least goes.
fn evict<Key: Hash + Eq + Copy, Value>(entries: &mut HashMap<Key, Value>, rank: impl Fn(&Value) -> i64) {
    if entries.len() >= MAX_ENTRIES
        && let Some(key) = entries.iter().min_by_key(|(_, value)| rank(value)).map(|(key, _)| *key)
    {
        entries.remove(&key);
    }
}

/// Wrong passwords by account and address.
#[derive(Default)]
pub(super) struct Accounts(Mutex<HashMap<[u8; 32], Wrong>>);

struct Wrong {
    guesses: u32,
    last_ms: i64,
    wait_until_ms: i64,
}

impl Accounts {
    /// Counts a guess as wrong before it is looked at, so that guesses at the same time count too; or
    /// says for how many milliseconds none is taken.
    pub fn begin(&self, account: [u8; 32], now_ms: i64) -> Result<(), i64> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= MAX_ENTRIES && !accounts.contains_key(&account) {
            accounts.retain(|_, wrong| now_ms - wrong.last_ms < FORGET_MS);
            evict(&mut accounts, |wrong| wrong.last_ms);
        }
        let wrong = accounts.entry(account).or_insert(Wrong { guesses: 0, last_ms: now_ms, wait_until_ms: now_ms });
        if now_ms - wrong.last_ms >= FORGET_MS {
            wrong.guesses = 0;
        }
        let wait_ms = (wrong.wait_until_ms - now_ms).min(MAX_WAIT_MS);
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        wrong.guesses = wrong.guesses.saturating_add(1);
        wrong.last_ms = now_ms;
        if let Some(doublings) = wrong.guesses.checked_sub(FREE_GUESSES) {
            wrong.wait_until_ms = now_ms + (FIRST_WAIT_MS << doublings.min(10)).min(MAX_WAIT_MS);
        }
        Ok(())
    }

    /// The guess was right.
    pub fn forgive(&self, account: &[u8; 32]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }
}

/// The answer to one guess too many.
pub(super) fn too_many(wait_ms: i64) -> ApiError {
    let seconds = u64::try_from(wait_ms).unwrap_or_default().div_ceil(1000).max(1);
    ApiError::new(Code::TooManyRequests, format!("too many wrong guesses; wait {seconds} s"))
        .retry_after_seconds(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let buckets = Buckets::new(3, 1000);
        for _ in 0..3 {
            assert_eq!(buckets.take(1, 50_000), Ok(()));
        }
        assert_eq!(buckets.take(1, 50_400), Err(600));
        assert_eq!(buckets.take(2, 50_400), Ok(()));
        assert_eq!(buckets.take(1, 51_000), Ok(()));
        assert_eq!(buckets.take(1, 51_000), Err(1000));
        buckets.give_back(1);
        assert_eq!(buckets.take(1, 51_000), Ok(()));
        // The clock was set back by an hour.
        assert!(buckets.take(1, 0).unwrap_err() <= 1000);
    }

    #[test]
    fn tables_are_bounded() {
        let buckets = Buckets::new(3, 1000);
        let accounts = Accounts::default();
        for key in 0..MAX_ENTRIES as u64 + 10 {
            assert_eq!(buckets.take(key, 5), Ok(()));
            assert_eq!(accounts.begin(*blake3::hash(&key.to_le_bytes()).as_bytes(), key as i64), Ok(()));
        }
        assert_eq!(buckets.full_again_ms.lock().unwrap().len(), MAX_ENTRIES);
        assert_eq!(accounts.0.lock().unwrap().len(), MAX_ENTRIES);
    }

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour_and_are_forgotten() {
        let accounts = Accounts::default();
        let account = [1; 32];
        let mut now_ms = 0;
        for _ in 0..FREE_GUESSES {
            assert_eq!(accounts.begin(account, now_ms), Ok(()));
        }
        for expected_ms in [15_000, 30_000, 60_000, 120_000, 240_000, 480_000, 900_000, 900_000] {
            assert_eq!(accounts.begin(account, now_ms), Err(expected_ms));
            assert_eq!(accounts.begin(account, now_ms + expected_ms - 1), Err(1));
            now_ms += expected_ms;
            assert_eq!(accounts.begin(account, now_ms), Ok(()));
        }
        assert_eq!(accounts.begin([2; 32], now_ms), Ok(()));
        now_ms += FORGET_MS;
        for _ in 0..FREE_GUESSES {
            assert_eq!(accounts.begin(account, now_ms), Ok(()));
        }
        assert!(accounts.begin(account, now_ms).is_err());
        accounts.forgive(&account);
        assert_eq!(accounts.begin(account, now_ms), Ok(()));
    }

    #[test]
    fn neighbours_in_one_network_share_a_limit() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
