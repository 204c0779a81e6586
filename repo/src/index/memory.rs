//! The index in memory: sorted runs by the first byte of the id.
//!
//! Used where another process has the index on disk open, and in tests.

use super::entry::{Entry, check_bounds, entries_of};
use super::filter::Filter;
use super::packs::PackTable;
use super::{ChunkIndex, ChunkLocation, IndexStats, IndexedPack, PackContents};
use crate::error::Result;
use holotype_core::{ChunkId, PackId, SegmentId};
use std::collections::HashSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

const SHARDS: usize = 256;
/// Most runs of a shard.
const SHARD_RUNS: usize = 4;

/// An index without files: 42 bytes an entry, of which 2 are filter. A merge touches one of 256
/// shards at a time, so its copy is small.
#[derive(Default)]
pub struct MemoryIndex {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    packs: PackTable,
    segments: HashSet<SegmentId>,
    /// Empty, or one for each first byte of an id.
    shards: Vec<Shard>,
}

/// Runs from large to small, each at least twice as large as the next.
#[derive(Default)]
struct Shard {
    runs: Vec<(Box<[Entry]>, Filter)>,
}

impl Shard {
    /// Adds sorted entries, merging until there are few runs.
    fn add(&mut self, mut entries: Vec<Entry>, packs: &PackTable) {
        let merges = |runs: &[(Box<[Entry]>, Filter)], new: usize| {
            runs.last().is_some_and(|(last, _)| last.len() < 2 * new || runs.len() >= SHARD_RUNS)
        };
        let mut merged = 0;
        while merges(&self.runs[..self.runs.len() - merged], entries.len() + self.tail_len(merged)) {
            merged += 1;
        }
        if merged > 0 {
            entries.reserve_exact(self.tail_len(merged));
            for (run, _) in self.runs.drain(self.runs.len() - merged..) {
                entries.extend(run.iter().filter(|entry| packs.is_live(entry.pack)));
            }
            // The stable sort finds the sorted stretches and merges them.
            entries.sort();
        }
        let mut filter = Filter::for_keys(entries.len() as u64);
        entries.iter().for_each(|entry| filter.add(&entry.id));
        self.runs.push((entries.into_boxed_slice(), filter));
    }

    fn tail_len(&self, runs: usize) -> usize {
        self.runs[self.runs.len() - runs..].iter().map(|(run, _)| run.len()).sum()
    }

    fn find(&self, id: &ChunkId, packs: &PackTable) -> Result<Option<ChunkLocation>> {
        for (run, filter) in self.runs.iter().rev() {
            if !filter.may_contain(id) {
                continue;
            }
            let first = run.partition_point(|entry| entry.id < *id);
            for entry in run[first..].iter().take_while(|entry| entry.id == *id) {
                if let Some(location) = packs.resolve("index in memory", entry)? {
                    return Ok(Some(location));
                }
            }
        }
        Ok(None)
    }
}

impl MemoryIndex {
    /// An index that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    // A panic while it is written to leaves entries out at worst, and packs that are not there.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChunkIndex for MemoryIndex {
    fn insert(&self, packs: &[PackContents], segments: &[SegmentId]) -> Result<()> {
        packs.iter().try_for_each(check_bounds)?;
        let mut state = self.write();
        let state = &mut *state;
        let mut new: Vec<Vec<Entry>> = vec![Vec::new(); SHARDS];
        for pack in packs {
            if state.packs.number(&pack.pack).is_none() {
                let number = state.packs.push(IndexedPack::from(pack))?;
                entries_of(pack, number).for_each(|entry| new[usize::from(entry.id.0[0])].push(entry));
            }
        }
        state.shards.resize_with(SHARDS, Shard::default);
        for (shard, mut entries) in state.shards.iter_mut().zip(new) {
            if !entries.is_empty() {
                entries.sort_unstable();
                shard.add(entries, &state.packs);
            }
        }
        state.segments.extend(segments);
        Ok(())
    }

    fn has_segment(&self, segment: &SegmentId) -> Result<bool> {
        Ok(self.read().segments.contains(segment))
    }

    fn locate(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkLocation>>> {
        let state = self.read();
        let locate = |id: &ChunkId| match state.shards.get(usize::from(id.0[0])) {
            Some(shard) => shard.find(id, &state.packs),
            None => Ok(None),
        };
        ids.iter().map(locate).collect()
    }

    fn may_contain(&self, id: &ChunkId) -> bool {
        let state = self.read();
        let shard = state.shards.get(usize::from(id.0[0]));
        shard.is_some_and(|shard| shard.runs.iter().any(|(_, filter)| filter.may_contain(id)))
    }

    fn packs(&self) -> Result<Vec<IndexedPack>> {
        Ok(self.read().packs.live().collect())
    }

    fn remove_packs(&self, packs: &[PackId]) -> Result<()> {
        let mut state = self.write();
        for pack in packs {
            if let Some(number) = state.packs.number(pack) {
                state.packs.remove(number);
            }
        }
        Ok(())
    }

    fn stats(&self) -> Result<IndexStats> {
        let state = self.read();
        let runs = || state.shards.iter().flat_map(|shard| &shard.runs);
        Ok(IndexStats {
            packs: state.packs.live_count(),
            entries: runs().map(|(run, _)| run.len() as u64).sum(),
            runs: state.shards.iter().map(|shard| shard.runs.len()).max().unwrap_or(0) as u32,
            disk_bytes: 0,
        })
    }

    fn flush(&self) -> Result<()> {
        Ok(())
    }
}
