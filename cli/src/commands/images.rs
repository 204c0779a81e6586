//! `holotype images` and `holotype show`.

use crate::arguments::{GlobalArguments, ImageArguments, ImagesArguments};
use crate::exit::{Exit, Result};
use crate::output::{self, Table};
use crate::session::Session;
use crate::units::size;
use holotype_repo::Image;
use holotype_repo::core::layout::{DiskLayout, MapInfo};
use std::collections::BTreeMap;

/// Lists images, oldest first.
pub fn list(global: &GlobalArguments, arguments: &ImagesArguments) -> Result {
    let mut images = Session::open(global)?.repository.images()?;
    images.retain(|image| arguments.name.as_ref().is_none_or(|name| image.name == *name));
    if global.json {
        output::json(&images);
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["IMAGE", "NAME", "TIME", "SIZE", "TAGS"]);
    for image in &images {
        let name = if image.protected { format!("{} (own password)", image.name) } else { image.name.clone() };
        table.row([
            image.image.short(),
            name,
            format!("{:.0}", image.time),
            size(image.source_bytes),
            tags(&image.tags),
        ]);
    }
    table.print();
    Ok(Exit::Done)
}

/// Shows one image.
pub fn show(global: &GlobalArguments, arguments: &ImageArguments) -> Result {
    let session = Session::open(global)?;
    let (image, _) = session.open_image(&arguments.image, arguments.image_password_file.as_deref())?;
    match global.json {
        true => output::json(&image),
        false => {
            details(&image).print();
            if let Some(layout) = image.detail.as_ref().and_then(|detail| detail.layout.as_ref()) {
                volumes(layout);
            }
        }
    }
    Ok(Exit::Done)
}

/// Every volume, and how its map was made or why it has none.
fn volumes(layout: &DiskLayout) {
    if layout.volumes.is_empty() {
        return;
    }
    output::line(String::new());
    let mut table = Table::new(&["PART", "START", "SIZE", "FREE", "CONTENT", "LABEL", "MAP"]);
    for volume in &layout.volumes {
        let (free, map) = match &volume.map {
            MapInfo::Mapped { method, free_bytes, dropped, .. } => {
                let names: Vec<String> =
                    dropped.iter().map(|(name, bytes)| format!("{name} ({}) left out", size(*bytes))).collect();
                let parts: Vec<String> = std::iter::once(method.clone()).chain(names).collect();
                (size(*free_bytes), parts.join("; "))
            }
            MapInfo::Unmapped { why, .. } => ("-".to_owned(), format!("none: {why}")),
        };
        let number = volume.partition.map_or_else(|| "disk".to_owned(), |number| number.to_string());
        table.row([
            volume.logical_volume.clone().unwrap_or(number),
            volume.offset_bytes.map_or_else(|| "-".to_owned(), size),
            size(volume.bytes),
            free,
            volume.filesystem.clone().unwrap_or_else(|| "unknown".to_owned()),
            volume.label.clone().or_else(|| volume.partition_name.clone()).unwrap_or_default(),
            map,
        ]);
    }
    table.print();
}

fn tags(tags: &BTreeMap<String, String>) -> String {
    let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    tags.join(" ")
}

fn details(image: &Image) -> Table {
    let mut table = Table::plain();
    table.value("image", image.image.to_string());
    table.value("name", &image.name);
    table.value("time", image.time.to_string());
    table.value("size", format!("{} ({} bytes)", size(image.source_bytes), image.source_bytes));
    if !image.tags.is_empty() {
        table.value("tags", tags(&image.tags));
    }
    table.value("own password", if image.protected { "yes" } else { "no" });
    table.value("writer", image.writer.short());
    let Some(detail) = &image.detail else { return table };
    let (geometry, source) = (&detail.geometry, &detail.source);
    table.value("source", &source.path);
    for (name, value) in
        [("host", &source.host), ("model", &source.model), ("serial", &source.serial), ("bus", &source.bus)]
    {
        if let Some(value) = value {
            table.value(name, value);
        }
    }
    table.value(
        "sectors",
        format!("{} bytes logical, {} physical", geometry.logical_sector_bytes, geometry.physical_sector_bytes),
    );
    table.value("data", format!("{} in {} chunks", size(detail.data_bytes), detail.chunks));
    table.value("zero", size(detail.zero_bytes));
    table.value("free", size(detail.free_bytes));
    if detail.unreadable_bytes > 0 {
        table.value("unreadable", format!("{} in {} places", size(detail.unreadable_bytes), detail.unreadable.len()));
    }
    if let Some(layout) = &detail.layout {
        if let Some(found) = &layout.table {
            table.value("partitions", format!("{}, {}", found.kind, found.disk_id));
        }
        let notes = layout.table.iter().flat_map(|found| &found.notes).chain(&layout.unclear);
        notes.for_each(|note| table.value("layout", note));
    }
    if let Some(parent) = &detail.parent {
        table.value("parent", parent.short());
    }
    table.value("program", &detail.program);
    for warning in &detail.warnings {
        table.value("warning", warning);
    }
    table
}
