//! The keys of an open repository.

use crate::error::{Error, ErrorKind, Result};
use holotype_core::envelope::{EnvelopePrivateKey, EnvelopePublicKey};
use holotype_core::identity::IdentityKeys;
use holotype_core::key_slot::{Certificate, Role, SlotSecrets, WriterSecrets};
use holotype_core::secret::Secret32;
use holotype_core::signature::Signing;
use holotype_core::{RepositoryId, SlotId, WriterId};

/// What the holder of an opened key slot has.
#[derive(Debug, Clone)]
pub struct Keyring {
    repository: RepositoryId,
    key_epoch: u32,
    slot: SlotId,
    secrets: SlotSecrets,
    identity: IdentityKeys,
    content: EnvelopePublicKey,
    reference: EnvelopePublicKey,
}

impl Keyring {
    pub(crate) fn new(repository: RepositoryId, key_epoch: u32, slot: SlotId, secrets: SlotSecrets) -> Self {
        let identity = IdentityKeys::new(secrets.id_secret());
        let (content, reference) = match &secrets {
            SlotSecrets::Full(full) => (full.content.public(), full.reference.public()),
            SlotSecrets::Writer(writer) => (writer.content, writer.reference),
        };
        Self { repository, key_epoch, slot, secrets, identity, content, reference }
    }

    /// Whose keys they are.
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// Which of the repository's keys they are; epochs begin at 1.
    pub fn key_epoch(&self) -> u32 {
        self.key_epoch
    }

    /// The slot that was opened.
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// What they allow.
    pub fn role(&self) -> Role {
        self.secrets.role()
    }

    /// Under which name their holder signs.
    pub fn writer(&self) -> WriterId {
        self.signing().writer()
    }

    /// Who signs config and enrolments.
    pub fn root(&self) -> WriterId {
        self.secrets.root()
    }

    pub(crate) fn identity(&self) -> &IdentityKeys {
        &self.identity
    }

    pub(crate) fn signing(&self) -> Signing {
        self.secrets.signing()
    }

    /// What shows others that this writer is enrolled; the root needs none.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        match &self.secrets {
            SlotSecrets::Full(_) => None,
            SlotSecrets::Writer(writer) => Some(writer.certificate),
        }
    }

    pub(crate) fn content_public(&self) -> EnvelopePublicKey {
        self.content
    }

    pub(crate) fn reference_public(&self) -> EnvelopePublicKey {
        self.reference
    }

    pub(crate) fn content_private(&self) -> Option<&EnvelopePrivateKey> {
        match &self.secrets {
            SlotSecrets::Full(full) => Some(&full.content),
            SlotSecrets::Writer(_) => None,
        }
    }

    pub(crate) fn reference_private(&self) -> Option<&EnvelopePrivateKey> {
        match &self.secrets {
            SlotSecrets::Full(full) => Some(&full.reference),
            SlotSecrets::Writer(_) => None,
        }
    }

    /// # Errors
    /// `NotAllowed` where the role is not full; `action` says what wants it.
    pub(crate) fn require_full(&self, action: &str) -> Result<()> {
        match self.role() {
            Role::Full => Ok(()),
            role => Err(Error::new(ErrorKind::NotAllowed, "key", format!("a {role} key may not {action}"))
                .advise("use the password or key file of a full key")),
        }
    }

    pub(crate) fn full_secrets(&self, action: &str) -> Result<SlotSecrets> {
        self.require_full(action)?;
        Ok(self.secrets.clone())
    }

    /// Secrets for a new writer with this seed.
    pub(crate) fn writer_secrets(&self, signing_seed: Secret32) -> SlotSecrets {
        let writer = Signing::from_seed(&signing_seed).writer();
        SlotSecrets::Writer(WriterSecrets {
            certificate: Certificate::sign(&self.signing(), &self.repository, &writer),
            id_secret: self.secrets.id_secret().clone(),
            signing_seed,
            root: self.root(),
            content: self.content,
            reference: self.reference,
        })
    }
}
