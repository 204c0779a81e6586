//! `holotype copy`.

use crate::arguments::{CopyArguments, GlobalArguments};
use crate::exit::{Exit, Result};
use crate::output;
use crate::session::Session;
use crate::units::{rate, size};
use holotype_repo::{BackupReport, CopyOptions, CopyOutcome, Image};
use serde_json::{Value, json};

/// Copies images into another repository.
pub fn run(global: &GlobalArguments, arguments: &CopyArguments) -> Result {
    let from = Session::open(global)?;
    let to = Session::open(&other(global, arguments))?;
    let mut outcomes = Vec::new();
    for selector in &arguments.images {
        let (image, image_password) = from.open_image(selector, arguments.image_password_file.as_deref())?;
        let options = CopyOptions {
            image_password,
            name: arguments.name.clone(),
            again: arguments.again,
            ..CopyOptions::default()
        };
        let outcome = from.run(|repository, job| repository.copy_image(image.image, &to.repository, &options, job))?;
        match &outcome {
            _ if global.json => outcomes.push(value(&image, &outcome)),
            _ if global.quiet => {}
            CopyOutcome::AlreadyThere(there) => {
                output::line(format!("{} is there already as {}", image.name, there.short()));
            }
            CopyOutcome::Copied(report) => output::line(sentence(report)),
        }
    }
    if global.json {
        output::json(&outcomes);
    }
    Ok(Exit::Done)
}

/// The options for the other repository: what is given for it, and for the rest what is given for the first.
fn other(global: &GlobalArguments, arguments: &CopyArguments) -> GlobalArguments {
    let mut other = global.clone();
    other.repo = Some(arguments.to.clone());
    if arguments.to_password_file.is_some() || arguments.to_key_file.is_some() {
        (other.password_command, other.ask_password) = (None, false);
        other.password_file.clone_from(&arguments.to_password_file);
        other.key_file.clone_from(&arguments.to_key_file);
    }
    if arguments.to_token_file.is_some() {
        other.token_file.clone_from(&arguments.to_token_file);
    }
    other.server_pin = arguments.to_server_pin.or(other.server_pin);
    other
}

fn value(image: &Image, outcome: &CopyOutcome) -> Value {
    match outcome {
        CopyOutcome::AlreadyThere(there) => json!({ "source": image.image, "already_there": there }),
        CopyOutcome::Copied(report) => json!({ "source": image.image, "copied": report }),
    }
}

fn sentence(report: &BackupReport) -> String {
    let image = report.image.map(|image| image.short()).unwrap_or_default();
    format!(
        "copied {} as {image}: {} of {} were new, {} stored  ({})",
        report.name,
        size(report.new_bytes),
        size(report.data_bytes),
        size(report.stored_bytes),
        rate(report.data_bytes, report.elapsed_seconds)
    )
}
