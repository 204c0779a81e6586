//! The image for a stick or a disk: BIOS and UEFI, Secure Boot.

use super::Ingredients;
use crate::disk::{DataPartition, DiskContent, make_disk_watched};
use crate::error::Result;
use crate::loaders::grub_bios;
use std::path::Path;

/// Writes it to `path` and gives its length in bytes.
///
/// # Errors
/// Where a boot loader is missing, or the file cannot be written.
pub fn write_usb(ingredients: &Ingredients, data: DataPartition, path: &Path) -> Result<u64> {
    let grub = grub_bios(&ingredients.loaders, crate::disk::CORE_SECTOR)?;
    let files = ingredients.esp_files("usb")?;
    make_disk_watched(&DiskContent { files: &files, grub: &grub, data }, path, ingredients.watch())
}
