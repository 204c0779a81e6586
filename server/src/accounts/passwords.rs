//! Passwords: Argon2id (RFC 9106), stored as PHC strings.

use crate::database::blocking;
use crate::error::{ApiError, Code, Result};
use crate::text::SecretText;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, ParamsBuilder, PasswordHasher, PasswordVerifier, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// Memory in KiB, passes and lanes of new hashes.
const MEMORY_KIB: u32 = 32 << 10;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What is read: weaker hashes are not believed, heavier ones would stop the server.
const MEMORY_KIB_READ: std::ops::RangeInclusive<u32> = 19 << 10..=256 << 10;
const PASSES_READ: std::ops::RangeInclusive<u32> = 2..=10;
const LANES_READ: std::ops::RangeInclusive<u32> = 1..=4;
const SALT_BYTES: usize = 16;
/// Shorter passwords are refused.
const MIN_PASSWORD_CHARACTERS: usize = 10;
/// Derivations at once, and how many may wait for them.
const AT_ONCE: usize = 2;
const MAX_WAITING: usize = 64;
/// The hash of no password, with the parameters of real ones: a guess at a user that is not there takes
/// as long as any other.
const NOBODY: &str =
    "$argon2id$v=19$m=32768,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Derives from passwords, a few at once, on threads that may block.
pub(super) struct Passwords {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_ONCE)), waiting: AtomicUsize::new(0) }
    }
}

impl Passwords {
    /// What to store of a password.
    pub async fn hash(&self, password: SecretText) -> Result<String> {
        self.run(move || hash_blocking(&password)).await
    }

    /// Whether `password` is the one of `stored`; takes as long where nothing is stored.
    pub async fn verify(&self, stored: Option<String>, password: SecretText) -> Result<bool> {
        self.run(move || {
            let right = verify_blocking(stored.as_deref().unwrap_or(NOBODY), &password)?;
            Ok(right && stored.is_some())
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = {
            let _waiting = Waiting::begin(&self.waiting)?;
            Arc::clone(&self.permits).acquire_owned().await.map_err(|error| ApiError::internal(error.to_string()))?
        };
        // The permit goes along: a client that hangs up does not stop the work, so it must still count.
        blocking(move || {
            let _permit = permit;
            work()
        })
        .await
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Result<Self> {
        let before = waiting.fetch_add(1, Ordering::SeqCst);
        let guard = Self(waiting);
        match before < MAX_WAITING {
            true => Ok(guard),
            false => Err(ApiError::new(Code::Unavailable, "too many log-ins at once; try again in a moment")
                .retry_after_seconds(5)),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Refuses passwords that are too short to be any.
pub(crate) fn check_new(password: &SecretText) -> Result<()> {
    match password.expose().chars().count() >= MIN_PASSWORD_CHARACTERS {
        true => Ok(()),
        false => {
            let why = format!("a password has at least {MIN_PASSWORD_CHARACTERS} characters");
            Err(ApiError::new(Code::InvalidRequest, why))
        }
    }
}

/// What to store of a password; takes a while and much memory.
pub(crate) fn hash_blocking(password: &SecretText) -> Result<String> {
    let failed = |error: String| ApiError::internal(format!("Argon2id: {error}"));
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| ApiError::internal(format!("no random bytes: {error}")))?;
    let params = ParamsBuilder::new().m_cost(MEMORY_KIB).t_cost(PASSES).p_cost(LANES).build();
    let params = params.map_err(|error| failed(error.to_string()))?;
    let hash: PasswordHash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .map_err(|error| failed(error.to_string()))?;
    Ok(hash.to_string())
}

fn verify_blocking(stored: &str, password: &SecretText) -> Result<bool> {
    let damaged = |why: &str| ApiError::internal(format!("a stored password hash is not one: {why}"));
    let hash = PasswordHash::new(stored).map_err(|error| damaged(&error.to_string()))?;
    let number = |name| hash.params.get_decimal(name).unwrap_or_default();
    if hash.algorithm.as_str() != "argon2id" || hash.version != Some(Version::V0x13.into()) {
        return Err(damaged("it is of another algorithm"));
    }
    let bounded = MEMORY_KIB_READ.contains(&number("m"))
        && PASSES_READ.contains(&number("t"))
        && LANES_READ.contains(&number("p"));
    if !bounded || hash.salt.is_none() || hash.hash.is_none() {
        return Err(damaged("its parameters are out of bounds"));
    }
    // It compares in constant time.
    Ok(Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretText {
        SecretText::try_from(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn passwords_are_told_apart() {
        let passwords = Passwords::default();
        let stored = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=32768,t=2,p=1$"), "{stored}");
        assert_ne!(passwords.hash(secret("correct horse")).await.unwrap(), stored);
        assert!(passwords.verify(Some(stored.clone()), secret("correct horse")).await.unwrap());
        assert!(!passwords.verify(Some(stored), secret("correct horsf")).await.unwrap());
        assert!(!passwords.verify(None, secret("correct horse")).await.unwrap());
    }

    #[test]
    fn parameters_out_of_bounds_are_refused() {
        for (old, new) in [
            ("m=32768", "m=1024"),
            ("m=32768", "m=4194304"),
            ("t=2", "t=1"),
            ("t=2", "t=4000000"),
            ("p=1", "p=64"),
            ("argon2id", "argon2i"),
            ("v=19", "v=16"),
            ("$m=32768,t=2,p=1", ""),
        ] {
            let stored = NOBODY.replace(old, new);
            assert_ne!(stored, NOBODY);
            assert!(verify_blocking(&stored, &secret("x")).is_err(), "{stored}");
        }
        assert!(!verify_blocking(NOBODY, &secret("x")).unwrap());
    }

    #[test]
    fn short_passwords_are_refused() {
        assert!(check_new(&secret("ninechars")).is_err());
        assert!(check_new(&secret("ten charac")).is_ok());
    }
}
