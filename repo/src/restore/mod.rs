//! Restore: an image's way back to a disk; the mirror of `backup`.
//!
//! ```text
//! plan ──windows──▶ compare ──what differs──▶ fetch and decode ──chunks──▶ write ──▶ tables ──▶ verify
//! ```
//!
//! The plan says which parts of the image go where, before anything is touched. A window is a stretch
//! of the target; within one, each frame is opened once for all its places. A target that takes writes
//! anywhere has windows of many gigabytes; a stream's are as large as the memory that puts them in
//! order. Comparing is left out where the target holds nothing.
//!
//! Commit order on the target: content first, durable; then what replaces its partition table, backup
//! before primary. A restore that was stopped is begun again, and then finds what is there already.

mod compare;
mod content_hash;
mod decode;
mod fetch;
mod image_bytes;
mod options;
mod plan;
mod stream;
mod table;
mod window;
mod write;

pub use options::{FreePolicy, PartitionChoice, RestoreOptions, RestoreReport, RestoreScope, WriteMode};

use crate::backup::flow::Abort;
use crate::disk::{Content, Target, WriteOrder};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageSelector;
use crate::job::Job;
use crate::lease::{HeldLease, Purpose};
use crate::manifest::ManifestReader;
use crate::repository::Repository;
use content_hash::ContentHash;
use image_bytes::ImageBytes;
use plan::{Opened, RestorePlan};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use window::{Planner, RunKind, Totals, Window, WindowLimit};

/// A restore at work: what its stages share.
struct Restoring<'a> {
    repository: &'a Repository,
    target: &'a dyn Target,
    plan: &'a RestorePlan,
    job: &'a Job,
    threads: usize,
    abort: Abort,
    frames_opened: AtomicU64,
    written_bytes: AtomicU64,
    content: Mutex<ContentHash>,
}

impl Restoring<'_> {
    /// Counts what was written.
    fn written(&self, bytes: u64) {
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.job.advance(bytes);
    }

    /// Adds a window, in the order of the image, to the hash of what is restored.
    fn note(&self, window: &Window) {
        self.content().add(window);
    }

    fn content(&self) -> MutexGuard<'_, ContentHash> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does to the window's free runs what was asked for. Those that shall be zeros are zero runs from
    /// then on.
    fn release_free(&self, window: &mut Window) -> Result<()> {
        // What was replaced is a hole already.
        let new = self.plan.content == Content::Replaced && self.target.info().bytes.is_none();
        for run in window.runs.iter_mut().filter(|run| run.kind == RunKind::Free) {
            self.job.check()?;
            match self.plan.free {
                FreePolicy::Zero => run.kind = RunKind::Zero,
                FreePolicy::Keep => {}
                FreePolicy::Hole if new => {}
                FreePolicy::Hole | FreePolicy::Discard => {
                    // Only a hint: a device that cannot keeps what it has.
                    let _ = self.target.discard(run.offset, run.bytes);
                }
            }
            if run.kind == RunKind::Free {
                self.job.advance(run.bytes);
            }
        }
        Ok(())
    }

    /// Writes what does not come from the image as it is. Every byte before is durable by then.
    fn write_patches(&self) -> Result<()> {
        let failed = |error| Error::io(self.target.describe(), "make what was written durable", error);
        if !self.plan.patches.is_empty() {
            self.target.finish().map_err(failed)?;
        }
        for patch in &self.plan.patches {
            self.content().add_patch(patch);
            if self.plan.delta && compare::holds(self.target, patch)? {
                continue;
            }
            let failed = |error| write::write_error(self.target, patch.offset, error);
            self.target.write_at(patch.offset, &patch.bytes).map_err(failed)?;
            self.written_bytes.fetch_add(patch.bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reads the target back.
    fn verify(&self, mut planner: Planner<'_>, bytes: &ImageBytes<'_>) -> Result<()> {
        self.job.stage("verify", Some(self.plan.piece_bytes()));
        self.target.forget_cached();
        let wrong = |offset: u64| {
            Error::new(
                ErrorKind::Io,
                self.target.describe(),
                format!("byte {offset} reads back as another one than was written"),
            )
            .advise("the device is failing, or somebody else writes to it")
        };
        while let Some(window) = planner.next_window()? {
            let found = compare::differing(self, bytes, &window)?;
            if self.abort.is_set() {
                return Ok(());
            }
            let places = found.chunks.iter().map(|place| place.offset).chain(found.runs.iter().map(|run| run.offset));
            if let Some(first) = places.min() {
                return Err(wrong(first));
            }
            let free = window.runs.iter().filter(|run| run.kind == RunKind::Free);
            self.job.advance(free.map(|run| run.bytes).sum());
        }
        for patch in &self.plan.patches {
            if !compare::holds(self.target, patch)? {
                return Err(wrong(patch.offset));
            }
        }
        Ok(())
    }
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
    let bytes = ImageBytes::new(repository, &reader, &leaves);
    let opened = Opened { image: &image, reader: &reader, leaves: &leaves, bytes: &bytes };
    let plan = RestorePlan::new(&opened, target, options)?;
    check_space(&plan, image.detail.data_bytes, target)?;
    target.prepare(plan.target_bytes, plan.content)?;
    job.stage("restore", Some(plan.piece_bytes()));

    let limit = match target.order() {
        WriteOrder::Any => WindowLimit::References,
        WriteOrder::Ascending => WindowLimit::DataBytes,
    };
    let planner = || Planner::new(&reader, &leaves, &plan.pieces, limit);
    let threads = options.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let restoring = Restoring {
        repository,
        target,
        plan: &plan,
        job,
        threads: threads.clamp(1, 256),
        abort: Abort::default(),
        frames_opened: AtomicU64::new(0),
        written_bytes: AtomicU64::new(0),
        content: Mutex::default(),
    };
    let mut totals = Totals::default();
    let mut work = || -> Result<()> {
        totals = match target.order() {
            WriteOrder::Any => write::run(&restoring, planner(), &bytes),
            WriteOrder::Ascending => stream::run(&restoring, planner()),
        }?;
        if restoring.abort.is_set() {
            return Ok(());
        }
        restoring.write_patches()?;
        target.finish().map_err(|error| Error::io(target.describe(), "make what was written durable", error))?;
        if options.verify {
            restoring.verify(planner(), &bytes)?;
        }
        Ok(())
    };
    let done = work();
    restoring.abort.finish()?;
    done?;
    let content_hash = restoring.content.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    Ok(RestoreReport {
        image: image.id,
        name: image.summary.name,
        target: target.describe(),
        target_serial: target.info().serial,
        target_bytes: plan.piece_bytes(),
        data_bytes: totals.data_bytes,
        zero_bytes: totals.zero_bytes,
        free_bytes: totals.free_bytes,
        unreadable_bytes: totals.unreadable_bytes,
        written_bytes: match target.order() {
            WriteOrder::Any => restoring.written_bytes.load(Ordering::Relaxed),
            WriteOrder::Ascending => plan.piece_bytes(),
        },
        delta: plan.delta,
        verified: options.verify,
        content_hash,
        table_changes: plan.table_changes.clone(),
        frames_opened: restoring.frames_opened.load(Ordering::Relaxed),
        elapsed_seconds: started.elapsed().as_secs_f64(),
    })
}

/// A target that is a file needs room for the data on its filesystem. In place, what is there is
/// overwritten.
fn check_space(plan: &RestorePlan, data_bytes: u64, target: &dyn Target) -> Result<()> {
    let Some(free_bytes) = target.info().free_bytes else { return Ok(()) };
    let needed = data_bytes.min(plan.piece_bytes());
    if plan.content == Content::Kept || free_bytes >= needed {
        return Ok(());
    }
    let why = format!("the data has {needed} bytes, and {free_bytes} bytes are free there");
    Err(Error::new(ErrorKind::NoSpace, target.describe(), why).advise("free space, or give another path"))
}
