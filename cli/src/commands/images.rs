//! `holotype images` and `holotype show`.

use crate::arguments::{GlobalArguments, ImageArguments, ImagesArguments};
use crate::exit::{Exit, Result};
use crate::output::{self, Table};
use crate::session::Session;
use crate::units::size;
use holotype_repo::Image;
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
        false => details(&image).print(),
    }
    Ok(Exit::Done)
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
    if let Some(parent) = &detail.parent {
        table.value("parent", parent.short());
    }
    table.value("program", &detail.program);
    for warning in &detail.warnings {
        table.value("warning", warning);
    }
    table
}
