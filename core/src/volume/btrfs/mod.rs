//! Btrfs on one device.
//!
//! Two things are free: what of the device no chunk has, and what of a chunk no extent has. Chunks
//! are those of the chunk tree, which must agree with the device tree; extents are those of the
//! extent tree, whose sums must agree with each block group's and the superblock's. Superblocks, the
//! first MiB, and what is beyond the filesystem's end are kept.
//!
//! Btrfs never overwrites what the last superblock leads to, so the volume needs no recovery as long
//! as there is no log to replay. The superblock also names the roots of up to four generations before
//! it. Their blocks may be free, and be overwritten at any time by a filesystem in use; no mount
//! looks at them unless told so (`rescue=usebackuproot`), to save what can be saved of a damaged
//! filesystem. A map is made only of one that is not damaged, so they are not kept.
//!
//! Subvolumes and snapshots share blocks by counted references, which are all in the extent tree.
//!
//! Source: Linux, `include/uapi/linux/btrfs_tree.h`; btrfs.readthedocs.io, "On-disk Format".

mod chunks;
mod extents;
mod superblock;
mod tree;

use super::bytes::le_u64;
use super::{Cause, FreeRuns, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeMap, VolumeReader};
use crate::extent::Extent;
use chunks::{CHUNK_ITEM, Chunk, Chunks};
use superblock::{PLACES, RESERVED_BYTES, Root, Superblock};
use tree::{IN_METADATA, IN_SYSTEM, Trees};

/// Trees, by the object that their root has in the root tree.
const ROOT_TREE: u64 = 1;
const EXTENT_TREE: u64 = 2;
const CHUNK_TREE: u64 = 3;
const DEVICE_TREE: u64 = 4;
const BLOCK_GROUP_TREE: u64 = 11;

/// Copies of trees whose blocks are being moved.
const RELOCATION_TREE: u64 = -8i64 as u64;
/// Object of the item that says a balance is running or paused.
const BALANCE: u64 = -4i64 as u64;

const ROOT_ITEM: u8 = 132;
const DEVICE_EXTENT: u8 = 204;
const DEVICE_ITEM: u8 = 216;
const TEMPORARY_ITEM: u8 = 248;
const PERSISTENT_ITEM: u8 = 249;
const REPLACE_ITEM: u8 = 250;

/// Chunks never lie here, for the sake of boot loaders.
const BOOT_BYTES: u64 = 1 << 20;

/// Knows Btrfs by its first superblock.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let raw = superblock::peek(volume)?;
    let uuid = Some(superblock::uuid_text(&raw));
    Some(Identity { kind: VolumeKind::Btrfs, variant: "btrfs".into(), uuid, label: superblock::label(&raw) })
}

/// Maps what neither a chunk nor, within a chunk, an extent has.
pub fn map(volume: &VolumeReader<'_>, _options: &MapOptions) -> MapResult {
    let superblock = superblock::read(volume)?;
    // Logical addresses of all nodes that are read; at the end none of them may be free.
    let mut nodes = Vec::new();
    let chunks = read_chunks(volume, &superblock, &mut nodes)?;
    let trees = Trees { volume, superblock: &superblock, chunks: &chunks, kinds: IN_METADATA };
    let roots = read_roots(&trees, &mut nodes)?;
    let device_extents = chunks.device_extents()?;
    check_device_tree(&trees, roots.device, &device_extents, &mut nodes)?;

    // Within chunks, then between them.
    let mut free = FreeRuns::builder(superblock.device_bytes);
    let count = extents::read(&trees, &roots, &mut free, &mut nodes)?;
    let mut end = BOOT_BYTES.min(superblock.device_bytes);
    for (extent, _) in &device_extents {
        if let Some(gap) = Extent::between(end, extent.offset()) {
            free.push(gap.offset(), gap.len())?;
        }
        end = end.max(extent.end());
    }
    free.push(end, superblock.device_bytes - end)?;
    let mut free = free.finish();
    let kept = PLACES.map(|place| Extent::new(place, RESERVED_BYTES)).into_iter().flatten();
    for kept in kept.chain(Extent::new(0, BOOT_BYTES)) {
        free = free.without(kept);
    }
    check_nodes(&free, &chunks, &superblock, nodes.into_iter().chain(roots.others))?;
    let method = format!("extent tree: {count} extents in {} chunks", chunks.as_slice().len());
    Ok(VolumeMap { free, block_bytes: superblock.sector_bytes, method, dropped: Vec::new() })
}

/// The chunk tree. The chunks that lead to it, in the superblock, must be in it.
fn read_chunks(volume: &VolumeReader<'_>, superblock: &Superblock, nodes: &mut Vec<u64>) -> Result<Chunks, Unmapped> {
    let leading = chunks::of_superblock(superblock)?;
    let trees = Trees { volume, superblock, chunks: &leading, kinds: IN_SYSTEM };
    let mut found = Vec::new();
    let mut devices = 0;
    // Chunks have several MiB at least.
    let most = superblock.device_bytes >> 20;
    trees.walk(CHUNK_TREE, superblock.chunk_root, nodes, &mut |key, item| {
        match key.kind {
            CHUNK_ITEM if found.len() as u64 <= most => found.push(Chunk::parse(key, item, superblock)?),
            CHUNK_ITEM => return Err(Unmapped::inconsistent("it has more chunks than MiB")),
            // The device's number, length and use are as in the superblock.
            DEVICE_ITEM => {
                let device = (le_u64(item, 0), le_u64(item, 8), le_u64(item, 16));
                let (id, bytes, used) = (superblock.device_id, superblock.device_bytes, superblock.device_bytes_used);
                if device != (Some(id), Some(bytes), Some(used)) || key.offset != id {
                    return Err(Unmapped::inconsistent("the chunk tree knows another device than the superblock"));
                }
                devices += 1;
            }
            other => return Err(Unmapped::feature(format!("the chunk tree has an item of type {other}"))),
        }
        Ok(())
    })?;
    let chunks = Chunks::new(found)?;
    if devices != 1 || !leading.as_slice().iter().all(|chunk| chunks.as_slice().contains(chunk)) {
        return Err(Unmapped::inconsistent("the superblock's array of chunks is not that of the chunk tree"));
    }
    Ok(chunks)
}

/// Where the trees are that are read here.
struct Roots {
    extent: Root,
    device: Root,
    block_group: Option<Root>,
    /// Addresses of the roots of all other trees.
    others: Vec<u64>,
}

fn read_roots(trees: &Trees<'_>, nodes: &mut Vec<u64>) -> Result<Roots, Unmapped> {
    let (mut extent, mut device, mut block_group, mut others) = (None, None, None, Vec::new());
    trees.walk(ROOT_TREE, trees.superblock.root, nodes, &mut |key, item| {
        if (key.object, key.kind) == (BALANCE, TEMPORARY_ITEM) {
            return Err(Unmapped::new(Cause::Dirty, "a balance was not finished"));
        }
        if key.kind != ROOT_ITEM {
            return Ok(());
        }
        if key.object == RELOCATION_TREE {
            return Err(Unmapped::new(Cause::Dirty, "blocks were being moved when it was last in use"));
        }
        let broken = || Unmapped::inconsistent(format!("the root of tree {} is damaged", key.object));
        let (generation, address) = le_u64(item, 160).zip(le_u64(item, 176)).ok_or_else(broken)?;
        let root = Root { address, generation, level: *item.get(238).ok_or_else(broken)? };
        match key.object {
            EXTENT_TREE if key.offset == 0 => extent = Some(root),
            DEVICE_TREE if key.offset == 0 => device = Some(root),
            BLOCK_GROUP_TREE if key.offset == 0 => block_group = Some(root),
            _ => others.push(address),
        }
        Ok(())
    })?;
    let missing = || Unmapped::inconsistent("a tree is missing");
    if block_group.is_some() != trees.superblock.has_block_group_tree {
        return Err(missing());
    }
    Ok(Roots { extent: extent.ok_or_else(missing)?, device: device.ok_or_else(missing)?, block_group, others })
}

/// The device tree must have the same pieces of the device as the chunks.
fn check_device_tree(
    trees: &Trees<'_>,
    root: Root,
    device_extents: &[(Extent, u64)],
    nodes: &mut Vec<u64>,
) -> Result<(), Unmapped> {
    let differs = || Unmapped::inconsistent("chunk tree and device tree do not agree");
    let used: u64 = device_extents.iter().map(|(extent, _)| extent.len()).sum();
    if used != trees.superblock.device_bytes_used {
        return Err(differs());
    }
    let mut expected = device_extents.iter();
    trees.walk(DEVICE_TREE, root, nodes, &mut |key, item| {
        match key.kind {
            DEVICE_EXTENT => {
                let (chunk, length) = le_u64(item, 16).zip(le_u64(item, 24)).ok_or_else(differs)?;
                let extent = Extent::new(key.offset, length).ok_or_else(differs)?;
                if key.object != trees.superblock.device_id || expected.next() != Some(&(extent, chunk)) {
                    return Err(differs());
                }
            }
            // Counters of errors.
            PERSISTENT_ITEM => {}
            // Never begun, finished or cancelled; else begun or suspended.
            REPLACE_ITEM => match le_u64(item, 32).ok_or_else(differs)? {
                0 | 2 | 3 => {}
                _ => return Err(Unmapped::new(Cause::Dirty, "a device was being replaced")),
            },
            other => return Err(Unmapped::feature(format!("the device tree has an item of type {other}"))),
        }
        Ok(())
    })?;
    if expected.next().is_some() { Err(differs()) } else { Ok(()) }
}

/// No node that was read, and no root of any other tree, may be free: the extent tree would lie.
fn check_nodes(
    free: &FreeRuns,
    chunks: &Chunks,
    superblock: &Superblock,
    nodes: impl Iterator<Item = u64>,
) -> Result<(), Unmapped> {
    for address in nodes {
        let lost = || Unmapped::inconsistent(format!("the node at {address} is in use and not in the extent tree"));
        let range = Extent::new(address, superblock.node_bytes.into()).ok_or_else(lost)?;
        let chunk = &chunks.as_slice()[chunks.find(range).ok_or_else(lost)?];
        for place in chunk.on_device(range) {
            let place = Extent::new(place, range.len()).ok_or_else(lost)?;
            if free.within(place).next().is_some() {
                return Err(lost());
            }
        }
    }
    Ok(())
}
