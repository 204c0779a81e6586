//! Trees: every node is checked before anything in it is believed.
//!
//! Source: Linux, `include/uapi/linux/btrfs_tree.h`; btrfs.readthedocs.io, "On-disk Format".

use super::super::bytes::{le_u32, le_u64};
use super::super::{Unmapped, VolumeReader};
use super::chunks::{Chunks, METADATA, SYSTEM};
use super::superblock::{Root, Superblock};
use crate::extent::Extent;

/// Length of a key on disk.
pub(super) const KEY_BYTES: usize = 17;

const HEADER_BYTES: usize = 101;
const ITEM_BYTES: usize = KEY_BYTES + 8;
const POINTER_BYTES: usize = KEY_BYTES + 16;

/// A tree has at most this many levels.
const MAX_LEVEL: u8 = 7;

/// What items are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub object: u64,
    pub kind: u8,
    pub offset: u64,
}

impl Key {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self { object: le_u64(bytes, 0)?, kind: *bytes.get(8)?, offset: le_u64(bytes, 9)? })
    }
}

/// Reads trees through a map of chunks.
pub(super) struct Trees<'a> {
    pub volume: &'a VolumeReader<'a>,
    pub superblock: &'a Superblock,
    pub chunks: &'a Chunks,
    /// Which chunks may hold the nodes.
    pub kinds: u64,
}

/// What is done with each item: its key and its data.
pub(super) type Visit<'v> = dyn FnMut(Key, &[u8]) -> Result<(), Unmapped> + 'v;

/// A walk through one tree.
struct Walk<'w> {
    tree: u64,
    last: Option<Key>,
    nodes: &'w mut Vec<u64>,
    visit: &'w mut Visit<'w>,
}

impl Trees<'_> {
    /// Visits every item of a tree in the order of their keys; `nodes` collects the logical addresses
    /// of its nodes.
    ///
    /// No node is visited twice, whatever they say: each has at least one item, and keys must rise
    /// strictly over the whole tree. The time is therefore bounded by the size of the volume.
    pub fn walk(&self, tree: u64, root: Root, nodes: &mut Vec<u64>, visit: &mut Visit<'_>) -> Result<(), Unmapped> {
        if root.level > MAX_LEVEL {
            return Err(Unmapped::inconsistent(format!("tree {tree} has {} levels", root.level)));
        }
        self.node(root, &mut Walk { tree, last: None, nodes, visit }, None)
    }

    fn node(&self, at: Root, walk: &mut Walk<'_>, first_key: Option<Key>) -> Result<(), Unmapped> {
        let tree = walk.tree;
        let broken = || Unmapped::inconsistent(format!("the node of tree {tree} at {} is damaged", at.address));
        let node = self.read(at, tree)?.ok_or_else(broken)?;
        let count = le_u32(&node, 96).ok_or_else(broken)? as usize;
        let body = &node[HEADER_BYTES..];
        let entry_bytes = if at.level == 0 { ITEM_BYTES } else { POINTER_BYTES };
        if count == 0 || count > body.len() / entry_bytes || (first_key.is_some() && first_key != Key::parse(body)) {
            return Err(broken());
        }
        walk.nodes.push(at.address);
        let entries = body[..count * entry_bytes].chunks_exact(entry_bytes);
        if at.level > 0 {
            for entry in entries {
                let key = Key::parse(entry).ok_or_else(broken)?;
                let pointer = le_u64(entry, KEY_BYTES).zip(le_u64(entry, KEY_BYTES + 8));
                let (address, generation) = pointer.ok_or_else(broken)?;
                // The key of a pointer is the first of its child, and beyond all before it.
                if walk.last.is_some_and(|last| last >= key) {
                    return Err(broken());
                }
                self.node(Root { address, generation, level: at.level - 1 }, walk, Some(key))?;
            }
            return Ok(());
        }
        // Items' data lie without gaps from the end of the leaf towards its start.
        let mut data_end = body.len();
        for entry in entries {
            let key = Key::parse(entry).ok_or_else(broken)?;
            let place = le_u32(entry, KEY_BYTES).zip(le_u32(entry, KEY_BYTES + 4));
            let (start, length) = place.map(|(start, length)| (start as usize, length as usize)).ok_or_else(broken)?;
            let in_place = start.checked_add(length) == Some(data_end) && start >= count * ITEM_BYTES;
            if !in_place || walk.last.is_some_and(|last| last >= key) {
                return Err(broken());
            }
            walk.last = Some(key);
            data_end = start;
            (walk.visit)(key, &body[start..start + length])?;
        }
        Ok(())
    }

    /// The node, whose header must be what its parent says. `None` where it is not.
    fn read(&self, at: Root, tree: u64) -> Result<Option<Vec<u8>>, Unmapped> {
        let superblock = self.superblock;
        let bytes = u64::from(superblock.node_bytes);
        let range = Extent::new(at.address, bytes);
        let Some(range) = range.filter(|_| at.address.is_multiple_of(superblock.sector_bytes.into())) else {
            return Ok(None);
        };
        let chunk = self.chunks.find(range).map(|index| &self.chunks.as_slice()[index]);
        let Some(chunk) = chunk.filter(|chunk| chunk.flags & self.kinds != 0) else { return Ok(None) };
        let Some(place) = chunk.on_device(range).next() else { return Ok(None) };
        let node = self.volume.read(place, bytes)?;
        let written = le_u64(&node, 56).is_some_and(|flags| flags & 1 != 0);
        let right = superblock.checksum.is_right(&node)
            && node[32..48] == superblock.metadata_uuid
            && le_u64(&node, 48) == Some(at.address)
            && le_u64(&node, 80) == Some(at.generation)
            && le_u64(&node, 88) == Some(tree)
            && node[100] == at.level
            && at.generation <= superblock.generation
            && written;
        Ok(right.then_some(node))
    }
}

/// Chunks that may hold the nodes of the chunk tree, and of all other trees.
pub(super) const IN_SYSTEM: u64 = SYSTEM;
pub(super) const IN_METADATA: u64 = METADATA;
