//! `holotype restore`.

use crate::arguments::{GlobalArguments, RestoreArguments};
use crate::exit::{Exit, Failure, Result};
use crate::output;
use crate::own_disk;
use crate::session::{self, Session};
use crate::units::{rate, size};
use holotype_repo::RestoreOptions;
use holotype_repo::disk::Target;
use holotype_repo::os::{Overwrite, StdoutTarget, open_target};
use std::io::{self, IsTerminal};

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
    // Every password is checked, and the image found, before the target is opened for writing.
    let session = Session::open(global)?;
    let (image, image_password) =
        session.open_image(&arguments.image.image, arguments.image.image_password_file.as_deref())?;
    let target: Box<dyn Target> = match to_stdout {
        true => Box::new(StdoutTarget::stdout()),
        false => {
            own_disk::check_target(&arguments.target, session::path_of_repository(global)?)?;
            let overwrite = if arguments.overwrite { Overwrite::Confirmed } else { Overwrite::Refused };
            open_target(&arguments.target, overwrite).map_err(|error| name_the_option(error, arguments.overwrite))?
        }
    };
    let options = RestoreOptions { image_password, ..RestoreOptions::default() };
    // By its id: the newest of a name may be another one by now.
    let report = session.run(|repository, job| repository.restore(image.image, &*target, &options, job))?;
    if global.json {
        output::json(&report);
    } else if !global.quiet && !to_stdout {
        output::line(format!(
            "restored {} ({}) to {}: {} ({} data) in {:.1} s ({})",
            report.name,
            report.image.short(),
            report.target,
            size(report.target_bytes),
            size(report.data_bytes),
            report.elapsed_seconds,
            rate(report.target_bytes, report.elapsed_seconds),
        ));
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
