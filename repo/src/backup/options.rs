//! What a backup is asked to do.

use crate::image::ImageSelector;
use holotype_core::compress::Compression;
use holotype_core::secret::SecretBytes;
use holotype_core::volume::Drops;

/// Which image is looked at first for chunks that are stored already.
#[derive(Debug, Clone, Default)]
pub enum ParentChoice {
    /// The newest image of the same name.
    #[default]
    Newest,
    /// None.
    None,
    /// This one.
    Image(ImageSelector),
}

/// Options of [`crate::Repository::backup`].
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// Name of the image, `[A-Za-z0-9._/-]+`.
    pub name: String,
    /// Tags, key and value.
    pub tags: Vec<(String, String)>,
    /// Where to look first.
    pub parent: ParentChoice,
    /// How hard to compress.
    pub compression: Compression,
    /// Keep every sector, without allocation maps.
    pub raw: bool,
    /// System files whose content is not kept.
    pub drops: Drops,
    /// How often a sector that cannot be read is tried again.
    pub rescue_passes: u32,
    /// Read, chunk and count, but store nothing.
    pub dry_run: bool,
    /// A password of the image's own, besides the repository's.
    pub image_password: Option<SecretBytes>,
    /// Threads that chunk and compress; by default one for each core.
    pub threads: Option<usize>,
    /// Closes packs at this many bytes already, where the repository's setting is larger: up to three packs are in memory at
    /// once.
    pub most_pack_bytes: Option<u64>,
    /// Take the least derivation cost allowed for the image password, for tests.
    pub fast_derivation: bool,
}

impl BackupOptions {
    /// Defaults, and this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            tags: Vec::new(),
            parent: ParentChoice::default(),
            compression: Compression::default(),
            raw: false,
            drops: Drops::default(),
            rescue_passes: 0,
            dry_run: false,
            image_password: None,
            threads: None,
            most_pack_bytes: None,
            fast_derivation: false,
        }
    }
}
