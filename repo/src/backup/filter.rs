//! Filter: which chunks and nodes are stored already.
//!
//! Cheapest first: a table in memory (what this backup stored, and every id of the packs that were
//! hit lately), the index's filters, the index itself. A hit in the index loads the whole table of
//! its pack, because what lay together once will mostly be asked for together again.

use crate::error::Result;
use crate::index::PackContents;
use crate::pack::{folder_of, is_lost, read_footer};
use crate::repository::Catalog;
use crate::store::{Folder, Store};
use holotype_core::{ChunkId, PackId, RepositoryId};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 64;
/// Ids of loaded packs that are kept, about 64 bytes each.
const MAX_LOADED_IDS: usize = 1 << 20;
/// Own ids that stay in memory after their packs are durable; more go to the index.
const MAX_OWN_IDS: usize = 512 << 10;

/// Ids are keyed hashes: any eight of their bytes are a hash.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
    fn write_usize(&mut self, _length: usize) {}
}

type IdMap = HashMap<ChunkId, Holder, BuildHasherDefault<IdHasher>>;

/// Who holds an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// This backup stores it.
    Own,
    /// The pack of this number.
    Pack(u32),
}

/// What [`DuplicateFilter::claim`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody has it: the caller stores it.
    New,
    /// It is stored or will be.
    Known,
}

/// Packs that were leaned on, by number.
pub(crate) type Leaned = HashSet<u32>;

/// The filter of one backup.
pub(crate) struct DuplicateFilter<'a> {
    catalog: &'a Catalog,
    store: &'a dyn Store,
    repository: RepositoryId,
    /// Packs that are going away: not leaned on.
    excluded: HashSet<PackId>,
    shards: Vec<Mutex<IdMap>>,
    packs: Mutex<Packs>,
    durable: Mutex<Vec<PackContents>>,
}

#[derive(Default)]
struct Packs {
    numbers: HashMap<PackId, u32>,
    names: Vec<(Folder, PackId)>,
    loaded: HashSet<PackId>,
    loaded_ids: usize,
}

impl Packs {
    fn number(&mut self, folder: Folder, pack: &PackId) -> u32 {
        *self.numbers.entry(*pack).or_insert_with(|| {
            self.names.push((folder, *pack));
            self.names.len() as u32 - 1
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> DuplicateFilter<'a> {
    pub fn new(
        catalog: &'a Catalog,
        store: &'a dyn Store,
        repository: RepositoryId,
        excluded: HashSet<PackId>,
    ) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { catalog, store, repository, excluded, shards, packs: Mutex::default(), durable: Mutex::default() }
    }

    fn shard(&self, id: &ChunkId) -> MutexGuard<'_, IdMap> {
        lock(&self.shards[id.0[31] as usize % SHARDS])
    }

    /// Brings the tables of the packs that hold any of `ids` into memory.
    pub fn look_up(&self, ids: &[ChunkId]) -> Result<()> {
        let unknown = |id: &&ChunkId| !self.shard(id).contains_key(*id) && self.catalog.may_contain(id);
        let mut asked: Vec<ChunkId> = ids.iter().filter(unknown).copied().collect();
        // A few first: their packs probably hold the others. Over a network each question costs more.
        let mut at_once = if self.catalog.is_remote() { usize::MAX } else { 4 };
        while !asked.is_empty() {
            let rest = asked.split_off(at_once.min(asked.len()));
            for location in self.catalog.locate(&asked)?.into_iter().flatten() {
                self.load(&location.pack)?;
            }
            asked = rest.into_iter().filter(|id| unknown(&id)).collect();
            at_once = usize::MAX;
        }
        Ok(())
    }

    fn load(&self, pack: &PackId) -> Result<()> {
        let Some(known) = self.catalog.pack(pack) else { return Ok(()) };
        if self.excluded.contains(pack) || !self.catalog.is_trusted(&known.writer) {
            return Ok(());
        }
        // Held until the table is in place: who finds the pack loaded must find its ids too.
        let mut packs = lock(&self.packs);
        if !packs.loaded.insert(*pack) {
            return Ok(());
        }
        // Reading the footer also shows that the pack is still there.
        let footer = match read_footer(self.store, &self.repository, known.kind, pack) {
            Ok((_, footer, _)) => footer,
            Err(error) => {
                tracing::warn!("pack not leaned on: {error}");
                // Else this backup's own copy might not be the one that is located later.
                if is_lost(&error) {
                    self.catalog.forget(pack)?;
                }
                return Ok(());
            }
        };
        // The signed word; who is said to have written it may have come from a server.
        if !self.catalog.is_trusted(&footer.writer) {
            tracing::warn!("pack {} not leaned on: another has signed it than was said", pack.short());
            return Ok(());
        }
        let number = packs.number(folder_of(known.kind), pack);
        for id in footer.frames.iter().flat_map(|frame| &frame.ids) {
            self.shard(id).entry(*id).or_insert(Holder::Pack(number));
            packs.loaded_ids += 1;
        }
        if packs.loaded_ids > MAX_LOADED_IDS {
            packs.loaded_ids = 0;
            packs.loaded.clear();
            for shard in &self.shards {
                lock(shard).retain(|_, holder| *holder == Holder::Own);
            }
        }
        Ok(())
    }

    /// Says whether the caller has to store this id; from then on it is known. Call
    /// [`DuplicateFilter::look_up`] before.
    pub fn claim(&self, id: &ChunkId, leaned: &mut Leaned) -> Claim {
        use std::collections::hash_map::Entry;
        match self.shard(id).entry(*id) {
            Entry::Occupied(entry) => {
                if let Holder::Pack(number) = entry.get() {
                    leaned.insert(*number);
                }
                Claim::Known
            }
            Entry::Vacant(entry) => {
                entry.insert(Holder::Own);
                Claim::New
            }
        }
    }

    /// Notes that a pack of this backup is durable. Where there are many, they go to the index.
    pub fn note_durable(&self, pack: PackContents) -> Result<()> {
        let mut durable = lock(&self.durable);
        durable.push(pack);
        let ids = |pack: &PackContents| pack.frames.iter().map(Vec::len).sum::<usize>();
        if durable.iter().map(ids).sum::<usize>() < MAX_OWN_IDS {
            return Ok(());
        }
        self.catalog.insert(&durable, &[])?;
        for id in durable.iter().flat_map(|pack| &pack.frames).flatten() {
            self.shard(id).remove(id);
        }
        durable.clear();
        Ok(())
    }

    /// Own packs that are durable and not in the index yet.
    pub fn take_durable(&self) -> Vec<PackContents> {
        std::mem::take(&mut *lock(&self.durable))
    }

    /// The names of packs that were leaned on, with their folders. The catalog is not asked: it may
    /// have learnt meanwhile that a pack is gone, and just that must be found out.
    pub fn names(&self, leaned: &Leaned) -> Vec<(Folder, PackId)> {
        let packs = lock(&self.packs);
        leaned.iter().map(|number| packs.names[*number as usize]).collect()
    }
}
