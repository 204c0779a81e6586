//! The disks, with what is on them.

use crate::screens::DiskView;
use crate::screens::text::{plain, size};
use crate::system::modules::{self, STORAGE};
use crate::system::places;
use holotype_boot::profile::DiskChoice;
use holotype_repo::core::layout::{self, DiskLayout, SurveyOptions, VolumeInfo};
use holotype_repo::core::volume::ReadAt;
use holotype_repo::disk::{Source, SourceBytes};
use holotype_repo::os::{DiskInfo, list_disks, open_source};
use std::path::{Path, PathBuf};

/// Lines of content that are shown.
const MOST_LINES: usize = 8;
/// A disk whose first bytes are zeros and that has no table is taken for empty.
const LOOKED_AT_BYTES: usize = 1 << 20;

/// The disks of this machine, or these files in place of them.
///
/// # Errors
/// In a sentence.
pub fn list(files: &[PathBuf]) -> Result<Vec<DiskView>, String> {
    if !files.is_empty() {
        return Ok(files.iter().map(|file| of_file(file)).collect());
    }
    let media = places::medium_disks();
    let disks = list_disks().map_err(|error| error.to_string())?;
    Ok(disks.into_iter().map(|disk| of_disk(disk, &media)).collect())
}

fn of_disk(disk: DiskInfo, media: &[PathBuf]) -> DiskView {
    let path = PathBuf::from(&disk.path);
    let (content, is_empty) = content_of(&path);
    DiskView {
        is_medium: media.contains(&path),
        in_use: !disk.mounted_at.is_empty(),
        model: plain(&disk.model.unwrap_or_default(), 60),
        serial: plain(&disk.serial.unwrap_or_default(), 60),
        bus: plain(&disk.bus.unwrap_or_default(), 30),
        bytes: disk.bytes,
        read_only: disk.read_only,
        content,
        is_empty,
        path,
    }
}

fn of_file(file: &Path) -> DiskView {
    // A file that is not there yet, or holds nothing; a disk's length is not among what the system tells of its name.
    let is_new = std::fs::metadata(file).map_or(true, |found| found.is_file() && found.len() == 0);
    let (content, is_empty) = if is_new { (Vec::new(), true) } else { content_of(file) };
    let bytes = match is_new {
        true => 0,
        false => open_source(file).ok().and_then(|source| source.geometry().bytes).unwrap_or(0),
    };
    DiskView { path: file.to_owned(), model: "file".to_owned(), bytes, content, is_empty, ..DiskView::default() }
}

/// What is on a disk, a line each, and whether it is empty. What cannot be read is told as such.
fn content_of(path: &Path) -> (Vec<String>, bool) {
    let source = match open_source(path) {
        Ok(source) => source,
        Err(error) => return (vec![format!("cannot be looked at: {error}")], false),
    };
    let disk = SourceBytes(&*source);
    let options = SurveyOptions { raw: true, ..SurveyOptions::default() };
    let layout = layout::survey(&disk, source.geometry().logical_sector_bytes, &options).layout;
    let known = layout.table.is_some() || layout.volumes.iter().any(|volume| volume.filesystem.is_some());
    let mut first = vec![0; LOOKED_AT_BYTES.min(usize::try_from(disk.bytes()).unwrap_or(LOOKED_AT_BYTES))];
    let is_zero = disk.read_exact_at(0, &mut first).is_ok() && first.iter().all(|byte| *byte == 0);
    (lines_of(&layout), !known && is_zero)
}

/// A layout as lines for people.
pub fn lines_of(layout: &DiskLayout) -> Vec<String> {
    let known = |volume: &&VolumeInfo| volume.filesystem.is_some() || volume.partition.is_some();
    let mut lines: Vec<String> = layout.volumes.iter().filter(known).map(line_of).collect();
    if lines.is_empty() && layout.table.is_some() {
        lines.push("a partition table without partitions".to_owned());
    }
    if lines.len() > MOST_LINES {
        let more = lines.len() - (MOST_LINES - 1);
        lines.truncate(MOST_LINES - 1);
        lines.push(format!("and {more} more"));
    }
    lines
}

fn line_of(volume: &VolumeInfo) -> String {
    let filesystem = volume.filesystem.as_deref().unwrap_or("unknown");
    let label = volume.label.as_deref().or(volume.partition_name.as_deref()).unwrap_or_default();
    let label = if label.is_empty() { String::new() } else { format!("  \"{}\"", plain(label, 30)) };
    format!("{}: {}  {}{label}", volume.title(), plain(filesystem, 20), size(volume.bytes))
}

/// Where there is no disk but the medium: devices of storage that no driver serves, and what to do, in a sentence.
pub fn missing_drivers(disks: &[DiskView]) -> Option<String> {
    if disks.iter().any(|disk| !disk.is_medium) || !crate::system::is_init() {
        return None;
    }
    modules::missing_sentence(Path::new(modules::DEVICES), STORAGE)
}

/// The disk that a profile or a task means.
///
/// # Errors
/// In a sentence, where it is not clear; then none is touched.
pub fn choose<'a>(disks: &'a [DiskView], choice: &DiskChoice) -> Result<&'a DiskView, String> {
    let candidates: Vec<&DiskView> = disks.iter().filter(|disk| !disk.is_medium).collect();
    let names = || candidates.iter().map(|disk| disk.short_name()).collect::<Vec<_>>().join(", ");
    match choice {
        DiskChoice::Only if candidates.len() > 1 => Err(format!(
            "this PC has {} disks ({}), and the medium does not say which is meant; choose by hand, or make a medium that names the serial number",
            candidates.len(),
            names()
        )),
        DiskChoice::Only | DiskChoice::First => candidates.first().copied().ok_or_else(|| no_disk(disks)),
        DiskChoice::Serial(serial) => {
            let mut found = candidates.iter().filter(|disk| disk.serial.trim() == serial.trim());
            match (found.next(), found.next()) {
                (Some(disk), None) => Ok(disk),
                (Some(_), Some(_)) => Err(format!("two disks have the serial number {serial}; choose by hand")),
                _ if candidates.is_empty() => Err(no_disk(disks)),
                _ => {
                    let there: Vec<String> = candidates.iter().map(|disk| with_serial(disk)).collect();
                    Err(format!(
                        "no disk has the serial number {serial}; there are {}; choose by hand, or make a medium or task \
                         that names one of them",
                        there.join(", ")
                    ))
                }
            }
        }
    }
}

fn with_serial(disk: &DiskView) -> String {
    match disk.serial.trim() {
        "" => format!("{} (without a serial number)", disk.short_name()),
        serial => format!("{} ({serial})", disk.short_name()),
    }
}

fn no_disk(disks: &[DiskView]) -> String {
    let what = if disks.is_empty() { "no disk was found" } else { "no disk was found but the boot medium itself" };
    match missing_drivers(disks) {
        Some(missing) => format!("{what}: {missing}"),
        None => format!("{what}; check cables and the firmware's settings, or take a medium with all drivers"),
    }
}

/// The disk that a task's option names: by path, name or serial number; the only one where it names none.
///
/// # Errors
/// In a sentence.
pub fn choose_named<'a>(disks: &'a [DiskView], name: Option<&str>) -> Result<&'a DiskView, String> {
    let Some(name) = name else { return choose(disks, &DiskChoice::Only) };
    let by_path = |disk: &&DiskView| !disk.is_medium && (disk.path == Path::new(name) || disk.short_name() == name);
    match disks.iter().find(by_path) {
        Some(disk) => Ok(disk),
        None => choose(disks, &DiskChoice::Serial(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str, serial: &str, is_medium: bool) -> DiskView {
        DiskView { path: format!("/dev/{name}").into(), serial: serial.to_owned(), is_medium, ..DiskView::default() }
    }

    #[test]
    fn a_disk_is_chosen_only_where_it_is_clear() {
        let disks = [disk("sda", "M", true), disk("sdb", "S1", false), disk("sdc", "S2", false)];
        let chosen = |choice: DiskChoice| choose(&disks, &choice).map(DiskView::short_name);
        assert!(chosen(DiskChoice::Only).unwrap_err().contains("sdb, sdc"));
        assert_eq!(choose(&disks[..2], &DiskChoice::Only).unwrap().short_name(), "sdb");
        for choice in [DiskChoice::Only, DiskChoice::First, DiskChoice::Serial("S1".into())] {
            let told = choose(&disks[..1], &choice).unwrap_err();
            assert!(told.contains("but the boot medium itself") && told.contains("check cables"), "{told}");
        }
        assert!(choose(&[], &DiskChoice::Only).unwrap_err().starts_with("no disk was found;"));
        let told = chosen(DiskChoice::Serial("S9".into())).unwrap_err();
        assert!(told.contains("there are sdb (S1), sdc (S2); choose by hand"), "{told}");
        assert_eq!(chosen(DiskChoice::First).unwrap(), "sdb");
        assert_eq!(chosen(DiskChoice::Serial("S2".into())).unwrap(), "sdc");
        assert!(chosen(DiskChoice::Serial("M".into())).is_err(), "never the medium");
        assert_eq!(choose_named(&disks, Some("/dev/sdc")).unwrap().short_name(), "sdc");
        assert_eq!(choose_named(&disks, Some("S1")).unwrap().short_name(), "sdb");
        assert!(choose_named(&disks, Some("sda")).is_err() && choose_named(&disks, None).is_err());
    }

    #[test]
    fn what_is_on_a_file_is_told() {
        // A device has no length by its name: it is not taken for empty.
        assert!(!list(&["/dev/full".into()]).unwrap()[0].is_empty);
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, vec![0; 2 << 20]).unwrap();
        let full = folder.path().join("full");
        std::fs::write(&full, vec![7; 2 << 20]).unwrap();
        let disks = list(&[empty, full, folder.path().join("none")]).unwrap();
        assert_eq!(disks.iter().map(|disk| disk.is_empty).collect::<Vec<_>>(), [true, false, true]);
    }
}
