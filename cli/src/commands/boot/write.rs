//! `holotype boot write`: show, ask, write.

use crate::arguments::GlobalArguments;
use crate::exit::{Exit, Failure, Result};
use std::path::Path;

#[cfg(target_os = "linux")]
pub use linux::{confirm_and_write, show};

/// Writes an image to a device.
#[cfg(target_os = "linux")]
pub fn run(global: &GlobalArguments, medium: &Path, device: &Path, yes: bool, any_disk: bool) -> Result {
    use holotype_boot::write::WritePlan;
    check(medium)?;
    let plan = WritePlan::make(medium, device)?;
    let is_stick = plan.removable && plan.device_bytes <= holotype_boot::write::EXPECTED_MOST_BYTES;
    show(global, &plan);
    let confirmed = yes && (is_stick || any_disk);
    confirm_and_write(global, plan, confirmed)?;
    Ok(Exit::Done)
}

/// What boots nothing does not cost somebody a stick's content.
#[cfg(target_os = "linux")]
fn check(medium: &Path) -> Result<()> {
    let report = holotype_boot::verify::verify(medium, super::now_ms())?;
    let why = match report.findings.first() {
        Some(finding) => finding.clone(),
        None if report.product == "usb" || report.product == "iso" => return Ok(()),
        None => format!("it is of the kind {}; a stick takes usb and iso", report.product),
    };
    Err(Failure::failed("boot-medium", format!("{}: {why}; nothing was written", medium.display())))
}

/// Writes an image to a device.
#[cfg(not(target_os = "linux"))]
pub fn run(_: &GlobalArguments, _: &Path, device: &Path, _: bool, _: bool) -> Result {
    Err(Failure::failed(
        "unsupported",
        format!("{}: media are written on Linux alone; use a tool of this system", device.display()),
    ))
}

#[cfg(target_os = "linux")]
mod linux {
    use super::super::wizard::ask;
    use crate::arguments::GlobalArguments;
    use crate::exit::{Failure, Result};
    use crate::output::{self, Table};
    use crate::units::size;
    use crate::{progress, signals};
    use holotype_boot::write::WritePlan;
    use serde_json::json;
    use std::io::Write;

    /// Shows what would be overwritten.
    pub fn show(global: &GlobalArguments, plan: &WritePlan) {
        let mut table = Table::plain();
        table.value("device", plan.device.display().to_string());
        table.value("size", size(plan.device_bytes));
        table.value("model", plan.model.as_deref().unwrap_or("-"));
        table.value("serial", plan.serial.as_deref().unwrap_or("-"));
        if !global.json && !global.quiet {
            table.print();
        }
        for concern in &plan.concerns {
            progress::beside(|| {
                let _ = writeln!(std::io::stderr(), "careful: {concern}");
            });
        }
    }

    /// Asks, where that is still to be done, and writes.
    pub fn confirm_and_write(global: &GlobalArguments, plan: WritePlan, confirmed: bool) -> Result<()> {
        let device = plan.device.display().to_string();
        if !confirmed {
            let answer = ask(&format!("Everything on {device} will be lost. Type {device} to go on"), None)?;
            if answer != device {
                return Err(Failure::failed("not-confirmed", format!("{device}: not confirmed, nothing was written")));
            }
        }
        let cancel = signals::cancel_token()?;
        if cancel.is_cancelled() {
            return Err(holotype_repo::Error::cancelled().into());
        }
        let mut last = 0;
        let written = plan.apply(
            &mut |done, total| {
                let percent = done * 100 / total.max(1);
                if percent >= last + 10 && !global.quiet {
                    last = percent;
                    let _ = writeln!(std::io::stderr(), "{percent} %");
                }
            },
            &|| cancel.is_cancelled(),
        );
        let written = match written {
            Err(_) if cancel.is_cancelled() => return Err(holotype_repo::Error::cancelled().into()),
            written => written?,
        };
        match global.json {
            true => output::json(&json!({ "device": device, "bytes": written.bytes })),
            false if global.quiet => {}
            false => output::line(format!("{device}: {} written and read back", size(written.bytes))),
        }
        Ok(())
    }
}
