//! Restore: an image's way back to a disk; the mirror of `backup`.
//!
//! ```text
//! plan ──windows──▶ fetch and decode (one thread a core) ──chunks──▶ write ──▶ finish
//! ```
//!
//! A window is a stretch of the target. Within one, each frame is opened once for all its places.
//! A target that takes writes anywhere has windows of many gigabytes; a stream's are as large as
//! the memory that puts them in order.

mod decode;
mod plan;
mod stream;
mod write;

use crate::backup::flow::Abort;
use crate::disk::{Target, WriteOrder};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageSelector;
use crate::job::Job;
use crate::lease::{HeldLease, Purpose};
use crate::manifest::ManifestReader;
use crate::repository::Repository;
use holotype_core::ImageId;
use holotype_core::secret::SecretBytes;
use plan::{Planner, WindowLimit};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Options of [`Repository::restore`].
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// The image's own password, where it has one.
    pub image_password: Option<SecretBytes>,
    /// Threads that open frames; by default one for each core.
    pub threads: Option<usize>,
}

/// What a restore did.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreReport {
    /// The image.
    pub image: ImageId,
    /// Its name.
    pub name: String,
    /// Where it was written to.
    pub target: String,
    /// Length of the disk in bytes.
    pub target_bytes: u64,
    /// Bytes of chunks that were written.
    pub data_bytes: u64,
    /// Bytes that read as zeros.
    pub zero_bytes: u64,
    /// Bytes that the backup could not read; they are zeros on the target.
    pub unreadable_bytes: u64,
    /// Frames that were opened, one counted each time.
    pub frames_opened: u64,
    /// Wall time in seconds.
    pub elapsed_seconds: f64,
}

impl RestoreReport {
    /// Whether everything of the source is on the target.
    pub fn is_complete(&self) -> bool {
        self.unreadable_bytes == 0
    }
}

/// A restore at work: what its stages share.
struct Restoring<'a> {
    repository: &'a Repository,
    target: &'a dyn Target,
    job: &'a Job,
    threads: usize,
    abort: Abort,
    frames_opened: AtomicU64,
}

/// A lease, where the store can be written; a read-only copy is restored from without one.
pub(crate) fn read_lease(repository: &Repository, job: &Job) -> Result<Option<HeldLease>> {
    match HeldLease::take(repository.shared_store(), repository.keyring(), Purpose::Read) {
        Ok(lease) => Ok(Some(lease)),
        Err(error) if matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::PermissionDenied) => {
            job.warn(format!("no lease could be taken ({error}): keep others from pruning meanwhile"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn run(
    repository: &Repository,
    selector: &ImageSelector,
    target: &dyn Target,
    options: &RestoreOptions,
    job: &Job,
) -> Result<RestoreReport> {
    let started = Instant::now();
    // All passwords are checked here, before the target is touched.
    let image = repository.open_image(selector, options.image_password.as_ref())?;
    let _lease = read_lease(repository, job)?;
    let catalog = repository.catalog()?;
    catalog.refresh()?;
    let image_bytes = image.summary.source_bytes;
    let reader =
        ManifestReader::new(catalog, repository.pack_readers(), repository.identity_of(&image), image.image_secret());
    let leaves = reader.leaves(&image.detail.root, image_bytes)?;
    let planned: u64 = leaves.iter().map(|leaf| leaf.bytes).sum();
    if planned != image_bytes {
        let why = format!("its manifest covers {planned} bytes of {image_bytes}");
        return Err(Error::new(ErrorKind::Damaged, format!("image {}", image.id.short()), why));
    }
    target.prepare(image_bytes)?;
    job.stage("restore", Some(image_bytes));

    let limit = match target.order() {
        WriteOrder::Any => WindowLimit::References,
        WriteOrder::Ascending => WindowLimit::DataBytes,
    };
    let planner = Planner::new(&reader, &leaves, limit);
    let threads = options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let restoring = Restoring {
        repository,
        target,
        job,
        threads: threads.clamp(1, 256),
        abort: Abort::default(),
        frames_opened: AtomicU64::new(0),
    };
    let totals = match target.order() {
        WriteOrder::Any => write::run(&restoring, planner),
        WriteOrder::Ascending => stream::run(&restoring, planner),
    };
    restoring.abort.finish()?;
    let totals = totals?;
    target.finish().map_err(|error| Error::io(target.describe(), "make what was written durable", error))?;
    Ok(RestoreReport {
        image: image.id,
        name: image.summary.name,
        target: target.describe(),
        target_bytes: image_bytes,
        data_bytes: totals.data_bytes,
        zero_bytes: totals.zero_bytes,
        unreadable_bytes: totals.unreadable_bytes,
        frames_opened: restoring.frames_opened.load(Ordering::Relaxed),
        elapsed_seconds: started.elapsed().as_secs_f64(),
    })
}
