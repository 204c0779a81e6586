//! The image for a stick or a disk: BIOS and UEFI, Secure Boot.

use super::Ingredients;
use crate::disk::{CORE_SECTOR, DataPartition, DiskContent, make_disk_watched};
use crate::error::Result;
use crate::fat::SECTOR_BYTES;
use crate::loaders::grub_bios;
use crate::manifest::ManifestPart;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes it to `path` and gives its length in bytes.
///
/// # Errors
/// Where a boot loader is missing, or the file cannot be written.
pub fn write_usb(ingredients: &Ingredients, data: DataPartition, path: &Path) -> Result<u64> {
    let grub = grub_bios(&ingredients.loaders, CORE_SECTOR)?;
    let core_at = CORE_SECTOR * SECTOR_BYTES;
    let parts = BTreeMap::from([
        ("GRUB's first sector".to_owned(), ManifestPart::of(0, &grub.first_sector)),
        ("GRUB's core".to_owned(), ManifestPart::of(core_at, &grub.core)),
    ]);
    let files = ingredients.esp_files("usb", parts)?;
    make_disk_watched(&DiskContent { files: &files, grub: &grub, data }, path, ingredients.watch())
}
