//! Stands in for the agent where the tests boot media: says that it runs and for whom, and switches the machine off.
//! Built with `rustc` alone as a static program.

use std::ffi::c_char;
use std::io::Write;

unsafe extern "C" {
    fn mount(source: *const c_char, target: *const c_char, kind: *const c_char, flags: u64, data: *const u8) -> i32;
    fn sync();
    fn reboot(command: i32) -> i32;
}

/// RB_POWER_OFF of reboot(2).
const POWER_OFF: i32 = 0x4321_fedc;

fn main() {
    let profile = std::fs::read_to_string("/holotype/profile").unwrap_or_default();
    let name = profile.lines().find_map(|line| line.trim().strip_prefix("\"name\": ")).unwrap_or("nobody");
    let modules = std::fs::read_to_string("/holotype/modules").unwrap_or_default();
    let modules = modules.lines().filter(|line| line.starts_with("M\t")).count();
    for (kind, target) in [(c"devtmpfs", c"/dev"), (c"securityfs", c"/mnt")] {
        // SAFETY: texts that live as long as the program, and no data.
        unsafe { mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    }
    // With Secure Boot, Debian's kernel locks itself: `none [integrity] confidentiality`.
    let lockdown = std::fs::read_to_string("/mnt/lockdown").unwrap_or_default();
    // The kernel's own messages are not wanted between these.
    let text = format!(
        "\r\nSTAND-IN booted for {} with {modules} modules, lockdown {}\r\n",
        name.trim_matches([',', '"']),
        lockdown.trim()
    );
    for console in ["/dev/ttyS0"] {
        if let Ok(mut console) = std::fs::OpenOptions::new().write(true).open(console) {
            let _ = console.write_all(text.as_bytes());
        }
    }
    // Let the serial port send what it has.
    std::thread::sleep(std::time::Duration::from_millis(200));
    // SAFETY: both take no pointers.
    unsafe {
        sync();
        reboot(POWER_OFF);
    }
}
