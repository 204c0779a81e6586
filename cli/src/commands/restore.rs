//! `holotype restore`.

use crate::arguments::{GlobalArguments, RestoreArguments};
use crate::exit::{Exit, Failure, Result};
use crate::output;
use crate::place::Place;
use crate::session::Session;
use crate::units::{rate, size};
use holotype_repo::disk::Target;
use holotype_repo::os::{Overwrite, StdoutTarget, open_target, own_disk};
use holotype_repo::{RestoreOptions, RestoreReport, RestoreScope, WriteMode};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// Writes an image to a target.
pub fn run(global: &GlobalArguments, arguments: &RestoreArguments) -> Result {
    let to_stdout = arguments.target.as_os_str() == "-";
    if to_stdout && global.json {
        return Err(Failure::usage(
            "--json: the image goes to standard output, so the report cannot; leave --json out, or give a file",
        ));
    }
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::usage("standard output: it is a terminal; redirect it to a file or a pipe"));
    }
    let scope = scope(arguments)?;
    // Every password is checked, and the image found, before the target is opened for writing.
    let session = Session::open(global)?;
    let (image, image_password) =
        session.open_image(&arguments.image.image, arguments.image_password_file.as_deref())?;
    let confirmed = arguments.overwrite || arguments.delta;
    let target: Box<dyn Target> = match to_stdout {
        true => Box::new(StdoutTarget::stdout()),
        false => {
            if let Some(directory) = Place::of(global)?.directory() {
                own_disk::check_target(&arguments.target, directory)?;
            }
            let overwrite = if confirmed { Overwrite::Confirmed } else { Overwrite::Refused };
            open_target(&arguments.target, overwrite).map_err(|error| name_the_option(error, confirmed))?
        }
    };
    // Made before, so that no restore is without the receipt that was asked for.
    let receipt = arguments.receipt.as_deref().map(make_receipt).transpose()?;
    let options = RestoreOptions {
        image_password,
        scope,
        mode: match (arguments.delta, arguments.no_delta) {
            (true, _) => WriteMode::Delta,
            (_, true) => WriteMode::Everything,
            _ => WriteMode::Auto,
        },
        free: arguments.free.map(Into::into),
        grow: arguments.grow,
        new_guids: arguments.new_guids,
        verify: arguments.verify,
        file_bytes: arguments.size,
        ..RestoreOptions::default()
    };
    // By its id: the newest of a name may be another one by now.
    let restored = session.run(|repository, job| repository.restore(image.image, &*target, &options, job));
    let report = match (restored, receipt) {
        (Ok(report), Some((path, file))) => {
            write_receipt(path, file, &session.repository.receipt(&report))?;
            report
        }
        (Err(error), Some((path, _))) => {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        (restored, None) => restored?,
    };
    if global.json {
        output::json(&report);
    } else if !global.quiet && !to_stdout {
        output::print(&summary(&report));
    }
    if report.is_complete() {
        return Ok(Exit::Done);
    }
    tracing::warn!(
        "{} of the image could not be read when it was made; they are zeros now",
        size(report.unreadable_bytes)
    );
    Ok(Exit::Partial)
}

fn scope(arguments: &RestoreArguments) -> Result<RestoreScope> {
    let scope = match (arguments.image.partition, arguments.partitions.is_empty(), arguments.table_only) {
        (Some(number), true, false) => RestoreScope::Volume(number),
        (Some(_), ..) => {
            return Err(Failure::usage("IMAGE:N is one volume alone; leave --partition and --table-only out"));
        }
        (None, false, _) => RestoreScope::Partitions(arguments.partitions.clone()),
        (None, true, true) => RestoreScope::Table,
        (None, true, false) => RestoreScope::Disk,
    };
    Ok(scope)
}

fn summary(report: &RestoreReport) -> String {
    let mut text = format!(
        "restored {} ({}) to {}: {} ({} data) in {:.1} s ({})\n",
        report.name,
        report.image.short(),
        report.target,
        size(report.target_bytes),
        size(report.data_bytes),
        report.elapsed_seconds,
        rate(report.target_bytes, report.elapsed_seconds),
    );
    if report.delta {
        text.push_str(&format!("  in place: {} written, the rest was there already\n", size(report.written_bytes)));
    }
    for change in &report.table_changes {
        text.push_str(&format!("  table: {change}\n"));
    }
    if report.verified {
        text.push_str("  read back: as it should be\n");
    }
    text
}

fn receipt_failure(path: &Path, action: &str, error: io::Error) -> Failure {
    holotype_repo::Error::io(path.display().to_string(), action, error).into()
}

fn make_receipt(path: &Path) -> Result<(&Path, File)> {
    let file = File::create_new(path).map_err(|error| receipt_failure(path, "make the receipt", error))?;
    Ok((path, file))
}

fn write_receipt(path: &Path, mut file: File, text: &str) -> Result<()> {
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| receipt_failure(path, "write the receipt", error))
}

/// The library asks for a confirmation; here that is an option.
fn name_the_option(error: holotype_repo::Error, confirmed: bool) -> Failure {
    let failure = Failure::from(error);
    match failure.exit() {
        Exit::TargetRefused if !confirmed && failure.to_string().contains("confirm that it may be overwritten") => {
            failure.with_message(|text| text.replace("confirm that it may be overwritten", "say --overwrite"))
        }
        _ => failure,
    }
}
