//! Fetch and decode: a pack's frames are read, opened, and each chunk is checked by its id.

use super::Progress;
use super::plan::{FetchTask, FrameTask};
use crate::error::{Error, ErrorKind, Result};
use crate::index::PackKind;
use crate::repository::Repository;
use holotype_core::compress::Decompressor;
use holotype_core::frame::OpenedFrame;
use std::sync::atomic::Ordering;

/// One thread's means.
pub(super) struct Decoder<'a> {
    repository: &'a Repository,
    progress: &'a Progress,
    decompressor: Decompressor,
}

impl<'a> Decoder<'a> {
    pub fn new(repository: &'a Repository, progress: &'a Progress) -> Self {
        Self { repository, progress, decompressor: Decompressor::default() }
    }

    /// Opens the task's frames one by one and hands each, checked, to `take`.
    pub fn run(&mut self, task: FetchTask, mut take: impl FnMut(FrameTask, OpenedFrame) -> Result<()>) -> Result<()> {
        let reader = self.repository.pack_readers().get(PackKind::Data, &task.pack)?;
        let (Some(first), Some(last)) = (task.frames.first(), task.frames.last()) else { return Ok(()) };
        let range = reader.frame_range(first.frame)?.start..reader.frame_range(last.frame)?.end;
        let start = range.start;
        let mut bytes = self.repository.store().get_range(reader.object(), range)?;
        for frame in task.frames {
            let range = reader.frame_range(frame.frame)?;
            let bytes = &mut bytes[(range.start - start) as usize..(range.end - start) as usize];
            let opened = reader.open_frame(frame.frame, bytes, &mut self.decompressor)?;
            self.progress.frames_opened.fetch_add(1, Ordering::Relaxed);
            self.check(&frame, &opened, &task.pack)?;
            take(frame, opened)?;
        }
        Ok(())
    }

    fn check(&self, frame: &FrameTask, opened: &OpenedFrame, pack: &holotype_core::PackId) -> Result<()> {
        let identity = self.repository.keyring().identity();
        let mut checked = None;
        for (slot, place) in &frame.places {
            if checked == Some((*slot, place.bytes, place.id)) {
                continue;
            }
            let right = opened
                .chunk(*slot)
                .is_some_and(|chunk| chunk.len() == place.bytes as usize && identity.chunk_id(chunk) == place.id);
            if !right {
                let subject = format!("pack {} frame {} slot {slot}", pack.short(), frame.frame);
                return Err(Error::new(
                    ErrorKind::Damaged,
                    subject,
                    "its content is not the chunk that the image wants",
                )
                .advise("run `holotype verify --read-data` to see what is hurt"));
            }
            checked = Some((*slot, place.bytes, place.id));
        }
        Ok(())
    }
}
