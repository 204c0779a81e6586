//! Figures of a repository.

use crate::error::Result;
use crate::index::PackKind;
use crate::repository::Repository;
use crate::store::Folder;
use serde::Serialize;

/// Figures of a repository.
#[derive(Debug, Clone, Serialize)]
pub struct RepositoryStats {
    /// Its id.
    pub repository: holotype_core::RepositoryId,
    /// Published images; absent where the key in hand may not see them.
    pub images: Option<u64>,
    /// Length of all their disks together, in bytes.
    pub source_bytes: Option<u64>,
    /// Objects and bytes of all folders together.
    pub stored_bytes: u64,
    /// Data packs.
    pub data_packs: u64,
    /// Their bytes.
    pub data_pack_bytes: u64,
    /// Metadata packs.
    pub meta_packs: u64,
    /// Their bytes.
    pub meta_pack_bytes: u64,
    /// Entries of the index: chunks and manifest nodes.
    pub index_entries: u64,
    /// Bytes of the index in the cache, 0 where it is in memory.
    pub index_disk_bytes: u64,
    /// Key slots.
    pub keys: u64,
}

pub(crate) fn collect(repository: &Repository) -> Result<RepositoryStats> {
    let catalog = repository.whole_catalog()?;
    let index = catalog.stats()?;
    let images = match repository.keyring().content_private() {
        Some(_) => Some(repository.images()?),
        None => None,
    };
    let mut stored_bytes = 0;
    let mut keys = 0;
    for folder in Folder::ALL {
        let objects = repository.store().list(folder)?;
        stored_bytes += objects.iter().map(|info| info.bytes).sum::<u64>();
        if folder == Folder::Keys {
            keys = objects.len() as u64;
        }
    }
    let packs = catalog.packs();
    let of = |kind| packs.iter().filter(move |pack| pack.kind == kind);
    Ok(RepositoryStats {
        repository: repository.id(),
        images: images.as_ref().map(|images| images.len() as u64),
        source_bytes: images.map(|images| images.iter().map(|image| image.source_bytes).sum()),
        stored_bytes,
        data_packs: of(PackKind::Data).count() as u64,
        data_pack_bytes: of(PackKind::Data).map(|pack| pack.bytes).sum(),
        meta_packs: of(PackKind::Meta).count() as u64,
        meta_pack_bytes: of(PackKind::Meta).map(|pack| pack.bytes).sum(),
        index_entries: index.entries,
        index_disk_bytes: index.disk_bytes,
        keys,
    })
}
