//! Making a repository.

use super::config::{RepositoryConfig, Trust};
use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::keys::{Credentials, Keyring, NewKey, add_slot, read_slots};
use crate::random;
use crate::store::{Folder, ObjectKey, Put, Store};
use holotype_core::RepositoryId;
use holotype_core::chunker::ChunkerSettings;
use holotype_core::envelope::EnvelopePrivateKey;
use holotype_core::key_slot::{FullSecrets, Role, SlotSecrets};

/// What a new repository is set to.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// What opens its first key, a full one.
    pub credentials: Credentials,
    /// A second full key for the safe: 32 or more random bytes that are to be kept as a file.
    pub recovery_key: Option<Vec<u8>>,
    /// Chunk sizes.
    pub chunker: ChunkerSettings,
    /// A pack is closed when it has this many bytes: 64 KiB to 512 MiB.
    pub pack_bytes: u64,
    /// Whose packs to deduplicate against.
    pub trust: Trust,
    /// Take the least derivation cost allowed, for tests and very small machines.
    pub fast_derivation: bool,
}

impl InitOptions {
    /// Defaults, and these credentials.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            recovery_key: None,
            chunker: ChunkerSettings::default(),
            pack_bytes: 64 << 20,
            trust: Trust::default(),
            fast_derivation: false,
        }
    }
}

/// Key slots first, config last: a crash between leaves slots without a repository, which the next
/// init removes once its own config stands. Each slot names its repository, so none is mistaken.
pub(super) fn init(store: &dyn Store, options: &InitOptions) -> Result<(RepositoryConfig, Keyring)> {
    if !RepositoryConfig::PACK_BYTES_RANGE.contains(&options.pack_bytes) {
        let why = format!("packs of {} bytes are out of bounds", options.pack_bytes);
        return Err(Error::new(ErrorKind::InvalidInput, "repository", why));
    }
    options.chunker.check().about("repository")?;
    let exists = || {
        Error::new(ErrorKind::AlreadyExists, store.describe(), "there is a repository already")
            .advise("use it, or give another --repo")
    };
    if !store.list(Folder::Config)?.is_empty() {
        return Err(exists());
    }
    let repository = RepositoryId(random::bytes()?);
    let secrets = SlotSecrets::Full(FullSecrets {
        id_secret: random::secret()?,
        content: EnvelopePrivateKey(random::secret()?),
        reference: EnvelopePrivateKey(random::secret()?),
        root_seed: random::secret()?,
    });
    let key_epoch = 1;
    let root = secrets.signing();
    let add = |label: &str, credentials: &Credentials| {
        let new =
            NewKey { fast_derivation: options.fast_derivation, ..NewKey::new(Role::Full, label, credentials.clone()) };
        add_slot(store, repository, key_epoch, &secrets, &root, &new)
    };
    let slot = add("first", &options.credentials)?;
    if let Some(recovery_key) = &options.recovery_key {
        add("recovery", &Credentials::key_file(recovery_key.clone()))?;
    }
    let keyring = Keyring::new(repository, key_epoch, slot, secrets.clone());
    let config = RepositoryConfig {
        repository,
        required_features: 0,
        optional_features: 0,
        lowest_writer_protocol: 1,
        chunker: options.chunker,
        pack_bytes: options.pack_bytes,
        trust: options.trust,
        key_epoch,
        content: keyring.content_public(),
        reference: keyring.reference_public(),
        root: keyring.root(),
        extensions: Vec::new(),
    };
    let won = match store.put(&ObjectKey::config(), &[&config.encode(&root)]) {
        Ok(put) => put == Put::Stored,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    // Whose config stands has won; slots of other inits, at once or broken off, open nothing.
    let winner = RepositoryConfig::read(store)?.repository;
    for (key, slot) in read_slots(store, &winner)? {
        if slot.is_err_and(|error| error.kind() == ErrorKind::Damaged) {
            store.delete(&key)?;
        }
    }
    if won { Ok((config, keyring)) } else { Err(exists()) }
}
