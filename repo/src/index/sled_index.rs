//! The index in sled: sorted runs, newest asked first.

use super::catalog::{Catalog, Manifest};
use super::entry::{Entry, check_bounds, entries_of};
use super::guard::GuardedDb;
use super::merge::{choose, merge};
use super::packs::PackTable;
use super::run::{Run, RunWriter, number_of_tree, tree_name};
use super::{ChunkIndex, ChunkLocation, IndexStats, IndexedPack, PackContents};
use crate::error::Result;
use holotype_core::{ChunkId, PackId, SegmentId};
use std::collections::HashSet;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// Most entries that an insert sorts in memory at once; 40 bytes each. Few in tests, so that they
/// see inserts of several runs.
const SORTED_ENTRIES: usize = if cfg!(test) { 500 } else { 1 << 20 };

/// One machine's index over a repository's packs, in a directory of its own.
///
/// [`SledIndex::open`] says what it finds there.
pub struct SledIndex {
    // Fields are dropped in this order: the trees of runs, the database, then its lock.
    runs: RwLock<Arc<Vec<Arc<Run>>>>,
    writer: Mutex<Writer>,
    packs: RwLock<PackTable>,
    segments: RwLock<HashSet<SegmentId>>,
    catalog: Catalog,
    db: GuardedDb,
    _lock: File,
}

struct Writer {
    /// As it is on disk.
    manifest: Manifest,
    /// The number of the next run: higher than the manifest's after an insert that failed.
    next_run: u64,
    /// Merged away, and maybe still read.
    retired: Vec<Arc<Run>>,
}

impl Writer {
    fn take_number(&mut self) -> u64 {
        self.next_run += 1;
        self.next_run - 1
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    // What is behind these locks is replaced in one step, so a panic leaves it whole.
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

impl SledIndex {
    /// Writes the manifest of a new index.
    pub(super) fn create(db: &GuardedDb) -> Result<()> {
        Catalog { tree: db.tree(None)? }.put_manifest(&Manifest::empty())?;
        db.flush()
    }

    /// Loads what the manifest names and drops the leftovers of runs that were not finished.
    pub(super) fn load(db: GuardedDb, lock: File) -> Result<Self> {
        let catalog = Catalog { tree: db.tree(None)? };
        let manifest = catalog.manifest()?.ok_or_else(|| db.guard.damaged("the manifest of runs is missing"))?;
        let packs = catalog.packs(manifest.packs)?;
        let segments = catalog.segments(manifest.segments)?;
        let wanted: HashSet<u64> = manifest.runs.iter().map(|run| run.number).collect();
        let names = db.call(|db| Ok(db.tree_names()))?;
        let mut present = HashSet::new();
        for name in names {
            match number_of_tree(&name) {
                Some(number) if wanted.contains(&number) => {
                    present.insert(number);
                }
                Some(_) => {
                    db.call(|db| db.drop_tree(&name))?;
                }
                None => {}
            }
        }
        if present != wanted {
            return Err(db.guard.damaged("a run is missing"));
        }
        let runs: Vec<_> = manifest.runs.iter().map(|run| Run::load(&db, *run).map(Arc::new)).collect::<Result<_>>()?;
        Ok(Self {
            runs: RwLock::new(Arc::new(runs)),
            writer: Mutex::new(Writer { next_run: manifest.next_run, manifest, retired: Vec::new() }),
            packs: RwLock::new(packs),
            segments: RwLock::new(segments),
            catalog,
            db,
            _lock: lock,
        })
    }

    fn runs(&self) -> Arc<Vec<Arc<Run>>> {
        Arc::clone(&read(&self.runs))
    }

    /// Sorts the entries of `packs` into runs of at most [`SORTED_ENTRIES`].
    fn write_runs(&self, writer: &mut Writer, packs: &[(u32, &PackContents)]) -> Result<Vec<Arc<Run>>> {
        let total: usize = packs.iter().map(|(_, pack)| pack.frames.iter().map(Vec::len).sum::<usize>()).sum();
        let mut runs = Vec::new();
        let mut entries: Vec<Entry> = Vec::with_capacity(total.min(SORTED_ENTRIES));
        let mut rest = packs.iter().flat_map(|(number, pack)| entries_of(pack, *number));
        loop {
            entries.clear();
            entries.extend(rest.by_ref().take(SORTED_ENTRIES));
            if entries.is_empty() {
                return Ok(runs);
            }
            entries.sort_unstable();
            let mut run = RunWriter::new(&self.db, writer.take_number(), entries.len() as u64)?;
            entries.iter().try_for_each(|entry| run.push(*entry))?;
            runs.extend(run.finish()?.map(Arc::new));
        }
    }

    /// Commits a manifest, with everything that it names written before.
    ///
    /// Crash before the first flush ends, or between the flushes: the old manifest holds, and what
    /// it does not name is dropped or written over. Crash in the second flush: the old or the new
    /// one. sled's flush does not reach through a disk's own cache; where a power cut then loses
    /// what a manifest names, its digests and checksums show it.
    fn commit(&self, writer: &mut Writer, manifest: Manifest) -> Result<()> {
        self.db.flush()?;
        self.catalog.put_manifest(&manifest)?;
        self.db.flush()?;
        writer.manifest = manifest;
        Ok(())
    }

    fn publish(&self, runs: Vec<Arc<Run>>) {
        *self.runs.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(runs);
    }

    /// Merges until there are few runs.
    fn compact(&self, writer: &mut Writer) -> Result<()> {
        loop {
            let runs = self.runs();
            let entries: Vec<u64> = runs.iter().map(|run| run.record.entries).collect();
            let chosen = choose(&entries);
            if chosen.is_empty() {
                return Ok(());
            }
            let merged: Vec<_> = chosen.iter().map(|&position| Arc::clone(&runs[position])).collect();
            let others = runs.iter().enumerate().filter(|(position, _)| !chosen.contains(position));
            let mut kept: Vec<_> = others.map(|(_, run)| Arc::clone(run)).collect();
            let keep = |entry: &Entry| read(&self.packs).is_live(entry.pack);
            let run = merge(&self.db, &merged, writer.take_number(), keep)?;
            kept.extend(run.map(Arc::new));
            let records = kept.iter().map(|run| run.record).collect();
            let manifest = Manifest { next_run: writer.next_run, runs: records, ..writer.manifest.clone() };
            self.commit(writer, manifest)?;
            drop(runs);
            self.publish(kept);
            writer.retired.extend(merged);
            self.drop_retired(writer)?;
        }
    }

    /// Drops merged runs that nobody reads any more; the next open drops the others.
    fn drop_retired(&self, writer: &mut Writer) -> Result<()> {
        let (unused, used) = writer.retired.drain(..).partition(|run: &Arc<Run>| Arc::strong_count(run) == 1);
        writer.retired = used;
        let unused: Vec<Arc<Run>> = unused;
        for run in unused {
            let name = tree_name(run.record.number);
            drop(run);
            self.db.call(|db| db.drop_tree(name))?;
        }
        Ok(())
    }
}

impl ChunkIndex for SledIndex {
    /// Order: runs and lists → flush → manifest → flush (`commit`) → visible to readers → merges,
    /// each with a commit of its own. An error of a merge comes after the insert was done.
    fn insert(&self, packs: &[PackContents], segments: &[SegmentId]) -> Result<()> {
        packs.iter().try_for_each(check_bounds)?;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = &mut *writer;
        self.drop_retired(writer)?;

        let (new_packs, new_segments) = {
            let mut seen = HashSet::new();
            let known = read(&self.packs);
            let new: Vec<_> = packs.iter().filter(|p| known.number(&p.pack).is_none() && seen.insert(p.pack)).collect();
            let known = read(&self.segments);
            let mut seen = HashSet::new();
            (new, segments.iter().filter(|s| !known.contains(s) && seen.insert(**s)).collect::<Vec<_>>())
        };
        if new_packs.is_empty() && new_segments.is_empty() {
            return Ok(());
        }

        let mut manifest = writer.manifest.clone();
        let mut numbered = Vec::with_capacity(new_packs.len());
        for pack in new_packs {
            numbered.push((manifest.packs.count, pack));
            manifest.packs = self.catalog.append_pack(manifest.packs, IndexedPack::from(pack))?;
        }
        for segment in &new_segments {
            manifest.segments = self.catalog.append_segment(manifest.segments, segment)?;
        }
        let new_runs = self.write_runs(writer, &numbered)?;
        manifest.next_run = writer.next_run;
        manifest.runs.extend(new_runs.iter().map(|run| run.record));
        self.commit(writer, manifest)?;

        let mut table = self.packs.write().unwrap_or_else(PoisonError::into_inner);
        numbered.iter().try_for_each(|(_, pack)| table.push(IndexedPack::from(*pack)).map(drop))?;
        drop(table);
        let mut runs = Vec::clone(&self.runs());
        runs.extend(new_runs);
        self.publish(runs);
        self.segments.write().unwrap_or_else(PoisonError::into_inner).extend(new_segments);
        self.compact(writer)
    }

    fn has_segment(&self, segment: &SegmentId) -> Result<bool> {
        Ok(read(&self.segments).contains(segment))
    }

    fn locate(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkLocation>>> {
        let mut found = vec![None; ids.len()];
        let mut open: Vec<usize> = (0..ids.len()).collect();
        open.sort_unstable_by_key(|&position| ids[position]);
        for run in self.runs().iter().rev() {
            let mut last_read = None;
            let mut still_open = Vec::with_capacity(open.len());
            for position in open {
                let id = &ids[position];
                if run.may_contain(id) {
                    found[position] =
                        run.find(id, &mut last_read, |entry| read(&self.packs).resolve(&self.db.guard.subject, entry))?;
                }
                if found[position].is_none() {
                    still_open.push(position);
                }
            }
            open = still_open;
        }
        Ok(found)
    }

    fn may_contain(&self, id: &ChunkId) -> bool {
        self.runs().iter().any(|run| run.may_contain(id))
    }

    fn packs(&self) -> Result<Vec<IndexedPack>> {
        Ok(read(&self.packs).live().collect())
    }

    fn remove_packs(&self, packs: &[PackId]) -> Result<()> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers: Vec<u32> = {
            let known = read(&self.packs);
            packs.iter().filter_map(|pack| known.number(pack)).collect()
        };
        for number in numbers {
            self.catalog.mark_removed(number)?;
            self.packs.write().unwrap_or_else(PoisonError::into_inner).remove(number);
        }
        self.db.flush()
    }

    fn stats(&self) -> Result<IndexStats> {
        let runs = self.runs();
        Ok(IndexStats {
            packs: read(&self.packs).live_count(),
            entries: runs.iter().map(|run| run.record.entries).sum(),
            runs: runs.len() as u32,
            disk_bytes: self.db.call(sled::Db::size_on_disk)?,
        })
    }

    fn flush(&self) -> Result<()> {
        self.db.flush()
    }
}
