//! Reads packs: footer first, then frames by their places.

use super::origin::envelope_data;
use super::{EncodedFooter, OriginEntry, PackFooter, SealedTo, TRAILER_BYTES, pack_key};
use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::index::PackKind;
use crate::keys::Keyring;
use crate::store::{ObjectKey, Store};
use holotype_core::compress::Decompressor;
use holotype_core::frame::{FrameKind, FrameOrigin, OpenedFrame, PackKey};
use holotype_core::secret::Secret32;
use holotype_core::{DecodeError, PackId, RepositoryId};
use std::ops::Range;

/// Most footers are shorter, so one read brings trailer and footer.
const FIRST_READ_BYTES: u64 = 256 << 10;

fn damaged(key: &ObjectKey, why: &str) -> Error {
    Error::new(ErrorKind::Damaged, key.to_string(), why)
        .advise("run `holotype verify --read-data` to see which images need it")
}

/// The bytes of a pack's footer, as long as its last bytes say, and the pack's length. Nothing else
/// is checked.
pub(crate) fn read_encoded_footer(store: &dyn Store, key: &ObjectKey) -> Result<(EncodedFooter, u64)> {
    let pack_bytes = store.size(key)?;
    let start = pack_bytes.saturating_sub(FIRST_READ_BYTES);
    let mut tail = store.get_range(key, start..pack_bytes)?;
    let trailer_at = tail.len().checked_sub(TRAILER_BYTES).ok_or_else(|| damaged(key, "it is too short for a pack"))?;
    let footer_bytes = EncodedFooter::length_from_trailer(&tail[trailer_at..]).about(key)? as u64;
    if footer_bytes > pack_bytes {
        return Err(damaged(key, "its footer claims more bytes than the pack has"));
    }
    if footer_bytes > pack_bytes - start {
        tail = store.get_range(key, pack_bytes - footer_bytes..pack_bytes)?;
    }
    let encoded = EncodedFooter(tail.split_off(tail.len() - footer_bytes as usize));
    Ok((encoded, pack_bytes))
}

/// Reads and checks the footer of a pack, without any key. Gives the pack's length too.
pub(crate) fn read_footer(
    store: &dyn Store,
    repository: &RepositoryId,
    kind: PackKind,
    pack: &PackId,
) -> Result<(EncodedFooter, PackFooter, u64)> {
    let key = pack_key(kind, pack);
    let damaged = |why: &str| damaged(&key, why);
    let (encoded, pack_bytes) = match store.locator() {
        Some(locator) => {
            let (footer, pack_bytes) = locator.pack_footer(&key)?;
            (EncodedFooter(footer), pack_bytes)
        }
        None => read_encoded_footer(store, &key)?,
    };
    let footer_bytes = encoded.0.len() as u64;
    if encoded.pack_id() != *pack {
        return Err(damaged("its name is not the hash of its footer"));
    }
    let footer = encoded.decode(repository).about(&key)?;
    if footer.kind != kind || footer.frames_bytes().checked_add(footer_bytes) != Some(pack_bytes) {
        return Err(damaged("its footer does not fit its length or folder"));
    }
    Ok((encoded, footer, pack_bytes))
}

/// The secret of an origin, where the keys in hand give it.
pub(crate) fn origin_secret(keyring: &Keyring, origin: &OriginEntry) -> Result<Option<Secret32>, DecodeError> {
    const WHAT: &str = "pack key";
    if let Some(secret) = keyring.granted_pack_secret(&origin.salt) {
        return Ok(Some(secret.clone()));
    }
    let private = match origin.sealed_to {
        SealedTo::Content => keyring.content_private(),
        SealedTo::Reference => keyring.reference_private(),
    };
    let Some(private) = private.filter(|_| origin.key_epoch == keyring.key_epoch()) else { return Ok(None) };
    let data = envelope_data(&keyring.repository(), &origin.salt, origin.key_epoch);
    let opened = private.open(WHAT, &data, &origin.sealed_key)?;
    let secret = opened.as_slice().try_into().map_err(|_| DecodeError::damaged(WHAT, "it has a wrong length"))?;
    Ok(Some(Secret32::new(secret)))
}

/// A pack whose footer was read and whose keys were opened.
pub(crate) struct PackReader {
    key: ObjectKey,
    repository: RepositoryId,
    pub footer: PackFooter,
    offsets: Vec<u64>,
    origin_keys: Vec<Option<PackKey>>,
}

impl PackReader {
    pub fn open(store: &dyn Store, keyring: &Keyring, kind: PackKind, pack: &PackId) -> Result<Self> {
        let repository = keyring.repository();
        let (_, footer, _) = read_footer(store, &repository, kind, pack)?;
        let key = pack_key(kind, pack);
        let mut origin_keys = Vec::new();
        for origin in &footer.origins {
            let secret = origin_secret(keyring, origin).about(&key)?;
            origin_keys.push(secret.map(|secret| PackKey::new(&secret)));
        }
        let offsets = footer.frame_offsets();
        Ok(Self { key, repository, footer, offsets, origin_keys })
    }

    /// Lets the ids go, which a reader that was given places does not need.
    pub fn forget_ids(&mut self) {
        self.footer.frames.iter_mut().for_each(|frame| frame.ids = Vec::new());
    }

    pub fn object(&self) -> &ObjectKey {
        &self.key
    }

    /// Where a frame lies in the pack.
    pub fn frame_range(&self, frame: u32) -> Result<Range<u64>> {
        match (self.offsets.get(frame as usize), self.footer.frames.get(frame as usize)) {
            (Some(offset), Some(entry)) => Ok(*offset..offset + u64::from(entry.bytes)),
            _ => Err(Error::new(ErrorKind::Damaged, self.key.to_string(), format!("it has no frame {frame}"))),
        }
    }

    /// Opens the frame whose bytes, all of [`PackReader::frame_range`], are given.
    pub fn open_frame(&self, frame: u32, bytes: &mut [u8], decompressor: &mut Decompressor) -> Result<OpenedFrame> {
        let subject = || format!("{} frame {frame}", self.key);
        let entry = self
            .footer
            .frames
            .get(frame as usize)
            .ok_or_else(|| Error::new(ErrorKind::Damaged, subject(), "there is no such frame"))?;
        let origin = &self.footer.origins[entry.origin as usize];
        let key = self.origin_keys[entry.origin as usize].as_ref().ok_or_else(|| {
            Error::new(ErrorKind::NotAllowed, subject(), "this key may not open it").advise("use a full key")
        })?;
        let kind = match entry.kind {
            1 => FrameKind::Chunks,
            2 => FrameKind::References,
            _ => FrameKind::Layouts,
        };
        let origin = FrameOrigin { salt: origin.salt, number: entry.number, key_epoch: origin.key_epoch };
        OpenedFrame::open(bytes, kind, &self.repository, key, &origin, decompressor).about(subject())
    }

    /// Fetches and opens one frame.
    pub fn fetch_frame(&self, store: &dyn Store, frame: u32, decompressor: &mut Decompressor) -> Result<OpenedFrame> {
        let mut bytes = store.get_range(&self.key, self.frame_range(frame)?)?;
        self.open_frame(frame, &mut bytes, decompressor)
    }
}
