//! Fetch plan: which frames of which packs a window needs.

use super::window::{Placement, Window};
use crate::error::{Error, ErrorKind, Result};
use crate::index::ChunkLocation;
use crate::repository::Catalog;
use holotype_core::{ChunkId, PackId};

/// A frame and all its places in a window.
#[derive(Debug)]
pub(super) struct FrameTask {
    pub frame: u32,
    /// Slot and place, sorted by slot, then by place.
    pub places: Vec<(u32, Placement)>,
}

/// Frames of one pack that are fetched together.
#[derive(Debug)]
pub(super) struct FetchTask {
    pub pack: PackId,
    pub frames: Vec<FrameTask>,
}

/// Frames in a fetch, at most: with frames of some 200 KiB, a few megabytes.
const FRAMES_PER_FETCH: usize = 8;

/// Finds the frames that a window needs, in the order of their packs' first places.
pub(super) fn fetch_tasks(catalog: &Catalog, window: &Window) -> Result<Vec<FetchTask>> {
    let ids: Vec<ChunkId> = window.chunks.iter().map(|place| place.id).collect();
    let locations = catalog.locate(&ids)?;
    drop(ids);
    let mut located: Vec<(ChunkLocation, Placement)> = Vec::with_capacity(window.chunks.len());
    for (place, location) in window.chunks.iter().zip(locations) {
        let location = location.ok_or_else(|| {
            let why = format!("the chunk for byte {} of the disk is in no pack", place.offset);
            Error::new(ErrorKind::Damaged, format!("chunk {}", place.id.short()), why)
                .advise("run `holotype verify` to see what is missing, or restore another image")
        })?;
        located.push((location, *place));
    }
    located.sort_unstable_by_key(|(location, place)| (*location, place.offset));
    let mut tasks: Vec<FetchTask> = Vec::new();
    for (location, place) in located {
        let task = match tasks.last_mut() {
            Some(task) if task.pack == location.pack => {
                let last = task.frames.last().map_or(0, |frame| frame.frame);
                let next = location.frame == last || location.frame == last + 1;
                let room = location.frame == last || task.frames.len() < FRAMES_PER_FETCH;
                if next && room { tasks.last_mut() } else { None }
            }
            _ => None,
        };
        let task = match task {
            Some(task) => task,
            None => {
                tasks.push(FetchTask { pack: location.pack, frames: Vec::new() });
                tasks.last_mut().expect("one was pushed")
            }
        };
        match task.frames.last_mut() {
            Some(frame) if frame.frame == location.frame => frame.places.push((location.slot, place)),
            _ => task.frames.push(FrameTask { frame: location.frame, places: vec![(location.slot, place)] }),
        }
    }
    // In the order of the target, as far as whole fetches allow: its device is spared seeks.
    tasks.sort_by_key(|task| task.frames.first().and_then(|frame| frame.places.first()).map(|(_, place)| place.offset));
    Ok(tasks)
}
