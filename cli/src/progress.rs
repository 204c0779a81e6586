//! Progress on a terminal: bytes, rate and time left.

use holotype_repo::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// All bars of this process, so that lines of the log go between them.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Runs `write` while no bar is on the terminal.
pub fn beside<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// Shows the stages of a job one after another; nothing where nobody looks.
pub struct Progress {
    shown: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress {
    /// Shows on standard error, if it is a terminal and `quiet` is not set.
    pub fn new(quiet: bool) -> Self {
        Self { shown: !quiet && io::stderr().is_terminal(), bar: Mutex::default() }
    }

    /// Takes an event of the job. Warnings come by the log.
    pub fn show(&self, event: &Event) {
        if !self.shown {
            return;
        }
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Stage { name, total_bytes } => {
                clear(bar.replace(start(name, *total_bytes)));
            }
            Event::Advanced { bytes } => {
                if let Some(bar) = &*bar {
                    bar.inc(*bytes);
                }
            }
            _ => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        clear(self.bar.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn clear(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
        BARS.remove(&bar);
    }
}

fn start(name: &'static str, total_bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match total_bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{msg:14} {percent:>3}% [{bar:24}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{msg:14} {spinner} {binary_bytes}, {binary_bytes_per_sec}, {elapsed}"),
    };
    let bar = BARS.add(bar);
    bar.set_style(ProgressStyle::with_template(template).expect("the template is constant").progress_chars("=> "));
    bar.set_message(name);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
