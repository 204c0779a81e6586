//! Which pack holds a chunk or a manifest node: one machine's index over the packs.
//!
//! Truth is the packs; an index is disposable and is rebuilt from them. Every hit is a hint until
//! its pack is known to be live.
//!
//! [`SledIndex`] keeps sorted runs (`run`) of pages (`page`) of entries (`entry`), each run with
//! a filter (`filter`), under one manifest (`catalog`). [`MemoryIndex`] is the same without files.

mod block;
mod catalog;
#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod entry;
mod filter;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod memory;
mod merge;
mod open;
mod packs;
mod page;
mod run;
mod sled_index;
#[cfg(test)]
mod sled_tests;

pub use entry::{MAX_FRAMES, MAX_SLOTS};
pub use memory::MemoryIndex;
pub use open::{DEFAULT_CACHE_BYTES, OpenIndex, SetAside, set_aside};
pub use sled_index::SledIndex;

pub mod segment;

use crate::error::Result;
use holotype_core::{ChunkId, PackId, SegmentId, WriterId};

/// Where a chunk (or node) lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkLocation {
    /// The pack.
    pub pack: PackId,
    /// Number of the frame in the pack, from 0.
    pub frame: u32,
    /// Number of the chunk in the frame, from 0.
    pub slot: u32,
}

/// Whether a pack holds chunks or manifest nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
pub enum PackKind {
    /// Chunks; folder `packs`.
    Data,
    /// Manifest nodes; folder `meta`.
    Meta,
}

/// What an index takes in of one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackContents {
    /// The pack's name.
    pub pack: PackId,
    /// What it holds.
    pub kind: PackKind,
    /// Who signed its footer.
    pub writer: WriterId,
    /// Length of the pack object.
    pub bytes: u64,
    /// The ids of each frame, in slot order. (Node ids stand as `ChunkId` here.)
    pub frames: Vec<Vec<ChunkId>>,
}

/// A pack that an index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexedPack {
    /// The pack's name.
    pub pack: PackId,
    /// What it holds.
    pub kind: PackKind,
    /// Who signed its footer.
    pub writer: WriterId,
    /// Length of the pack object.
    pub bytes: u64,
}

/// Figures of an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Packs known and not removed.
    pub packs: u64,
    /// Entries, also of removed packs until the next merge.
    pub entries: u64,
    /// Sorted runs.
    pub runs: u32,
    /// Bytes on disk, 0 in memory.
    pub disk_bytes: u64,
}

/// An index. Implementations: in memory, and in sled. All methods can be called from many threads.
pub trait ChunkIndex: Send + Sync {
    /// Takes in the contents of packs that are durable, and remembers that `segments` were seen.
    /// Packs that it knows already are passed over. All or nothing after a crash.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn insert(&self, packs: &[PackContents], segments: &[SegmentId]) -> Result<()>;

    /// Whether the segment was taken in.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn has_segment(&self, segment: &SegmentId) -> Result<bool>;

    /// For each id the place of one live copy, in the order of `ids` (any order, repeats allowed).
    /// Cheap per id where many are asked at once: each page is read once.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn locate(&self, ids: &[ChunkId]) -> Result<Vec<Option<ChunkLocation>>>;

    /// `false` only where no entry has this id: the filters alone are asked.
    fn may_contain(&self, id: &ChunkId) -> bool;

    /// Every pack known and not removed, in no order.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn packs(&self) -> Result<Vec<IndexedPack>>;

    /// Forgets packs that are gone: they are not located any more.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn remove_packs(&self, packs: &[PackId]) -> Result<()>;

    /// Figures.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn stats(&self) -> Result<IndexStats>;

    /// Makes what was inserted durable.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn flush(&self) -> Result<()>;
}
