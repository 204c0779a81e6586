//! Restore, as the command does it. The image is open, and its password right, before the target is opened.

use super::places::Reached;
use super::{Telling, limits};
use crate::screens::text::{duration, plain, size};
use crate::screens::{Finished, News, RestoreOrder};
use crate::system::firmware;
use holotype_repo::os::{Overwrite, open_target, own_disk};
use holotype_repo::{ErrorKind, Repository, RestoreOptions, RestoreReport};

/// A restore that was done.
pub(crate) struct Restored {
    pub report: RestoreReport,
    /// What this machine signed.
    pub receipt: String,
    /// What was done to the firmware's boot entries.
    pub boot_entry: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

pub(super) fn run(
    repository: &Repository,
    reached: &Reached,
    order: &RestoreOrder,
    is_init: bool,
    telling: &Telling,
) -> Result<Restored, String> {
    let sentence = |error: holotype_repo::Error| match error.kind() {
        ErrorKind::Cancelled => {
            let disk = order.target.short_name();
            format!("the restore was stopped; {disk} is not usable before a restore to it is done whole")
        }
        _ => super::sentence(&error),
    };
    let id = &order.image.id;
    let image = id.parse::<holotype_repo::core::ImageId>().map_err(|_| format!("{id}: is no image's id"))?;
    let image_password = order.image_password.as_ref().map(|typed| typed.0.clone());
    // Once more, at the last moment: nothing is opened for writing where the image cannot be opened.
    repository.show(image, image_password.as_ref()).map_err(sentence)?;
    if order.target.is_medium {
        return Err("the disk that this PC was booted from is never written to; choose another one".to_owned());
    }
    if let Some(folder) = reached.folder() {
        own_disk::check_target(&order.target.path, folder).map_err(sentence)?;
    }
    let target = open_target(&order.target.path, Overwrite::Confirmed).map_err(sentence)?;
    let options = RestoreOptions {
        image_password,
        threads: Some(limits::threads()),
        verify: order.verify,
        ..RestoreOptions::default()
    };
    let report = repository.restore(image, &*target, &options, &telling.job()).map_err(sentence)?;
    let receipt = repository.receipt(&report);
    drop(target);
    let mut warnings = Vec::new();
    let boot_entry = match is_init.then(|| firmware::correct_boot_entry(&order.target.path)) {
        Some(Ok(done)) => done,
        Some(Err(error)) => {
            let warning = format!("the disk is restored; the firmware's boot entry is as it was: {error}");
            telling.news(News::Warning(warning.clone()));
            warnings.push(warning);
            None
        }
        None => None,
    };
    Ok(Restored { report, receipt, boot_entry, warnings })
}

impl Restored {
    /// For the screen.
    pub fn finished(&self) -> Finished {
        let report = &self.report;
        let row = |name: &str, value: String| (name.to_owned(), value);
        let mut lines = vec![
            row("Image", report.image.to_string()),
            row("Name", report.name.clone()),
            row("Onto", plain(&report.target, 60)),
            row("Restored", format!("{} ({} data)", size(report.target_bytes), size(report.data_bytes))),
            row("Written", size(report.written_bytes)),
            row(
                "Read back",
                if report.verified { "everything is as it should be" } else { "not asked for" }.to_owned(),
            ),
            row("Time", duration(report.elapsed_seconds as u64)),
        ];
        lines.extend(report.table_changes.iter().map(|change| row("Table", change.clone())));
        lines.extend(self.boot_entry.iter().map(|done| row("Firmware", done.clone())));
        Finished {
            what: "Restore".to_owned(),
            lines,
            warnings: self.warnings.clone(),
            unreadable_bytes: report.unreadable_bytes,
            next: String::new(),
        }
    }
}
