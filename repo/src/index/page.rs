//! Pages: a run's sorted entries, [`PAGE_ENTRIES`] to a value.

use super::block::MAX_PAYLOAD_BYTES;
use super::entry::Entry;
use crate::error::{Error, ErrorKind, Result};
use holotype_core::ChunkId;

/// Entries of a page; only the last page of a run has fewer.
pub const PAGE_ENTRIES: usize = 128;
const _: () = assert!(PAGE_ENTRIES * Entry::BYTES <= MAX_PAYLOAD_BYTES);

/// The sorted entries of a page, read where they lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    entries: &'a [[u8; Entry::BYTES]],
}

impl<'a> Page<'a> {
    /// Reads a page that should have `entries` entries.
    ///
    /// # Errors
    /// `Damaged` where it has another number.
    pub fn decode(subject: &str, payload: &'a [u8], entries: usize) -> Result<Self> {
        let (whole, rest) = payload.as_chunks();
        if rest.is_empty() && whole.len() == entries {
            return Ok(Self { entries: whole });
        }
        let why = format!("a page of {} bytes should have {entries} entries", payload.len());
        Err(Error::new(ErrorKind::Damaged, subject, why))
    }

    /// Number of entries.
    pub fn len(self) -> usize {
        self.entries.len()
    }

    /// The entry at `index`.
    pub fn get(self, index: usize) -> Option<Entry> {
        self.entries.get(index).map(Entry::from_bytes)
    }

    /// The entries of `id`.
    pub fn find(self, id: &ChunkId) -> impl Iterator<Item = Entry> {
        let first = self.entries.partition_point(|entry| entry[..32] < id.0[..]);
        self.entries[first..].iter().take_while(move |entry| entry[..32] == id.0[..]).map(Entry::from_bytes)
    }

    /// Whether entries of `id` may go on in the next page.
    pub fn may_go_on(self, id: &ChunkId) -> bool {
        self.entries.last().is_none_or(|entry| entry[..32] <= id.0[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: &[u8]) -> Vec<u8> {
        ids.iter()
            .zip(0..)
            .flat_map(|(&id, pack)| Entry { id: ChunkId([id; 32]), pack, frame: 0, slot: 0 }.to_bytes())
            .collect()
    }

    #[test]
    fn finds_every_entry_of_an_id() {
        let bytes = page(&[1, 3, 3, 3, 5]);
        let page = Page::decode("index", &bytes, 5).unwrap();
        let packs = |id: u8| page.find(&ChunkId([id; 32])).map(|entry| entry.pack).collect::<Vec<_>>();
        assert_eq!((packs(0), packs(1), packs(2)), (vec![], vec![0], vec![]));
        assert_eq!((packs(3), packs(5), packs(9)), (vec![1, 2, 3], vec![4], vec![]));
        assert!(page.may_go_on(&ChunkId([5; 32])) && !page.may_go_on(&ChunkId([4; 32])));
    }

    #[test]
    fn other_lengths_are_refused() {
        let bytes = page(&[1, 2]);
        for (length, entries) in [(80, 1), (80, 3), (79, 2), (79, 1), (0, 1)] {
            let error = Page::decode("index", &bytes[..length], entries).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
        }
    }
}
