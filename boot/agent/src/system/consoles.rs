//! Terminals of a PC: the screen's and the first serial port's.

use super::text;
use holotype_boot::profile::Console;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

const SCREEN: &str = "/dev/tty1";
const SERIAL: &str = "/dev/ttyS0";

/// Terminals to show the screens on. Where the PC has none of those that the profile wants, those that it has.
pub fn for_screens(console: Console) -> Vec<PathBuf> {
    let there = present(Path::new("/sys/class/tty"));
    let wanted = |path: &str| match console {
        Console::Both => true,
        Console::Screen => path == SCREEN,
        Console::Serial => path == SERIAL,
    };
    let chosen: Vec<PathBuf> = there.iter().copied().filter(|path| wanted(path)).map(PathBuf::from).collect();
    match chosen.is_empty() {
        true => there.into_iter().map(PathBuf::from).collect(),
        false => chosen,
    }
}

/// Which terminals the PC has. The kernel lists four serial ports on every PC; those without a chip have type 0
/// (PORT_UNKNOWN, include/uapi/linux/serial.h).
fn present(class: &Path) -> Vec<&'static str> {
    let mut there = Vec::new();
    if class.join("tty1").exists() {
        there.push(SCREEN);
    }
    if class.join("ttyS0").exists() && text::read(class.join("ttyS0/type")).is_none_or(|kind| kind != "0") {
        there.push(SERIAL);
    }
    there
}

/// Shows a text on every terminal of the PC, whatever is on it.
pub fn say_everywhere(text: &str) {
    for path in present(Path::new("/sys/class/tty")) {
        // The terminal may belong to a screen in raw mode: `\r` goes to the line's start.
        let text = format!("\r\n{}\r\n", text.replace('\n', "\r\n"));
        let _ = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    }
}

/// Waits until everything that was shown has left the PC: a serial port sends 11 bytes in a millisecond, and what waits
/// is lost when the PC is switched off.
pub fn drain() {
    for path in present(Path::new("/sys/class/tty")) {
        if let Ok(file) = OpenOptions::new().write(true).open(path) {
            let _ = rustix::termios::tcdrain(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_port_without_a_chip_is_none() {
        let class = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(class.path().join("ttyS0")).unwrap();
        std::fs::write(class.path().join("ttyS0/type"), "0\n").unwrap();
        assert_eq!(present(class.path()), [""; 0]);
        std::fs::create_dir_all(class.path().join("tty1")).unwrap();
        std::fs::write(class.path().join("ttyS0/type"), "4\n").unwrap();
        assert_eq!(present(class.path()), [SCREEN, SERIAL]);
    }
}
