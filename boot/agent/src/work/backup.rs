//! Backup, as the command does it: allocation maps on, the newest image of the same name looked at first.

use super::places::Reached;
use super::{Own, Telling, limits, sentence};
use crate::screens::text::{duration, size};
use crate::screens::{BackupOrder, Finished};
use holotype_repo::os::{open_source, own_disk};
use holotype_repo::{BackupOptions, BackupReport, ErrorKind, Repository};

/// A backup that was done.
pub(crate) struct BackedUp {
    pub report: BackupReport,
}

pub(super) fn run(
    repository: &Repository,
    reached: &Reached,
    order: &BackupOrder,
    own: &Own,
    telling: &Telling,
) -> Result<BackedUp, String> {
    let source = open_source(&order.disk.path).map_err(|error| error.to_string())?;
    if let Some(why) = reached.folder().and_then(|folder| own_disk::source_refusal(&order.disk.path, folder)) {
        return Err(why);
    }
    let options = BackupOptions {
        tags: own.tags(&order.disk.serial),
        image_password: order.image_password.as_ref().map(|typed| typed.0.clone()),
        threads: Some(limits::threads()),
        most_pack_bytes: Some(limits::MOST_PACK_BYTES),
        ..BackupOptions::named(&order.name)
    };
    match repository.backup(&*source, &options, &telling.job()) {
        Ok(report) => Ok(BackedUp { report }),
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            Err("the backup was stopped; what was stored already is found again by the next one".to_owned())
        }
        Err(error) => Err(sentence(&error)),
    }
}

impl BackedUp {
    /// For the screen.
    pub fn finished(&self) -> Finished {
        let report = &self.report;
        let row = |name: &str, value: String| (name.to_owned(), value);
        let image = report.image.map(|image| image.to_string()).unwrap_or_default();
        let mut warnings = report.warnings.clone();
        if report.changed {
            warnings.push("the disk was written to while it was read: the image may not be consistent".to_owned());
        }
        Finished {
            what: "Backup".to_owned(),
            lines: vec![
                row("Image", image),
                row("Name", report.name.clone()),
                row("Disk", size(report.source_bytes)),
                row("Read", format!("{}; {} were in use by nothing", size(report.read_bytes), size(report.free_bytes))),
                row("Stored", format!("{} new", size(report.stored_bytes))),
                row("Time", duration(report.elapsed_seconds as u64)),
            ],
            warnings,
            unreadable_bytes: report.unreadable_bytes,
            next: String::new(),
        }
    }
}
