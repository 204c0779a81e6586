//! The extent tree: which logical addresses are in use.

use super::super::bytes::le_u64;
use super::super::{FreeRunsBuilder, Unmapped};
use super::chunks::{CHUNK_OBJECT, Chunks, DATA};
use super::tree::{Key, Trees};
use super::{BLOCK_GROUP_TREE, EXTENT_TREE, Roots};
use crate::extent::Extent;

const EXTENT_ITEM: u8 = 168;
const METADATA_ITEM: u8 = 169;
const BLOCK_GROUP_ITEM: u8 = 192;

/// Items that say who refers to an extent: of a tree block, of data, shared ones of both, and the
/// owner that simple quotas note.
const REFERENCES: [u8; 5] = [176, 178, 182, 184, 172];

/// What an extent holds, as bits of its flags.
const IS_DATA: u64 = 1;
const IS_NODE: u64 = 2;

/// Reads extent tree and block groups, and compares every sum. What of a chunk no extent has goes to
/// `free`, in bytes on the device. Gives the number of extents.
pub(super) fn read(
    trees: &Trees<'_>,
    roots: &Roots,
    free: &mut FreeRunsBuilder,
    nodes: &mut Vec<u64>,
) -> Result<u64, Unmapped> {
    let mut scan = Scan {
        chunks: trees.chunks,
        sector_bytes: trees.superblock.sector_bytes.into(),
        node_bytes: trees.superblock.node_bytes.into(),
        generation: trees.superblock.generation,
        count: 0,
        current: 0,
        end: trees.chunks.as_slice().first().map_or(0, |chunk| chunk.logical.offset()),
        used: vec![0; trees.chunks.as_slice().len()],
        free,
    };
    let mut groups = Vec::new();
    let too_many = || Unmapped::inconsistent("there are more block groups than chunks");
    let most = trees.chunks.as_slice().len();
    trees.walk(EXTENT_TREE, roots.extent, nodes, &mut |key, item| match key.kind {
        EXTENT_ITEM | METADATA_ITEM => scan.extent(key, item),
        BLOCK_GROUP_ITEM if roots.block_group.is_none() => {
            if groups.len() == most {
                return Err(too_many());
            }
            groups.push(BlockGroup::parse(key, item)?);
            Ok(())
        }
        kind if REFERENCES.contains(&kind) => Ok(()),
        other => Err(Unmapped::feature(format!("the extent tree has an item of type {other}"))),
    })?;
    scan.finish()?;
    if let Some(root) = roots.block_group {
        trees.walk(BLOCK_GROUP_TREE, root, nodes, &mut |key, item| {
            if key.kind != BLOCK_GROUP_ITEM {
                return Err(Unmapped::feature(format!("the block group tree has an item of type {}", key.kind)));
            }
            if groups.len() == most {
                return Err(too_many());
            }
            groups.push(BlockGroup::parse(key, item)?);
            Ok(())
        })?;
    }
    // Every chunk is a block group, and every block group a chunk, in the same order.
    let chunks = trees.chunks.as_slice();
    let same = |(group, chunk): (&BlockGroup, &super::chunks::Chunk)| {
        group.logical == chunk.logical && group.flags == chunk.flags
    };
    if groups.len() != chunks.len() || !groups.iter().zip(chunks).all(same) {
        return Err(Unmapped::inconsistent("chunk tree and block groups do not agree"));
    }
    for (group, used) in groups.iter().zip(&scan.used) {
        if group.used != *used {
            let why = format!(
                "the block group at {} counts {} bytes in use, and its extents have {used}",
                group.logical.offset(),
                group.used
            );
            return Err(Unmapped::inconsistent(why));
        }
    }
    // Each sum is at most the length of its chunk, and chunks do not overlap: no overflow.
    let used: u64 = scan.used.iter().sum();
    if used != trees.superblock.bytes_used {
        let counted = trees.superblock.bytes_used;
        let why = format!("the superblock counts {counted} bytes in use, and the extents have {used}");
        return Err(Unmapped::inconsistent(why));
    }
    Ok(scan.count)
}

struct BlockGroup {
    logical: Extent,
    used: u64,
    flags: u64,
}

impl BlockGroup {
    fn parse(key: Key, item: &[u8]) -> Result<Self, Unmapped> {
        let broken = || Unmapped::inconsistent(format!("the block group at {} is damaged", key.object));
        let logical = Extent::new(key.object, key.offset).ok_or_else(broken)?;
        if item.len() != 24 || le_u64(item, 8) != Some(CHUNK_OBJECT) {
            return Err(broken());
        }
        let (used, flags) = le_u64(item, 0).zip(le_u64(item, 16)).ok_or_else(broken)?;
        Ok(Self { logical, used, flags })
    }
}

/// Goes through extents in their order.
struct Scan<'a> {
    chunks: &'a Chunks,
    sector_bytes: u64,
    node_bytes: u64,
    generation: u64,
    count: u64,
    /// The chunk that is being gone through.
    current: usize,
    /// Where the last extent ended, or the chunk begins.
    end: u64,
    /// Sum of the extents of each chunk.
    used: Vec<u64>,
    free: &'a mut FreeRunsBuilder,
}

impl Scan<'_> {
    fn extent(&mut self, key: Key, item: &[u8]) -> Result<(), Unmapped> {
        let broken = || Unmapped::inconsistent(format!("the extent at {} is not possible", key.object));
        let bytes = if key.kind == METADATA_ITEM { self.node_bytes } else { key.offset };
        let range = Extent::new(key.object, bytes).filter(|range| !range.is_empty()).ok_or_else(broken)?;
        let aligned = key.object.is_multiple_of(self.sector_bytes) && bytes.is_multiple_of(self.sector_bytes);
        let (references, generation) = le_u64(item, 0).zip(le_u64(item, 8)).ok_or_else(broken)?;
        let flags = le_u64(item, 16).ok_or_else(broken)? & (IS_DATA | IS_NODE);
        let index = self.chunks.find(range).ok_or_else(broken)?;
        let holds_data = self.chunks.as_slice()[index].flags & DATA != 0;
        let holds_nodes = self.chunks.as_slice()[index].flags & !DATA & 7 != 0;
        let fits = match flags {
            IS_DATA => key.kind == EXTENT_ITEM && holds_data,
            IS_NODE => bytes == self.node_bytes && holds_nodes,
            _ => false,
        };
        if !aligned || !fits || references == 0 || generation > self.generation {
            return Err(broken());
        }
        while self.current < index {
            self.next_chunk()?;
        }
        let gap = Extent::between(self.end, range.offset());
        let gap = gap.ok_or_else(|| Unmapped::inconsistent(format!("two extents overlap at {}", key.object)))?;
        self.add_gap(gap)?;
        self.end = range.end();
        self.used[index] += bytes;
        self.count += 1;
        Ok(())
    }

    fn add_gap(&mut self, gap: Extent) -> Result<(), Unmapped> {
        for place in self.chunks.as_slice()[self.current].on_device(gap) {
            self.free.push(place, gap.len())?;
        }
        Ok(())
    }

    /// Closes the current chunk with the gap at its end.
    fn next_chunk(&mut self) -> Result<(), Unmapped> {
        let chunks = self.chunks.as_slice();
        if let Some(gap) = Extent::between(self.end, chunks[self.current].logical.end()) {
            self.add_gap(gap)?;
        }
        self.current += 1;
        self.end = chunks.get(self.current).map_or(self.end, |chunk| chunk.logical.offset());
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Unmapped> {
        while self.current < self.chunks.as_slice().len() {
            self.next_chunk()?;
        }
        Ok(())
    }
}
