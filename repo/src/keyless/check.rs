//! Checks of what is uploaded, while it passes.

use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::image::ImageRecord;
use crate::index::{PackContents, PackKind};
use crate::lease;
use crate::pack::EncodedFooter;
use crate::repository::RepositoryConfig;
use crate::store::{Folder, ObjectKey};
use holotype_core::key_slot::KEY_SLOT;
use holotype_core::{LeaseId, PackId, RepositoryId, SegmentId, SlotId};

/// What is asked of an object before it becomes visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// That it is what its name says.
    Checked,
    /// Nothing: for the conformance suite of stores, whose objects are none of a repository.
    Opaque,
}

/// Longest footer of a pack; a pack of small chunks has some megabytes.
const MAX_FOOTER_BYTES: u64 = 32 << 20;
/// A pack is closed after it passed its size, by a frame at the most.
const MAX_PACK_BYTES: u64 = *RepositoryConfig::PACK_BYTES_RANGE.end() + (16 << 20) + MAX_FOOTER_BYTES;
const MAX_SEGMENT_BYTES: u64 = 96 << 20;
const MAX_IMAGE_BYTES: u64 = 16 << 20;
const MAX_SMALL_BYTES: u64 = 1 << 20;

/// The longest object that a folder takes, in bytes.
pub fn most_bytes(folder: Folder) -> u64 {
    match folder {
        Folder::Packs | Folder::Meta => MAX_PACK_BYTES,
        Folder::Index => MAX_SEGMENT_BYTES,
        Folder::Images => MAX_IMAGE_BYTES,
        Folder::Config | Folder::Keys | Folder::Receipts | Folder::Leases | Folder::Tombstones => MAX_SMALL_BYTES,
    }
}

/// An object that is being uploaded, as far as it came.
pub struct UploadCheck(Option<Passing>);

struct Passing {
    key: ObjectKey,
    repository: Option<RepositoryId>,
    hasher: blake3::Hasher,
    /// Bytes that are hashed; what follows is collected.
    hashed_bytes: u64,
    seen_bytes: u64,
    total_bytes: u64,
    collected: Vec<u8>,
}

impl UploadCheck {
    pub(super) fn opaque() -> Self {
        Self(None)
    }

    pub(super) fn new(
        key: &ObjectKey,
        total_bytes: u64,
        footer_bytes: Option<u64>,
        repository: Option<RepositoryId>,
    ) -> Result<Self> {
        let refuse = |why: String| Err(Error::new(ErrorKind::Damaged, key.to_string(), why));
        let most = most_bytes(key.folder());
        if total_bytes > most {
            return refuse(format!("{total_bytes} bytes are more than the {most} that such an object may have"));
        }
        if !name_fits(key) {
            return refuse("no object of this folder has such a name".to_owned());
        }
        let hashed_bytes = match (key.folder(), footer_bytes) {
            (Folder::Packs | Folder::Meta, Some(footer)) if footer <= total_bytes.min(MAX_FOOTER_BYTES) => {
                total_bytes - footer
            }
            (Folder::Packs | Folder::Meta, _) => {
                return refuse("the length of its footer is not told, or is impossible".to_owned());
            }
            // Only its name counts.
            (Folder::Index, _) => total_bytes,
            _ => 0,
        };
        let hasher = blake3::Hasher::new();
        let key = key.clone();
        let collected = Vec::new();
        Ok(Self(Some(Passing { key, repository, hasher, hashed_bytes, seen_bytes: 0, total_bytes, collected })))
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `Damaged` where more come than were said.
    pub fn update(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(passing) = &mut self.0 else { return Ok(()) };
        let seen_bytes = passing.seen_bytes.saturating_add(bytes.len() as u64);
        if seen_bytes > passing.total_bytes {
            return Err(Error::new(ErrorKind::Damaged, passing.key.to_string(), "more bytes came than were said"));
        }
        let to_hash = passing.hashed_bytes.saturating_sub(passing.seen_bytes).min(bytes.len() as u64) as usize;
        let (hashed, collected) = bytes.split_at(to_hash);
        passing.hasher.update(hashed);
        passing.collected.extend_from_slice(collected);
        passing.seen_bytes = seen_bytes;
        Ok(())
    }

    /// Says whether the object is what its name says; gives what an index takes in, of a pack.
    ///
    /// # Errors
    /// `Damaged` and `Unsupported`, each with the reason.
    pub fn finish(self) -> Result<Option<PackContents>> {
        let Some(passing) = self.0 else { return Ok(None) };
        if passing.seen_bytes != passing.total_bytes {
            return Err(passing.damaged("not all of its bytes came"));
        }
        match passing.key.folder() {
            Folder::Packs => passing.pack(PackKind::Data).map(Some),
            Folder::Meta => passing.pack(PackKind::Meta).map(Some),
            _ => passing.other().map(|()| None),
        }
    }
}

impl Passing {
    fn damaged(&self, why: &str) -> Error {
        Error::new(ErrorKind::Damaged, self.key.to_string(), why)
    }

    fn check_repository(&self, repository: &RepositoryId) -> Result<()> {
        match self.repository.is_none_or(|own| own == *repository) {
            true => Ok(()),
            false => Err(self.damaged("it is of another repository")),
        }
    }

    fn pack(mut self, kind: PackKind) -> Result<PackContents> {
        let Some(repository) = self.repository else { return Err(self.damaged("there is no repository yet")) };
        let footer = EncodedFooter(std::mem::take(&mut self.collected));
        let pack = footer.pack_id();
        if pack.to_string() != self.key.name() {
            return Err(self.damaged("its name is not the hash of its footer"));
        }
        let decoded = footer.decode(&repository).about(&self.key)?;
        if decoded.kind != kind || decoded.frames_bytes() != self.hashed_bytes {
            return Err(self.damaged("its footer does not fit its length or folder"));
        }
        if decoded.frames_hash != *self.hasher.finalize().as_bytes() {
            return Err(self.damaged("its frames are not those that its footer signs"));
        }
        Ok(decoded.contents(pack, self.total_bytes))
    }

    fn other(self) -> Result<()> {
        let bytes = &self.collected;
        match self.key.folder() {
            Folder::Packs | Folder::Meta => Err(self.damaged("it is a pack")),
            Folder::Index => match self.hasher.finalize().to_hex().as_str() == self.key.name() {
                true => Ok(()),
                false => Err(self.damaged("its name is not the hash of its bytes")),
            },
            Folder::Images => {
                if blake3::hash(bytes).to_hex().as_str() != self.key.name() {
                    return Err(self.damaged("its name is not the hash of its bytes"));
                }
                self.check_repository(&ImageRecord::decode(bytes).about(&self.key)?.repository)
            }
            Folder::Config => RepositoryConfig::decode(bytes).about(&self.key).map(drop),
            Folder::Keys => KEY_SLOT.decode::<holotype_core::key_slot::KeySlot>(bytes).about(&self.key).map(drop),
            Folder::Leases => self.lease(),
            Folder::Receipts | Folder::Tombstones => Ok(()),
        }
    }

    fn lease(&self) -> Result<()> {
        lease::check_object(&self.key, &self.collected).and_then(|repository| match repository {
            Some(repository) => self.check_repository(&repository),
            None => Ok(()),
        })
    }
}

/// Whether an object of that folder can have that name.
fn name_fits(key: &ObjectKey) -> bool {
    let name = key.name();
    match key.folder() {
        Folder::Config => *key == ObjectKey::config(),
        Folder::Keys => name.parse::<SlotId>().is_ok(),
        Folder::Packs | Folder::Meta | Folder::Tombstones => name.parse::<PackId>().is_ok(),
        Folder::Index => name.parse::<SegmentId>().is_ok(),
        Folder::Images => name.parse::<holotype_core::ImageId>().is_ok(),
        Folder::Leases => name.split_once('-').is_some_and(|(lease, _)| lease.parse::<LeaseId>().is_ok()),
        Folder::Receipts => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(folder: Folder, name: &str, total: u64, footer: Option<u64>) -> Result<UploadCheck> {
        UploadCheck::new(&ObjectKey::new(folder, name).unwrap(), total, footer, Some(RepositoryId([1; 16])))
    }

    #[test]
    fn impossible_objects_are_refused_before_a_byte_comes() {
        let name = "ab".repeat(32);
        assert!(check(Folder::Packs, &name, 1000, None).is_err());
        assert!(check(Folder::Packs, &name, 1000, Some(1001)).is_err());
        assert!(check(Folder::Packs, &name, u64::MAX, Some(10)).is_err());
        assert!(check(Folder::Packs, "abc", 1000, Some(10)).is_err());
        assert!(check(Folder::Leases, &name, MAX_SMALL_BYTES + 1, None).is_err());
        assert!(check(Folder::Config, "other", 10, None).is_err());
        assert!(check(Folder::Packs, &name, 1000, Some(10)).is_ok());
    }

    #[test]
    fn hash_named_objects_are_hashed() {
        let bytes = b"a segment of any content";
        let name = blake3::hash(bytes).to_hex().to_string();
        let run = |pieces: &[&[u8]]| {
            let mut check = check(Folder::Index, &name, bytes.len() as u64, None)?;
            pieces.iter().try_for_each(|piece| check.update(piece))?;
            check.finish().map(drop)
        };
        run(&[&bytes[..5], &bytes[5..]]).unwrap();
        assert!(run(&[&bytes[..5]]).is_err(), "bytes are missing");
        assert!(run(&[bytes, b"x"]).is_err(), "too many");
        let mut other = *bytes;
        other[3] ^= 1;
        assert!(run(&[&other]).is_err());
    }
}
