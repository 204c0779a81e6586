//! Verify: looks at everything and reports what is hurt, and which images it touches.

mod images;
mod packs;
mod report;

pub use report::{Finding, VerifyReport};

use crate::error::Result;
use crate::image::list_images;
use crate::index::segment::read_segment;
use crate::job::Job;
use crate::keys::read_slots;
use crate::lease::damaged_leases;
use crate::repository::Repository;
use crate::restore::read_lease;
use crate::store::Folder;
use holotype_core::{ChunkId, PackId};
use images::ImageWalk;
use std::collections::{HashMap, HashSet};

/// How much of the packs' data is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VerifyOptions {
    /// Share of the packs that are read whole, 0 to 100 percent.
    pub sample_percent: f64,
}

impl VerifyOptions {
    /// Structure alone: every object but frames.
    pub fn structure() -> Self {
        Self { sample_percent: 0.0 }
    }

    /// Every byte.
    pub fn read_everything() -> Self {
        Self { sample_percent: 100.0 }
    }

    /// Structure, and this share of the packs whole.
    pub fn sample(percent: f64) -> Self {
        Self { sample_percent: percent.clamp(0.0, 100.0) }
    }
}

/// What is known to be hurt, while images are walked.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// Packs that are there and cannot be used, with the finding's number.
    packs: HashMap<PackId, usize>,
    /// Frames that do not open.
    frames: HashMap<(PackId, u32), usize>,
    /// Chunks and nodes of packs that are not there or cannot be used.
    missing: HashMap<ChunkId, usize>,
}

pub(crate) fn run(repository: &Repository, options: &VerifyOptions, job: &Job) -> Result<VerifyReport> {
    repository.keyring().require_full("verify")?;
    let _lease = read_lease(repository, job)?;
    let mut report = VerifyReport::default();
    let mut damage = Damage::default();
    let store = repository.store();

    for (key, slot) in read_slots(store, &repository.id())? {
        report.objects += 1;
        let enrolled = slot.and_then(|slot| {
            slot.verify_enrolment(&repository.keyring().root())
                .map_err(|error| crate::Error::decode(key.to_string(), error))
        });
        if let Err(error) = enrolled {
            report.find(key.to_string(), error.to_string());
        }
    }
    let (leases, damaged_leases) = damaged_leases(store, &repository.id())?;
    report.objects += leases;
    for (key, error) in damaged_leases {
        report.find(key.to_string(), error.to_string());
    }
    let catalog = repository.whole_catalog()?;
    catalog.refresh()?;
    let stored = packs::check_packs(repository, options, &mut report, &mut damage, job)?;
    let missing = check_segments(repository, &stored, &mut report, &mut damage)?;

    let (images, damaged) = list_images(store, repository.keyring())?;
    for error in damaged {
        report.find(error.subject().to_owned(), error.to_string());
    }
    let mut walk = ImageWalk::new(repository, &damage);
    job.stage("verify images", None);
    for image in &images {
        job.check()?;
        report.images += 1;
        walk.check(image, &mut report)?;
    }
    report.objects += images.len() as u64;
    // A segment may outlive its packs: a writer whose lease was revoked wrote it after a prune.
    let mut number = 0;
    report.findings.retain(|finding| {
        number += 1;
        !(missing.contains(&(number - 1)) && finding.images.is_empty())
    });
    Ok(report)
}

/// Checks segments and finds packs that they list and that are not there. Gives the numbers of
/// these findings; they are some only where an image needs the pack.
fn check_segments(
    repository: &Repository,
    stored: &HashSet<PackId>,
    report: &mut VerifyReport,
    damage: &mut Damage,
) -> Result<HashSet<usize>> {
    let store = repository.store();
    let mut missing: HashMap<PackId, usize> = HashMap::new();
    for info in store.list(Folder::Index)? {
        report.objects += 1;
        let read = match info.key.name().parse() {
            Ok(name) => read_segment(store, &name, &repository.id()),
            Err(_) => Err(crate::Error::new(crate::ErrorKind::Damaged, info.key.to_string(), "its name is none")),
        };
        match read {
            Err(error) => {
                report.find(info.key.to_string(), format!("{error}; nothing is lost, packs have their own footers"));
            }
            Ok(packs) => {
                for pack in packs {
                    let finding = match damage.packs.get(&pack.pack) {
                        Some(finding) => *finding,
                        None if stored.contains(&pack.pack) => continue,
                        None => *missing.entry(pack.pack).or_insert_with(|| {
                            let key = crate::pack::pack_key(pack.kind, &pack.pack);
                            report.find(key.to_string(), "it is missing".to_owned())
                        }),
                    };
                    damage.missing.extend(pack.frames.iter().flatten().map(|id| (*id, finding)));
                }
            }
        }
    }
    Ok(missing.into_values().collect())
}
