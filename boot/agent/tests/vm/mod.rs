//! Virtual PCs without KVM, booted directly into the agent.
//!
//! `HOLOTYPE_TEST_KERNEL` is the folder of an unpacked `linux-image-…` package, `HOLOTYPE_TEST_AGENT` the static agent
//! that `scripts/build-agent` makes; `HOLOTYPE_TEST_BUSYBOX` a static busybox, for the shell. Without them the tests say
//! that they did nothing.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod cpio;
pub mod disks;
pub mod kernel;

use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest life of a PC, by `timeout`; tests that hang end there.
const LIFE_SECONDS: u32 = 280;

/// What a test needs of its surroundings; `None`, with a message, where they lack.
pub fn wanted(what: &str) -> Option<PathBuf> {
    let path = std::env::var_os(what).map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: {what} is not set (see boot/agent/tests/vm/mod.rs)");
    }
    path
}

/// A running PC.
pub struct Vm {
    qemu: Child,
    /// What QEMU's monitor says.
    said: PathBuf,
    serial: UnixStream,
    /// Everything that came over the serial port.
    pub output: String,
    received: Vec<u8>,
    /// Up to where `wait_for` has looked.
    seen: usize,
    started: Instant,
}

impl Vm {
    /// Starts one with these further arguments and this kernel command line.
    pub fn start(kernel: &Path, initramfs: &Path, command_line: &str, arguments: &[&str]) -> Self {
        Self::start_with(kernel, initramfs, command_line, arguments, &[])
    }

    /// Starts one that obeys these words at its monitor before the first instruction.
    pub fn start_with(
        kernel: &Path,
        initramfs: &Path,
        command_line: &str,
        arguments: &[&str],
        monitor: &[&str],
    ) -> Self {
        let folder = initramfs.parent().unwrap();
        let socket = folder.join(format!("serial-{}", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let said = folder.join("monitor");
        let mut qemu = Command::new("timeout")
            .arg(LIFE_SECONDS.to_string())
            .args(["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
            .args(["-nodefaults", "-display", "none", "-S", "-monitor", "stdio"])
            .args(["-serial", &format!("unix:{},server=on,wait=off", socket.display())])
            .args(["-no-reboot", "-device", "virtio-rng-pci", "-device", "VGA"])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", &format!("rdinit=/init quiet loglevel=3 console=ttyS0,115200 {command_line}")])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(std::fs::File::create(&said).unwrap())
            .spawn()
            .expect("qemu-system-x86_64 starts");
        let started = Instant::now();
        let serial = loop {
            match UnixStream::connect(&socket) {
                Ok(serial) => break serial,
                Err(error) if started.elapsed() > Duration::from_secs(20) => panic!("no serial port: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
            assert!(qemu.try_wait().unwrap().is_none(), "qemu ended at once");
        };
        serial.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let stdin = qemu.stdin.as_mut().unwrap();
        for word in monitor.iter().chain(&["cont"]) {
            writeln!(stdin, "{word}").unwrap();
        }
        stdin.flush().unwrap();
        Self { qemu, said, serial, output: String::new(), received: Vec::new(), seen: 0, started: Instant::now() }
    }

    /// Waits until `text` comes after what was waited for last; panics with what came where it does not.
    pub fn wait_for(&mut self, text: &str, seconds: u64) -> Duration {
        let end = Instant::now() + Duration::from_secs(seconds);
        while !self.output.get(self.seen..).unwrap_or_default().contains(text) {
            assert!(Instant::now() < end, "{text:?} did not come within {seconds} s:\n{}", self.output);
            if !self.receive() {
                panic!("the PC ended, and {text:?} did not come:\n{}", self.output);
            }
        }
        let rest = &self.output[self.seen..];
        self.seen += rest.find(text).unwrap() + text.len();
        self.started.elapsed()
    }

    /// Takes what comes; false where the PC has ended.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.serial.read(&mut bytes) {
            Ok(0) => false,
            Ok(length) => {
                self.received.extend(&bytes[..length]);
                self.output = String::from_utf8_lossy(&self.received).into_owned();
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => true,
            Err(_) => false,
        }
    }

    /// Types on the serial port.
    pub fn type_in(&mut self, text: &str) {
        self.serial.write_all(text.as_bytes()).unwrap();
    }

    /// Says something to QEMU's monitor.
    pub fn monitor(&mut self, word: &str) {
        let stdin = self.qemu.stdin.as_mut().unwrap();
        writeln!(stdin, "{word}").and_then(|()| stdin.flush()).unwrap();
    }

    /// Waits until the PC has switched itself off.
    pub fn wait_until_off(&mut self, seconds: u64) -> Duration {
        let end = Instant::now() + Duration::from_secs(seconds);
        while self.receive() {
            if Instant::now() >= end {
                let state = self.state();
                panic!("the PC is still on after {seconds} s:\n{}\n{state}", self.output);
            }
        }
        let status = self.qemu.wait().unwrap();
        assert!(status.success(), "qemu: {status}:\n{}", self.output);
        self.started.elapsed()
    }

    /// Where the processors are, for somebody who looks why it does not go on.
    fn state(&mut self) -> String {
        (0..3).for_each(|_| {
            self.monitor("info registers -a");
            std::thread::sleep(Duration::from_secs(1));
        });
        let said = std::fs::read(&self.said).unwrap_or_default();
        let lines = String::from_utf8_lossy(&said).into_owned();
        lines.lines().filter(|line| line.starts_with("RIP") || line.starts_with("CPU#")).collect::<Vec<_>>().join("\n")
    }

    /// The self-check's report, when the PC is off.
    pub fn report(mut self, seconds: u64) -> Value {
        self.wait_until_off(seconds);
        report_in(&self.output)
    }
}

/// The self-check's line in what came over the serial port.
pub fn report_in(output: &str) -> Value {
    let line = output.lines().find_map(|line| line.trim_start_matches('\r').strip_prefix("holotype-check "));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no report:\n{output}"))).expect("the report is JSON")
}

impl Drop for Vm {
    fn drop(&mut self) {
        // `timeout` hands the signal on; killed itself, it would leave the PC running.
        if matches!(self.qemu.try_wait(), Ok(None)) {
            let timeout = i32::try_from(self.qemu.id()).ok().and_then(rustix::process::Pid::from_raw);
            let _ = timeout.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
            let _ = self.qemu.wait();
        }
    }
}
