//! Plan: what a backup will do, and what it reports.

use super::Stored;
use super::flow::Counters;
use super::options::{BackupOptions, ParentChoice};
use super::parent::ParentImage;
use super::survey::{Snapshot, survey};
use crate::disk::{Source, SourceIdentity};
use crate::error::{Error, ErrorKind, Result};
use crate::image::layout;
use crate::image::{ImageDetail, ImagePassword, ImageSummary, OpenedImage, valid_name, valid_tag};
use crate::manifest::ManifestReader;
use crate::random;
use crate::repository::{Repository, RepositoryConfig};
use holotype_core::ImageId;
use holotype_core::compress::Compression;
use holotype_core::identity::IdentityKeys;
use holotype_core::key_slot::Role;
use holotype_core::layout::{DiskLayout, Survey, VolumeInfo};
use holotype_core::secret::Secret32;
use holotype_core::volume::MapOptions;
use jiff::Timestamp;
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What a backup did.
#[derive(Debug, Clone, Serialize)]
pub struct BackupReport {
    /// The image; absent in a dry run.
    pub image: Option<ImageId>,
    /// Its name.
    pub name: String,
    /// When the backup began.
    pub time: Timestamp,
    /// The image that was looked at first.
    pub parent: Option<ImageId>,
    /// Length of the source: data, zero, free and unreadable bytes together.
    pub source_bytes: u64,
    /// Bytes that were asked of the device and came.
    pub read_bytes: u64,
    /// Bytes in chunks.
    pub data_bytes: u64,
    /// Bytes in zero runs.
    pub zero_bytes: u64,
    /// Bytes that no filesystem uses.
    pub free_bytes: u64,
    /// Bytes that could not be read.
    pub unreadable_bytes: u64,
    /// The same as ranges, offset and length in bytes.
    pub unreadable: Vec<(u64, u64)>,
    /// References to chunks.
    pub chunks: u64,
    /// Chunks that were not stored before.
    pub new_chunks: u64,
    /// Their plaintext bytes.
    pub new_bytes: u64,
    /// Bytes written to the store, metadata included.
    pub stored_bytes: u64,
    /// Wall time in seconds.
    pub elapsed_seconds: f64,
    /// Whether the source changed while it was read.
    pub changed: bool,
    /// Partition table and volumes, and how each was mapped.
    pub layout: DiskLayout,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl BackupReport {
    /// Whether everything of the source is in the image, as it was at one time.
    pub fn is_complete(&self) -> bool {
        self.unreadable_bytes == 0 && !self.changed
    }
}

/// What is known of a source before it is looked at: of an image that is copied.
pub(crate) struct Preset {
    pub survey: Survey,
    /// When the disk was backed up first.
    pub time: Timestamp,
    pub raw: bool,
    pub warnings: Vec<String>,
}

/// What was decided before anything is read.
pub(crate) struct BackupPlan {
    pub name: String,
    pub threads: usize,
    pub pack_bytes: u64,
    pub compression: Compression,
    pub dry_run: bool,
    pub warnings: Vec<String>,
    pub identity: IdentityKeys,
    pub image_secret: Option<Secret32>,
    pub password: Option<ImagePassword>,
    parent: Option<OpenedImage>,
    pub survey: Survey,
    pub rescue_passes: u32,
    snapshot: Snapshot,
    map: MapOptions,
    raw: bool,
    tags: Vec<(String, String)>,
    time: Timestamp,
    started: Instant,
    source: SourceIdentity,
    sectors: (u32, u32),
}

impl BackupPlan {
    pub fn new(
        repository: &Repository,
        source: &dyn Source,
        options: &BackupOptions,
        preset: Option<Preset>,
    ) -> Result<Self> {
        let started = Instant::now();
        let invalid = |subject: String, why: &str| Err(Error::new(ErrorKind::InvalidInput, subject, why));
        if !valid_name(&options.name) {
            return invalid(format!("name `{}`", options.name), "a name has 1 to 255 characters A-Z a-z 0-9 . _ / -");
        }
        if let Some((key, value)) = options.tags.iter().find(|(key, value)| !valid_tag(key, value)) {
            return invalid(
                format!("tag `{key}={value}`"),
                "a tag is KEY=VALUE, the key like a name, no control characters",
            );
        }
        repository.config().check_may_write()?;
        if repository.keyring().role() == Role::Grant {
            return Err(Error::new(ErrorKind::NotAllowed, "grant", "it restores one image and adds none")
                .advise("use a writer's key"));
        }
        let mut warnings = Vec::new();
        let identity = source.identity();
        if !identity.mounted_read_write_at.is_empty() {
            let places = identity.mounted_read_write_at.join(", ");
            warnings
                .push(format!("{} is mounted read-write at {places}: the image may not be consistent", identity.path));
        }
        let map = MapOptions { drops: options.drops };
        let snapshot = Snapshot::of(source, map);
        let preset = preset.unwrap_or_else(|| {
            let survey = survey(source, map, options.raw);
            let unclear = survey.layout.unclear.iter().map(|why| format!("{}: kept whole: {why}", identity.path));
            let warnings = unclear.chain(survey.layout.volumes.iter().filter_map(VolumeInfo::warning)).collect();
            Preset { survey, time: Timestamp::now(), raw: options.raw, warnings }
        });
        warnings.extend(preset.warnings);
        let (image_secret, password) = match &options.image_password {
            Some(password) => {
                let password = ImagePassword::new(password.expose(), options.fast_derivation)?;
                (Some(random::secret()?), Some(password))
            }
            None => (None, None),
        };
        let keys = repository.keyring().identity();
        let threads = options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let pack_bytes = repository.config().pack_bytes;
        let least = *RepositoryConfig::PACK_BYTES_RANGE.start();
        let pack_bytes = options.most_pack_bytes.map_or(pack_bytes, |most| pack_bytes.min(most.max(least)));
        Ok(Self {
            name: options.name.clone(),
            pack_bytes,
            threads: threads.clamp(1, 256),
            compression: options.compression,
            dry_run: options.dry_run,
            warnings,
            identity: image_secret.as_ref().map_or_else(|| keys.clone(), |secret| keys.with_own_nodes(secret)),
            image_secret,
            password,
            parent: find_parent(repository, options)?,
            survey: preset.survey,
            rescue_passes: options.rescue_passes,
            snapshot,
            map,
            raw: preset.raw,
            tags: options.tags.clone(),
            time: preset.time,
            started,
            source: identity,
            sectors: (source.geometry().logical_sector_bytes, source.geometry().physical_sector_bytes),
        })
    }

    pub fn forget_parent(&mut self) {
        self.parent = None;
    }

    /// Whether the source changed since it was surveyed.
    pub fn has_changed(&self, source: &dyn Source) -> bool {
        self.snapshot.has_changed(source, self.map)
    }

    pub fn parent_id(&self) -> Option<ImageId> {
        self.parent.as_ref().map(|parent| parent.id)
    }

    /// Opens the parent's manifest. Where it is damaged, the backup does without.
    pub fn open_parent<'a>(&self, repository: &'a Repository) -> Result<Option<ParentImage<'a>>> {
        let Some(parent) = &self.parent else { return Ok(None) };
        let secret = parent.image_secret();
        let identity = repository.identity_of(parent);
        let reader = ManifestReader::new(repository.catalog()?, repository.pack_readers(), identity, secret);
        match reader.leaves(&parent.detail.root, parent.summary.source_bytes) {
            Ok(leaves) => Ok(Some(ParentImage::new(reader, leaves))),
            Err(error) => {
                tracing::warn!("parent image {} passed over: {error}", parent.id.short());
                Ok(None)
            }
        }
    }

    pub fn summary(&self, source_bytes: u64) -> ImageSummary {
        ImageSummary {
            name: self.name.clone(),
            time_seconds: self.time.as_second(),
            time_nanoseconds: self.time.subsec_nanosecond(),
            source_bytes,
            protected: self.password.is_some(),
            tags: self.tags.clone(),
        }
    }

    pub fn detail(&self, counters: &Counters, stored: &Stored) -> ImageDetail {
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        ImageDetail {
            root: stored.root,
            image_secret: self.image_secret.as_ref().map(|secret| *secret.expose()),
            logical_sector_bytes: self.sectors.0,
            physical_sector_bytes: self.sectors.1,
            source_path: self.source.path.clone(),
            model: self.source.model.clone(),
            serial: self.source.serial.clone(),
            bus: self.source.bus.clone(),
            host: self.source.host.clone(),
            data_bytes: get(&counters.data_bytes),
            zero_bytes: get(&counters.zero_bytes),
            free_bytes: get(&counters.free_bytes),
            unreadable: stored.unreadable.clone(),
            chunks: get(&counters.chunks),
            raw: self.raw,
            parent: self.parent_id(),
            warnings: self.all_warnings(stored),
            program: concat!("holotype ", env!("CARGO_PKG_VERSION")).to_owned(),
            extensions: vec![layout::to_extension(&self.survey.layout)],
        }
    }

    pub fn report(&self, image: Option<ImageId>, counters: &Counters, stored: &Stored) -> BackupReport {
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        BackupReport {
            image,
            name: self.name.clone(),
            time: self.time,
            parent: self.parent_id(),
            source_bytes: stored.source_bytes,
            read_bytes: get(&counters.read_bytes),
            data_bytes: get(&counters.data_bytes),
            zero_bytes: get(&counters.zero_bytes),
            free_bytes: get(&counters.free_bytes),
            unreadable_bytes: get(&counters.unreadable_bytes),
            unreadable: stored.unreadable.clone(),
            chunks: get(&counters.chunks),
            new_chunks: get(&counters.new_chunks),
            new_bytes: get(&counters.new_bytes),
            stored_bytes: get(&counters.stored_bytes),
            elapsed_seconds: self.started.elapsed().as_secs_f64(),
            changed: stored.changed,
            layout: self.survey.layout.clone(),
            warnings: self.all_warnings(stored),
        }
    }

    fn all_warnings(&self, stored: &Stored) -> Vec<String> {
        let changed = stored.changed.then(|| self.change_warning());
        self.warnings.iter().cloned().chain(changed).collect()
    }

    /// What is said of a source that changed.
    pub fn change_warning(&self) -> String {
        format!("{} changed while it was read: the image may not be consistent", self.source.path)
    }
}

fn find_parent(repository: &Repository, options: &BackupOptions) -> Result<Option<OpenedImage>> {
    let selector = match &options.parent {
        ParentChoice::None => return Ok(None),
        ParentChoice::Image(selector) => {
            return repository.open_image(selector, options.image_password.as_ref()).map(Some);
        }
        // A writer key opens no image, so it has no parent; chunks are still found in the index.
        ParentChoice::Newest if repository.keyring().role() != Role::Full => return Ok(None),
        ParentChoice::Newest => &options.name,
    };
    let (images, _) = repository.listed_images()?;
    let Some(newest) = images.iter().rev().find(|image| image.summary.name == *selector) else { return Ok(None) };
    if newest.summary.protected {
        return Ok(None);
    }
    repository.open_listed(newest, None).map(Some)
}
