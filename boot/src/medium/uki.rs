//! The medium as one UEFI program, for UEFI HTTP boot, PXE, or an ESP that is there already. It is not signed.

use super::{Ingredients, write_file};
use crate::error::Result;
use crate::loaders::Loader;
use crate::manifest::Manifest;
use crate::new_file::Readers;
use crate::uki::{MANIFEST_SECTION, add_sections};
use std::path::Path;

impl Ingredients {
    pub(super) fn uki(&self) -> Result<Vec<u8>> {
        let os_release = format!("ID=holotype\nNAME=Holotype\nVERSION_ID={}\n", env!("CARGO_PKG_VERSION"));
        let initrd = [self.initrd.as_slice(), &self.profile_cpio].concat();
        let sections = [
            (".osrel", os_release.as_bytes()),
            (".cmdline", self.command_line().as_bytes()),
            (".linux", &self.image),
            (".initrd", &initrd),
        ]
        .map(|(name, bytes)| (name, bytes.to_vec()));
        let files = sections.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        let manifest = Manifest::of("uki", &self.kernel_version, &files).to_bytes()?;
        let sections = sections.into_iter().chain([(MANIFEST_SECTION, manifest)]).collect::<Vec<_>>();
        let sections: Vec<(&str, &[u8])> = sections.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        add_sections(&self.loaders.read(Loader::UkiStub)?, &sections)
    }
}

/// Writes it to `path` and gives its length in bytes.
///
/// # Errors
/// Where systemd's stub is missing, or the file cannot be written.
pub fn write_uki(ingredients: &Ingredients, path: &Path) -> Result<u64> {
    let image = ingredients.uki()?;
    write_file(path, &image, Readers::Owner, ingredients.watch())?;
    Ok(image.len() as u64)
}
