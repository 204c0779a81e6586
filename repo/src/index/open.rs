//! Opening an index directory, and setting aside one that is of no use.
//!
//! Beside sled's own files, the directory holds `lock`, locked while the index is open, and
//! `format`, written last when the index is made. sled is never let loose on a directory without
//! it: it would make a database there.

use super::catalog::FORMAT;
use super::guard::GuardedDb;
use super::sled_index::SledIndex;
use crate::error::{Error, ErrorKind, Result};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Cache of the index where nothing else is said, in bytes.
pub const DEFAULT_CACHE_BYTES: u64 = 64 << 20;

const LOCK_NAME: &str = "lock";
const FORMAT_NAME: &str = "format";
/// Indexes kept by [`set_aside`] before it removes.
const MOST_SET_ASIDE: u32 = 2;
const SLED_LETS_GO: Duration = Duration::from_secs(5);

/// What stood in an index directory.
#[expect(clippy::large_enum_variant, reason = "one is made for each open, and moved once")]
pub enum OpenIndex {
    /// An index, now open. A new one where nothing stood.
    Opened(SledIndex),
    /// Another process, or another handle of this one, has it open. Read the segments instead
    /// ([`MemoryIndex`](super::MemoryIndex)).
    Locked,
    /// A damaged or half-deleted index, one of another format, or something else.
    /// [`set_aside`] makes room to rebuild it.
    Unusable {
        /// For people.
        why: String,
    },
}

/// What became of a directory that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetAside {
    /// It stands there now.
    Renamed(PathBuf),
    /// Enough others were kept.
    Removed,
}

impl SledIndex {
    /// Opens the index in the directory `path`, which is made where it is not there. sled caches
    /// about `cache_bytes` bytes; filters take 2 bytes an entry beside.
    ///
    /// # Errors
    /// Where the operating system does not let it look or write. What it finds is no error.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<OpenIndex> {
        fs::create_dir_all(path).map_err(|error| Error::io(path.display().to_string(), "make the directory", error))?;
        let format = match read_start(&path.join(FORMAT_NAME)) {
            Ok(format) => Some(format),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(path.display().to_string(), "read the format", error)),
        };
        if format.is_none() && !holds_only_a_lock(path)? {
            // Also the moment before a first open elsewhere ends: then its lock is held.
            if path.join(LOCK_NAME).is_file() && lock(path)?.is_none() {
                return Ok(OpenIndex::Locked);
            }
            return Ok(unusable("the directory holds something that is no index, or half of one"));
        }
        let Some(lock) = lock(path)? else { return Ok(OpenIndex::Locked) };
        if format.as_ref().is_some_and(|format| *format != format_line()) {
            return Ok(unusable("the index has another format"));
        }
        if !sled_lets_go(path)? {
            return Ok(OpenIndex::Locked);
        }
        match open_locked(path, cache_bytes, lock, format.is_none()) {
            Ok(index) => Ok(OpenIndex::Opened(index)),
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NoSpace) => Err(error),
            Err(error) => Ok(OpenIndex::Unusable { why: error.to_string() }),
        }
    }
}

fn unusable(why: &str) -> OpenIndex {
    OpenIndex::Unusable { why: why.to_owned() }
}

fn format_line() -> Vec<u8> {
    format!("holotype index {FORMAT}\n").into_bytes()
}

fn read_start(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut start)?;
    Ok(start)
}

fn holds_only_a_lock(path: &Path) -> Result<bool> {
    let look = || -> io::Result<bool> {
        for entry in fs::read_dir(path)? {
            if entry?.file_name() != LOCK_NAME {
                return Ok(false);
            }
        }
        Ok(true)
    };
    look().map_err(|error| Error::io(path.display().to_string(), "list the directory", error))
}

fn lock(path: &Path) -> Result<Option<File>> {
    let subject = path.join(LOCK_NAME);
    let fail = |error| Error::io(subject.display().to_string(), "lock it", error);
    let file = File::options().create(true).truncate(false).write(true).open(&subject).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(fail(error)),
    }
}

/// Waits for sled's own lock: its threads hold a database a moment longer than the handle that was
/// dropped. `false` where it stays locked, so by something else.
fn sled_lets_go(path: &Path) -> Result<bool> {
    let database = path.join("db");
    let fail = |error| Error::io(database.display().to_string(), "lock it", error);
    let begin = Instant::now();
    loop {
        // Closing the file gives the lock back.
        match File::options().read(true).write(true).open(&database).map(|file| file.try_lock()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) | Ok(Err(TryLockError::Error(error))) => return Err(fail(error)),
            Ok(Ok(())) => return Ok(true),
            Ok(Err(TryLockError::WouldBlock)) if begin.elapsed() > SLED_LETS_GO => return Ok(false),
            Ok(Err(TryLockError::WouldBlock)) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn open_locked(path: &Path, cache_bytes: u64, lock: File, new: bool) -> Result<SledIndex> {
    if !new && !path.join("db").is_file() {
        return Err(Error::new(ErrorKind::Damaged, path.display().to_string(), "the database file is missing"));
    }
    let db = GuardedDb::open(path, cache_bytes)?;
    if new {
        SledIndex::create(&db)?;
        let write = || -> io::Result<()> {
            fs::write(path.join(FORMAT_NAME), format_line())?;
            File::open(path.join(FORMAT_NAME))?.sync_all()
        };
        write().map_err(|error| Error::io(path.display().to_string(), "write the format", error))?;
    }
    SledIndex::load(db, lock)
}

/// Makes room at `path` for a new index: renames the directory to `PATH.damaged-1` or `-2`, or
/// removes it where both stand already. What is not an index is never removed: it gets the next
/// free number.
///
/// # Errors
/// `NotAllowed` where it is open somewhere; `NotFound`; where the operating system refuses.
pub fn set_aside(path: &Path) -> Result<SetAside> {
    let subject = || path.display().to_string();
    if path.join(LOCK_NAME).is_file() && lock(path)?.is_none() {
        return Err(Error::new(ErrorKind::NotAllowed, subject(), "the index is open"));
    }
    let is_index = path.join(FORMAT_NAME).is_file() && path.join(LOCK_NAME).is_file();
    for number in 1.. {
        if is_index && number > MOST_SET_ASIDE {
            break;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        let aside = PathBuf::from(name);
        if !aside.exists() {
            fs::rename(path, &aside).map_err(|error| Error::io(subject(), "set it aside", error))?;
            return Ok(SetAside::Renamed(aside));
        }
    }
    fs::remove_dir_all(path).map_err(|error| Error::io(subject(), "remove it", error))?;
    Ok(SetAside::Removed)
}
