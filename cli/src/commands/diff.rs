//! `holotype diff`.

use crate::arguments::{DiffArguments, GlobalArguments};
use crate::exit::{Exit, Failure, Result};
use crate::output::{self, Table};
use crate::session::Session;
use crate::units::size;
use holotype_repo::diff::{DiffImage, DifferenceKind, LayoutChange, LayoutChangeKind, Tally};
use holotype_repo::{DiffOptions, DiffReport};
use std::path::Path;

/// Compares two images. Whether they differ is no failure.
pub fn run(global: &GlobalArguments, arguments: &DiffArguments) -> Result {
    let files: Vec<&Path> = arguments.image_password_file.iter().map(AsRef::as_ref).collect();
    let (first_file, second_file) = match files[..] {
        [] => (None, None),
        [both] => (Some(both), Some(both)),
        [first, second] => (Some(first), Some(second)),
        _ => return Err(Failure::usage("--image-password-file: give it once or twice, there are two images")),
    };
    let session = Session::open(global)?;
    let (first, first_password) = session.open_image(&arguments.first, first_file)?;
    let (second, second_password) = session.open_image(&arguments.second, second_file)?;
    let options = DiffOptions { first_password, second_password };
    // By their ids: the newest of a name may be another one by now.
    let report = session.run(|repository, job| repository.diff(first.image, second.image, &options, job))?;
    if global.json {
        output::json(&report);
    } else {
        print(&report, arguments.ranges);
    }
    Ok(Exit::Done)
}

fn print(report: &DiffReport, ranges: bool) {
    let mut images = Table::plain();
    images.value("first", title(&report.first));
    images.value("second", title(&report.second));
    images.print();
    let growth = report.growth_bytes();
    if growth != 0 {
        let word = if growth > 0 { "longer" } else { "shorter" };
        output::line(format!("The second disk is {} bytes {word}.", growth.unsigned_abs()));
    }
    report.layout.iter().for_each(|change| output::line(sentence(change)));
    output::line(String::new());
    let mut table =
        Table::new(&["WHERE", "START", "SIZE", "CONTENT", "LABEL", "CHANGED", "BECAME FREE", "BECAME USED"]);
    let mut row = |place: &str, [start, length, content, label]: [String; 4], tally: &Tally| {
        let [changed, free, used] = [tally.changed_bytes, tally.became_free_bytes, tally.became_used_bytes].map(size);
        table.row([place.to_owned(), start, length, content, label, changed, free, used]);
    };
    for volume in &report.volumes {
        let content = volume.filesystem.clone().unwrap_or_else(|| "unknown".to_owned());
        let label = volume.label.clone().unwrap_or_default();
        row(&volume.title, [size(volume.offset_bytes), size(volume.bytes), content, label], &volume.tally);
    }
    row("elsewhere", Default::default(), &report.outside);
    row("in all", Default::default(), &report.total);
    table.print();
    if ranges {
        print_ranges(report);
    }
}

fn print_ranges(report: &DiffReport) {
    output::line(String::new());
    let mut table = Table::new(&["OFFSET", "BYTES", "WHAT"]);
    for range in &report.ranges {
        let what = match range.kind {
            DifferenceKind::Changed => "changed",
            DifferenceKind::BecameFree => "became free",
            DifferenceKind::BecameUsed => "became used",
        };
        table.row([range.offset_bytes.to_string(), range.bytes.to_string(), what.to_owned()]);
    }
    table.print();
    if report.unlisted_ranges > 0 {
        output::line(format!("and {} more", report.unlisted_ranges));
    }
}

fn title(image: &DiffImage) -> String {
    format!("{} ({}), {:.0}, {}", image.name, image.image.short(), image.time, size(image.source_bytes))
}

fn sentence(change: &LayoutChange) -> String {
    let LayoutChange { subject, before, after, .. } = change;
    let what = match change.kind {
        LayoutChangeKind::Added => return format!("{subject} was added: {}", shown(after)),
        LayoutChangeKind::Removed => return format!("{subject} was removed: {}", shown(before)),
        LayoutChangeKind::Table => "partition table",
        LayoutChangeKind::DiskId => "id",
        LayoutChangeKind::Moved => "first byte",
        LayoutChangeKind::Resized => "length in bytes",
        LayoutChangeKind::PartitionType => "type",
        LayoutChangeKind::Filesystem => "filesystem",
        LayoutChangeKind::Uuid => "UUID",
        LayoutChangeKind::Label => "label",
        _ => "layout",
    };
    format!("{subject}: {what} was {}, is {}", shown(before), shown(after))
}

/// A text from a disk may hold anything.
fn shown(text: &Option<String>) -> String {
    text.as_deref().unwrap_or("none").replace(char::is_control, "?")
}
