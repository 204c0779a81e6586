//! A repository without any key: what a server does with one that it only keeps. It checks what is
//! uploaded against its name, and knows which pack holds which chunk. It never sees content.

mod check;

pub use check::{Rules, UploadCheck, most_bytes};

use crate::error::{Error, ErrorKind, Result};
use crate::index::{ChunkIndex, IndexedPack, MemoryIndex, PackContents, PackKind};
use crate::pack::read_encoded_footer;
use crate::repository::{Catalog, RepositoryConfig};
use crate::store::locate::{Located, LocatedPack};
use crate::store::{Folder, ObjectKey, Store};
use holotype_core::{ChunkId, RepositoryId};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Packs that others put into the store are looked for this often, at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Ids of new packs that are kept in memory before the index takes them in.
const MAX_RECENT_IDS: usize = 128 << 10;

/// A repository that is kept for others. Shared by threads.
pub struct KeylessRepository {
    store: Arc<dyn Store>,
    cache_dir: Option<PathBuf>,
    rules: Rules,
    opened: RwLock<Option<Arc<Opened>>>,
    opening: Mutex<()>,
}

/// What is known once there is a config.
struct Opened {
    repository: RepositoryId,
    catalog: Catalog,
    recent: Mutex<Recent>,
    looked: Mutex<Instant>,
}

/// Packs that came since the index was last written.
#[derive(Default)]
struct Recent {
    packs: Vec<PackContents>,
    ids: usize,
    index: MemoryIndex,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl KeylessRepository {
    /// Over a store, which may be empty still; the index is kept under `cache_dir`.
    pub fn new(store: Arc<dyn Store>, cache_dir: Option<&Path>) -> Self {
        Self::with_rules(store, cache_dir, Rules::Checked)
    }

    /// With other rules, for the conformance suite of stores.
    #[doc(hidden)]
    pub fn with_rules(store: Arc<dyn Store>, cache_dir: Option<&Path>, rules: Rules) -> Self {
        let cache_dir = cache_dir.map(Path::to_owned);
        Self { store, cache_dir, rules, opened: RwLock::default(), opening: Mutex::default() }
    }

    /// Where its objects live.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Its id, absent before it was made.
    ///
    /// # Errors
    /// Where its config cannot be read.
    pub fn id(&self) -> Result<Option<RepositoryId>> {
        match RepositoryConfig::read(&*self.store) {
            Ok(config) => Ok(Some(config.repository)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The index, opened when first needed; all who need it then wait for the one who opens it.
    fn opened(&self) -> Result<Option<Arc<Opened>>> {
        let known = || self.opened.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(opened) = known() {
            return Ok(Some(opened));
        }
        let _opening = lock(&self.opening);
        if let Some(opened) = known() {
            return Ok(Some(opened));
        }
        let Some(repository) = self.id()? else { return Ok(None) };
        let catalog = Catalog::take_in_all(&self.store, repository, HashSet::new(), self.cache_dir.as_deref())?;
        let looked = Mutex::new(Instant::now());
        let opened = Arc::new(Opened { repository, catalog, recent: Mutex::default(), looked });
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&opened));
        Ok(Some(opened))
    }

    /// Begins to check an object of `total_bytes`; of packs, the last `footer_bytes` are the footer.
    ///
    /// # Errors
    /// `Damaged` where an object of that name, length or folder cannot be.
    pub fn check(&self, key: &ObjectKey, total_bytes: u64, footer_bytes: Option<u64>) -> Result<UploadCheck> {
        if self.rules == Rules::Opaque {
            return Ok(UploadCheck::opaque());
        }
        let repository = match key.folder() {
            // They are what a repository begins with.
            Folder::Config | Folder::Keys => None,
            _ => match self.opened()? {
                Some(opened) => Some(opened.repository),
                None => {
                    return Err(Error::new(ErrorKind::InvalidInput, key.to_string(), "there is no repository yet")
                        .advise("make one with `holotype init`"));
                }
            },
        };
        UploadCheck::new(key, total_bytes, footer_bytes, repository)
    }

    /// Takes in a pack that was checked and is durable now.
    ///
    /// # Errors
    /// Where the index cannot be written.
    pub fn note_stored(&self, contents: Option<PackContents>) -> Result<()> {
        let Some(contents) = contents else { return Ok(()) };
        let Some(opened) = self.opened()? else { return Ok(()) };
        if opened.catalog.pack(&contents.pack).is_some() {
            return Ok(());
        }
        let mut recent = lock(&opened.recent);
        recent.index.insert(std::slice::from_ref(&contents), &[])?;
        recent.ids += contents.frames.iter().map(Vec::len).sum::<usize>();
        recent.packs.push(contents);
        if recent.ids >= MAX_RECENT_IDS {
            opened.catalog.insert(&recent.packs, &[])?;
            *recent = Recent::default();
        }
        Ok(())
    }

    /// Forgets an object that was deleted.
    ///
    /// # Errors
    /// Where the index cannot be written.
    pub fn note_deleted(&self, key: &ObjectKey) -> Result<()> {
        let (Folder::Packs | Folder::Meta, Ok(pack)) = (key.folder(), key.name().parse()) else { return Ok(()) };
        let Some(opened) = self.opened()? else { return Ok(()) };
        let mut recent = lock(&opened.recent);
        recent.packs.retain(|contents| contents.pack != pack);
        recent.index.remove_packs(&[pack])?;
        opened.catalog.forget(&pack)
    }

    /// Where these chunks and nodes lie.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub fn locate(&self, ids: &[ChunkId]) -> Result<Located> {
        let Some(opened) = self.opened()? else { return Ok(Located::new(0, ids.iter().map(|_| None))) };
        opened.look_for_others()?;
        let (recent_places, recent_packs) = {
            let recent = lock(&opened.recent);
            (recent.index.locate(ids)?, recent.index.packs()?)
        };
        let missing: Vec<ChunkId> =
            ids.iter().zip(&recent_places).filter(|(_, place)| place.is_none()).map(|(id, _)| *id).collect();
        let mut older = opened.catalog.locate(&missing)?.into_iter();
        let recent_packs: std::collections::HashMap<_, _> =
            recent_packs.into_iter().map(|pack| (pack.pack, pack)).collect();
        let indexed = (recent_packs.len() + opened.catalog.pack_count()) as u64;
        let found = recent_places.into_iter().map(|place| {
            let place = place.or_else(|| older.next().flatten())?;
            let pack = recent_packs.get(&place.pack).copied().or_else(|| opened.catalog.pack(&place.pack))?;
            Some((located_pack(&pack), place.frame, place.slot))
        });
        Ok(Located::new(indexed, found))
    }

    /// The bytes of a pack's footer and the length of the pack. Whoever asked checks them.
    ///
    /// # Errors
    /// `NotFound`; `Damaged` where the object is no pack.
    pub fn footer(&self, key: &ObjectKey) -> Result<(Vec<u8>, u64)> {
        read_encoded_footer(&*self.store, key).map(|(footer, pack_bytes)| (footer.0, pack_bytes))
    }

    /// Writes what is only in memory to the index.
    ///
    /// # Errors
    /// Where the index cannot be written; nothing is lost then, the packs are there.
    pub fn flush(&self) -> Result<()> {
        let Some(opened) = self.opened.read().unwrap_or_else(PoisonError::into_inner).clone() else { return Ok(()) };
        let mut recent = lock(&opened.recent);
        opened.catalog.insert(&recent.packs, &[])?;
        *recent = Recent::default();
        opened.catalog.flush()
    }
}

impl Opened {
    /// A command that works on the directory itself may have stored or removed packs.
    fn look_for_others(&self) -> Result<()> {
        let mut looked = lock(&self.looked);
        if looked.elapsed() < LOOK_INTERVAL {
            return Ok(());
        }
        *looked = Instant::now();
        drop(looked);
        {
            let mut recent = lock(&self.recent);
            self.catalog.insert(&recent.packs, &[])?;
            *recent = Recent::default();
        }
        // What is uploaded meanwhile may be noted twice, which does no harm.
        self.catalog.refresh()
    }
}

fn located_pack(pack: &IndexedPack) -> LocatedPack {
    let folder = if pack.kind == PackKind::Meta { Folder::Meta } else { Folder::Packs };
    LocatedPack { folder, pack: pack.pack, writer: pack.writer, bytes: pack.bytes }
}
