//! The object `config/repository`: what every program must know before it touches anything else.

use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::keys::Keyring;
use crate::store::{ObjectKey, Store};
use bincode::{Decode, Encode};
use holotype_core::chunker::ChunkerSettings;
use holotype_core::envelope::EnvelopePublicKey;
use holotype_core::header::ObjectKind;
use holotype_core::key_slot::Extension;
use holotype_core::signature::{self, Signing};
use holotype_core::signed;
use holotype_core::{DecodeError, RepositoryId, WriterId};

/// The object `config/repository`.
pub const CONFIG: ObjectKind = ObjectKind { code: *b"conf", version: 1, name: "config" };

/// Required features that this program knows. A repository that needs others is not touched.
const KNOWN_REQUIRED_FEATURES: u64 = 0;
/// The writer protocol of this program. A repository that asks for a higher one is not written.
const WRITER_PROTOCOL: u32 = 1;

/// Whose packs new images may deduplicate against, besides one's own and those of full keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Default)]
pub enum Trust {
    /// Nobody's: a writer cannot poison what others store.
    #[default]
    FullKeysOnly,
    /// Those of every enrolled writer: more is shared, and writers must trust each other.
    EnrolledWriters,
}

/// What a repository is set to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct RepositoryConfig {
    /// Its name.
    pub repository: RepositoryId,
    /// Features that a program must know to read, one bit each.
    pub required_features: u64,
    /// Features that a program may ignore, one bit each.
    pub optional_features: u64,
    /// The lowest writer protocol that may write.
    pub lowest_writer_protocol: u32,
    /// Chunk sizes.
    pub chunker: ChunkerSettings,
    /// A pack is closed when it has this many bytes.
    pub pack_bytes: u64,
    /// Whom to deduplicate against.
    pub trust: Trust,
    /// Which keys are the current ones; from 1.
    pub key_epoch: u32,
    /// What chunks and layouts are sealed to.
    pub content: EnvelopePublicKey,
    /// What reference sets are sealed to.
    pub reference: EnvelopePublicKey,
    /// Who signs this.
    pub root: WriterId,
    /// Room for newer programs.
    pub extensions: Vec<Extension>,
}

impl RepositoryConfig {
    /// Bounds of [`RepositoryConfig::pack_bytes`].
    pub const PACK_BYTES_RANGE: std::ops::RangeInclusive<u64> = (64 << 10)..=(512 << 20);

    /// The object's bytes. Public for tests, which make configs of newer and of hostile programs.
    #[doc(hidden)]
    pub fn encode(&self, root: &Signing) -> Vec<u8> {
        signed::encode(&CONFIG, signature::CONFIG, self, root)
    }

    /// Reads a config. Its signature is checked against the root that it names itself, so it is
    /// believed only after it was compared with what the opened key says.
    ///
    /// # Errors
    /// Damaged, not authentic, or unsupported: unknown required features are named.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let config: RepositoryConfig =
            signed::decode(&CONFIG, signature::CONFIG, bytes, |record: &RepositoryConfig| record.root)?;
        let unknown = config.required_features & !KNOWN_REQUIRED_FEATURES;
        if unknown != 0 {
            return Err(DecodeError::unsupported(CONFIG.name, format!("required features {unknown:#x}")));
        }
        config.chunker.check()?;
        if !Self::PACK_BYTES_RANGE.contains(&config.pack_bytes) {
            return Err(DecodeError::damaged(CONFIG.name, format!("packs of {} bytes", config.pack_bytes)));
        }
        Ok(config)
    }

    /// Reads the config of a repository.
    pub fn read(store: &dyn Store) -> Result<Self> {
        let key = ObjectKey::config();
        let bytes = store.get(&key).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::NotFound, store.describe(), "there is no repository")
                .advise("make one with `holotype init`, or give the right --repo"),
            _ => error,
        })?;
        Self::decode(&bytes).about(format!("{} {key}", store.describe()))
    }

    /// Checks that this is the config that the key's holder was given: whoever can write to the
    /// store could otherwise put its own public keys there.
    pub(crate) fn check_keyring(&self, keyring: &Keyring) -> Result<()> {
        let same = keyring.root() == self.root
            && keyring.content_public() == self.content
            && keyring.reference_public() == self.reference
            && keyring.key_epoch() == self.key_epoch;
        if same {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Damaged, "config", "it is not signed by the root that this key trusts")
            .advise("somebody exchanged it: restore config/repository from a copy"))
    }

    /// # Errors
    /// `Unsupported` where a newer program is needed to write.
    pub(crate) fn check_may_write(&self) -> Result<()> {
        if self.lowest_writer_protocol <= WRITER_PROTOCOL {
            return Ok(());
        }
        let why =
            format!("it wants writer protocol {}, and this program has {WRITER_PROTOCOL}", self.lowest_writer_protocol);
        Err(Error::new(ErrorKind::Unsupported, "repository", why).advise("use a newer holotype to write"))
    }
}
