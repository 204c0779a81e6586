//! Which file comes from which package.

use crate::error::{BootError, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A file of a boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// First stage for UEFI, signed by Microsoft's key for others.
    Shim,
    /// GRUB for CDs, and disks, signed by the distribution. It reads `/boot/grub/grub.cfg` of what it came from, and is
    /// smaller than the one for installed systems: it lacks LVM, RAID and encryption.
    GrubSigned,
    /// GRUB for network boot, signed by the distribution.
    GrubNetSigned,
    /// GRUB's first sector for BIOS.
    GrubBoot,
    /// systemd's stub that a kernel, its initramfs and its command line become one UEFI program with.
    UkiStub,
    /// ISOLINUX.
    Isolinux,
    /// What ISOLINUX needs beside it.
    Ldlinux,
    /// Boot sector of an ISO image on a disk.
    IsoHybrid,
    /// iPXE for BIOS, chained by the card's PXE.
    IpxeBios,
    /// iPXE for UEFI, chained by the firmware's PXE.
    IpxeEfi,
}

impl Loader {
    fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Shim => ("usr/lib/shim/shimx64.efi.signed", "shim-signed"),
            Self::GrubSigned => ("usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed", "grub-efi-amd64-signed"),
            Self::GrubNetSigned => ("usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed", "grub-efi-amd64-signed"),
            Self::GrubBoot => ("usr/lib/grub/i386-pc/boot.img", "grub-pc-bin"),
            Self::UkiStub => ("usr/lib/systemd/boot/efi/linuxx64.efi.stub", "systemd-boot-efi"),
            Self::Isolinux => ("usr/lib/ISOLINUX/isolinux.bin", "isolinux"),
            Self::Ldlinux => ("usr/lib/syslinux/modules/bios/ldlinux.c32", "syslinux-common"),
            Self::IsoHybrid => ("usr/lib/ISOLINUX/isohdpfx.bin", "isolinux"),
            Self::IpxeBios => ("usr/lib/ipxe/undionly.kpxe", "ipxe"),
            Self::IpxeEfi => ("usr/lib/ipxe/snponly.efi", "ipxe"),
        }
    }
}

/// Where boot loaders are taken from.
#[derive(Debug, Clone)]
pub struct Loaders {
    root: PathBuf,
}

impl Default for Loaders {
    fn default() -> Self {
        Self::of_root("/")
    }
}

impl Loaders {
    /// Those of the system in `root`; packages may be unpacked there with `dpkg-deb -x`.
    pub fn of_root(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// Where its package is not installed.
    pub fn read(&self, loader: Loader) -> Result<Vec<u8>> {
        let (path, package) = loader.place();
        let path = self.root.join(path);
        fs::read(&path).map_err(|error| missing(&path, package, &error))
    }

    /// Busybox, the rescue shell, where it is installed.
    pub fn busybox(&self) -> Option<Vec<u8>> {
        ["usr/bin/busybox", "bin/busybox"].into_iter().find_map(|path| fs::read(self.root.join(path)).ok())
    }
}

pub(super) fn missing(path: &Path, package: &str, error: &std::io::Error) -> BootError {
    BootError::io(path, "read the boot loader", error).advise(format_args!("install the package {package}"))
}
