//! Drivers: what the medium's module index names for the devices that the kernel found, and what the kernel asks for.
//!
//! A thread loads them beside everything else: first for the devices that are there, then for each that the kernel
//! announces (a stick that is plugged in). Other parts wait for [`wait_until_settled`] where they need the drivers.

mod devices;
mod loader;

pub use devices::{NETWORK, STORAGE, Unserved, missing_sentence, without_driver};
pub use holotype_boot::modules::INDEX_PATH;

use super::{SystemError, is_init};
use devices::Announcements;
use loader::Loader;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Where the kernel tells its devices.
pub const DEVICES: &str = "/sys/devices";
/// Without news for so long, the kernel is taken to know its devices.
const QUIET: Duration = Duration::from_millis(300);

/// How far the loading is.
#[derive(Default)]
struct Progress {
    /// Devices that were there at the start have their drivers.
    first_round_done: bool,
    /// When something was loaded last.
    last_news: Option<Instant>,
    /// What went wrong, for the person and the log.
    errors: Vec<String>,
}

static PROGRESS: Mutex<Option<Progress>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();
static LOADER: OnceLock<Option<Loader>> = OnceLock::new();

/// Most sentences about modules that are kept.
const MOST_ERRORS: usize = 100;

fn loader() -> Option<&'static Loader> {
    let load = || Loader::open(Path::new(INDEX_PATH)).map_err(|error| tell(error.to_string())).ok();
    LOADER.get_or_init(load).as_ref()
}

fn tell(error: String) {
    let mut progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner);
    let errors = &mut progress.get_or_insert_default().errors;
    if errors.len() < MOST_ERRORS {
        errors.push(error);
    }
}

fn news(first_round_done: bool) {
    let mut progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner);
    let progress = progress.get_or_insert_default();
    progress.first_round_done |= first_round_done;
    progress.last_news = Some(Instant::now());
    CHANGED.notify_all();
}

/// Begins to load drivers, in threads that go on as long as the system runs. Once.
pub fn start() {
    news(false);
    let spawned = std::thread::Builder::new().name("modules".into()).spawn(|| {
        // Opened before the first look, so that no device falls between the two.
        let announcements = Announcements::open();
        if let Some(loader) = loader() {
            // A driver may find a bus with devices of its own: until nothing new is there.
            while loader.load_for(devices::aliases(Path::new(DEVICES)), &tell) {
                news(false);
            }
        }
        news(true);
        let (Some(loader), Ok(announcements)) = (loader(), announcements) else { return };
        while let Some(alias) = announcements.next() {
            news(false);
            if loader.load_for([alias], &tell) {
                news(false);
            }
        }
    });
    if let Err(error) = spawned {
        tell(format!("drivers: cannot start a thread: {error}"));
        news(true);
    }
}

/// Waits until every device that is there has its driver and no new one comes, at most `most`. Ends early where
/// `cancelled` turns true.
pub fn wait_until_settled(most: Duration, cancelled: &dyn Fn() -> bool) {
    let end = Instant::now() + most;
    let mut progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner);
    while let Some(state) = progress.as_ref() {
        let quiet = state.last_news.is_none_or(|at| at.elapsed() >= QUIET);
        if (state.first_round_done && quiet) || cancelled() || Instant::now() >= end {
            return;
        }
        progress =
            CHANGED.wait_timeout(progress, Duration::from_millis(50)).map_or_else(|it| it.into_inner().0, |it| it.0);
    }
}

/// What went wrong with modules so far, in sentences.
pub fn errors() -> Vec<String> {
    let progress = PROGRESS.lock().unwrap_or_else(PoisonError::into_inner);
    progress.as_ref().map(|it| it.errors.clone()).unwrap_or_default()
}

/// Names of the modules that are loaded.
pub fn loaded() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    let mut names: Vec<String> = text.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
    names.sort();
    names
}

/// Loads a module by its name, or by what the kernel calls it (`fs-vfat`), with all that it needs. Nothing is wrong
/// where the medium has none of that name: it may be built into the kernel.
///
/// # Errors
/// Where the kernel refuses a module.
pub fn load(name: &str) -> Result<(), SystemError> {
    if !is_init() {
        return Ok(());
    }
    match loader() {
        Some(loader) => loader.load(name),
        None => Ok(()),
    }
}

/// The kernel calls this program as `/init -q -- NAME` (request_module, kernel/kmod.c) when it finds something missing:
/// a filesystem, a cipher. `None` where the arguments are others.
pub fn answer_kernel(arguments: &[OsString]) -> Option<Result<(), SystemError>> {
    let [q, dashes, name] = arguments else { return None };
    (q == "-q" && dashes == "--").then_some(())?;
    let name = name.to_str().filter(|name| name.len() <= 128)?;
    Some(Loader::open(Path::new(INDEX_PATH)).and_then(|loader| loader.load(name)))
}
