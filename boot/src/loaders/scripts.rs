//! What boot loaders are told.

use crate::profile::{BootProfile, Console};

/// Folder of kernel, initramfs and profile on a medium.
pub const FOLDER: &str = "holotype";

/// Where GRUB's script is: Debian's signed GRUB for CDs was built to look there.
pub const GRUB_SCRIPT: &str = "boot/grub/grub.cfg";

/// The kernel's command line for a profile.
pub fn command_line(profile: &BootProfile) -> String {
    profile.kernel_command_line()
}

/// GRUB's script for disks and CDs, BIOS and UEFI. Profiles' texts are not in it: GRUB would interpret them.
pub fn grub_script(profile: &BootProfile) -> String {
    let command_line = command_line(profile);
    let terminal = match profile.console {
        Console::Screen => "",
        _ => {
            "if serial --unit=0 --speed=115200; then terminal_output console serial; terminal_input console serial; fi\n"
        }
    };
    format!(
        "set timeout=0\n{terminal}echo 'Holotype is loading ...'\nlinux /{FOLDER}/vmlinuz {command_line}\n\
         initrd /{FOLDER}/initrd /{FOLDER}/profile.cpio\nboot\n"
    )
}

/// ISOLINUX's script.
pub fn isolinux_script(profile: &BootProfile) -> String {
    let serial = if profile.console == Console::Screen { "" } else { "SERIAL 0 115200\n" };
    format!(
        "{serial}DEFAULT holotype\nPROMPT 0\nTIMEOUT 0\nLABEL holotype\nKERNEL /{FOLDER}/vmlinuz\n\
         APPEND {} initrd=/{FOLDER}/initrd,/{FOLDER}/profile.cpio\n",
        command_line(profile)
    )
}
