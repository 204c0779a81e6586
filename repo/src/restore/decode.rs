//! Fetch and decode: a pack's frames are read, opened, and each chunk is checked by its id.

use super::Restoring;
use super::fetch::{FetchTask, FrameTask, fetch_tasks};
use super::window::Window;
use crate::error::{Error, ErrorKind, Result};
use crate::index::PackKind;
use crate::pack::is_lost;
use crossbeam_channel::Receiver;
use holotype_core::compress::Decompressor;
use holotype_core::frame::OpenedFrame;
use std::sync::atomic::Ordering;

/// One thread's work: opens the frames of each task and hands them on, until `send` says that nobody
/// takes them any more.
pub(super) fn decode_all(
    restoring: &Restoring<'_>,
    tasks: &Receiver<FetchTask>,
    send: impl Fn(FrameTask, OpenedFrame) -> bool,
) -> Result<()> {
    let mut decoder = Decoder::new(restoring);
    for task in tasks {
        restoring.job.check()?;
        // Nobody takes them only where another stage has failed; that failure is told.
        decoder.run(task, &mut |frame, opened| if send(frame, opened) { Ok(()) } else { Err(Error::cancelled()) })?;
    }
    Ok(())
}

/// One thread's means.
struct Decoder<'a> {
    restoring: &'a Restoring<'a>,
    decompressor: Decompressor,
}

impl<'a> Decoder<'a> {
    pub fn new(restoring: &'a Restoring<'a>) -> Self {
        Self { restoring, decompressor: Decompressor::default() }
    }

    /// Opens the task's frames one by one and hands each, checked, to `take`. Where the pack cannot
    /// be read at all, its chunks are looked for in others.
    pub fn run(&mut self, task: FetchTask, take: &mut dyn FnMut(FrameTask, OpenedFrame) -> Result<()>) -> Result<()> {
        let reader = match self.restoring.repository.pack_readers().get(PackKind::Data, &task.pack) {
            Ok(reader) => reader,
            Err(error) if is_lost(&error) => return self.run_elsewhere(task, error, take),
            Err(error) => return Err(error),
        };
        let (Some(first), Some(last)) = (task.frames.first(), task.frames.last()) else { return Ok(()) };
        let range = reader.frame_range(first.frame)?.start..reader.frame_range(last.frame)?.end;
        let start = range.start;
        let mut bytes = self.restoring.repository.store().get_range(reader.object(), range)?;
        for frame in task.frames {
            let range = reader.frame_range(frame.frame)?;
            let bytes = &mut bytes[(range.start - start) as usize..(range.end - start) as usize];
            let opened = reader.open_frame(frame.frame, bytes, &mut self.decompressor)?;
            self.restoring.frames_opened.fetch_add(1, Ordering::Relaxed);
            self.check(&frame, &opened, &task.pack)?;
            take(frame, opened)?;
        }
        Ok(())
    }

    fn run_elsewhere(
        &mut self,
        task: FetchTask,
        lost: Error,
        take: &mut dyn FnMut(FrameTask, OpenedFrame) -> Result<()>,
    ) -> Result<()> {
        let catalog = self.restoring.repository.catalog()?;
        catalog.forget(&task.pack)?;
        let places = task.frames.into_iter().flat_map(|frame| frame.places);
        let window = Window { chunks: places.map(|(_, place)| place).collect(), ..Window::default() };
        let Ok(tasks) = fetch_tasks(catalog, &window) else { return Err(lost) };
        tracing::warn!("{lost}; its chunks are read from other packs");
        // Each pack is forgotten once, so this ends.
        tasks.into_iter().try_for_each(|task| self.run(task, take))
    }

    fn check(&self, frame: &FrameTask, opened: &OpenedFrame, pack: &holotype_core::PackId) -> Result<()> {
        let identity = self.restoring.repository.keyring().identity();
        let mut checked = None;
        for (slot, place) in &frame.places {
            if checked == Some((*slot, place.chunk_bytes, place.id)) {
                continue;
            }
            let right = opened
                .chunk(*slot)
                .is_some_and(|chunk| chunk.len() == place.chunk_bytes as usize && identity.chunk_id(chunk) == place.id);
            if !right {
                let subject = format!("pack {} frame {} slot {slot}", pack.short(), frame.frame);
                return Err(Error::new(
                    ErrorKind::Damaged,
                    subject,
                    "its content is not the chunk that the image wants",
                )
                .advise("run `holotype verify --read-data` to see what is hurt"));
            }
            checked = Some((*slot, place.chunk_bytes, place.id));
        }
        Ok(())
    }
}
