//! The server's clock, and random names.

use crate::error::{ApiError, Result};
use holotype_repo::core::hex;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 (UTC); 0 where the clock stands before that.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A new id: 128 random bits in hexadecimal digits.
///
/// # Errors
/// Where the operating system has no random bytes.
pub fn new_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| ApiError::internal(format!("no random bytes: {error}")))?;
    Ok(hex::text(&bytes))
}

/// A clock that tests can set.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        Self(None)
    }

    /// One that stands at what `now_ms` holds.
    pub fn manual(now_ms: Arc<AtomicI64>) -> Self {
        Self(Some(now_ms))
    }

    /// Milliseconds since 1970 (UTC).
    pub fn now_ms(&self) -> i64 {
        self.0.as_ref().map_or_else(now_ms, |at| at.load(Ordering::SeqCst))
    }
}
