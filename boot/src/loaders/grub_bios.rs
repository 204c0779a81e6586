//! GRUB for BIOS: its first sector and its core, made to fit a disk.
//!
//! What is patched (GRUB's grub-core/boot/i386/pc/boot.S and diskboot.S say where):
//!
//! | file | offset | value |
//! |---|---|---|
//! | first sector | 0x5c | u64: sector of the core |
//! | | 0x64 | FF: boot from the disk that the BIOS named |
//! | | 0x66 | 90 90: no matter whether the BIOS names a floppy |
//! | core | 0x1f4 | u64: sector of the core's second sector |
//! | | 0x1fc | u16: sectors of the core without its first |

use super::Loaders;
use super::files::{Loader, missing};
use crate::error::{BootError, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// Everything that a medium's GRUB needs to find its script, the kernel, and to tell what goes wrong.
const MODULES: &[&str] = &[
    "biosdisk",
    "part_gpt",
    "part_msdos",
    "fat",
    "normal",
    "configfile",
    "linux",
    "search",
    "search_fs_file",
    "echo",
    "test",
    "serial",
    "terminal",
    "sleep",
    "minicmd",
    "halt",
    "reboot",
    "ls",
];

/// GRUB as it is put on a disk.
pub struct GrubBios {
    /// Code for the first 440 bytes of the disk.
    pub first_sector: [u8; 440],
    /// What the BIOS boot partition holds.
    pub core: Vec<u8>,
}

/// GRUB for a disk whose BIOS boot partition begins at `core_sector`, and that reads its script from
/// [`GRUB_SCRIPT`](super::GRUB_SCRIPT) in the second partition. The core is made by GRUB's own `grub-mkimage`: it compresses and links
/// GRUB's modules, for any PC alike.
///
/// # Errors
/// Where GRUB is not installed, or is not as known here.
pub fn grub_bios(loaders: &Loaders, core_sector: u64) -> Result<GrubBios> {
    let boot = loaders.read(Loader::GrubBoot)?;
    let code: [u8; 440] = boot.get(..440).and_then(|code| code.try_into().ok()).ok_or_else(|| strange("boot.img"))?;
    let mut first_sector = code;
    first_sector[0x5c..0x64].copy_from_slice(&core_sector.to_le_bytes());
    first_sector[0x64] = 0xff;
    first_sector[0x66..0x68].copy_from_slice(&[0x90, 0x90]);
    let mut core = make_core(loaders)?;
    core.resize(core.len().next_multiple_of(512), 0);
    let sectors = u16::try_from(core.len() / 512 - 1).map_err(|_| strange("core.img"))?;
    core.get_mut(0x1f4..0x1fc).ok_or_else(|| strange("core.img"))?.copy_from_slice(&(core_sector + 1).to_le_bytes());
    core[0x1fc..0x1fe].copy_from_slice(&sectors.to_le_bytes());
    Ok(GrubBios { first_sector, core })
}

fn strange(what: &str) -> BootError {
    BootError::new(format_args!("GRUB's {what}"), "it is not as known here")
        .advise("install Debian's grub-pc-bin 2.06 or later")
}

fn make_core(loaders: &Loaders) -> Result<Vec<u8>> {
    let tool = loaders.root().join("usr/bin/grub-mkimage");
    let folder = loaders.root().join("usr/lib/grub/i386-pc");
    let temporary =
        tempfile::tempdir().map_err(|error| BootError::io(Path::new("a temporary folder"), "make it", &error))?;
    let target = temporary.path().join("core.img");
    let output = Command::new(&tool)
        .args(["-O", "i386-pc", "-p", "(,gpt2)/boot/grub", "-d"])
        .arg(&folder)
        .arg("-o")
        .arg(&target)
        .args(MODULES)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| missing(&tool, "grub-common", &error))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let told = told.trim().chars().filter(|c| !c.is_control()).take(300).collect::<String>();
        return Err(
            BootError::new(tool.display(), format_args!("it failed: {told}")).advise("install the package grub-pc-bin")
        );
    }
    std::fs::read(&target).map_err(|error| BootError::io(&target, "read GRUB's core", &error))
}
