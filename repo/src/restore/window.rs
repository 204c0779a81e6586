//! Windows: from a manifest to one stretch of the target after another.

use super::plan::Piece;
use crate::error::Result;
use crate::manifest::{Extent, LeafExtent, LeafPlace, ManifestReader};
use holotype_core::ChunkId;

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

/// A chunk, or a part of one, and where it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    pub id: ChunkId,
    /// Length of the chunk.
    pub chunk_bytes: u32,
    /// First byte of it that is wanted.
    pub skip: u32,
    /// How many are wanted.
    pub bytes: u32,
    /// Where they begin on the target.
    pub offset: u64,
    /// Where they begin among the data of the window.
    pub at: u64,
}

impl Placement {
    /// Whether all of the chunk is wanted.
    pub fn is_whole(&self) -> bool {
        self.bytes == self.chunk_bytes
    }

    /// The wanted part of the chunk.
    pub fn part_of<'a>(&self, chunk: &'a [u8]) -> &'a [u8] {
        &chunk[self.skip as usize..][..self.bytes as usize]
    }

    pub fn end(&self) -> u64 {
        self.offset + u64::from(self.bytes)
    }
}

/// A range of the target without content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub offset: u64,
    pub bytes: u64,
    pub kind: RunKind,
}

/// Why a range has no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunKind {
    Zero,
    Free,
    Unreadable,
}

/// A stretch of the target.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub chunks: Vec<Placement>,
    pub runs: Vec<Run>,
    pub data_bytes: u64,
}

/// Sums over all windows.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    pub data_bytes: u64,
    pub zero_bytes: u64,
    pub free_bytes: u64,
    pub unreadable_bytes: u64,
}

impl Totals {
    pub fn add(&mut self, window: &Window) {
        self.data_bytes += window.data_bytes;
        for run in &window.runs {
            *match run.kind {
                RunKind::Zero => &mut self.zero_bytes,
                RunKind::Free => &mut self.free_bytes,
                RunKind::Unreadable => &mut self.unreadable_bytes,
            } += run.bytes;
        }
    }
}

/// Makes windows.
pub(super) struct Planner<'a> {
    reader: &'a ManifestReader<'a>,
    leaves: std::slice::Iter<'a, LeafPlace>,
    pieces: &'a [Piece],
    limit: WindowLimit,
}

impl<'a> Planner<'a> {
    /// `pieces` are in the order of the image, and do not overlap in it.
    pub fn new(
        reader: &'a ManifestReader<'a>,
        leaves: &'a [LeafPlace],
        pieces: &'a [Piece],
        limit: WindowLimit,
    ) -> Self {
        Self { reader, leaves: leaves.iter(), pieces, limit }
    }

    /// The next window, or `None` after the last.
    pub fn next_window(&mut self) -> Result<Option<Window>> {
        let mut window = Window::default();
        let mut any = false;
        while !window.is_full(self.limit)
            && let Some(leaf) = self.leaves.next()
        {
            let pieces = pieces_in(self.pieces, leaf.offset, leaf.offset + leaf.bytes);
            if !pieces.is_empty() {
                any = true;
                window.add_leaf(leaf, &self.reader.leaf(leaf)?, pieces);
            }
        }
        Ok(any.then_some(window))
    }
}

/// Those of the pieces that touch a range of the image.
fn pieces_in(pieces: &[Piece], start: u64, end: u64) -> &[Piece] {
    let first = pieces.partition_point(|piece| piece.image.end() <= start);
    let count = pieces[first..].partition_point(|piece| piece.image.offset() < end);
    &pieces[first..first + count]
}

impl Window {
    fn is_full(&self, limit: WindowLimit) -> bool {
        match limit {
            WindowLimit::References => self.chunks.len().max(self.runs.len()) >= MAX_REFERENCES,
            WindowLimit::DataBytes => self.data_bytes >= MAX_DATA_BYTES,
        }
    }

    fn add_leaf(&mut self, leaf: &LeafPlace, extents: &[LeafExtent], pieces: &[Piece]) {
        let mut start = leaf.offset;
        for extent in extents {
            let end = start + extent.bytes();
            for piece in pieces_in(pieces, start, end) {
                let from = start.max(piece.image.offset());
                let bytes = end.min(piece.image.end()) - from;
                let offset = piece.target_offset + (from - piece.image.offset());
                match *extent {
                    LeafExtent::Chunk { id, bytes: chunk_bytes } => {
                        // Parts of a chunk are no longer than it.
                        let (skip, bytes) = ((from - start) as u32, bytes as u32);
                        self.chunks.push(Placement { id, chunk_bytes, skip, bytes, offset, at: self.data_bytes });
                        self.data_bytes += u64::from(bytes);
                    }
                    LeafExtent::Other(other) => {
                        let kind = match other {
                            Extent::Free { .. } => RunKind::Free,
                            Extent::Unreadable { .. } => RunKind::Unreadable,
                            Extent::Zero { .. } | Extent::Chunk { .. } => RunKind::Zero,
                        };
                        self.add_run(Run { offset, bytes, kind });
                    }
                }
            }
            start = end;
        }
    }

    fn add_run(&mut self, run: Run) {
        match self.runs.last_mut() {
            Some(last) if last.offset + last.bytes == run.offset && last.kind == run.kind => last.bytes += run.bytes,
            _ => self.runs.push(run),
        }
    }
}
