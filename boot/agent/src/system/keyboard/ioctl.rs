//! The one call that puts a letter on a key: `KDSKBENT` (include/uapi/linux/kd.h).

use rustix::ioctl::{Setter, ioctl};
use std::fs::File;
use std::io;

const KDSKBENT: rustix::ioctl::Opcode = 0x4B47;

/// `struct kbentry`: table of modifiers, key, value.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyEntry {
    pub table: u8,
    pub keycode: u8,
    pub value: u16,
}

/// Sets one key of the kernel's keymap, which all screens share.
#[expect(
    unsafe_code,
    reason = "no crate has a safe call for keymaps; the kernel reads four bytes of a struct that it defines so"
)]
pub(super) fn set_key(console: &File, entry: KeyEntry) -> io::Result<()> {
    // SAFETY: KDSKBENT reads a `struct kbentry` of four bytes, of which every value is allowed.
    Ok(unsafe { ioctl(console, Setter::<KDSKBENT, KeyEntry>::new(entry)) }?)
}
