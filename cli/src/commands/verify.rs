//! `holotype verify`.

use crate::arguments::{GlobalArguments, VerifyArguments};
use crate::exit::{Exit, Result};
use crate::output;
use crate::session::Session;
use crate::units::size;
use holotype_repo::VerifyOptions;

/// Looks for damage.
pub fn run(global: &GlobalArguments, arguments: &VerifyArguments) -> Result {
    let session = Session::open(global)?;
    let options = match (arguments.read_data, arguments.sample) {
        (true, _) => VerifyOptions::read_everything(),
        (false, Some(percent)) => VerifyOptions::sample(percent),
        (false, None) => VerifyOptions::structure(),
    };
    let report = session.run(|repository, job| repository.verify(&options, job))?;
    if global.json {
        output::json(&report);
    } else {
        // Findings are errors of the repository: they are told however quiet it should be.
        for finding in report.findings() {
            output::line(finding.to_string());
        }
        if !global.quiet {
            output::line(format!(
                "looked at {} objects, {} images, {} packs ({} read whole, {}): {}",
                report.objects,
                report.images,
                report.packs,
                report.packs_read,
                size(report.read_bytes),
                match report.findings().len() {
                    0 => "nothing is hurt".to_owned(),
                    1 => "1 finding".to_owned(),
                    findings => format!("{findings} findings"),
                }
            ));
        }
    }
    Ok(if report.findings().is_empty() { Exit::Done } else { Exit::Findings })
}
