//! From passwords to keys: Argon2id (RFC 9106).
//!
//! The parameters stand beside what they protect. A floor keeps an attacker who can write from
//! weakening the next password change; a ceiling keeps one from exhausting the reader's memory.

use crate::DecodeError;
use crate::secret::Secret32;
use argon2::{Algorithm, Argon2, Params, Version};
use bincode::{Decode, Encode};

/// Least memory accepted, in KiB (OWASP's minimum for Argon2id with two passes).
pub const FLOOR_MEMORY_KIB: u32 = 19 << 10;
/// Least number of passes accepted.
pub const FLOOR_PASSES: u32 = 2;
/// Most memory accepted, in KiB.
pub const CEILING_MEMORY_KIB: u32 = 1 << 20;
/// Most passes accepted.
pub const CEILING_PASSES: u32 = 16;
/// Most lanes accepted.
pub const CEILING_LANES: u32 = 16;

const WHAT: &str = "key derivation parameters";

/// Algorithm, cost and salt of one derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct KdfParameters {
    /// 1 is Argon2id version 1.3.
    pub algorithm: u16,
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// Random.
    pub salt: [u8; 32],
}

impl KdfParameters {
    /// The default cost: 64 MiB and 3 passes, RFC 9106's second recommendation with one lane.
    pub fn new(salt: [u8; 32]) -> Self {
        Self { algorithm: 1, memory_kib: 64 << 10, passes: 3, lanes: 1, salt }
    }

    /// The least cost accepted, for tests and very small machines.
    pub fn floor(salt: [u8; 32]) -> Self {
        Self { algorithm: 1, memory_kib: FLOOR_MEMORY_KIB, passes: FLOOR_PASSES, lanes: 1, salt }
    }

    /// # Errors
    /// Unsupported algorithm; cost under the floor or over the ceiling.
    pub fn check(&self) -> Result<(), DecodeError> {
        if self.algorithm != 1 {
            return Err(DecodeError::unsupported(WHAT, format!("algorithm {}", self.algorithm)));
        }
        let fits = (FLOOR_MEMORY_KIB..=CEILING_MEMORY_KIB).contains(&self.memory_kib)
            && (FLOOR_PASSES..=CEILING_PASSES).contains(&self.passes)
            && (1..=CEILING_LANES).contains(&self.lanes);
        if !fits {
            let why =
                format!("{} KiB, {} passes, {} lanes are out of bounds", self.memory_kib, self.passes, self.lanes);
            return Err(DecodeError::damaged(WHAT, why));
        }
        Ok(())
    }

    /// The 32-byte key of `input`.
    ///
    /// # Errors
    /// Those of [`KdfParameters::check`].
    pub fn derive(&self, input: &[u8]) -> Result<Secret32, DecodeError> {
        self.check()?;
        let refused = |error: argon2::Error| DecodeError::damaged(WHAT, error.to_string());
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(refused)?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(input, &self.salt, &mut key)
            .map_err(refused)?;
        let secret = Secret32::new(key);
        zeroize::Zeroize::zeroize(&mut key);
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_and_ceiling() {
        let good = KdfParameters::floor([1; 32]);
        assert!(good.derive(b"password").is_ok());
        for bad in [
            KdfParameters { algorithm: 2, ..good },
            KdfParameters { memory_kib: FLOOR_MEMORY_KIB - 1, ..good },
            KdfParameters { memory_kib: u32::MAX, ..good },
            KdfParameters { passes: 1, ..good },
            KdfParameters { passes: 17, ..good },
            KdfParameters { lanes: 0, ..good },
            KdfParameters { lanes: 17, ..good },
        ] {
            assert!(bad.derive(b"password").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn golden_key() {
        let key = KdfParameters::floor([1; 32]).derive(b"password").unwrap();
        assert_eq!(crate::ChunkId(*key.expose()).short(), "0fc7f4451dfc");
    }
}
