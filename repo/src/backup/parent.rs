//! The parent image: where its chunks lie, as a guess where this image's chunks lie.

use crate::manifest::{LeafExtent, LeafPlace, ManifestReader};
use holotype_core::ChunkId;

/// A chunk of the parent, relative to the region that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParentChunk {
    pub at: usize,
    pub bytes: u32,
    pub id: ChunkId,
}

impl ParentChunk {
    /// The chunk that begins at `at`, if one does.
    pub fn at(chunks: &[ParentChunk], at: usize) -> Option<&ParentChunk> {
        chunks.binary_search_by_key(&at, |chunk| chunk.at).ok().map(|index| &chunks[index])
    }
}

/// The manifest of a parent image.
pub(crate) struct ParentImage<'a> {
    reader: ManifestReader<'a>,
    leaves: Vec<LeafPlace>,
}

impl<'a> ParentImage<'a> {
    pub fn new(reader: ManifestReader<'a>, leaves: Vec<LeafPlace>) -> Self {
        Self { reader, leaves }
    }

    /// The parent's chunks that begin in this range of the disk. A parent that cannot be read is
    /// done without: it only saves work.
    pub fn chunks(&self, offset: u64, length: usize) -> Vec<ParentChunk> {
        let end = offset + length as u64;
        let first = self.leaves.partition_point(|leaf| leaf.offset + leaf.bytes <= offset);
        let mut chunks = Vec::new();
        for leaf in self.leaves[first..].iter().take_while(|leaf| leaf.offset < end) {
            let extents = match self.reader.leaf(leaf) {
                Ok(extents) => extents,
                Err(error) => {
                    tracing::warn!("parent image passed over at byte {}: {error}", leaf.offset);
                    continue;
                }
            };
            let mut position = leaf.offset;
            for extent in extents {
                match extent {
                    LeafExtent::Chunk { id, bytes } => {
                        if (offset..end).contains(&position) {
                            chunks.push(ParentChunk { at: (position - offset) as usize, bytes, id });
                        }
                        position += u64::from(bytes);
                    }
                    LeafExtent::Other(other) => position += other.bytes(),
                }
            }
        }
        chunks
    }
}
