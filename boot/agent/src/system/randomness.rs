//! The kernel's random numbers, on a PC that has no source of them in hardware.
//!
//! The kernel makes its own from the jitter of its timer, in about a second, but only while somebody is blocked in
//! getrandom(2) or in a read of /dev/random (kernel: drivers/char/random.c, `try_to_generate_entropy`). Who waits with
//! poll(2) waits for ever on an idle PC; the crate `getrandom` does so in a static program, where it finds no
//! getrandom(2). So somebody reads, from the first moment on.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static READY: AtomicBool = AtomicBool::new(false);

/// After so long the person is asked to help.
const PATIENCE: Duration = Duration::from_secs(3);

/// Has the kernel begin; returns at once.
pub fn gather() {
    let _ = std::thread::Builder::new().name("randomness".into()).spawn(|| {
        // What is read is thrown away: that the kernel answers is what counts.
        while File::open("/dev/random").and_then(|mut file| file.read_exact(&mut [0])).is_err() {
            std::thread::sleep(Duration::from_millis(500));
        }
        READY.store(true, Ordering::Release);
    });
}

/// Waits until the kernel has random numbers, and asks for a person's help where that takes long. Ends early where
/// `cancelled` turns true.
pub fn wait(tell: &mut dyn FnMut(&str), cancelled: &dyn Fn() -> bool) {
    let start = Instant::now();
    let mut told = false;
    while !READY.load(Ordering::Acquire) && !cancelled() {
        if !told && start.elapsed() > PATIENCE {
            told = true;
            tell("Waiting for random numbers: press some keys, one after the other …");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
