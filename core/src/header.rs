//! The header that every stored object other than a pack begins with.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `HOLOTYPE` |
//! | 8 | 4 | kind, four ASCII letters |
//! | 12 | 2 | format version of this kind, little-endian |
//! | 14 | 2 | reserved, 0 |
//!
//! A record ([`crate::codec`]) follows.

use crate::DecodeError;
use crate::codec;
use bincode::{Decode, Encode};

/// First bytes of every object.
pub const MAGIC: [u8; 8] = *b"HOLOTYPE";
/// Length of the header.
pub const HEADER_BYTES: usize = 16;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectKind {
    /// Four letters in the header.
    pub code: [u8; 4],
    /// The newest format version of this kind that this program knows.
    pub version: u16,
    /// Its name for messages.
    pub name: &'static str,
}

impl ObjectKind {
    /// Header and record.
    pub fn encode<T: Encode>(&self, record: &T) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.code);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&codec::encode(record));
        bytes
    }

    /// Reads an object of this kind.
    ///
    /// # Errors
    /// Damaged where header or record are not of the form, unsupported where the version is newer.
    pub fn decode<T: Decode<()>>(&self, bytes: &[u8]) -> Result<T, DecodeError> {
        let (header, record) = bytes
            .split_at_checked(HEADER_BYTES)
            .ok_or_else(|| DecodeError::damaged(self.name, format!("{} bytes are too few", bytes.len())))?;
        if header[..8] != MAGIC || header[8..12] != self.code {
            return Err(DecodeError::damaged(self.name, "its first bytes are not those of such an object"));
        }
        let version = u16::from_le_bytes([header[12], header[13]]);
        if version > self.version {
            return Err(DecodeError::unsupported(
                self.name,
                format!("format version {version}, and this program knows {}", self.version),
            ));
        }
        if version == 0 || header[14..] != [0; 2] {
            return Err(DecodeError::damaged(self.name, "its version or reserved field is impossible"));
        }
        codec::decode(self.name, record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const KIND: ObjectKind = ObjectKind { code: *b"test", version: 2, name: "test object" };

    #[test]
    fn golden_header() {
        assert_eq!(KIND.encode(&5u8), *b"HOLOTYPEtest\x02\x00\x00\x00\x05");
    }

    #[test]
    fn newer_versions_are_named() {
        let mut bytes = KIND.encode(&5u8);
        assert_eq!(KIND.decode::<u8>(&bytes).unwrap(), 5);
        bytes[12] = 3;
        assert!(matches!(KIND.decode::<u8>(&bytes), Err(DecodeError::Unsupported { .. })));
        bytes[12] = 0;
        assert!(matches!(KIND.decode::<u8>(&bytes), Err(DecodeError::Damaged { .. })));
        assert!(KIND.decode::<u8>(&bytes[..15]).is_err());
    }
}
