//! Small files of the kernel, read with a bound.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most bytes of a file of sysfs or procfs that are read.
const MOST_BYTES: u64 = 64 << 10;

/// The text of a small file without white space around it; `None` where it cannot be read.
pub(super) fn read(path: impl AsRef<Path>) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// What cannot harm a screen: control characters are left out.
pub(super) fn printable(text: &str, most_characters: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(most_characters).collect()
}
