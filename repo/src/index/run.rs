//! A run: sorted pages in a tree of its own, with a filter and fences in memory.
//!
//! The tree `run-NUMBER` (16 hexadecimal digits) holds checked values under a kind and a number:
//! pages, parts of the filter, and parts of the fences. A fence is the first eight id bytes of a
//! page as a little-endian number of their big-endian value; with them a page is found by its
//! number, so a page that is missing is noticed. Runs never change.

use super::block::{BlockKind, BlockPlace};
use super::catalog::RunRecord;
use super::entry::Entry;
use super::filter::Filter;
use super::guard::{GuardedDb, GuardedTree};
use super::page::{PAGE_ENTRIES, Page};
use crate::error::{Error, ErrorKind, Result};
use holotype_core::ChunkId;
use sled::IVec;

/// Payload of a filter or fence part; small, because sled rewrites up to 17 values together.
const PART_BYTES: usize = 4096;
/// Values in one sled batch.
const BATCH_VALUES: usize = 64;

/// Name of the tree of run `number`.
pub(super) fn tree_name(number: u64) -> String {
    format!("run-{number:016x}")
}

/// The number in a tree's name.
pub(super) fn number_of_tree(name: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(name.strip_prefix(b"run-")?).ok()?;
    u64::from_str_radix(digits, 16).ok().filter(|&number| tree_name(number).as_bytes() == name)
}

fn fence(id: &ChunkId) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&id.0[..8]);
    u64::from_be_bytes(first)
}

/// A finished run.
pub(super) struct Run {
    pub record: RunRecord,
    tree: GuardedTree,
    filter: Filter,
    fences: Vec<u64>,
}

/// A page that was read, by its number.
pub(super) type ReadPage = (u32, IVec);

impl Run {
    /// Loads filter and fences of a finished run.
    ///
    /// # Errors
    /// `Damaged` where they do not fit the record.
    pub fn load(db: &GuardedDb, record: RunRecord) -> Result<Self> {
        let tree = db.tree(Some(&tree_name(record.number)))?;
        let pages = record.entries.div_ceil(PAGE_ENTRIES as u64);
        let pages = u32::try_from(pages).map_err(|_| db.guard.damaged("a run has too many pages"))?;
        let filter = read_parts(&tree, record, BlockKind::Filter, u64::from(record.filter_blocks) * 64)?;
        let filter = Filter::from_parts([filter.as_slice()]).ok_or_else(|| db.guard.damaged("a run has no filter"))?;
        let fences = read_parts(&tree, record, BlockKind::Fences, u64::from(pages) * 8)?;
        let fences = fences.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        Ok(Self { record, tree, filter, fences })
    }

    /// `false` only where no entry has this id.
    pub fn may_contain(&self, id: &ChunkId) -> bool {
        self.filter.may_contain(id)
    }

    /// Number of pages.
    pub fn pages(&self) -> u32 {
        self.fences.len() as u32
    }

    fn page_entries(&self, number: u32) -> usize {
        let before = u64::from(number) * PAGE_ENTRIES as u64;
        self.record.entries.saturating_sub(before).min(PAGE_ENTRIES as u64) as usize
    }

    /// The value of page `number`.
    ///
    /// # Errors
    /// `Damaged` where it is not there.
    pub fn read_page(&self, number: u32) -> Result<ReadPage> {
        let place = BlockPlace { seed: self.record.seed, kind: BlockKind::Page, number };
        let value = self.tree.get(&place.key())?;
        let value = value.ok_or_else(|| self.tree.guard.damaged(format!("page {number} of a run is missing")))?;
        let payload = place.open(&self.tree.guard.subject, &value)?;
        Page::decode(&self.tree.guard.subject, payload, self.page_entries(number))?;
        Ok((number, value))
    }

    /// The entries of a page that [`Run::read_page`] checked.
    pub fn page<'a>(&self, read: &'a ReadPage) -> Result<Page<'a>> {
        let payload = read.1.get(super::block::SUM_BYTES..).unwrap_or_default();
        Page::decode(&self.tree.guard.subject, payload, self.page_entries(read.0))
    }

    /// The first of what `wanted` makes of the entries of `id`. `last_read` keeps the page read
    /// last, for callers that ask in the order of ids.
    ///
    /// # Errors
    /// `Damaged`, and those of `wanted`.
    pub fn find<T>(
        &self,
        id: &ChunkId,
        last_read: &mut Option<ReadPage>,
        wanted: impl Fn(&Entry) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let fence = fence(id);
        let mut number = self.fences.partition_point(|&first| first < fence).saturating_sub(1) as u32;
        while number < self.pages() {
            let read = match last_read.take() {
                Some(read) if read.0 == number => read,
                _ => self.read_page(number)?,
            };
            let page = self.page(&*last_read.insert(read))?;
            for entry in page.find(id) {
                if let Some(found) = wanted(&entry)? {
                    return Ok(Some(found));
                }
            }
            if !page.may_go_on(id) {
                break;
            }
            number += 1;
            if self.fences.get(number as usize).is_some_and(|&first| first > fence) {
                break;
            }
        }
        Ok(None)
    }
}

/// The parts of a filter or of fences, `bytes` in all.
fn read_parts(tree: &GuardedTree, record: RunRecord, kind: BlockKind, bytes: u64) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut number = 0;
    while (all.len() as u64) < bytes {
        let place = BlockPlace { seed: record.seed, kind, number };
        let value = tree.get(&place.key())?;
        let value = value.ok_or_else(|| tree.guard.damaged(format!("{kind:?} {number} of a run is missing")))?;
        let payload = place.open(&tree.guard.subject, &value)?;
        if payload.is_empty() {
            return Err(tree.guard.damaged("a part is empty"));
        }
        all.extend_from_slice(payload);
        number += 1;
    }
    if all.len() as u64 == bytes { Ok(all) } else { Err(tree.guard.damaged("a part has another length")) }
}

/// Writes a run page by page.
pub(super) struct RunWriter {
    record: RunRecord,
    tree: GuardedTree,
    filter: Filter,
    fences: Vec<u64>,
    page: Vec<u8>,
    batch: sled::Batch,
    batch_values: usize,
}

impl RunWriter {
    /// Begins run `number`, which will have up to `most_entries` entries.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(db: &GuardedDb, number: u64, most_entries: u64) -> Result<Self> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| Error::new(ErrorKind::Io, "random numbers", error.to_string()))?;
        Ok(Self {
            record: RunRecord { number, seed: u64::from_le_bytes(seed), entries: 0, filter_blocks: 0 },
            tree: db.tree(Some(&tree_name(number)))?,
            filter: Filter::for_keys(most_entries),
            fences: Vec::new(),
            page: Vec::with_capacity(PAGE_ENTRIES * Entry::BYTES),
            batch: sled::Batch::default(),
            batch_values: 0,
        })
    }

    /// Adds an entry, which is not smaller than those before.
    pub fn push(&mut self, entry: Entry) -> Result<()> {
        if self.page.is_empty() {
            self.fences.push(fence(&entry.id));
        }
        self.filter.add(&entry.id);
        self.page.extend_from_slice(&entry.to_bytes());
        self.record.entries += 1;
        if self.page.len() == PAGE_ENTRIES * Entry::BYTES {
            self.put_page()?;
        }
        Ok(())
    }

    fn put_page(&mut self) -> Result<()> {
        let page = std::mem::take(&mut self.page);
        self.put(BlockKind::Page, self.fences.len() - 1, &page)?;
        self.page = page;
        self.page.clear();
        Ok(())
    }

    fn put(&mut self, kind: BlockKind, number: usize, payload: &[u8]) -> Result<()> {
        let number = u32::try_from(number)
            .map_err(|_| Error::new(ErrorKind::Unsupported, &self.tree.guard.subject, "a run has too many pages"))?;
        let place = BlockPlace { seed: self.record.seed, kind, number };
        self.batch.insert(&place.key(), place.seal(payload));
        self.batch_values += 1;
        if self.batch_values >= BATCH_VALUES { self.put_batch() } else { Ok(()) }
    }

    fn put_batch(&mut self) -> Result<()> {
        self.batch_values = 0;
        let batch = std::mem::take(&mut self.batch);
        self.tree.call(|tree| tree.apply_batch(batch))
    }

    /// The finished run, `None` where it has no entries. It is not durable yet.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn finish(mut self) -> Result<Option<Run>> {
        if self.record.entries == 0 {
            return Ok(None);
        }
        if !self.page.is_empty() {
            self.put_page()?;
        }
        let fences: Vec<u8> = self.fences.iter().flat_map(|fence| fence.to_le_bytes()).collect();
        for (number, part) in fences.chunks(PART_BYTES).enumerate() {
            self.put(BlockKind::Fences, number, part)?;
        }
        let filter = std::mem::replace(&mut self.filter, Filter::for_keys(0));
        for (number, part) in filter.parts(PART_BYTES / Filter::BLOCK_BYTES).enumerate() {
            self.put(BlockKind::Filter, number, &part)?;
        }
        self.put_batch()?;
        self.record.filter_blocks = u32::try_from(filter.blocks())
            .map_err(|_| Error::new(ErrorKind::Unsupported, &self.tree.guard.subject, "a run has too many entries"))?;
        Ok(Some(Run { record: self.record, tree: self.tree, filter, fences: self.fences }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_names() {
        assert_eq!(tree_name(0x1f), "run-000000000000001f");
        assert_eq!(number_of_tree(b"run-000000000000001f"), Some(0x1f));
        for other in [&b"run-1f"[..], b"run-000000000000001F", b"run-+00000000000001f", b"__sled__default", b"run-"] {
            assert_eq!(number_of_tree(other), None);
        }
    }
}
