//! The first process keeps the system alive; the work is done by a child of it. A kernel panics when its first process
//! ends, and kills it last when memory runs out: so a crash of the work, whatever its cause, is a sentence on the screen
//! and a way on.

use super::{check, consoles, init, modules, randomness};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Argument by which the child knows that it is one.
pub const CHILD_ARGUMENT: &str = "--work-of-init";
/// How long a broken system waits for a person.
const WAIT_FOR_PERSON: Duration = Duration::from_secs(600);

/// What the process with number 1 does.
pub fn first_process() -> ! {
    for error in init::boot() {
        consoles::say_everywhere(&error.to_string());
    }
    super::IS_INIT.store(true, std::sync::atomic::Ordering::Relaxed);
    run()
}

/// What its child does: drivers, the self-check where it is asked for, the screens, the end.
pub fn work() -> ! {
    std::panic::set_hook(Box::new(|what| {
        let place = what.location().map(|it| format!(" at {}:{}", it.file(), it.line())).unwrap_or_default();
        let message = what.payload_as_str().unwrap_or("no message");
        consoles::say_everywhere(&format!("The backup program found a mistake in itself: {message}{place}."));
    }));
    let booted = super::booted();
    randomness::gather();
    modules::start();
    check::run_if_asked(&booted);
    super::power::end(crate::run(booted))
}

/// Starts the work and starts it again where it breaks and the person wants it; powers off in the end.
fn run() -> ! {
    let terminals = Terminals::look();
    loop {
        let how = match Command::new("/proc/self/exe").arg(CHILD_ARGUMENT).spawn() {
            Ok(child) => wait_for(child.id()),
            Err(error) => format!("it cannot be started: {error}"),
        };
        end_leftovers();
        terminals.restore();
        consoles::say_everywhere(&format!(
            "The backup program ended ({how}).\nNothing more is written to any disk. What was being restored is not \
             complete.\nPress Enter to start it again. Without it, the PC is switched off in {} minutes.",
            WAIT_FOR_PERSON.as_secs() / 60
        ));
        if !terminals.wait_for_enter(WAIT_FOR_PERSON) {
            super::power::power_off();
        }
    }
}

/// Waits until the child ends, and takes care of every process whose parent has ended.
fn wait_for(child: u32) -> String {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().unsigned_abs() == child => return describe(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return format!("it cannot be waited for: {error}"),
        }
    }
}

/// Ends what the broken work left behind, as a rescue shell: it would read what is typed.
fn end_leftovers() {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // Threads of the kernel have no program.
    let others = numbers.filter(|number| *number > 1 && std::fs::read_link(format!("/proc/{number}/exe")).is_ok());
    for pid in others.filter_map(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end && !matches!(wait(WaitOptions::NOHANG), Err(rustix::io::Errno::CHILD)) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        // SIGKILL: nothing but the kernel sends it here.
        (_, Some(9)) => "the PC's memory did not suffice".into(),
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), _) => format!("code {code}"),
        _ => "for an unknown reason".into(),
    }
}

/// The terminals and how they were when the system started. They are opened anew each time: when a session ends, the
/// kernel hangs up what was open of its terminal.
struct Terminals(Vec<(PathBuf, Option<Termios>)>);

fn open(path: &Path) -> Option<File> {
    OpenOptions::new().read(true).write(true).open(path).ok()
}

impl Terminals {
    fn look() -> Self {
        let consoles = consoles::for_screens(Default::default());
        Self(
            consoles
                .into_iter()
                .map(|path| (open(&path).and_then(|file| tcgetattr(file).ok()), path))
                .map(|it| (it.1, it.0))
                .collect(),
        )
    }

    /// Puts right what a program that broke left behind.
    fn restore(&self) {
        for (path, termios) in &self.0 {
            if let (Some(file), Some(termios)) = (open(path), termios) {
                let _ = tcsetattr(file, OptionalActions::Flush, termios);
            }
        }
    }

    /// Whether Enter was pressed within `most`. Ended processes are taken care of meanwhile.
    fn wait_for_enter(&self, most: Duration) -> bool {
        let end = Instant::now() + most;
        let pause = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
        let files: Vec<File> = self.0.iter().filter_map(|(path, _)| open(path)).collect();
        while Instant::now() < end {
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            let mut waiting: Vec<PollFd<'_>> = files.iter().map(|file| PollFd::new(file, PollFlags::IN)).collect();
            if !matches!(poll(&mut waiting, Some(&pause)), Ok(ready) if ready > 0) {
                continue;
            }
            let ready: Vec<bool> = waiting.iter().map(|it| it.revents().contains(PollFlags::IN)).collect();
            for (mut file, _) in files.iter().zip(ready).filter(|it| it.1) {
                let mut typed = [0; 64];
                if matches!(file.read(&mut typed), Ok(read) if typed[..read].contains(&b'\n')) {
                    return true;
                }
            }
        }
        false
    }
}
