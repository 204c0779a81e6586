//! Which file comes from which package.

use crate::error::{BootError, Result};
use crate::initramfs::check_program;
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

    /// Busybox, the rescue shell, where one is installed that starts on a medium.
    ///
    /// # Errors
    /// In a sentence.
    pub fn busybox(&self) -> std::result::Result<Vec<u8>, String> {
        let mut why = "busybox is not installed".to_owned();
        for path in ["usr/bin/busybox", "bin/busybox"].map(|path| self.root.join(path)) {
            match fs::read(&path).map(|program| (check_program(&program), program)) {
                Ok((Ok(()), program)) => return Ok(program),
                Ok((Err(refused), _)) => why = format!("{}: {refused}", path.display()),
                Err(_) => {}
            }
        }
        Err(why)
    }
}

pub(super) fn missing(path: &Path, package: &str, error: &std::io::Error) -> BootError {
    BootError::io(path, "read the boot loader", error).advise(format_args!("install the package {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program without anything but one program header.
    fn program(kind: u32) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
        file[16..20].copy_from_slice(&[2, 0, 62, 0]);
        file[32] = 64;
        file[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]);
        file[64..68].copy_from_slice(&kind.to_le_bytes());
        file
    }

    #[test]
    fn only_a_static_busybox_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let loaders = Loaders::of_root(root.path());
        assert_eq!(loaders.busybox().unwrap_err(), "busybox is not installed");
        for folder in ["usr/bin", "bin"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("usr/bin/busybox"), program(object::elf::PT_INTERP.0)).unwrap();
        assert!(loaders.busybox().unwrap_err().contains("usr/bin/busybox: it is not statically linked"));
        fs::write(root.path().join("bin/busybox"), program(object::elf::PT_LOAD.0)).unwrap();
        assert_eq!(loaders.busybox(), Ok(program(object::elf::PT_LOAD.0)));
    }
}
