//! The catalog: which packs are live, and the index over them, kept up with the store.

use super::config::{RepositoryConfig, Trust};
use super::remote_catalog::RemoteCatalog;
use crate::error::{Error, ErrorKind, Result};
use crate::index::segment::read_segment;
use crate::index::{
    ChunkIndex, ChunkLocation, IndexStats, IndexedPack, MemoryIndex, OpenIndex, PackContents, PackKind, SledIndex,
    set_aside,
};
use crate::keys::{Keyring, read_slots};
use crate::pack::{folder_of, read_footer};
use crate::store::{Folder, Store};
use holotype_core::key_slot::Role;
use holotype_core::{ChunkId, PackId, RepositoryId, SegmentId, WriterId};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// sled's own cache, in bytes.
const SLED_CACHE_BYTES: u64 = 32 << 20;
/// Ids that are inserted at once, about: sled keeps less garbage then (docs/adr/0001).
const IDS_PER_BATCH: usize = 40_000;
/// Packs whose footers are read and taken in at once.
const PACKS_PER_BATCH: usize = 64;

/// Packs and index of an open repository.
pub(crate) struct Catalog {
    store: Arc<dyn Store>,
    repository: RepositoryId,
    trusted: HashSet<WriterId>,
    cache_dir: Option<PathBuf>,
    index: RwLock<Arc<dyn ChunkIndex>>,
    live: RwLock<HashMap<PackId, IndexedPack>>,
    /// Where the store can be asked: then nothing is taken in.
    remote: Option<RemoteCatalog>,
}

impl Catalog {
    /// Opens the index in the cache and takes in what it has not seen; of a store that can be asked,
    /// nothing.
    pub fn open(
        store: &Arc<dyn Store>,
        keyring: &Keyring,
        config: &RepositoryConfig,
        cache_dir: Option<&Path>,
    ) -> Result<Self> {
        let trusted = trusted_writers(store, keyring, config)?;
        if store.locator().is_none() {
            return Self::take_in_all(store, config.repository, trusted, cache_dir);
        }
        let remote = Some(RemoteCatalog::new(store));
        Ok(Self { remote, ..Self::without_content(store, config.repository, trusted, None) })
    }

    /// Opens the index in the cache and takes in what it has not seen, also where the store could be
    /// asked.
    pub fn open_whole(
        store: &Arc<dyn Store>,
        keyring: &Keyring,
        config: &RepositoryConfig,
        cache_dir: Option<&Path>,
    ) -> Result<Self> {
        Self::take_in_all(store, config.repository, trusted_writers(store, keyring, config)?, cache_dir)
    }

    /// The same for those who need no keys: nobody is trusted.
    pub fn take_in_all(
        store: &Arc<dyn Store>,
        repository: RepositoryId,
        trusted: HashSet<WriterId>,
        cache_dir: Option<&Path>,
    ) -> Result<Self> {
        let catalog = Self::without_content(store, repository, trusted, cache_dir);
        catalog.refresh()?;
        Ok(catalog)
    }

    fn without_content(
        store: &Arc<dyn Store>,
        repository: RepositoryId,
        trusted: HashSet<WriterId>,
        cache_dir: Option<&Path>,
    ) -> Self {
        let dir = cache_dir.map(|dir| dir.join("index"));
        Self {
            store: Arc::clone(store),
            repository,
            trusted,
            index: RwLock::new(open_index(dir.as_deref())),
            cache_dir: dir,
            live: RwLock::default(),
            remote: None,
        }
    }

    fn index(&self) -> Arc<dyn ChunkIndex> {
        Arc::clone(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `action` on the index; where the index fails, does without it: builds one in memory from
    /// the store and runs `action` again. The cache may be damaged or full; no answer hangs on it.
    fn with_index<T>(&self, action: impl Fn(&dyn ChunkIndex) -> Result<T>) -> Result<T> {
        match action(&*self.index()) {
            Err(error) if error.kind() != ErrorKind::InvalidInput => {
                self.do_without(&error);
                self.take_in().map_err(TakeIn::into_error)?;
                action(&*self.index())
            }
            other => other,
        }
    }

    fn do_without(&self, error: &Error) {
        tracing::warn!("index in the cache is not usable ({error}); doing without it");
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(MemoryIndex::new());
        if error.kind() == ErrorKind::Damaged
            && let Some(Err(error)) = self.cache_dir.as_deref().map(set_aside)
        {
            tracing::warn!("{error}");
        }
    }

    /// Takes in what came to the store since the last look, and forgets what went.
    pub fn refresh(&self) -> Result<()> {
        if let Some(remote) = &self.remote {
            return remote.refresh();
        }
        match self.take_in() {
            Err(TakeIn::Index(error)) => {
                self.do_without(&error);
                self.take_in().map_err(TakeIn::into_error)
            }
            other => other.map_err(TakeIn::into_error),
        }
    }

    fn take_in(&self) -> Result<(), TakeIn> {
        let index = self.index();
        // Packs are listed after segments: a segment is written after its packs, so none is missed.
        let segments = self.store.list(Folder::Index).map_err(TakeIn::Store)?;
        let mut stored: HashMap<PackId, (PackKind, u64)> = HashMap::new();
        for kind in [PackKind::Data, PackKind::Meta] {
            for info in self.store.list(folder_of(kind)).map_err(TakeIn::Store)? {
                if let Ok(pack) = info.key.name().parse() {
                    stored.insert(pack, (kind, info.bytes));
                }
            }
        }
        for info in segments {
            let Ok(name) = info.key.name().parse::<SegmentId>() else { continue };
            if index.has_segment(&name).map_err(TakeIn::Index)? {
                continue;
            }
            match read_segment(&*self.store, &name, &self.repository) {
                Ok(mut packs) => {
                    packs.retain(|pack| stored.contains_key(&pack.pack));
                    insert_in_batches(&*index, &packs, &[name]).map_err(TakeIn::Index)?;
                }
                // Its packs are found below by their own footers.
                Err(error) => tracing::warn!("index segment passed over: {error}"),
            }
        }
        let mut live: HashMap<PackId, IndexedPack> =
            index.packs().map_err(TakeIn::Index)?.into_iter().map(|pack| (pack.pack, pack)).collect();
        let gone: Vec<PackId> = live.keys().filter(|pack| !stored.contains_key(*pack)).copied().collect();
        if !gone.is_empty() {
            index.remove_packs(&gone).map_err(TakeIn::Index)?;
            live.retain(|pack, _| stored.contains_key(pack));
        }
        // Packs that no segment lists: a backup that was interrupted or is still at work wrote them.
        let unlisted: Vec<(PackId, PackKind)> = stored
            .iter()
            .filter(|(pack, _)| !live.contains_key(*pack))
            .map(|(pack, (kind, _))| (*pack, *kind))
            .collect();
        for batch in unlisted.chunks(PACKS_PER_BATCH) {
            let read: Vec<PackContents> = batch
                .par_iter()
                .filter_map(|(pack, kind)| match read_footer(&*self.store, &self.repository, *kind, pack) {
                    Ok((_, footer, bytes)) => Some(footer.contents(*pack, bytes)),
                    Err(error) => {
                        tracing::warn!("pack passed over: {error}");
                        None
                    }
                })
                .collect();
            index.insert(&read, &[]).map_err(TakeIn::Index)?;
            live.extend(read.iter().map(|pack| (pack.pack, indexed(pack))));
        }
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = live;
        Ok(())
    }

    /// Takes in packs that this process made durable.
    pub fn insert(&self, packs: &[PackContents], segments: &[SegmentId]) -> Result<()> {
        if let Some(remote) = &self.remote {
            remote.note_stored();
            return Ok(());
        }
        self.with_index(|index| insert_in_batches(index, packs, segments))?;
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.extend(packs.iter().map(|pack| (pack.pack, indexed(pack))));
        Ok(())
    }

    /// Where each chunk or node lies.
    pub fn locate(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkLocation>>> {
        if let Some(remote) = &self.remote {
            let whole = || Self::take_in_all(&self.store, self.repository, self.trusted.clone(), None);
            return remote.locate(ids, whole);
        }
        self.with_index(|index| index.locate(ids))
    }

    /// Whether each question costs a round trip.
    pub fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// Says which ids will be located one by one; they are then asked for at once, where that pays.
    pub fn expect(&self, ids: &[ChunkId]) -> Result<()> {
        self.remote.as_ref().map_or(Ok(()), |remote| remote.expect(ids))
    }

    /// Locates nothing in this pack any more: it cannot be read. Copies in other packs are found then.
    /// It comes back with the next refresh, should its footer be sound.
    pub fn forget(&self, pack: &PackId) -> Result<()> {
        if let Some(remote) = &self.remote {
            remote.forget(pack);
            return Ok(());
        }
        self.live.write().unwrap_or_else(PoisonError::into_inner).remove(pack);
        self.with_index(|index| index.remove_packs(&[*pack]))
    }

    pub fn may_contain(&self, id: &ChunkId) -> bool {
        if let Some(remote) = &self.remote {
            return remote.may_contain();
        }
        self.index().may_contain(id)
    }

    /// What is known of a live pack; the word of the server where it was asked.
    pub fn pack(&self, pack: &PackId) -> Option<IndexedPack> {
        if let Some(remote) = &self.remote {
            return remote.pack(pack);
        }
        self.live.read().unwrap_or_else(PoisonError::into_inner).get(pack).copied()
    }

    /// Every live pack.
    pub fn packs(&self) -> Vec<IndexedPack> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }

    /// How many packs are live.
    pub fn pack_count(&self) -> usize {
        self.live.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether new images may deduplicate against packs of this writer.
    pub fn is_trusted(&self, writer: &WriterId) -> bool {
        self.trusted.contains(writer)
    }

    pub fn stats(&self) -> Result<IndexStats> {
        self.with_index(|index| index.stats())
    }

    pub fn flush(&self) -> Result<()> {
        self.with_index(|index| index.flush())
    }
}

/// Whose packs count: one's own, those of full keys, and those of enrolled writers where it is set so.
fn trusted_writers(store: &Arc<dyn Store>, keyring: &Keyring, config: &RepositoryConfig) -> Result<HashSet<WriterId>> {
    let mut trusted = HashSet::from([keyring.writer(), keyring.root()]);
    if config.trust == Trust::EnrolledWriters {
        let slots = read_slots(&**store, &config.repository)?.into_iter().filter_map(|(_, slot)| slot.ok());
        let enrolled = slots
            .filter(|slot| slot.header.role == Role::Writer.number() && slot.verify_enrolment(&keyring.root()).is_ok());
        trusted.extend(enrolled.map(|slot| slot.header.writer));
    }
    Ok(trusted)
}

/// Inserts packs, some at once; the segments are noted with the last, when all that they list is in.
fn insert_in_batches(index: &dyn ChunkIndex, packs: &[PackContents], segments: &[SegmentId]) -> Result<()> {
    let mut rest = packs;
    loop {
        let mut ids = 0;
        let mut end = 0;
        while end < rest.len() && ids < IDS_PER_BATCH {
            ids += rest[end].frames.iter().map(Vec::len).sum::<usize>();
            end += 1;
        }
        let (batch, after) = rest.split_at(end);
        rest = after;
        index.insert(batch, if rest.is_empty() { segments } else { &[] })?;
        if rest.is_empty() {
            return Ok(());
        }
    }
}

/// Why the catalog could not be brought up to date.
enum TakeIn {
    /// The store failed.
    Store(Error),
    /// The index failed, and can be done without.
    Index(Error),
}

impl TakeIn {
    fn into_error(self) -> Error {
        match self {
            TakeIn::Store(error) | TakeIn::Index(error) => error,
        }
    }
}

fn indexed(pack: &PackContents) -> IndexedPack {
    IndexedPack { pack: pack.pack, kind: pack.kind, writer: pack.writer, bytes: pack.bytes }
}

fn open_index(dir: Option<&Path>) -> Arc<dyn ChunkIndex> {
    let Some(dir) = dir else { return Arc::new(MemoryIndex::new()) };
    let shown = dir.display();
    match SledIndex::open(dir, SLED_CACHE_BYTES) {
        Ok(OpenIndex::Opened(index)) => return Arc::new(index),
        Ok(OpenIndex::Locked) => tracing::warn!("index in {shown} is in use by another process; doing without it"),
        Ok(OpenIndex::Unusable { why }) => {
            tracing::warn!("index in {shown} is not usable ({why}); rebuilding it");
            let again = set_aside(dir).and_then(|_| SledIndex::open(dir, SLED_CACHE_BYTES));
            match again {
                Ok(OpenIndex::Opened(index)) => return Arc::new(index),
                _ => tracing::warn!("no index can be made in {shown}; doing without it"),
            }
        }
        Err(error) => tracing::warn!("{error}; doing without an index on disk"),
    }
    Arc::new(MemoryIndex::new())
}

/// Removes the index from the cache, so that it is built anew.
pub(crate) fn remove_index(cache_dir: &Path) -> Result<()> {
    let dir = cache_dir.join("index");
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(dir.display().to_string(), "remove the old index", error))
        }
        _ => Ok(()),
    }
}
