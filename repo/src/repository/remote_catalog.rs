//! The catalog of a store that can be asked where chunks lie: nothing is read in, questions go out in
//! batches. What comes back is a hint: packs are leaned on by their own footers, chunks are checked by
//! their ids.

use super::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::index::{ChunkLocation, IndexedPack, PackKind};
use crate::store::locate::{LocatedPack, Place};
use crate::store::{Folder, Locator, Store};
use holotype_core::{ChunkId, PackId};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Places that are kept for ids that will be asked for one by one; 100 bytes each.
const MAX_EXPECTED: usize = 200_000;

/// What is known without the index.
pub(super) struct RemoteCatalog {
    store: Arc<dyn Store>,
    /// The server has no pack, so there is nothing to ask for.
    empty: AtomicBool,
    packs: RwLock<HashMap<PackId, IndexedPack>>,
    lost: RwLock<HashSet<PackId>>,
    expected: RwLock<HashMap<ChunkId, ChunkLocation>>,
    /// Read in where a pack is lost, because another may hold a copy; `None` where it cannot be.
    whole: OnceLock<Option<Box<Catalog>>>,
}

impl RemoteCatalog {
    pub fn new(store: &Arc<dyn Store>) -> Self {
        Self {
            store: Arc::clone(store),
            empty: AtomicBool::new(false),
            packs: RwLock::default(),
            lost: RwLock::default(),
            expected: RwLock::default(),
            whole: OnceLock::new(),
        }
    }

    fn locator(&self) -> Result<&dyn Locator> {
        self.store.locator().ok_or_else(|| {
            Error::new(ErrorKind::Io, self.store.describe(), "it does not tell any more where chunks lie")
        })
    }

    pub fn refresh(&self) -> Result<()> {
        let located = self.locator()?.locate(&[])?;
        self.empty.store(located.indexed_packs == 0, Ordering::Relaxed);
        self.expected.write().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    pub fn may_contain(&self) -> bool {
        !self.empty.load(Ordering::Relaxed)
    }

    /// Packs were stored; the server knows them.
    pub fn note_stored(&self) {
        self.empty.store(false, Ordering::Relaxed);
    }

    /// Asks for ids that will be located one by one.
    pub fn expect(&self, ids: &[ChunkId]) -> Result<()> {
        let found = self.ask(ids)?;
        let mut expected = self.expected.write().unwrap_or_else(PoisonError::into_inner);
        if expected.len() + ids.len() > MAX_EXPECTED {
            expected.clear();
        }
        let places = ids.iter().zip(found).filter_map(|(id, place)| Some((*id, place?)));
        expected.extend(places.take(MAX_EXPECTED));
        Ok(())
    }

    pub fn locate(
        &self,
        ids: &[ChunkId],
        open_whole: impl FnOnce() -> Result<Catalog>,
    ) -> Result<Vec<Option<ChunkLocation>>> {
        if let [id] = ids {
            let expected = self.expected.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = expected.get(id).filter(|place| !self.is_lost(&place.pack)) {
                return Ok(vec![Some(*place)]);
            }
        }
        let found = self.ask(ids)?;
        if !found.iter().flatten().any(|place| self.is_lost(&place.pack)) {
            return Ok(found);
        }
        let Some(whole) = self.whole(open_whole) else {
            let still = |place: Option<ChunkLocation>| place.filter(|place| !self.is_lost(&place.pack));
            return Ok(found.into_iter().map(still).collect());
        };
        let lost: Vec<PackId> = self.lost.read().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        lost.iter().try_for_each(|pack| whole.forget(pack))?;
        whole.locate(ids)
    }

    fn whole(&self, open: impl FnOnce() -> Result<Catalog>) -> Option<&Catalog> {
        let opened = self
            .whole
            .get_or_init(|| open().map(Box::new).inspect_err(|error| tracing::debug!("index not read: {error}")).ok());
        opened.as_deref()
    }

    fn ask(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkLocation>>> {
        if ids.is_empty() || !self.may_contain() {
            return Ok(vec![None; ids.len()]);
        }
        let located = self.locator()?.locate(ids)?;
        let mut packs = self.packs.write().unwrap_or_else(PoisonError::into_inner);
        packs.extend(located.packs.iter().map(|pack| (pack.pack, indexed(pack))));
        let place = |place: Place| {
            let pack = located.packs.get(place.pack as usize)?.pack;
            Some(ChunkLocation { pack, frame: place.frame, slot: place.slot })
        };
        let mut found: Vec<_> = located.places.into_iter().map(|found| found.and_then(place)).collect();
        found.resize(ids.len(), None);
        Ok(found)
    }

    fn is_lost(&self, pack: &PackId) -> bool {
        self.lost.read().unwrap_or_else(PoisonError::into_inner).contains(pack)
    }

    pub fn forget(&self, pack: &PackId) {
        self.lost.write().unwrap_or_else(PoisonError::into_inner).insert(*pack);
    }

    pub fn pack(&self, pack: &PackId) -> Option<IndexedPack> {
        self.packs.read().unwrap_or_else(PoisonError::into_inner).get(pack).copied()
    }
}

fn indexed(pack: &LocatedPack) -> IndexedPack {
    let kind = if pack.folder == Folder::Meta { PackKind::Meta } else { PackKind::Data };
    IndexedPack { pack: pack.pack, kind, writer: pack.writer, bytes: pack.bytes }
}
