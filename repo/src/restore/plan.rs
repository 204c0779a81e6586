//! Plan: from a manifest to the frames of one window after another.

use crate::error::{Error, ErrorKind, Result};
use crate::index::ChunkLocation;
use crate::manifest::{Extent, LeafExtent, LeafPlace, ManifestReader};
use crate::repository::Catalog;
use holotype_core::{ChunkId, PackId};

/// References of a window on a target that takes writes anywhere; about 100 bytes of memory each.
const MAX_REFERENCES: usize = 384 << 10;
/// Data of a window on a stream; two such windows are in memory.
const MAX_DATA_BYTES: u64 = 80 << 20;

/// What bounds a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WindowLimit {
    References,
    DataBytes,
}

/// A chunk and where it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    pub id: ChunkId,
    pub bytes: u32,
    /// Where it begins on the target.
    pub offset: u64,
    /// Where it begins among the data of its window.
    pub at: u64,
}

/// A range of the target that reads as zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct ZeroRun {
    pub offset: u64,
    pub bytes: u64,
}

/// A stretch of the target.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub chunks: Vec<Placement>,
    pub zeros: Vec<ZeroRun>,
    pub data_bytes: u64,
    pub unreadable_bytes: u64,
}

/// Sums over all windows.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    pub data_bytes: u64,
    pub zero_bytes: u64,
    pub unreadable_bytes: u64,
}

impl Totals {
    pub fn add(&mut self, window: &Window) {
        self.data_bytes += window.data_bytes;
        self.unreadable_bytes += window.unreadable_bytes;
        self.zero_bytes += window.zeros.iter().map(|run| run.bytes).sum::<u64>() - window.unreadable_bytes;
    }
}

/// Makes windows.
pub(super) struct Planner<'a> {
    reader: &'a ManifestReader<'a>,
    leaves: std::slice::Iter<'a, LeafPlace>,
    limit: WindowLimit,
}

impl<'a> Planner<'a> {
    pub fn new(reader: &'a ManifestReader<'a>, leaves: &'a [LeafPlace], limit: WindowLimit) -> Self {
        Self { reader, leaves: leaves.iter(), limit }
    }

    /// The next window, or `None` after the last.
    pub fn next_window(&mut self) -> Result<Option<Window>> {
        let mut window = Window::default();
        let mut any = false;
        while !window.is_full(self.limit)
            && let Some(leaf) = self.leaves.next()
        {
            any = true;
            window.add_leaf(leaf, &self.reader.leaf(leaf)?);
        }
        Ok(any.then_some(window))
    }
}

impl Window {
    fn is_full(&self, limit: WindowLimit) -> bool {
        match limit {
            WindowLimit::References => self.chunks.len().max(self.zeros.len()) >= MAX_REFERENCES,
            WindowLimit::DataBytes => self.data_bytes >= MAX_DATA_BYTES,
        }
    }

    fn add_leaf(&mut self, leaf: &LeafPlace, extents: &[LeafExtent]) {
        let mut offset = leaf.offset;
        for extent in extents {
            match *extent {
                LeafExtent::Chunk { id, bytes } => {
                    self.chunks.push(Placement { id, bytes, offset, at: self.data_bytes });
                    self.data_bytes += u64::from(bytes);
                    offset += u64::from(bytes);
                }
                LeafExtent::Other(other) => {
                    if let Extent::Unreadable { bytes } = other {
                        self.unreadable_bytes += bytes;
                    }
                    match self.zeros.last_mut() {
                        Some(run) if run.offset + run.bytes == offset => run.bytes += other.bytes(),
                        _ => self.zeros.push(ZeroRun { offset, bytes: other.bytes() }),
                    }
                    offset += other.bytes();
                }
            }
        }
    }
}

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
