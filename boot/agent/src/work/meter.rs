//! How far a job is: written by its threads, read by the screens and by who reports to the server.

use crate::screens::Progress;
use holotype_repo::Event;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

struct Stage {
    name: &'static str,
    total_bytes: Option<u64>,
    since: Instant,
}

/// How far a job is.
#[derive(Default)]
pub struct Meter {
    done_bytes: AtomicU64,
    stage: Mutex<Option<Stage>>,
}

impl Meter {
    fn stage(&self) -> MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event of the job; gives its warning back.
    pub fn note(&self, event: Event) -> Option<String> {
        match event {
            Event::Stage { name, total_bytes } => {
                let mut stage = self.stage();
                self.done_bytes.store(0, Ordering::Relaxed);
                *stage = Some(Stage { name, total_bytes, since: Instant::now() });
            }
            Event::Advanced { bytes } => {
                self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Event::Warning(text) => return Some(text),
            _ => {}
        }
        None
    }

    /// Nothing runs any more.
    pub fn clear(&self) {
        *self.stage() = None;
    }

    /// How far it is, where something runs.
    pub fn progress(&self) -> Option<Progress> {
        let stage = self.stage();
        let stage = stage.as_ref()?;
        Some(Progress {
            stage: stage.name.to_owned(),
            done_bytes: self.done_bytes.load(Ordering::Relaxed),
            total_bytes: stage.total_bytes,
            elapsed_ms: u64::try_from(stage.since.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}
