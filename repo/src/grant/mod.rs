//! Grants: the keys that one image needs, wrapped to one machine's own key. A machine that holds one restores that
//! image and opens no other, and needs no password for it.
//!
//! A pack has one key for all its frames, so a grant also opens what else lies in the packs of its image: chunks of
//! other images that were stored in the same packs, without any word about what they belong to.
//!
//! The object: [`GrantRecord`], signed by the repository's root. Within, sealed to the machine's key, `GrantSecrets`.

mod collect;
mod open;
mod prepared;

pub(crate) use collect::prepare;
pub(crate) use open::open;
pub use prepared::PreparedGrant;

use crate::error::Result;
use crate::image::{ImageDetail, ImageSummary};
use bincode::{Decode, Encode};
use holotype_core::envelope::EnvelopePublicKey;
use holotype_core::header::ObjectKind;
use holotype_core::key_slot::Extension;
use holotype_core::secret::Secret32;
use holotype_core::{DecodeError, ImageId, RepositoryId, WriterId, codec, signature, signed};

/// A grant's bytes.
pub const GRANT: ObjectKind = ObjectKind { code: *b"gran", version: 1, name: "grant" };
/// Longest grant: 40 bytes or so for each pack of a disk of 100 TiB are far less.
pub const MAX_GRANT_BYTES: usize = 64 << 20;

/// What stands in clear, signed by the root.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct GrantRecord {
    /// Whose repository.
    pub repository: RepositoryId,
    /// Which image.
    pub image: ImageId,
    /// For which machine: its signing key.
    pub machine: WriterId,
    /// Who granted it: the repository's root.
    pub root: WriterId,
    /// When, by the granter's clock.
    pub granted_unix_seconds: i64,
    /// `GrantSecrets` in an envelope to the machine's key.
    pub sealed: Vec<u8>,
    /// Room for newer programs.
    pub extensions: Vec<Extension>,
}

/// What the machine opens.
#[derive(Debug, Encode, Decode)]
pub(crate) struct GrantSecrets {
    pub key_epoch: u32,
    pub content: EnvelopePublicKey,
    pub reference: EnvelopePublicKey,
    pub id_secret: Secret32,
    pub summary: ImageSummary,
    pub detail: ImageDetail,
    pub packs: Vec<GrantedPack>,
}

/// The secret of the packs with one salt.
#[derive(Debug, Encode, Decode)]
pub(crate) struct GrantedPack {
    pub salt: [u8; 32],
    pub secret: Secret32,
}

impl GrantRecord {
    /// Reads a grant and checks the root's signature; which root, only a repository tells.
    ///
    /// # Errors
    /// Damaged, not authentic or unsupported.
    pub fn decode(bytes: &[u8]) -> std::result::Result<Self, DecodeError> {
        if bytes.len() > MAX_GRANT_BYTES {
            return Err(DecodeError::damaged(GRANT.name, "it is longer than any grant"));
        }
        signed::decode(&GRANT, signature::GRANT, bytes, |record: &GrantRecord| record.root)
    }

    /// What the envelope is bound to.
    fn envelope_data(&self) -> Vec<u8> {
        codec::encode(&(self.repository, self.image, self.machine))
    }
}

/// Bytes to try for a fuzzer: every decoder of a grant.
#[doc(hidden)]
pub fn decode_parts_for_fuzzing(bytes: &[u8]) {
    let _ = GrantRecord::decode(bytes);
    let _: Result<GrantSecrets, DecodeError> = codec::decode(GRANT.name, bytes);
}
