//! `holotype backup`.

use crate::arguments::{BackupArguments, DropName, GlobalArguments};
use crate::credentials;
use crate::exit::{Exit, Failure, Result};
use crate::output;
use crate::place::Place;
use crate::server_api::{ServerApi, escape};
use crate::session::{self, Session};
use crate::units::{percent, rate, size};
use holotype_repo::core::volume::Drops;
use holotype_repo::disk::Source;
use holotype_repo::os::{StdinSource, open_source, own_disk};
use holotype_repo::{BackupOptions, BackupReport, InitOptions, ParentChoice};
use serde_json::{Value, json};
use std::io::{self, IsTerminal};

/// Longest name that a server's list of images takes.
const MAX_TOLD_NAME_CHARACTERS: usize = 100;

/// Backs a disk up.
pub fn run(global: &GlobalArguments, arguments: &BackupArguments) -> Result {
    let place = Place::of(global)?;
    // Opened first: a mistyped source costs no password.
    let source: Box<dyn Source> = match arguments.source.as_os_str() == "-" {
        true if io::stdin().is_terminal() => {
            return Err(Failure::usage("standard input: it is a terminal; redirect a file or a pipe to it"));
        }
        true => Box::new(StdinSource::stdin()),
        false => open_source(&arguments.source)?,
    };
    if arguments.source.as_os_str() != "-"
        && let Some(directory) = place.directory()
        && let Some(why) = own_disk::source_refusal(&arguments.source, directory)
    {
        return Err(Failure::failed("own-disk", why));
    }
    let image_password = session::image_password(arguments.image_password_file.as_deref())?;
    let session = match arguments.init && !place.holds_repository(global)? {
        true => {
            let credentials = credentials::for_new_repository(global, false)?;
            let options = InitOptions { fast_derivation: arguments.fast_derivation, ..InitOptions::new(credentials) };
            Session::init(global, &options)?
        }
        false => Session::open(global)?,
    };
    let options = BackupOptions {
        tags: arguments.tags.clone(),
        parent: match &arguments.parent {
            Some(image) => ParentChoice::Image(image.clone()),
            None if arguments.no_parent => ParentChoice::None,
            None => ParentChoice::Newest,
        },
        compression: arguments.compression,
        raw: arguments.raw,
        drops: drops(&arguments.drop),
        rescue_passes: arguments.rescue.unwrap_or(0),
        dry_run: arguments.dry_run,
        image_password,
        fast_derivation: arguments.fast_derivation,
        ..BackupOptions::named(&arguments.name)
    };
    let report = session.run(|repository, job| repository.backup(&*source, &options, job))?;
    if let (Place::Server { origin, name }, false) = (place, arguments.no_report)
        && let Err(failure) = tell_server(global, origin, name, &report)
    {
        tracing::warn!("the image is stored, but the server was not told its name and size: {failure}");
    }
    if global.json {
        output::json(&report);
    } else if !global.quiet {
        output::print(&summary(&report));
    }
    if report.is_complete() {
        return Ok(Exit::Done);
    }
    if report.unreadable_bytes > 0 {
        tracing::warn!(
            "{} could not be read in {} places; the image is partial",
            size(report.unreadable_bytes),
            report.unreadable.len()
        );
    }
    Ok(Exit::Partial)
}

/// Tells what the image is called, which is sealed in the repository, for the server's list of images.
fn tell_server(global: &GlobalArguments, origin: &str, repository: &str, report: &BackupReport) -> Result<()> {
    let Some(image) = &report.image else { return Ok(()) };
    let name = Some(&report.name).filter(|name| name.chars().count() <= MAX_TOLD_NAME_CHARACTERS);
    let body = json!({ "name": name, "source_bytes": report.source_bytes, "stored_bytes": report.stored_bytes });
    let path = format!("/images/{}/{image}/report", escape(repository));
    ServerApi::at(origin, global)?.post::<Value>(&path, &body).map(drop)
}

fn drops(named: &[DropName]) -> Drops {
    Drops { pagefile: named.contains(&DropName::Pagefile), hiberfil: named.contains(&DropName::Hiberfil) }
}

/// What a backup did, in a few lines.
pub fn summary(report: &BackupReport) -> String {
    let image = match &report.image {
        Some(image) => format!("image {}  {}  {:.0}", image.short(), report.name, report.time),
        None => format!("dry run  {}", report.name),
    };
    let parts = [
        ("data", report.data_bytes),
        ("zero", report.zero_bytes),
        ("free", report.free_bytes),
        ("unreadable", report.unreadable_bytes),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(_, bytes)| *bytes > 0).map(|(name, bytes)| format!("{name} {}", size(*bytes))).collect();
    format!(
        "{image}\n  source  {} ({})\n  new     {} in {} of {} chunks\n  stored  {} ({} of the source)\n  time    {:.1} s ({})\n",
        size(report.source_bytes),
        parts.join(", "),
        size(report.new_bytes),
        report.new_chunks,
        report.chunks,
        size(report.stored_bytes),
        percent(report.stored_bytes, report.source_bytes),
        report.elapsed_seconds,
        rate(report.source_bytes, report.elapsed_seconds),
    )
}
