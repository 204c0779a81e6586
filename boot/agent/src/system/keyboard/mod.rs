//! Keyboard layouts of the PC's own screen. On a serial port the other end has the keyboard.

mod ioctl;
mod layouts;

use super::{SystemError, is_init};
use ioctl::KeyEntry;
use std::fs::OpenOptions;

/// A layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// As `us` or `de`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// What the keys of [`KEYCODES`] type: plain, with Shift, with AltGr.
    rows: [[&'static str; 3]; 4],
}

/// The keys in their rows, as the kernel numbers them (include/uapi/linux/input-event-codes.h). A row of a layout may be
/// shorter.
const KEYCODES: [&[u8]; 4] = [
    &[41, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
    &[16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27],
    &[30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 43],
    &[86, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 89, 124],
];
/// Tables of the kernel's keymap: one bit each for Shift, AltGr, Ctrl (include/uapi/linux/keyboard.h).
const CONTROL_TABLE: u8 = 4;
/// `K_HOLE`, a key that types nothing, and `KT_LETTER`, one that Caps Lock works on.
const HOLE: u16 = 0x0200;
const LETTER: u16 = 0x0B00;

/// Every layout there is; the first is the one that a PC starts with.
pub fn layouts() -> &'static [Layout] {
    layouts::LAYOUTS
}

/// Gives the PC's keyboard a layout.
///
/// # Errors
/// Where there is none of this name, or no screen.
pub fn load(name: &str) -> Result<(), SystemError> {
    let layout = layouts().iter().find(|layout| layout.name == name).ok_or_else(|| {
        let known: Vec<&str> = layouts().iter().map(|layout| layout.name).collect();
        let subject = format!("keyboard layout {}", super::text::printable(name, 32));
        SystemError::new(subject, "is not known").advise(format!("take one of {}", known.join(", ")))
    })?;
    if !is_init() {
        return Err(SystemError::not_init("keyboard layout").advise("set it in this system's own settings"));
    }
    let failed = |error| SystemError::io(format!("keyboard layout {name}"), "set it on /dev/tty1", error);
    let screen = OpenOptions::new().read(true).write(true).open("/dev/tty1").map_err(failed)?;
    entries(layout).into_iter().try_for_each(|entry| ioctl::set_key(&screen, entry)).map_err(failed)
}

/// What the kernel is told of a layout. Every key is told in each table, so that nothing of the last layout stays.
fn entries(layout: &Layout) -> Vec<KeyEntry> {
    let mut entries = Vec::new();
    for (keycodes, row) in KEYCODES.iter().zip(&layout.rows) {
        for (table, characters) in row.iter().enumerate() {
            for (keycode, character) in keycodes.iter().zip(characters.chars()) {
                let caps_lock = table < 2 && character.is_alphabetic();
                entries.push(KeyEntry { table: table as u8, keycode: *keycode, value: value(character, caps_lock) });
            }
        }
        for (keycode, character) in keycodes.iter().zip(row[0].chars()) {
            if character.is_ascii_alphabetic() {
                let value = u16::from(character as u8 & 0x1F);
                entries.push(KeyEntry { table: CONTROL_TABLE, keycode: *keycode, value });
            }
        }
    }
    entries
}

/// The kernel's value of a character: Latin-1 as it is, others as Unicode with `0xF000` (drivers/tty/vt/keyboard.c, `U()`).
fn value(character: char, caps_lock: bool) -> u16 {
    match u32::from(character) {
        0x20 => HOLE,
        code @ 0..=0xFF if caps_lock => LETTER | code as u16,
        code @ 0..=0xFF => code as u16,
        // Every character of the tables is in the first plane.
        code => code as u16 ^ 0xF000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn layout(name: &str) -> &'static Layout {
        layouts().iter().find(|layout| layout.name == name).unwrap()
    }

    #[test]
    fn every_layout_is_complete() {
        let mut names = BTreeSet::new();
        for layout in layouts() {
            assert!(names.insert(layout.name), "{} is there twice", layout.name);
            for (keycodes, row) in KEYCODES.iter().zip(&layout.rows) {
                for characters in row {
                    let length = characters.chars().count();
                    assert_eq!(length, keycodes.len(), "{}: {characters}", layout.name);
                    assert!(characters.chars().all(|it| u32::from(it) < 0xE000 && !it.is_control()), "{characters}");
                }
            }
            // With each of them every printable ASCII character can be typed: passwords made elsewhere.
            let typed: BTreeSet<char> = layout.rows.iter().flatten().flat_map(|row| row.chars()).collect();
            let missing: String = ('!'..='~').filter(|it| !typed.contains(it)).collect();
            assert_eq!(missing, "", "{} lacks characters", layout.name);
        }
        assert_eq!(layouts()[0].name, "us");
    }

    #[test]
    fn what_the_kernel_is_told() {
        let has =
            |name: &str, table, keycode, value| entries(layout(name)).contains(&KeyEntry { table, keycode, value });
        // German: z on the key of y, ö, @ by AltGr, Ctrl-Z on the right key.
        assert!(has("de", 0, 21, LETTER | 0x7A) && has("de", 0, 39, LETTER | 0xF6) && has("de", 2, 16, 0x40));
        assert!(has("de", CONTROL_TABLE, 21, 26) && has("de", 2, 18, 0x20AC ^ 0xF000));
        assert!(has("us", 2, 16, HOLE) && has("us", 1, 2, 0x21));
        assert!(has("fr", 0, 2, 0x26) && has("fr", 1, 2, 0x31));
    }

    #[test]
    fn an_unknown_layout_is_a_sentence() {
        let error = load("xx\u{1b}").unwrap_err().to_string();
        assert!(error.starts_with("keyboard layout xx: is not known; take one of us, gb, de"), "{error}");
    }
}
