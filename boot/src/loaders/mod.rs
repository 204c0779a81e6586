//! Boot loaders: taken from the distribution's packages when a medium is made, never kept here.

mod files;
mod grub_bios;
mod scripts;

pub use files::{Loader, Loaders};
pub use grub_bios::{GrubBios, grub_bios};
pub use scripts::{GRUB_SCRIPT, command_line, grub_script, isolinux_script};
