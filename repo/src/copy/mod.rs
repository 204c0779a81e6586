//! Copy: an image of one repository into another, with the other one's keys.
//!
//! ```text
//! restore (of this repository) ──bytes in disk order──▶ pipe ──▶ backup (of the other one)
//! ```
//!
//! What one repository sealed the other cannot open, and their chunk ids have nothing in common; so each chunk is opened,
//! named anew, and stored only where the other repository has it not. The image keeps its name, time, disk and layout; its
//! free runs stay free and its unreadable ranges unreadable.

mod pipe;

use crate::backup::{self, BackupOptions, BackupReport, Preset};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{ImageSelector, OpenedImage, layout};
use crate::job::Job;
use crate::manifest::{Extent, LeafExtent, ManifestReader};
use crate::repository::Repository;
use crate::restore::{self, RestoreOptions};
use holotype_core::ImageId;
use holotype_core::compress::Compression;
use holotype_core::key_slot::Role;
use holotype_core::layout::{DiskLayout, Survey};
use holotype_core::secret::SecretBytes;
use holotype_core::volume::FreeRuns;
use pipe::pipe;
use serde::Serialize;

/// Options of [`Repository::copy_image`].
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// The image's own password, where it has one; the copy gets the same.
    pub image_password: Option<SecretBytes>,
    /// Another name for the copy.
    pub name: Option<String>,
    /// Copy also what is there already, by name and time.
    pub again: bool,
    /// How hard to compress.
    pub compression: Compression,
    /// Threads on each side; by default one for each core.
    pub threads: Option<usize>,
}

/// How a copy ended.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyOutcome {
    /// It was copied.
    Copied(Box<BackupReport>),
    /// The other repository has an image of this name and time; nothing was done.
    AlreadyThere(ImageId),
}

/// Copies an image. See [`Repository::copy_image`].
pub(crate) fn run(
    from: &Repository,
    selector: &ImageSelector,
    to: &Repository,
    options: &CopyOptions,
    job: &Job,
) -> Result<CopyOutcome> {
    let image = from.open_image(selector, options.image_password.as_ref())?;
    let name = options.name.as_ref().unwrap_or(&image.summary.name);
    if from.id() == to.id() {
        return Err(Error::new(ErrorKind::InvalidInput, format!("image {}", image.id.short()), "it is there already")
            .advise("give another repository"));
    }
    if !options.again
        && let Some(there) = find_there(to, name, &image)?
    {
        return Ok(CopyOutcome::AlreadyThere(there));
    }
    let preset = preset(from, &image)?;
    let backup_options = BackupOptions {
        tags: image.summary.tags.clone(),
        compression: options.compression,
        image_password: options.image_password.clone().filter(|_| image.summary.protected),
        threads: options.threads,
        ..BackupOptions::named(name)
    };
    let restore_options = RestoreOptions {
        image_password: options.image_password.clone(),
        threads: options.threads,
        ..RestoreOptions::default()
    };
    let (target, source) = pipe(&image);
    let reading_job = job.without_progress();
    let (read, written) = std::thread::scope(|scope| {
        let selector = ImageSelector::Id(image.id);
        let reading = scope.spawn(move || {
            let read = restore::run(from, &selector, &target, &restore_options, &reading_job);
            read.map_err(|error| (error, target.nobody_reads()))
        });
        let written = backup::run_preset(to, &source, &backup_options, preset, job);
        source.close();
        (reading.join().expect("the restore does not panic"), written)
    });
    match (read, written) {
        // What failed first: where nobody read any more, the writing side has the reason.
        (Err((error, false)), _) => Err(error),
        (_, Err(error)) => Err(error),
        (Err((error, true)), Ok(_)) => Err(error),
        (Ok(_), Ok(report)) => Ok(CopyOutcome::Copied(Box::new(report))),
    }
}

/// The image of the same name and time. A writer's key cannot look.
fn find_there(to: &Repository, name: &str, image: &OpenedImage) -> Result<Option<ImageId>> {
    if to.keyring().role() != Role::Full {
        return Ok(None);
    }
    let (images, _) = to.listed_images()?;
    let same = images.iter().find(|there| there.summary.name == name && there.summary.time() == image.summary.time());
    Ok(same.map(|there| there.id))
}

/// What a backup of the disk found, from the image.
fn preset(from: &Repository, image: &OpenedImage) -> Result<Preset> {
    let layout: DiskLayout = layout::from_extensions(&image.detail.extensions)?.unwrap_or_default();
    let partitions = layout.volumes.iter().filter(|volume| volume.partition.is_some());
    let mut boundaries: Vec<u64> = partitions
        .filter_map(|volume| volume.extent())
        .flat_map(|extent| [extent.offset(), extent.end()])
        .filter(|boundary| *boundary <= image.summary.source_bytes)
        .collect();
    boundaries.sort_unstable();
    boundaries.dedup();
    Ok(Preset {
        survey: Survey { layout, free: free_runs(from, image)?, boundaries },
        time: image.summary.time(),
        raw: image.detail.raw,
        warnings: image.detail.warnings.clone(),
    })
}

fn free_runs(from: &Repository, image: &OpenedImage) -> Result<FreeRuns> {
    from.catalog()?.refresh()?;
    let reader =
        ManifestReader::new(from.catalog()?, from.pack_readers(), from.identity_of(image), image.image_secret());
    let damaged =
        |why: String| Error::new(ErrorKind::Damaged, format!("image {}", image.id.short()), format!("its map: {why}"));
    let mut free = FreeRuns::builder(image.summary.source_bytes);
    for leaf in reader.leaves(&image.detail.root, image.summary.source_bytes)? {
        let mut offset = leaf.offset;
        for extent in reader.leaf(&leaf)? {
            if let LeafExtent::Other(Extent::Free { bytes }) = extent {
                free.push(offset, bytes).map_err(|why| damaged(why.why))?;
            }
            offset += extent.bytes();
        }
    }
    Ok(free.finish())
}
