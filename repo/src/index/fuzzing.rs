//! For the fuzzer: values planted in sled behind right checksums, read as an index reads them.

use super::block::{BlockKind, BlockPlace};
use super::catalog::{Catalog, ListHead, Manifest, RunRecord};
use super::guard::GuardedDb;
use super::merge::merge;
use super::run::{Run, tree_name};
use crate::error::Result;
use holotype_core::ChunkId;
use std::path::Path;
use std::sync::Arc;

const SEED: u64 = 7;
const CACHE_BYTES: u64 = 8 << 20;

/// What stands in the database. Checksums and list heads are made to fit.
#[derive(Debug, Default)]
pub struct Planted {
    /// Pack records.
    pub packs: Vec<Vec<u8>>,
    /// Segment records.
    pub segments: Vec<Vec<u8>>,
    /// Numbers of removed packs.
    pub removed: Vec<u32>,
    /// Entries that run 0 claims.
    pub entries: u64,
    /// Filter blocks that run 0 claims.
    pub filter_blocks: u32,
    /// Values of run 0: kind (`p`, `f`, else fences), number, payload.
    pub blocks: Vec<(u8, u32, Vec<u8>)>,
    /// A record to be decoded as the manifest of runs, before the one that fits is.
    pub manifest: Vec<u8>,
    /// What is looked for.
    pub ids: Vec<ChunkId>,
}

/// A database for [`Planted`] values.
pub struct Database(GuardedDb);

impl Database {
    /// Opens one in an empty directory.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(directory: &Path) -> Result<Self> {
        GuardedDb::open(directory, CACHE_BYTES).map(Self)
    }

    /// Plants and reads everything: catalog, run, look-ups, a merge. Gives the number of ids found.
    ///
    /// # Errors
    /// What an index says of such values.
    pub fn read(&self, planted: &Planted) -> Result<usize> {
        let catalog = Catalog { tree: self.0.tree(None)? };
        catalog.tree.call(|tree| tree.clear())?;
        let _ = Manifest::decode_for_fuzzing(&planted.manifest);
        let (mut packs, mut segments) = (ListHead::default(), ListHead::default());
        for (number, record) in (0u32..).zip(&planted.packs) {
            catalog.tree.call(|tree| tree.insert([&b"p"[..], &number.to_be_bytes()].concat(), record.as_slice()))?;
            packs = packs.append(record)?;
        }
        for (number, record) in (0u32..).zip(&planted.segments) {
            catalog.tree.call(|tree| tree.insert([&b"s"[..], &number.to_be_bytes()].concat(), record.as_slice()))?;
            segments = segments.append(record)?;
        }
        planted.removed.iter().try_for_each(|number| catalog.mark_removed(*number))?;
        let record =
            RunRecord { number: 0, seed: SEED, entries: planted.entries, filter_blocks: planted.filter_blocks };
        catalog.put_manifest(&Manifest { packs, segments, runs: vec![record], ..Manifest::empty() })?;
        let tree = self.0.tree(Some(&tree_name(0)))?;
        tree.call(|tree| tree.clear())?;
        for (kind, number, payload) in &planted.blocks {
            let kind = match kind {
                b'p' => BlockKind::Page,
                b'f' => BlockKind::Filter,
                _ => BlockKind::Fences,
            };
            let place = BlockPlace { seed: SEED, kind, number: *number };
            tree.call(|tree| tree.insert(place.key(), place.seal(payload)))?;
        }

        let manifest = catalog.manifest()?.ok_or_else(|| self.0.guard.damaged("the manifest is missing"))?;
        let table = catalog.packs(manifest.packs)?;
        catalog.segments(manifest.segments)?;
        let run = Arc::new(Run::load(&self.0, record)?);
        let mut last_read = None;
        let mut found = 0;
        for id in planted.ids.iter().filter(|id| run.may_contain(id)) {
            let location = run.find(id, &mut last_read, |entry| table.resolve("planted index", entry))?;
            found += usize::from(location.is_some());
        }
        let merged = merge(&self.0, &[Arc::clone(&run), run], 1, |entry| table.is_live(entry.pack));
        self.0.call(|db| db.drop_tree(tree_name(1)))?;
        merged.map(|_| found)
    }
}
