//! The stored entry: a chunk id and its place, with the pack as a number local to this index.

use super::PackContents;
use crate::error::{Error, ErrorKind, Result};
use holotype_core::ChunkId;

/// Most frames of one pack, and most chunks of one frame.
pub const MAX_FRAMES: usize = 1 << 16;
/// Most chunks (or nodes) of one frame.
pub const MAX_SLOTS: usize = 1 << 16;

/// One id and one place of it. Its order is the order of runs: by id, then by place.
///
/// Stored in [`Entry::BYTES`] bytes, integers little-endian:
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 32 | chunk id |
/// | 32 | 4 | number of the pack in this index |
/// | 36 | 2 | frame in the pack |
/// | 38 | 2 | slot in the frame |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The chunk (or node).
    pub id: ChunkId,
    /// Number of the pack in this index.
    pub pack: u32,
    /// Number of the frame in the pack.
    pub frame: u16,
    /// Number of the chunk in the frame.
    pub slot: u16,
}

impl Entry {
    /// Length of a stored entry.
    pub const BYTES: usize = 40;

    /// The stored form.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.id.0);
        bytes[32..36].copy_from_slice(&self.pack.to_le_bytes());
        bytes[36..38].copy_from_slice(&self.frame.to_le_bytes());
        bytes[38..].copy_from_slice(&self.slot.to_le_bytes());
        bytes
    }

    /// Reads the stored form; every value is an entry.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut id = [0; 32];
        id.copy_from_slice(&bytes[..32]);
        Self {
            id: ChunkId(id),
            pack: u32::from_le_bytes([bytes[32], bytes[33], bytes[34], bytes[35]]),
            frame: u16::from_le_bytes([bytes[36], bytes[37]]),
            slot: u16::from_le_bytes([bytes[38], bytes[39]]),
        }
    }
}

/// Refuses packs whose places do not fit an [`Entry`].
///
/// # Errors
/// `InvalidInput`.
pub(super) fn check_bounds(contents: &PackContents) -> Result<()> {
    let refuse = |why: String| Err(Error::new(ErrorKind::InvalidInput, format!("pack {}", contents.pack), why));
    if contents.frames.len() > MAX_FRAMES {
        return refuse(format!("{} frames; at most {MAX_FRAMES} can be indexed", contents.frames.len()));
    }
    match contents.frames.iter().position(|ids| ids.len() > MAX_SLOTS) {
        Some(frame) => refuse(format!("frame {frame} has more than {MAX_SLOTS} chunks")),
        None => Ok(()),
    }
}

/// The entries of a pack that passed [`check_bounds`], in stored order of the pack.
pub(super) fn entries_of(contents: &PackContents, pack: u32) -> impl Iterator<Item = Entry> {
    (0..=u16::MAX)
        .zip(&contents.frames)
        .flat_map(move |(frame, ids)| (0..=u16::MAX).zip(ids).map(move |(slot, &id)| Entry { id, pack, frame, slot }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::PackKind;
    use holotype_core::{PackId, WriterId};

    #[test]
    fn golden_bytes() {
        let entry = Entry { id: ChunkId([0xaa; 32]), pack: 0x0102_0304, frame: 0x0506, slot: 0x0708 };
        let mut golden = [0xaa; 40];
        golden[32..].copy_from_slice(&[4, 3, 2, 1, 6, 5, 8, 7]);
        assert_eq!(entry.to_bytes(), golden);
        assert_eq!(Entry::from_bytes(&golden), entry);
    }

    fn contents(frames: Vec<Vec<ChunkId>>) -> PackContents {
        PackContents { pack: PackId([1; 32]), kind: PackKind::Data, writer: WriterId([2; 32]), bytes: 3, frames }
    }

    #[test]
    fn largest_numbers_fit_and_larger_are_refused() {
        let full = contents(vec![vec![ChunkId([7; 32]); MAX_SLOTS]]);
        check_bounds(&full).unwrap();
        let last = entries_of(&full, 9).last().unwrap();
        assert_eq!((last.pack, last.frame, last.slot), (9, 0, u16::MAX));
        let frames = contents(vec![Vec::new(); MAX_FRAMES]);
        check_bounds(&frames).unwrap();

        let slots = contents(vec![Vec::new(), vec![ChunkId([7; 32]); MAX_SLOTS + 1]]);
        assert_eq!(check_bounds(&slots).unwrap_err().kind(), ErrorKind::InvalidInput);
        let frames = contents(vec![Vec::new(); MAX_FRAMES + 1]);
        assert_eq!(check_bounds(&frames).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
