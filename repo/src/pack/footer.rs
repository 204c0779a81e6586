//! The footer of a pack.
//!
//! | where | bytes | field |
//! |---|---|---|
//! | 0 | n | frames, one after another |
//! | n | r | record: [`PackFooter`] |
//! | n + r | 64 | the writer's Ed25519 signature over the record |
//! | n + r + 64 | 4 | r, little-endian |
//! | | 2 | format version, 1 |
//! | | 2 | reserved, 0 |
//! | | 8 | magic `HOLOPACK` |
//!
//! The pack's name is the BLAKE3 of everything from the record on, and the record holds the BLAKE3
//! of the frames: the name commits to every byte, and who has only the footer can check that the
//! name belongs to what the footer says (docs/adr/0002).

use crate::index::{MAX_FRAMES, PackContents, PackKind};
use bincode::{Decode, Encode};
use holotype_core::frame::{FRAME_HEADER_BYTES, FrameKind, MAX_FRAME_CHUNKS, MAX_FRAME_PLAINTEXT_BYTES};
use holotype_core::key_slot::Extension;
use holotype_core::signature::{self, SIGNATURE_BYTES, Signing};
use holotype_core::{ChunkId, DecodeError, PackId, RepositoryId, WriterId, codec};

/// Length of what follows the signature.
pub const TRAILER_BYTES: usize = 16;
const MAGIC: [u8; 8] = *b"HOLOPACK";
const VERSION: u16 = 1;
const WHAT: &str = "pack footer";
/// A frame may be a little longer than its plaintext: header, prefix, table and tag.
const MAX_FRAME_BYTES: usize = MAX_FRAME_PLAINTEXT_BYTES + FRAME_HEADER_BYTES + 64;

/// Which of the repository's public keys an origin's key is sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum SealedTo {
    /// The content key: chunks and layouts.
    Content,
    /// The reference key: reference sets.
    Reference,
}

/// Where frames were first written.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct OriginEntry {
    /// Random salt.
    pub salt: [u8; 32],
    /// Which of the repository's keys the key is sealed to.
    pub key_epoch: u32,
    /// Which half of the keys.
    pub sealed_to: SealedTo,
    /// The 32-byte pack secret in an envelope.
    pub sealed_key: Vec<u8>,
}

/// One frame. Frames lie in the order of their entries, without gaps.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FrameEntry {
    /// Length in bytes with its header.
    pub bytes: u32,
    /// 1 chunks, 2 references, 3 layouts.
    pub kind: u8,
    /// Index into the origins.
    pub origin: u32,
    /// Its number at its origin.
    pub number: u32,
    /// The ids it holds, in slot order. For layouts empty: they have the slots of the references
    /// frame before them.
    pub ids: Vec<ChunkId>,
}

/// What a footer says.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct PackFooter {
    /// Whose pack it is.
    pub repository: RepositoryId,
    /// What it holds.
    pub kind: PackKind,
    /// Who signed.
    pub writer: WriterId,
    /// BLAKE3 of all frames.
    pub frames_hash: [u8; 32],
    /// Origins of the frames.
    pub origins: Vec<OriginEntry>,
    /// The frames.
    pub frames: Vec<FrameEntry>,
    /// Room for newer programs: parity, attestations.
    pub extensions: Vec<Extension>,
}

/// A footer's bytes, as they stand in a pack and, verbatim, in index segments.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EncodedFooter(pub Vec<u8>);

impl PackFooter {
    /// Signs the footer.
    pub(crate) fn encode(&self, signing: &Signing) -> EncodedFooter {
        let mut bytes = codec::encode(self);
        let record_bytes = bytes.len() as u32;
        let signature = signing.sign(signature::FOOTER, &bytes);
        bytes.extend_from_slice(&signature);
        bytes.extend_from_slice(&record_bytes.to_le_bytes());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&MAGIC);
        EncodedFooter(bytes)
    }

    /// Length of all frames in bytes.
    pub fn frames_bytes(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.bytes)).sum()
    }

    /// Where each frame begins in the pack.
    pub fn frame_offsets(&self) -> Vec<u64> {
        let mut at = 0;
        let offset = |frame: &FrameEntry| {
            let offset = at;
            at += u64::from(frame.bytes);
            offset
        };
        self.frames.iter().map(offset).collect()
    }

    fn check(&self, repository: &RepositoryId) -> Result<(), DecodeError> {
        let damaged = |why: String| Err(DecodeError::damaged(WHAT, why));
        if self.repository != *repository {
            return damaged(format!("it is of repository {}", self.repository));
        }
        for (number, frame) in self.frames.iter().enumerate() {
            let kind_fits = match self.kind {
                PackKind::Data => frame.kind == FrameKind::Chunks as u8 && !frame.ids.is_empty(),
                PackKind::Meta if number % 2 == 0 => frame.kind == FrameKind::References as u8 && !frame.ids.is_empty(),
                PackKind::Meta => frame.kind == FrameKind::Layouts as u8 && frame.ids.is_empty(),
            };
            let bounded = frame.ids.len() <= MAX_FRAME_CHUNKS
                && (FRAME_HEADER_BYTES..=MAX_FRAME_BYTES).contains(&(frame.bytes as usize))
                && (frame.origin as usize) < self.origins.len();
            if !kind_fits || !bounded {
                return damaged(format!("frame {number} is impossible"));
            }
        }
        if self.frames.is_empty()
            || self.frames.len() > MAX_FRAMES
            || (self.kind == PackKind::Meta && !self.frames.len().is_multiple_of(2))
        {
            return damaged("it has an impossible number of frames".into());
        }
        Ok(())
    }

    /// What an index takes in.
    pub(crate) fn contents(&self, pack: PackId, pack_bytes: u64) -> PackContents {
        PackContents {
            pack,
            kind: self.kind,
            writer: self.writer,
            bytes: pack_bytes,
            frames: self.frames.iter().map(|frame| frame.ids.clone()).collect(),
        }
    }
}

impl EncodedFooter {
    /// The pack's name.
    pub fn pack_id(&self) -> PackId {
        PackId(*blake3::hash(&self.0).as_bytes())
    }

    /// Length of the footer with these last [`TRAILER_BYTES`] of a pack.
    pub(crate) fn length_from_trailer(trailer: &[u8]) -> Result<usize, DecodeError> {
        let damaged = || DecodeError::damaged(WHAT, "the pack's last bytes are not those of a footer");
        let (record_bytes, rest) = trailer.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
        if rest.len() != 10 || rest[..2] != [0; 2] || rest[2..] != MAGIC {
            return Err(damaged());
        }
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(DecodeError::unsupported(WHAT, format!("footer version {version}")));
        }
        let record_bytes = u32::from_le_bytes(*record_bytes) as usize;
        if record_bytes > codec::MAX_RECORD_BYTES {
            return Err(damaged());
        }
        Ok(record_bytes + SIGNATURE_BYTES + TRAILER_BYTES)
    }

    /// Reads the footer and checks form, signature and repository.
    ///
    /// # Errors
    /// Damaged, not authentic or unsupported.
    pub fn decode(&self, repository: &RepositoryId) -> Result<PackFooter, DecodeError> {
        let bytes = &self.0;
        let damaged = || DecodeError::damaged(WHAT, "its length is not what it says");
        let trailer_at = bytes.len().checked_sub(TRAILER_BYTES).ok_or_else(damaged)?;
        if Self::length_from_trailer(&bytes[trailer_at..])? != bytes.len() {
            return Err(damaged());
        }
        let (record, rest) = bytes.split_at(bytes.len() - TRAILER_BYTES - SIGNATURE_BYTES);
        let signature = rest.first_chunk::<SIGNATURE_BYTES>().ok_or_else(damaged)?;
        let footer: PackFooter = codec::decode(WHAT, record)?;
        signature::verify(WHAT, &footer.writer, signature::FOOTER, record, signature)?;
        footer.check(repository)?;
        Ok(footer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holotype_core::secret::Secret32;

    #[test]
    fn more_frames_than_an_index_takes_are_refused() {
        let signing = Signing::from_seed(&Secret32::new([1; 32]));
        let repository = RepositoryId([2; 16]);
        let frame = FrameEntry { bytes: 36, kind: 1, origin: 0, number: 0, ids: vec![ChunkId([3; 32])] };
        let origin = OriginEntry { salt: [4; 32], key_epoch: 1, sealed_to: SealedTo::Content, sealed_key: Vec::new() };
        let mut footer = PackFooter {
            repository,
            kind: PackKind::Data,
            writer: signing.writer(),
            frames_hash: [5; 32],
            origins: vec![origin],
            frames: vec![frame.clone(); MAX_FRAMES],
            extensions: Vec::new(),
        };
        assert!(footer.encode(&signing).decode(&repository).is_ok());
        footer.frames.push(frame);
        assert!(footer.encode(&signing).decode(&repository).is_err());
    }
}
