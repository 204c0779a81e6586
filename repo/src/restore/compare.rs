//! Compare: what the target holds is hashed at the image's chunk bounds.
//!
//! A restore in place writes only what differs; a verification takes a difference for a failure.

use super::Restoring;
use super::image_bytes::ImageBytes;
use super::plan::Patch;
use super::window::{Placement, Run, RunKind, Window};
use crate::disk::Target;
use crate::error::{Error, Result};
use holotype_core::padding::is_zero;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Chunks that lie together are read in one go up to this length, in bytes.
const READ_BYTES: u64 = 1 << 20;
/// Zeros are looked for in steps of this length: a step that is not zero is written anew.
const ZERO_STEP_BYTES: u64 = 64 << 10;

/// Fills `buffer` from the target.
pub(super) fn read_exact(target: &dyn Target, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    crate::disk::read_exact(|offset, buffer| target.read_back(offset, buffer), offset, buffer)
}

/// The part of a window that the target does not hold. Free runs are none of it.
pub(super) fn differing(restoring: &Restoring<'_>, bytes: &ImageBytes<'_>, window: &Window) -> Result<Window> {
    let tasks = tasks(window);
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Window::default());
    std::thread::scope(|scope| {
        for _ in 0..restoring.threads {
            let work = || -> Result<()> {
                let mut comparing = Comparing { restoring, bytes, buffer: Vec::new(), found: Window::default() };
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    restoring.job.check()?;
                    if restoring.abort.is_set() {
                        return Err(Error::cancelled());
                    }
                    match task {
                        Task::Chunks(range) => comparing.chunks(&window.chunks[range.clone()])?,
                        Task::Zeros(run) => comparing.zeros(run)?,
                    }
                }
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.chunks.append(&mut comparing.found.chunks);
                found.runs.append(&mut comparing.found.runs);
                Ok(())
            };
            scope.spawn(move || restoring.abort.note(work()));
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.chunks.sort_unstable_by_key(|place| place.offset);
    found.runs.sort_unstable_by_key(|run| run.offset);
    found.data_bytes = found.chunks.iter().map(|place| u64::from(place.bytes)).sum();
    Ok(found)
}

/// Whether the target holds a patch already.
pub(super) fn holds(target: &dyn Target, patch: &Patch) -> Result<bool> {
    let mut there = vec![0; patch.bytes.len()];
    match read_exact(target, patch.offset, &mut there) {
        Ok(()) => Ok(there == patch.bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Error::io(target.describe(), &format!("read back at byte {}", patch.offset), error)),
    }
}

/// What one thread looks at in one go.
enum Task {
    /// These of the window's chunks, which lie together on the target.
    Chunks(Range<usize>),
    Zeros(Run),
}

fn tasks(window: &Window) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut first = 0;
    for (at, place) in window.chunks.iter().enumerate() {
        let begin = &window.chunks[first];
        let together =
            at == first || (window.chunks[at - 1].end() == place.offset && place.end() - begin.offset <= READ_BYTES);
        if !together {
            tasks.push(Task::Chunks(first..at));
            first = at;
        }
    }
    if first < window.chunks.len() {
        tasks.push(Task::Chunks(first..window.chunks.len()));
    }
    for run in window.runs.iter().filter(|run| run.kind != RunKind::Free) {
        let mut left = *run;
        while left.bytes > 0 {
            let bytes = left.bytes.min(READ_BYTES);
            tasks.push(Task::Zeros(Run { bytes, ..left }));
            left = Run { offset: left.offset + bytes, bytes: left.bytes - bytes, ..left };
        }
    }
    // In the order of the target: read-ahead works then.
    let offset = |task: &Task| match task {
        Task::Chunks(range) => window.chunks[range.start].offset,
        Task::Zeros(run) => run.offset,
    };
    tasks.sort_by_key(offset);
    tasks
}

struct Comparing<'a> {
    restoring: &'a Restoring<'a>,
    bytes: &'a ImageBytes<'a>,
    buffer: Vec<u8>,
    found: Window,
}

impl Comparing<'_> {
    /// Fills the buffer with what is on the target; `false` where the target ends before, or cannot be
    /// read there: it is written then.
    fn read(&mut self, offset: u64, bytes: u64) -> bool {
        self.buffer.resize(bytes as usize, 0);
        read_exact(self.restoring.target, offset, &mut self.buffer).is_ok()
    }

    fn chunks(&mut self, places: &[Placement]) -> Result<()> {
        let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(()) };
        let there = self.read(first.offset, last.end() - first.offset);
        let identity = self.restoring.repository.keyring().identity();
        for place in places {
            let data = &self.buffer[(place.offset - first.offset) as usize..][..place.bytes as usize];
            let same = there
                && match place.is_whole() {
                    true => identity.chunk_id(data) == place.id,
                    false => {
                        self.bytes.chunk(&place.id)?.get(place.skip as usize..).is_some_and(|it| it.starts_with(data))
                    }
                };
            match same {
                true => self.restoring.job.advance(u64::from(place.bytes)),
                false => self.found.chunks.push(*place),
            }
        }
        Ok(())
    }

    fn zeros(&mut self, run: &Run) -> Result<()> {
        let there = self.read(run.offset, run.bytes);
        let mut at = 0;
        for step in self.buffer.chunks(ZERO_STEP_BYTES as usize) {
            let bytes = step.len() as u64;
            match there && is_zero(step) {
                true => self.restoring.job.advance(bytes),
                false => self.found.runs.push(Run { offset: run.offset + at, bytes, kind: run.kind }),
            }
            at += bytes;
        }
        Ok(())
    }
}
