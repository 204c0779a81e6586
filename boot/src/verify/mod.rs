//! Looks whether a medium is as it was made: image, device, UEFI program or netboot folder. Nothing on it is believed.

mod medium;

use crate::error::{BootError, Result};
use crate::profile::BootProfile;
use serde::Serialize;
use std::io::{Read, Seek};
use std::path::Path;

/// What is on a medium, and what is wrong with it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MediumReport {
    /// `usb`, `iso`, `uki` or `netboot`.
    pub product: String,
    /// Version of its kernel, by its manifest.
    pub kernel: Option<String>,
    /// Its profiles: one, but for netboot folders. Secrets in them are not shown.
    #[serde(skip)]
    pub profiles: Vec<BootProfile>,
    /// How many files the manifest has.
    pub files: usize,
    /// Bytes of its data partition, where it has one.
    pub data_partition_bytes: Option<u64>,
    /// What is wrong, each in a sentence. None: the medium is as it was made.
    pub findings: Vec<String>,
}

/// Looks at a medium. `now_ms` is the time, in milliseconds since 1970 (UTC), for what expires.
///
/// # Errors
/// Where it cannot be read, or is no medium at all.
pub fn verify(path: &Path, now_ms: i64) -> Result<MediumReport> {
    if path.is_dir() {
        let mut report = MediumReport::default();
        medium::folder(path, &mut report)?;
        return Ok(judged(report, now_ms));
    }
    let mut file = std::fs::File::open(path).map_err(|error| BootError::io(path, "open the medium", &error))?;
    verify_device(path, &mut file, now_ms)
}

/// Looks at a medium that is read from `device` and called `path`.
///
/// # Errors
/// Where it cannot be read, or is no medium at all.
pub fn verify_device<R: Read + Seek>(path: &Path, device: &mut R, now_ms: i64) -> Result<MediumReport> {
    let mut report = MediumReport::default();
    medium::file(path, device, &mut report)?;
    Ok(judged(report, now_ms))
}

fn judged(mut report: MediumReport, now_ms: i64) -> MediumReport {
    if report.profiles.is_empty() && !report.findings.iter().any(|finding| finding.contains("profile")) {
        report.findings.push("the medium has no profile".into());
    }
    for profile in &report.profiles {
        if profile.is_expired(now_ms) {
            report.findings.push(format!("profile of {}: it has expired; make the medium anew", profile.name));
        }
        let enrolment = profile.server.as_ref().and_then(|server| server.enrolment.as_ref());
        if enrolment.is_some_and(|enrolment| now_ms >= enrolment.expires_ms) {
            let name = &profile.name;
            report
                .findings
                .push(format!("profile of {name}: its enrolment code has expired; ask the server for a new one"));
        }
    }
    report
}
