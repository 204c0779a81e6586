//! Index segments: footers of many packs in one object, verbatim, so that their signatures hold.

use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::index::PackContents;
use crate::pack::EncodedFooter;
use crate::store::{Folder, ObjectKey, Store};
use bincode::{Decode, Encode};
use holotype_core::header::ObjectKind;
use holotype_core::key_slot::Extension;
use holotype_core::{DecodeError, RepositoryId, SegmentId};

/// The objects `index/SEGMENT`.
pub const SEGMENT: ObjectKind = ObjectKind { code: *b"indx", version: 1, name: "index segment" };

/// A segment holds footers up to about this many bytes; more go into the next.
pub(crate) const SEGMENT_BYTES: usize = 16 << 20;

/// A pack in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SegmentPack {
    /// Length of the pack object.
    pub pack_bytes: u64,
    /// Its footer.
    pub footer: EncodedFooter,
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct IndexSegment {
    /// Whose repository.
    pub repository: RepositoryId,
    /// Segments that this one replaces.
    pub supersedes: Vec<SegmentId>,
    /// The packs.
    pub packs: Vec<SegmentPack>,
    /// Room for newer programs.
    pub extensions: Vec<Extension>,
}

impl IndexSegment {
    /// Reads a segment and the footers in it. Nothing is believed about the packs but what their
    /// writers signed.
    ///
    /// # Errors
    /// Damaged, not authentic or unsupported.
    pub fn decode(bytes: &[u8], repository: &RepositoryId) -> Result<Vec<PackContents>, DecodeError> {
        let segment: IndexSegment = SEGMENT.decode(bytes)?;
        if segment.repository != *repository {
            return Err(DecodeError::damaged(SEGMENT.name, format!("it is of repository {}", segment.repository)));
        }
        let contents = |pack: &SegmentPack| {
            let footer = pack.footer.decode(repository)?;
            let expected = footer.frames_bytes() + pack.footer.0.len() as u64;
            if expected != pack.pack_bytes {
                return Err(DecodeError::damaged(SEGMENT.name, "a pack's length does not fit its footer"));
            }
            Ok(footer.contents(pack.footer.pack_id(), pack.pack_bytes))
        };
        segment.packs.iter().map(contents).collect()
    }
}

/// A segment that was stored: its name and its length in bytes.
pub(crate) type StoredSegment = (SegmentId, u64);

/// Stores segments over these packs, durably.
pub(crate) fn write_segments(
    store: &dyn Store,
    repository: RepositoryId,
    packs: Vec<SegmentPack>,
) -> Result<Vec<StoredSegment>> {
    let mut stored = Vec::new();
    let mut rest = packs.into_iter().peekable();
    while rest.peek().is_some() {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < SEGMENT_BYTES
            && let Some(pack) = rest.next()
        {
            bytes += pack.footer.0.len();
            taken.push(pack);
        }
        let segment = IndexSegment { repository, supersedes: Vec::new(), packs: taken, extensions: Vec::new() };
        let object = SEGMENT.encode(&segment);
        let name = SegmentId(*blake3::hash(&object).as_bytes());
        store.put(&ObjectKey::of(Folder::Index, name), &[&object])?;
        stored.push((name, object.len() as u64));
    }
    Ok(stored)
}

/// Reads the segment of this name.
pub(crate) fn read_segment(
    store: &dyn Store,
    name: &SegmentId,
    repository: &RepositoryId,
) -> Result<Vec<PackContents>> {
    let key = ObjectKey::of(Folder::Index, name);
    let object = store.get(&key)?;
    if blake3::hash(&object).as_bytes() != name.as_bytes() {
        return Err(Error::new(ErrorKind::Damaged, key.to_string(), "its name is not the hash of its bytes"));
    }
    IndexSegment::decode(&object, repository).about(key)
}
