//! The hybrid ISO image: CD and stick, BIOS and UEFI, Secure Boot.

use super::Ingredients;
use crate::disk::ESP_LABEL;
use crate::error::Result;
use crate::fat::{self, FatVolume};
use crate::iso::{IsoContent, bios_parts, make_iso};
use crate::loaders::{Loader, isolinux_script};
use crate::manifest::ManifestPart;
use crate::new_file::{Readers, new_file};
use std::collections::BTreeMap;
use std::path::Path;

/// Writes it to `path` and gives its length in bytes.
///
/// # Errors
/// Where a boot loader is missing, or the file cannot be written.
pub fn write_iso(ingredients: &Ingredients, path: &Path) -> Result<u64> {
    let loaders = &ingredients.loaders;
    let files = BTreeMap::from([
        ("isolinux/ldlinux.c32".to_owned(), loaders.read(Loader::Ldlinux)?),
        ("isolinux/isolinux.cfg".to_owned(), isolinux_script(&ingredients.profile).into_bytes()),
    ]);
    let (isolinux, hybrid) = (loaders.read(Loader::Isolinux)?, loaders.read(Loader::IsoHybrid)?);
    let parts = bios_parts(isolinux.clone(), &hybrid, &files)?
        .into_iter()
        .map(|(name, at, bytes)| (name, ManifestPart::of(at, &bytes)))
        .collect();
    let esp_files = ingredients.esp_files("iso", parts)?;
    let esp = fat::make(&FatVolume {
        label: ESP_LABEL,
        hidden_sectors: 0,
        sectors: None,
        spare_bytes: 0,
        files: &esp_files,
    })?;
    let image = make_iso(IsoContent { isolinux, hybrid: &hybrid, files: &files, esp, esp_files: &esp_files })?;
    let watch = ingredients.watch();
    new_file(path, Readers::Owner, watch, |file| image.write_into(file, path, watch))?;
    Ok(image.bytes())
}
