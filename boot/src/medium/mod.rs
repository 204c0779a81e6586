//! Media: what is made of a profile, a kernel and the agent.
//!
//! ```text
//! profile, kernel, agent ──Ingredients──▶ usb | iso | uki | netboot
//! ```

mod iso;
mod netboot;
mod uki;
mod usb;

pub use iso::write_iso;
pub use netboot::{MachineAddress, Netboot, write_netboot};
pub use uki::write_uki;
pub use usb::write_usb;

use crate::error::{BootError, Result};
use crate::initramfs::{Initramfs, Modules, profile_archive};
use crate::kernel::Kernel;
use crate::loaders::{self, Loader, Loaders};
use crate::manifest::{MANIFEST_PATH, Manifest, ManifestPart};
use crate::new_file::{Readers, new_file, write_all};
use crate::profile::{BootProfile, Style};
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a medium is made of.
pub struct MediumOptions<'a> {
    /// For which PC, and what it is to do.
    pub profile: &'a BootProfile,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// Which of its modules.
    pub modules: Modules,
    /// The agent: a static program for x86-64.
    pub agent: &'a [u8],
    /// Folder of firmware files.
    pub firmware: Option<PathBuf>,
    /// Where boot loaders, and the rescue shell, come from.
    pub loaders: Loaders,
}

/// The files that all media have, made once.
pub struct Ingredients {
    /// The kernel.
    pub image: Vec<u8>,
    /// Its version.
    pub kernel_version: String,
    /// The agent's initramfs.
    pub initrd: Vec<u8>,
    /// The profile's initramfs.
    pub profile_cpio: Vec<u8>,
    /// The profile.
    pub profile: BootProfile,
    /// Kinds of devices of common PCs that the kernel has no driver for, each with its drivers.
    pub lacking: Vec<String>,
    /// Why there is no rescue shell on the medium, where there is none.
    pub no_shell: Option<String>,
    loaders: Loaders,
    watch: Option<Box<dyn Watch + Send>>,
}

impl Ingredients {
    /// Makes them.
    ///
    /// # Errors
    /// Where something is missing or makes no sense.
    pub fn make(options: &MediumOptions<'_>) -> Result<Self> {
        let busybox = options.loaders.busybox();
        let initramfs = Initramfs {
            kernel: options.kernel,
            modules: &options.modules,
            agent: options.agent,
            busybox: busybox.as_deref().ok(),
            firmware: options.firmware.as_deref(),
        };
        let lacking = lacking(options)?;
        Ok(Self {
            lacking,
            // The profile first: what makes no sense is told before anything is compressed.
            profile_cpio: profile_archive(options.profile)?,
            image: options.kernel.image()?,
            kernel_version: options.kernel.version().to_owned(),
            initrd: initramfs.make()?,
            no_shell: busybox.err(),
            profile: options.profile.clone(),
            loaders: options.loaders.clone(),
            watch: None,
        })
    }

    /// The same, with somebody who watches media being written and can stop that.
    #[must_use]
    pub fn watched_by(mut self, watch: impl Watch + Send + 'static) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    fn watch(&self) -> &dyn Watch {
        match &self.watch {
            Some(watch) => &**watch,
            None => &(),
        }
    }

    /// The kernel's command line.
    pub fn command_line(&self) -> String {
        loaders::command_line(&self.profile)
    }

    /// The files of an ESP, for Secure Boot, with the manifest, which tells of `parts` too.
    fn esp_files(&self, product: &str, parts: BTreeMap<String, ManifestPart>) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        let mut add = |path: &str, bytes: Vec<u8>| files.insert(path.to_owned(), bytes);
        // shim starts grubx64.efi beside it, whatever GRUB that is.
        add("EFI/BOOT/BOOTX64.EFI", self.loaders.read(Loader::Shim)?);
        add("EFI/BOOT/grubx64.efi", self.loaders.read(Loader::GrubSigned)?);
        add(loaders::GRUB_SCRIPT, loaders::grub_script(&self.profile).into_bytes());
        add("holotype/vmlinuz", self.image.clone());
        add("holotype/initrd", self.initrd.clone());
        add("holotype/profile.cpio", self.profile_cpio.clone());
        let manifest = Manifest { parts, ..Manifest::of(product, &self.kernel_version, &files) };
        files.insert(MANIFEST_PATH.to_owned(), manifest.to_bytes()?);
        Ok(files)
    }
}

/// Drivers that a set usually has and this kernel has not.
fn lacking(options: &MediumOptions<'_>) -> Result<Vec<String>> {
    let Modules::Set(set) = options.modules else { return Ok(Vec::new()) };
    let lacks = options.kernel.lacks(set, options.profile.style == Style::Network)?;
    if lacks.essential.is_empty() {
        return Ok(lacks.usual);
    }
    let why = format!("it has no driver for {}", lacks.essential.join(", nor for "));
    Err(BootError::new(format_args!("kernel {}, modules {set}", options.kernel.version()), why)
        .advise("take in a kernel that has them, as the distribution's, or choose another with --kernel"))
}

/// Writes a file anew; half of one never stays under its name.
fn write_file(path: &Path, bytes: &[u8], readers: Readers, watch: &dyn Watch) -> Result<()> {
    new_file(path, readers, watch, |file| write_all(file, bytes, path, watch))
}
