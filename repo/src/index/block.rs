//! A value in sled that knows when it is hurt or stands in the wrong place.

use crate::error::{Error, ErrorKind, Result};

/// What a value of a run holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum BlockKind {
    /// Sorted entries.
    Page = b'p',
    /// Part of the filter.
    Filter = b'f',
    /// First eight id bytes of each page.
    Fences = b'e',
}

/// Which value it is. The seed is random per run, so that a value of an older run with the same
/// number, which a lost write could leave behind, is not taken for one of this run.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPlace {
    pub seed: u64,
    pub kind: BlockKind,
    pub number: u32,
}

/// Length of the checksum before the payload.
pub(super) const SUM_BYTES: usize = 8;

/// Largest payload. sled keeps up to 17 values in a leaf and moves leaves of 128 KiB or more out of
/// its log into files that it does not sync.
pub(super) const MAX_PAYLOAD_BYTES: usize = 7000;

impl BlockPlace {
    /// The key in the run's tree.
    pub fn key(self) -> [u8; 5] {
        let number = self.number.to_be_bytes();
        [self.kind as u8, number[0], number[1], number[2], number[3]]
    }

    fn sum(self, payload: &[u8]) -> [u8; SUM_BYTES] {
        let mut place = [0; 13];
        place[..8].copy_from_slice(&self.seed.to_le_bytes());
        place[8..].copy_from_slice(&self.key());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&place).update(payload);
        let mut sum = [0; SUM_BYTES];
        sum.copy_from_slice(&hasher.finalize().as_bytes()[..SUM_BYTES]);
        sum
    }

    /// The value: checksum, then `payload`.
    pub fn seal(self, payload: &[u8]) -> Vec<u8> {
        debug_assert!(payload.len() <= MAX_PAYLOAD_BYTES);
        [&self.sum(payload)[..], payload].concat()
    }

    /// The payload of a stored value.
    ///
    /// # Errors
    /// `Damaged`.
    pub fn open<'a>(self, subject: &str, value: &'a [u8]) -> Result<&'a [u8]> {
        match value.split_at_checked(SUM_BYTES) {
            Some((sum, payload)) if sum == self.sum(payload) => Ok(payload),
            _ => Err(Error::new(ErrorKind::Damaged, subject, format!("{:?} {} is damaged", self.kind, self.number))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_value_and_every_changed_bit_or_place_is_noticed() {
        let place = BlockPlace { seed: 7, kind: BlockKind::Page, number: 258 };
        assert_eq!(place.key(), [b'p', 0, 0, 1, 2]);
        let value = place.seal(b"payload");
        let whole = blake3::hash(b"\x07\0\0\0\0\0\0\0p\0\0\x01\x02payload");
        assert_eq!(value, [&whole.as_bytes()[..8], b"payload"].concat());
        assert_eq!(place.open("index", &value).unwrap(), b"payload");
        for bit in 0..value.len() * 8 {
            let mut hurt = value.clone();
            hurt[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(place.open("index", &hurt).unwrap_err().kind(), ErrorKind::Damaged);
        }
        for length in 0..value.len() {
            assert!(place.open("index", &value[..length]).is_err());
        }
        for other in [
            BlockPlace { seed: 8, ..place },
            BlockPlace { number: 259, ..place },
            BlockPlace { kind: BlockKind::Filter, ..place },
        ] {
            assert!(other.open("index", &value).is_err());
        }
    }
}
