//! The keys of an open repository.

use crate::error::{Error, ErrorKind, Result};
use holotype_core::envelope::{EnvelopePrivateKey, EnvelopePublicKey};
use holotype_core::identity::IdentityKeys;
use holotype_core::key_slot::{Certificate, FullSecrets, Role, SlotSecrets, WriterSecrets};
use holotype_core::secret::Secret32;
use holotype_core::signature::Signing;
use holotype_core::{RepositoryId, SlotId, WriterId};
use std::collections::HashMap;
use std::sync::Arc;

/// Where keys come from.
#[derive(Debug, Clone)]
enum Held {
    Slot(SlotId, Box<SlotSecrets>),
    Grant(Arc<GrantedKeys>),
}

/// The keys in a grant: those of the packs that one image needs, and no other.
#[derive(Debug)]
pub(crate) struct GrantedKeys {
    pub root: WriterId,
    pub content: EnvelopePublicKey,
    pub reference: EnvelopePublicKey,
    pub id_secret: Secret32,
    /// Of the machine that the grant is for: it signs its leases and receipts.
    pub signing: Signing,
    /// Pack secrets by the salt of their origin.
    pub packs: HashMap<[u8; 32], Secret32>,
}

/// The keys that are in hand.
#[derive(Debug, Clone)]
pub struct Keyring {
    repository: RepositoryId,
    key_epoch: u32,
    held: Held,
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
        Self { repository, key_epoch, held: Held::Slot(slot, Box::new(secrets)), identity, content, reference }
    }

    pub(crate) fn of_grant(repository: RepositoryId, key_epoch: u32, keys: GrantedKeys) -> Self {
        let identity = IdentityKeys::new(&keys.id_secret);
        let (content, reference) = (keys.content, keys.reference);
        Self { repository, key_epoch, held: Held::Grant(Arc::new(keys)), identity, content, reference }
    }

    /// Whose keys they are.
    pub fn repository(&self) -> RepositoryId {
        self.repository
    }

    /// Which of the repository's keys they are; epochs begin at 1.
    pub fn key_epoch(&self) -> u32 {
        self.key_epoch
    }

    /// The slot that was opened; a grant is in none.
    pub fn slot(&self) -> Option<SlotId> {
        match &self.held {
            Held::Slot(slot, _) => Some(*slot),
            Held::Grant(_) => None,
        }
    }

    /// What they allow.
    pub fn role(&self) -> Role {
        match &self.held {
            Held::Slot(_, secrets) => secrets.role(),
            Held::Grant(_) => Role::Grant,
        }
    }

    /// Under which name their holder signs.
    pub fn writer(&self) -> WriterId {
        self.signing().writer()
    }

    /// Who signs config and enrolments.
    pub fn root(&self) -> WriterId {
        match &self.held {
            Held::Slot(_, secrets) => secrets.root(),
            Held::Grant(keys) => keys.root,
        }
    }

    pub(crate) fn identity(&self) -> &IdentityKeys {
        &self.identity
    }

    pub(crate) fn signing(&self) -> Signing {
        match &self.held {
            Held::Slot(_, secrets) => secrets.signing(),
            Held::Grant(keys) => keys.signing.clone(),
        }
    }

    /// What shows others that this writer is enrolled; the root needs none.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        match &self.held {
            Held::Slot(_, secrets) => match &**secrets {
                SlotSecrets::Writer(writer) => Some(writer.certificate),
                SlotSecrets::Full(_) => None,
            },
            Held::Grant(_) => None,
        }
    }

    pub(crate) fn id_secret(&self) -> &Secret32 {
        match &self.held {
            Held::Slot(_, secrets) => secrets.id_secret(),
            Held::Grant(keys) => &keys.id_secret,
        }
    }

    pub(crate) fn content_public(&self) -> EnvelopePublicKey {
        self.content
    }

    pub(crate) fn reference_public(&self) -> EnvelopePublicKey {
        self.reference
    }

    pub(crate) fn content_private(&self) -> Option<&EnvelopePrivateKey> {
        self.full().map(|full| &full.content)
    }

    pub(crate) fn reference_private(&self) -> Option<&EnvelopePrivateKey> {
        self.full().map(|full| &full.reference)
    }

    fn full(&self) -> Option<&FullSecrets> {
        match &self.held {
            Held::Slot(_, secrets) => match &**secrets {
                SlotSecrets::Full(full) => Some(full),
                SlotSecrets::Writer(_) => None,
            },
            Held::Grant(_) => None,
        }
    }

    /// The secret of the packs with this salt, where a grant gives it.
    pub(crate) fn granted_pack_secret(&self, salt: &[u8; 32]) -> Option<&Secret32> {
        match &self.held {
            Held::Grant(keys) => keys.packs.get(salt),
            Held::Slot(..) => None,
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
        let full = self.full().cloned().ok_or_else(|| Error::new(ErrorKind::NotAllowed, "key", "it is no full key"))?;
        Ok(SlotSecrets::Full(full))
    }

    /// Secrets for a new writer with this seed.
    pub(crate) fn writer_secrets(&self, signing_seed: Secret32) -> SlotSecrets {
        let writer = Signing::from_seed(&signing_seed).writer();
        SlotSecrets::Writer(WriterSecrets {
            certificate: Certificate::sign(&self.signing(), &self.repository, &writer),
            id_secret: self.id_secret().clone(),
            signing_seed,
            root: self.root(),
            content: self.content,
            reference: self.reference,
        })
    }
}
