//! Origins: salt and key of the pack that a frame is first written for.

use super::{OriginEntry, SealedTo};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::Keyring;
use crate::random;
use holotype_core::envelope::EnvelopePublicKey;
use holotype_core::frame::{CompressedFrame, FrameOrigin, PackKey, SealedFrame};
use holotype_core::{RepositoryId, codec};
use std::sync::{Arc, Mutex};

/// What an envelope of a pack secret is bound to.
pub(super) fn envelope_data(repository: &RepositoryId, salt: &[u8; 32], key_epoch: u32) -> Vec<u8> {
    codec::encode(&(*repository, *salt, key_epoch))
}

/// An origin whose key is in hand.
#[derive(Debug)]
pub(crate) struct Origin {
    pub entry: OriginEntry,
    key: PackKey,
    repository: RepositoryId,
}

impl Origin {
    pub fn new(
        repository: RepositoryId,
        public: &EnvelopePublicKey,
        sealed_to: SealedTo,
        key_epoch: u32,
    ) -> Result<Self> {
        let (salt, secret) = (random::bytes()?, random::secret()?);
        let data = envelope_data(&repository, &salt, key_epoch);
        let sealed_key = public
            .seal(&random::secret()?, &data, secret.expose())
            .ok_or_else(|| Error::new(ErrorKind::Damaged, "config", "its public key is none"))?;
        let entry = OriginEntry { salt, key_epoch, sealed_to, sealed_key };
        Ok(Self { entry, key: PackKey::new(&secret), repository })
    }

    pub fn seal(&self, frame: CompressedFrame, number: u32) -> SealedFrame {
        let origin = FrameOrigin { salt: self.entry.salt, number, key_epoch: self.entry.key_epoch };
        frame.seal(&self.repository, &self.key, &origin)
    }
}

/// Hands out origins to sealing threads, a new one for each pack's worth of bytes. So no thread
/// waits for another one's pack, and a pack has frames of two origins at the most.
#[derive(Debug)]
pub(crate) struct OriginAllocator {
    repository: RepositoryId,
    public: EnvelopePublicKey,
    sealed_to: SealedTo,
    key_epoch: u32,
    bytes_per_origin: u64,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    origin: Arc<Origin>,
    next_number: u32,
    bytes: u64,
}

impl OriginAllocator {
    /// Origins that are sealed to the holder's content or reference key.
    pub fn new(keyring: &Keyring, sealed_to: SealedTo, bytes_per_origin: u64) -> Self {
        let public = match sealed_to {
            SealedTo::Content => keyring.content_public(),
            SealedTo::Reference => keyring.reference_public(),
        };
        let (repository, key_epoch) = (keyring.repository(), keyring.key_epoch());
        Self { repository, public, sealed_to, key_epoch, bytes_per_origin, current: Mutex::new(None) }
    }

    fn allocate(&self, frame_bytes: u64) -> Result<(Arc<Origin>, u32)> {
        let mut current = self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut slot = match current.take() {
            Some(slot) if slot.bytes < self.bytes_per_origin => slot,
            _ => {
                let origin = Origin::new(self.repository, &self.public, self.sealed_to, self.key_epoch)?;
                Current { origin: Arc::new(origin), next_number: 0, bytes: 0 }
            }
        };
        let allocated = (Arc::clone(&slot.origin), slot.next_number);
        slot.next_number += 1;
        slot.bytes += frame_bytes;
        *current = Some(slot);
        Ok(allocated)
    }

    /// Seals a frame under the current origin.
    pub fn seal(&self, frame: CompressedFrame) -> Result<(SealedFrame, Arc<Origin>, u32)> {
        let (origin, number) = self.allocate(frame.sealed_len() as u64)?;
        Ok((origin.seal(frame, number), origin, number))
    }
}
