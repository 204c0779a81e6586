//! Records: bincode with one fixed configuration and a size limit.
//!
//! Fixed-width little-endian integers, no trailing bytes. The configuration is part of the format:
//! `docs/FORMAT.md` describes it and golden vectors pin it.

use crate::DecodeError;
use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::{Decode, Encode};

/// Largest record, in bytes; larger claims are refused before anything is allocated.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

const CONFIGURATION: Configuration<LittleEndian, Fixint, Limit<MAX_RECORD_BYTES>> =
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<MAX_RECORD_BYTES>();

/// The record's bytes.
///
/// # Panics
/// Never for this project's record types: writing to memory does not fail, and their sizes are
/// bounded where they are built.
pub fn encode<T: Encode>(record: &T) -> Vec<u8> {
    bincode::encode_to_vec(record, CONFIGURATION).expect("records are bounded where they are built")
}

/// Reads a record that fills `bytes` exactly.
///
/// # Errors
/// [`DecodeError::Damaged`] with the name `what` where the bytes are no such record or go on after it.
pub fn decode<T: Decode<()>>(what: &'static str, bytes: &[u8]) -> Result<T, DecodeError> {
    let (record, used) = bincode::decode_from_slice(bytes, CONFIGURATION)
        .map_err(|error| DecodeError::damaged(what, error.to_string()))?;
    if used != bytes.len() {
        return Err(DecodeError::damaged(what, format!("{} bytes follow the record", bytes.len() - used)));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        #[derive(Encode, Decode, Debug, PartialEq)]
        struct Record {
            number: u32,
            list: Vec<u8>,
            text: String,
            option: Option<u16>,
        }
        let record = Record { number: 7, list: vec![1, 2], text: "a".into(), option: Some(258) };
        let bytes = encode(&record);
        assert_eq!(bytes, [7, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, b'a', 1, 2, 1]);
        assert_eq!(decode::<Record>("record", &bytes).unwrap(), record);
    }

    #[test]
    fn lying_lengths_are_refused_before_allocation() {
        let claim = u64::MAX.to_le_bytes();
        assert!(decode::<Vec<u8>>("list", &claim).is_err());
        let claim = (1u64 << 40).to_le_bytes();
        assert!(decode::<Vec<[u8; 32]>>("list", &claim).is_err());
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert!(decode::<u32>("number", &[0; 5]).is_err());
    }
}
