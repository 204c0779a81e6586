//! XFS, version 5: free blocks by each allocation group's tree of free space.
//!
//! Source: xfsprogs: xfs_format.h, xfs_log_format.h; XFS Algorithms & Data Structures.

mod groups;
mod log;
mod superblock;

use super::{FreeRuns, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeMap, VolumeReader, bytes};
use superblock::Superblock;

/// Knows the volume by its superblock.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let superblock = Superblock::read(volume)?;
    Some(Identity {
        kind: VolumeKind::Xfs,
        variant: "xfs".to_owned(),
        uuid: bytes::uuid(superblock.uuid),
        label: bytes::label(&superblock.label),
    })
}

/// Free blocks by the trees of free space.
///
/// # Errors
/// Why it cannot be told which blocks are free.
pub fn map(volume: &VolumeReader<'_>, _options: &MapOptions) -> MapResult {
    let superblock = Superblock::read(volume).ok_or_else(|| Unmapped::inconsistent("it has no superblock of XFS"))?;
    superblock.check(volume)?;
    log::check_clean(volume, &superblock)?;
    let mut free = FreeRuns::builder(volume.bytes());
    let mut counted_free: u64 = 0;
    for ag in 0..superblock.ag_count {
        let group = groups::read_group(volume, &superblock, ag)?;
        for run in &group.free {
            free.push(superblock.offset(ag, run.start), run.length * superblock.block_bytes)?;
        }
        counted_free += group.counted_free;
    }
    if counted_free != superblock.free_blocks {
        return Err(Unmapped::inconsistent(format!(
            "the superblock claims {} free blocks, and its allocation groups have {counted_free}",
            superblock.free_blocks
        )));
    }
    Ok(VolumeMap {
        free: free.finish(),
        block_bytes: superblock.block_bytes as u32,
        method: format!("free space of {} allocation groups", superblock.ag_count),
        dropped: Vec::new(),
    })
}
