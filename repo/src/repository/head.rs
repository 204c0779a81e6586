//! Heads: the newest image that a writer knows of its own. Remembered in the cache, so that a store
//! that went back to an older state is noticed.

use crate::error::Result;
use crate::image::ImageRecord;
use crate::keys::Keyring;
use crate::store::{Folder, ObjectKey, Store};
use holotype_core::{ImageId, codec};
use std::path::{Path, PathBuf};

/// The newest image of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub sequence: u64,
    pub image: ImageId,
}

fn file(cache_dir: &Path, keyring: &Keyring) -> PathBuf {
    cache_dir.join(format!("head-{}", keyring.writer()))
}

/// Best effort: without it, the next backup looks through the images.
pub(super) fn remember(cache_dir: Option<&Path>, keyring: &Keyring, head: &Head) {
    let Some(dir) = cache_dir else { return };
    let write = || {
        std::fs::create_dir_all(dir)?;
        let temporary = dir.join(format!("head-new-{}", std::process::id()));
        std::fs::write(&temporary, codec::encode(&(head.sequence, head.image)))?;
        std::fs::rename(&temporary, file(dir, keyring))
    };
    if let Err(error) = write() {
        tracing::debug!("newest image not remembered: {error}");
    }
}

fn recall(cache_dir: Option<&Path>, keyring: &Keyring) -> Option<Head> {
    let bytes = std::fs::read(file(cache_dir?, keyring)).ok()?;
    let (sequence, image) = codec::decode("head", &bytes).ok()?;
    Some(Head { sequence, image })
}

/// The writer's newest image, and a warning where the store does not have it any more.
pub(super) fn find(
    store: &dyn Store,
    cache_dir: Option<&Path>,
    keyring: &Keyring,
) -> Result<(Option<Head>, Option<String>)> {
    let remembered = recall(cache_dir, keyring);
    if let Some(head) = remembered
        && store.size(&ObjectKey::of(Folder::Images, head.image)).is_ok()
    {
        return Ok((remembered, None));
    }
    let mut newest: Option<Head> = None;
    for info in store.list(Folder::Images)? {
        let Ok(image) = info.key.name().parse() else { continue };
        let Ok(record) = store.get(&info.key).map(|object| ImageRecord::decode(&object)) else { continue };
        let Ok(record) = record else { continue };
        if record.writer == keyring.writer() && newest.is_none_or(|head| head.sequence < record.sequence) {
            newest = Some(Head { sequence: record.sequence, image });
        }
    }
    let warning = remembered.map(|head| {
        format!(
            "image {} that this machine wrote is not in the repository any more: it was deleted, or the repository \
             went back to an older state",
            head.image.short()
        )
    });
    // The sequence goes on even where images are gone.
    let floor = remembered.map_or(0, |head| head.sequence);
    Ok((newest.map(|head| Head { sequence: head.sequence.max(floor), ..head }), warning))
}
