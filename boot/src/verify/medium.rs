//! The kinds of media.

use super::MediumReport;
use crate::archive::cpio;
use crate::disk::{DATA_LABEL, DATA_NAME, ESP_NAME, read_table};
use crate::error::{BootError, Result};
use crate::fat::FatReader;
use crate::iso::check_iso;
use crate::manifest::{MANIFEST_PATH, Manifest};
use crate::profile::{MAX_PROFILE_BYTES, PROFILE_PATH, decode};
use crate::uki::{MANIFEST_SECTION, read_sections};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;

/// Most bytes of a UEFI program, and of a file in a netboot folder.
const MAX_FILE_BYTES: u64 = 1 << 30;

fn none(path: &Path) -> BootError {
    BootError::new(path.display(), "it is no Holotype medium").advise("make one with holotype boot create")
}

/// An image or a device.
pub fn file<R: Read + Seek>(path: &Path, file: &mut R, report: &mut MediumReport) -> Result<()> {
    let mut first = [0; 2];
    let unreadable = |error: std::io::Error| BootError::io(path, "read the medium", &error);
    file.read_exact(&mut first).map_err(unreadable)?;
    if first == *b"MZ" {
        report.product = "uki".into();
        return uki(path, file, report);
    }
    if let Some((esp, findings)) = check_iso(file) {
        report.product = "iso".into();
        report.findings.extend(findings);
        if let Some(offset) = esp {
            volume(file, offset, report);
        }
        return Ok(());
    }
    let (partitions, findings) = read_table(file)?;
    let esp = partitions.iter().find(|partition| partition.name == ESP_NAME);
    // A table that tells of it beyond the end: the image was cut off.
    if esp.is_none() && !findings.iter().any(|finding| finding.contains(ESP_NAME)) {
        return Err(none(path));
    }
    report.product = "usb".into();
    report.findings.extend(findings);
    if let Some(esp) = esp {
        volume(file, esp.offset_bytes, report);
    }
    if let Some(data) = partitions.iter().find(|partition| partition.name == DATA_NAME) {
        report.data_partition_bytes = Some(data.bytes);
        match FatReader::open(&mut *file, data.offset_bytes) {
            Ok(volume) if volume.label() == DATA_LABEL => {}
            Ok(volume) => {
                report.findings.push(format!("data partition: its label is {}", volume.label().escape_debug()))
            }
            Err(error) => report.findings.push(format!("data partition: {error}")),
        }
    }
    Ok(())
}

/// The ESP's volume, with manifest and profile.
fn volume<R: Read + Seek>(file: &mut R, offset: u64, report: &mut MediumReport) {
    match FatReader::open(&mut *file, offset).and_then(|mut volume| volume.files()) {
        Ok(files) => {
            if let Some(manifest) = check_files(&files, report) {
                report.findings.extend(manifest.compare_parts(file));
            }
        }
        Err(error) => report.findings.push(error.to_string()),
    }
}

/// Gives the manifest.
fn check_files(files: &BTreeMap<String, Vec<u8>>, report: &mut MediumReport) -> Option<Manifest> {
    let manifest = match files.get(MANIFEST_PATH).map(|bytes| Manifest::parse(bytes)) {
        Some(Ok(manifest)) => {
            report.findings.extend(manifest.compare(files));
            report.files = manifest.files.len();
            report.kernel = Some(manifest.kernel.clone());
            Some(manifest)
        }
        Some(Err(error)) => {
            report.findings.push(error.to_string());
            None
        }
        None => {
            report.findings.push(format!("{MANIFEST_PATH}: it is missing"));
            None
        }
    };
    for (path, archive) in files.iter().filter(|(path, _)| path.ends_with("profile.cpio")) {
        check_profile(path, cpio::find_file(archive, PROFILE_PATH), report);
    }
    manifest
}

fn check_profile(path: &str, bytes: Option<&[u8]>, report: &mut MediumReport) {
    match bytes.map(decode) {
        Some(Ok(profile)) => report.profiles.push(profile),
        Some(Err(error)) => report.findings.push(format!("{path}: {error}")),
        None => report.findings.push(format!("{path}: there is no boot profile in it")),
    }
}

/// The sections, with the manifest in one of them. The profile's archive is the last thing in the initramfs; it begins at
/// a multiple of 4 there.
fn uki<R: Read + Seek>(path: &Path, file: &mut R, report: &mut MediumReport) -> Result<()> {
    let (mut sections, findings) = read_sections(file).ok_or_else(|| none(path))?;
    let manifest = sections.remove(MANIFEST_SECTION);
    if manifest.is_none() && findings.is_empty() {
        return Err(none(path));
    }
    report.findings.extend(findings);
    let Some(manifest) = manifest else { return Ok(()) };
    match Manifest::parse(&manifest) {
        Ok(manifest) => {
            sections.retain(|name, _| manifest.files.contains_key(name));
            report.findings.extend(manifest.compare(&sections));
            report.files = manifest.files.len();
            report.kernel = Some(manifest.kernel);
        }
        Err(error) => report.findings.push(error.to_string()),
    }
    let initrd = sections.remove(".initrd").unwrap_or_default();
    let from = initrd.len().saturating_sub(MAX_PROFILE_BYTES + 8192) / 4 * 4;
    let starts = (from..initrd.len()).step_by(4).filter(|at| initrd[*at..].starts_with(b"070701"));
    let profile = starts.into_iter().find_map(|at| cpio::find_file(&initrd[at..], PROFILE_PATH));
    check_profile("UEFI program", profile, report);
    Ok(())
}

/// A netboot folder: the files that its manifest has; others are none of our business.
pub fn folder(path: &Path, report: &mut MediumReport) -> Result<()> {
    let read = |name: &str| -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path.join(name))?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let manifest = Manifest::parse(&read(MANIFEST_PATH).map_err(|_| none(path))?)?;
    let inside = |name: &&String| !name.starts_with('/') && !name.split('/').any(|part| part == "..");
    let mut files =
        BTreeMap::from([(MANIFEST_PATH.to_owned(), fs::read(path.join(MANIFEST_PATH)).unwrap_or_default())]);
    for name in manifest.files.keys().filter(inside) {
        if let Ok(bytes) = read(name) {
            files.insert(name.clone(), bytes);
        }
    }
    report.product = "netboot".into();
    check_files(&files, report);
    Ok(())
}
