//! Prepared: an image's keys, collected once and sealed to as many machines as there are.

use super::{GRANT, GrantRecord, GrantSecrets};
use crate::error::{Error, ErrorKind, Result};
use crate::random;
use holotype_core::envelope::EnvelopePublicKey;
use holotype_core::signature::{self, Signing};
use holotype_core::{ImageId, RepositoryId, WriterId, codec, signed};
use jiff::Timestamp;
use zeroize::Zeroizing;

/// The keys of one image, to be sealed to machines.
#[derive(Debug)]
pub struct PreparedGrant {
    repository: RepositoryId,
    image: ImageId,
    signing: Signing,
    packs: usize,
    secrets: Zeroizing<Vec<u8>>,
}

impl PreparedGrant {
    pub(super) fn new(repository: RepositoryId, image: ImageId, signing: Signing, secrets: &GrantSecrets) -> Self {
        let packs = secrets.packs.len();
        Self { repository, image, signing, packs, secrets: Zeroizing::new(codec::encode(secrets)) }
    }

    /// Which image.
    pub fn image(&self) -> ImageId {
        self.image
    }

    /// How many packs' keys it holds.
    pub fn packs(&self) -> usize {
        self.packs
    }

    /// The grant for the machine with this public key: bytes for the machine or for the server that keeps them for it.
    ///
    /// # Errors
    /// `InvalidInput` where it is no usable public key.
    pub fn for_machine(&self, machine: &WriterId) -> Result<Vec<u8>> {
        let no_key = || {
            let subject = format!("machine key {}", machine.short());
            Error::new(ErrorKind::InvalidInput, subject, "it is no usable public key")
                .advise("have the machine make its key anew")
        };
        let public = EnvelopePublicKey::of_signer(machine).ok_or_else(no_key)?;
        let mut record = GrantRecord {
            repository: self.repository,
            image: self.image,
            machine: *machine,
            root: self.signing.writer(),
            granted_unix_seconds: Timestamp::now().as_second(),
            sealed: Vec::new(),
            extensions: Vec::new(),
        };
        let sealed = public.seal(&random::secret()?, &record.envelope_data(), &self.secrets);
        record.sealed = sealed.ok_or_else(no_key)?;
        Ok(signed::encode(&GRANT, signature::GRANT, &record, &self.signing))
    }
}
