//! The slots in `keys/`: adding, opening, listing, removing.

use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::keys::{Credentials, Keyring};
use crate::random;
use crate::store::{Folder, ObjectKey, Store};
use holotype_core::kdf::KdfParameters;
use holotype_core::key_slot::{KEY_SLOT, KeySlot, MIN_KEY_FILE_BYTES, Protection, Role, SlotHeader, SlotSecrets};
use holotype_core::signature::Signing;
use holotype_core::{RepositoryId, SlotId, WriterId};
use jiff::Timestamp;
use serde::Serialize;

/// More slots than this are not tried: each costs a slow derivation.
const MAX_SLOTS: usize = 256;

/// What a new key should be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What it may do: full or writer.
    pub role: Role,
    /// A name for people.
    pub label: String,
    /// What shall open it.
    pub credentials: Credentials,
    /// Take the least derivation cost allowed, for tests and very small machines.
    pub fast_derivation: bool,
}

impl NewKey {
    /// A key of this role that these credentials open.
    pub fn new(role: Role, label: impl Into<String>, credentials: Credentials) -> Self {
        Self { role, label: label.into(), credentials, fast_derivation: false }
    }

    fn protection(&self) -> Result<Protection> {
        let salt = random::bytes()?;
        let kdf = if self.fast_derivation { KdfParameters::floor(salt) } else { KdfParameters::new(salt) };
        let factors = self.credentials.factors();
        if let Some(file) = &factors.key_file
            && file.expose().len() < MIN_KEY_FILE_BYTES
        {
            let why = format!("it has {} bytes, and at least {MIN_KEY_FILE_BYTES} are needed", file.expose().len());
            return Err(Error::new(ErrorKind::InvalidInput, "key file", why));
        }
        match (&factors.password, &factors.key_file) {
            (Some(password), _) if password.expose().is_empty() => {
                Err(Error::new(ErrorKind::InvalidInput, "password", "it is empty"))
            }
            (Some(_), None) => Ok(Protection::Password(kdf)),
            (Some(_), Some(_)) => Ok(Protection::PasswordAndKeyFile(kdf)),
            (None, Some(_)) => Ok(Protection::KeyFile(salt)),
            (None, None) => {
                Err(Error::new(ErrorKind::InvalidInput, "key", "neither a password nor a key file is given"))
            }
        }
    }
}

/// A key slot as `key list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct SlotInfo {
    /// Its name.
    pub slot: SlotId,
    /// `full`, `writer`, or the number of a role that this program does not know.
    pub role: String,
    /// A name for people.
    pub label: String,
    /// When it was made, by the maker's clock.
    pub created: Timestamp,
    /// `password`, `password+key-file` or `key-file`.
    pub opened_by: &'static str,
    /// Under which name its holder signs.
    pub writer: WriterId,
    /// Whether it is the slot that is open now.
    pub current: bool,
}

fn object(slot: &SlotId) -> ObjectKey {
    ObjectKey::of(Folder::Keys, slot)
}

/// Every slot, damaged ones with their error.
pub(crate) fn read_slots(store: &dyn Store, repository: &RepositoryId) -> Result<Vec<(ObjectKey, Result<KeySlot>)>> {
    let mut slots = Vec::new();
    for info in store.list(Folder::Keys)? {
        let read = store.get(&info.key).and_then(|bytes| {
            let slot: KeySlot = KEY_SLOT.decode(&bytes).about(&info.key)?;
            if slot.header.repository != *repository || object(&slot.header.slot) != info.key {
                return Err(Error::new(ErrorKind::Damaged, info.key.to_string(), "it belongs elsewhere"));
            }
            Ok(slot)
        });
        slots.push((info.key, read));
    }
    slots.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(slots)
}

/// The first slot that the credentials open.
pub(crate) fn open_any_slot(
    store: &dyn Store,
    repository: &RepositoryId,
    credentials: &Credentials,
) -> Result<(SlotId, u32, SlotSecrets)> {
    let mut slots = read_slots(store, repository)?;
    if slots.is_empty() {
        return Err(Error::new(ErrorKind::Damaged, store.describe(), "it has no key slot, so nothing can open it")
            .advise("restore the folder `keys` from a copy"));
    }
    // Full keys first: with a password and a key file in hand, each may open a slot of its own.
    slots.sort_by_key(|(_, slot)| !slot.as_ref().is_ok_and(|slot| slot.header.role == Role::Full.number()));
    let mut damaged = None;
    for (_, slot) in slots.into_iter().take(MAX_SLOTS) {
        match slot {
            Ok(slot) => match slot.open(credentials.factors()) {
                Ok(Some(secrets)) => return Ok((slot.header.slot, slot.header.key_epoch, secrets)),
                Ok(None) => {}
                Err(error) => damaged = Some(Error::decode(object(&slot.header.slot).to_string(), error)),
            },
            Err(error) => damaged = Some(error),
        }
    }
    let wrong =
        Error::new(ErrorKind::WrongPassword, store.describe(), "no key slot opens with this password or key file");
    Err(match damaged {
        Some(error) => wrong.advise(format!("one slot could not be read: {error}")),
        None => wrong,
    })
}

/// Seals `secrets` into a new slot and stores it.
pub(crate) fn add_slot(
    store: &dyn Store,
    repository: RepositoryId,
    key_epoch: u32,
    secrets: &SlotSecrets,
    root: &Signing,
    new: &NewKey,
) -> Result<SlotId> {
    let slot = SlotId(random::bytes()?);
    let header = SlotHeader {
        slot,
        repository,
        role: secrets.role().number(),
        label: new.label.clone(),
        created_unix_seconds: Timestamp::now().as_second(),
        key_epoch,
        writer: secrets.signing().writer(),
        protection: new.protection()?,
        extensions: Vec::new(),
    };
    let sealed = KeySlot::seal(header, secrets, root, random::bytes()?, new.credentials.factors())
        .about("key slot")?
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "key", "its password or key file does not fit"))?;
    store.put(&object(&slot), &[&KEY_SLOT.encode(&sealed)])?;
    Ok(slot)
}

pub(crate) fn list_slots(store: &dyn Store, keyring: &Keyring) -> Result<Vec<SlotInfo>> {
    let mut infos = Vec::new();
    for (_, slot) in read_slots(store, &keyring.repository())? {
        let header = slot?.header;
        infos.push(SlotInfo {
            slot: header.slot,
            role: Role::from_number(header.role).to_string(),
            label: header.label,
            created: Timestamp::from_second(header.created_unix_seconds).unwrap_or(Timestamp::UNIX_EPOCH),
            opened_by: match header.protection {
                Protection::Password(_) => "password",
                Protection::PasswordAndKeyFile(_) => "password+key-file",
                Protection::KeyFile(_) => "key-file",
            },
            writer: header.writer,
            current: Some(header.slot) == keyring.slot(),
        });
    }
    infos.sort_by_key(|info| info.created);
    Ok(infos)
}

/// Removes a slot, but never the last full one.
pub(crate) fn remove_slot(store: &dyn Store, keyring: &Keyring, slot: &SlotId) -> Result<()> {
    let slots = read_slots(store, &keyring.repository())?;
    let full = |header: &SlotHeader| header.role == Role::Full.number();
    let wanted = slots.iter().find(|(key, _)| *key == object(slot));
    if wanted.is_none() {
        return Err(Error::new(ErrorKind::NotFound, format!("key {slot}"), "there is no such key slot")
            .advise("`holotype key list` shows those that are"));
    }
    let others_full =
        slots.iter().any(|(key, read)| *key != object(slot) && read.as_ref().is_ok_and(|other| full(&other.header)));
    if !others_full {
        return Err(Error::new(ErrorKind::InvalidInput, format!("key {slot}"), "it is the last full key")
            .advise("add another full key first"));
    }
    store.delete(&object(slot))
}
