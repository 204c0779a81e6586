//! The consoles: the same frame on each, keys from all.
//!
//! ```text
//! reader thread of each console ──bytes──▶ decoder ──keys──▶ channel
//! frame ──▶ ratatui's difference ──▶ backend ──bytes──▶ console
//! ```

mod backend;
mod console;
mod key;

pub use console::Console;
pub use key::{Key, KeyDecoder};

use backend::ConsoleBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a reader waits at once; held readers let go within it.
const READ_WAIT: Duration = Duration::from_millis(50);
/// An escape byte with nothing behind it for so long is the key. At 9600 baud a byte takes a millisecond.
const ESCAPE_WAIT: Duration = Duration::from_millis(120);

struct Shown {
    console: Arc<Console>,
    terminal: Terminal<ConsoleBackend>,
    size: (u16, u16),
}

/// All consoles of this run.
pub struct Consoles {
    shown: Vec<Shown>,
    held: Arc<AtomicBool>,
}

impl Consoles {
    /// Opens those of `paths` that can be opened; keys go to `on_key`, with the console's number, from other threads.
    ///
    /// # Errors
    /// In a sentence, where none can be.
    pub fn open(paths: &[PathBuf], on_key: impl Fn(usize, Key) + Clone + Send + 'static) -> Result<Self, String> {
        let held = Arc::new(AtomicBool::new(false));
        let mut shown: Vec<Shown> = Vec::new();
        let mut refused = Vec::new();
        for path in paths {
            let opened = Console::open(path).and_then(|console| {
                let console = Arc::new(console);
                Ok((terminal(&console)?, console))
            });
            match opened {
                Ok((terminal, console)) => {
                    let (number, held, on_key) = (shown.len(), Arc::clone(&held), on_key.clone());
                    let read = Arc::clone(&console);
                    std::thread::spawn(move || read_keys(&read, &held, |key| on_key(number, key)));
                    let size = console.size();
                    let _ = console.write(backend::START.as_bytes());
                    shown.push(Shown { console, terminal, size });
                }
                Err(error) => refused.push(format!("{}: {error}", path.display())),
            }
        }
        match shown.is_empty() {
            true => Err(format!("no terminal can be opened ({}); start this on one", refused.join(", "))),
            false => Ok(Self { shown, held }),
        }
    }

    /// Draws the same on every console, each in its own size.
    pub fn draw(&mut self, mut draw: impl FnMut(&mut Frame<'_>)) {
        for shown in &mut self.shown {
            if shown.console.size() != shown.size {
                shown.size = shown.console.size();
                if let Ok(terminal) = terminal(&shown.console) {
                    shown.terminal = terminal;
                    let _ = shown.console.write(backend::START.as_bytes());
                }
            }
            // A console that takes nothing any more is no reason to stop work.
            let _ = shown.terminal.draw(&mut draw);
        }
    }

    /// Draws everything anew with the next frame: serial lines lose bytes.
    pub fn redraw(&mut self) {
        for shown in &mut self.shown {
            let _ = shown.console.write(backend::START.as_bytes());
            let _ = shown.terminal.clear();
        }
    }

    /// Lends a console, in its ordinary mode, to something else.
    pub fn lend<T>(&mut self, number: usize, to: impl FnOnce(&Path) -> T) -> Option<T> {
        let console = Arc::clone(&self.shown.get(number)?.console);
        self.held.store(true, Ordering::Release);
        std::thread::sleep(READ_WAIT * 3);
        let _ = console.write(backend::END.as_bytes());
        console.make_cooked();
        let result = to(console.path());
        if console.reopen().is_err() {
            console.make_raw();
        }
        self.held.store(false, Ordering::Release);
        self.redraw();
        Some(result)
    }
}

impl Drop for Consoles {
    fn drop(&mut self) {
        self.held.store(true, Ordering::Release);
        for shown in &self.shown {
            let _ = shown.console.write(backend::END.as_bytes());
            shown.console.make_cooked();
        }
    }
}

fn terminal(console: &Arc<Console>) -> std::io::Result<Terminal<ConsoleBackend>> {
    let (width, height) = console.size();
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    Terminal::with_options(ConsoleBackend::new(Arc::clone(console)), TerminalOptions { viewport })
}

fn read_keys(console: &Console, held: &AtomicBool, on_key: impl Fn(Key)) {
    let (mut decoder, mut keys, mut buffer) = (KeyDecoder::default(), Vec::new(), [0; 256]);
    loop {
        if held.load(Ordering::Acquire) {
            std::thread::sleep(READ_WAIT);
            continue;
        }
        let patience = if decoder.is_waiting() { ESCAPE_WAIT } else { READ_WAIT };
        match console::read_for(&console.file(), patience, &mut buffer) {
            Ok(0) => keys.extend(decoder.timeout()),
            Ok(bytes) => buffer[..bytes].iter().for_each(|byte| decoder.push(*byte, &mut keys)),
            // A line that was hung up may come back.
            Err(_) => {
                std::thread::sleep(Duration::from_secs(1));
                if !held.load(Ordering::Acquire) {
                    let _ = console.reopen();
                }
            }
        }
        keys.drain(..).for_each(&on_key);
    }
}
