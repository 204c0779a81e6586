//! Diff: where two images differ, by their manifests alone; no data is read.
//!
//! Leaves of one name at one place are equal, whatever is below them, and are not opened. Others are
//! compared range by range: a chunk is equal to the same chunk at the same place. What is cut otherwise
//! counts as changed, so a change is never missed, and may be reported a chunk too wide.

mod layout;
mod report;
mod walk;

pub use layout::{LayoutChange, LayoutChangeKind};
pub use report::{DiffImage, DiffRange, DiffReport, DifferenceKind, Tally, VolumeDiff};

use crate::error::{Error, ErrorKind, Result};
use crate::image::layout::from_extensions;
use crate::image::{ImageSelector, OpenedImage};
use crate::job::Job;
use crate::manifest::{LeafPlace, ManifestReader};
use crate::repository::Repository;
use crate::restore::read_lease;
use holotype_core::layout::DiskLayout;
use holotype_core::secret::SecretBytes;
use report::Collector;
use std::time::Instant;
use walk::Walk;

/// Options of [`crate::Repository::diff`].
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// The first image's own password, where it has one.
    pub first_password: Option<SecretBytes>,
    /// The second image's own password, where it has one.
    pub second_password: Option<SecretBytes>,
}

/// An image with what is needed to walk it.
struct Side<'a> {
    image: OpenedImage,
    layout: Option<DiskLayout>,
    reader: ManifestReader<'a>,
    leaves: Vec<LeafPlace>,
}

impl<'a> Side<'a> {
    fn new(repository: &'a Repository, image: OpenedImage) -> Result<Self> {
        let secret = image.image_secret();
        let catalog = repository.catalog()?;
        let reader = ManifestReader::new(catalog, repository.pack_readers(), repository.identity_of(&image), secret);
        let bytes = image.summary.source_bytes;
        let leaves = reader.leaves(&image.detail.root, bytes)?;
        let covered: u64 = leaves.iter().map(|leaf| leaf.bytes).sum();
        if covered != bytes {
            let why = format!("its manifest covers {covered} bytes of {bytes}");
            return Err(Error::new(ErrorKind::Damaged, format!("image {}", image.id.short()), why));
        }
        // A stream's image says of no volume where it lies.
        let told = |layout: &DiskLayout| layout.table.is_some() || !layout.volumes.is_empty();
        let layout = from_extensions(&image.detail.extensions)?.filter(told);
        Ok(Self { image, layout, reader, leaves })
    }
}

pub(crate) fn run(
    repository: &Repository,
    first: &ImageSelector,
    second: &ImageSelector,
    options: &DiffOptions,
    job: &Job,
) -> Result<DiffReport> {
    let started = Instant::now();
    let first = repository.open_image(first, options.first_password.as_ref())?;
    let second = repository.open_image(second, options.second_password.as_ref())?;
    let _lease = read_lease(repository, job)?;
    repository.catalog()?.refresh()?;
    let (first, second) = (Side::new(repository, first)?, Side::new(repository, second)?);
    let bytes = [&first, &second].map(|side| side.image.summary.source_bytes);
    job.stage("diff", Some(bytes[0].max(bytes[1])));
    let mut collector = Collector::new(second.layout.as_ref().or(first.layout.as_ref()));
    let read = |side: &Side<'_>, place: &LeafPlace| side.reader.leaf(place);
    Walk::new(&first.leaves, &second.leaves).run(
        &mut |place| read(&first, place),
        &mut |place| read(&second, place),
        &mut |range| collector.add(range),
        job,
    )?;
    let layout = match (&first.layout, &second.layout) {
        (Some(first), Some(second)) => layout::changes(first, second),
        _ => Vec::new(),
    };
    Ok(collector.finish([&first.image, &second.image].map(DiffImage::of), layout, started.elapsed().as_secs_f64()))
}
