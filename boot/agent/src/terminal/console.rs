//! One console: a device in raw mode that is written to and read from.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use rustix::time::Timespec;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Where a line does not tell its size, as serial lines do not.
const DEFAULT_SIZE: (u16, u16) = (80, 24);
/// Larger is not drawn on.
const MOST_SIZE: (u16, u16) = (240, 80);

/// A console in raw mode; as it was before when dropped.
pub struct Console {
    path: PathBuf,
    file: RwLock<Arc<File>>,
    before: Option<Termios>,
}

fn open(path: &Path) -> io::Result<Arc<File>> {
    use rustix::fs::{Mode, OFlags};
    // Not the controlling terminal: its interrupts go nowhere. A serial line without a carrier would block.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    rustix::fs::fcntl_setfl(&fd, rustix::fs::fcntl_getfl(&fd)? - OFlags::NONBLOCK)?;
    Ok(Arc::new(fd.into()))
}

impl Console {
    /// Opens it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let before = tcgetattr(&file).ok();
        let console = Self { path: path.to_owned(), file: RwLock::new(file), before };
        console.make_raw();
        Ok(console)
    }

    /// Opens it again. When a session that had it as its terminal ends, as a shell's does, the kernel hangs it up, and
    /// every open handle is dead.
    ///
    /// # Errors
    /// What the operating system says; the old handle stays.
    pub fn reopen(&self) -> io::Result<()> {
        let file = open(&self.path)?;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        self.make_raw();
        Ok(())
    }

    /// The open handle.
    pub fn file(&self) -> Arc<File> {
        Arc::clone(&self.file.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a serial line, by its name: characters beyond ASCII may not come through there.
    pub fn is_serial(&self) -> bool {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("ttyS") || name.starts_with("ttyAMA") || name.starts_with("ttyUSB") || name.starts_with("hvc")
    }

    /// Keys come one by one, unseen, and none of them is a signal.
    pub fn make_raw(&self) {
        if let Some(before) = &self.before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = tcsetattr(self.file(), OptionalActions::Now, &raw);
        }
    }

    /// As it was when it was opened.
    pub fn make_cooked(&self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(self.file(), OptionalActions::Now, before);
        }
    }

    /// Columns and lines.
    pub fn size(&self) -> (u16, u16) {
        match tcgetwinsize(self.file()) {
            Ok(size) if size.ws_col >= 20 && size.ws_row >= 10 => {
                (size.ws_col.min(MOST_SIZE.0), size.ws_row.min(MOST_SIZE.1))
            }
            _ => DEFAULT_SIZE,
        }
    }

    /// Writes everything.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.file()).write_all(bytes)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.make_cooked();
    }
}

/// Reads what is there, waiting for at most `patience`; nothing where nothing came.
///
/// # Errors
/// What the operating system says, and where the line was hung up.
pub fn read_for(mut file: &File, patience: Duration, buffer: &mut [u8]) -> io::Result<usize> {
    let wait = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    match poll(&mut polled, Some(&wait)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(0),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    match file.read(buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => Ok(0),
        other => other,
    }
}
