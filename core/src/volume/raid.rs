//! Members of Linux software RAIDs (md): known, and kept whole.
//!
//! Sources: Linux: include/uapi/linux/raid/md_p.h; md(4).

use super::bytes::{self, array, be_u32, le_u32, le_u64};
use super::{Cause, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeReader};

const MAGIC: u32 = 0xA92B_4EFC;

/// Knows the volume by a superblock at its start or its end.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let size = volume.bytes();
    // Version 1.0 lies at least 8 and less than 12 KiB before the end, on a boundary of 4 KiB.
    let near_end = (size / 512).checked_sub(16).map(|sector| (sector & !7) * 512);
    version_1(volume, 0, "md 1.1")
        .or_else(|| version_1(volume, 4096, "md 1.2"))
        .or_else(|| version_1(volume, near_end?, "md 1.0"))
        .or_else(|| version_0(volume))
}

/// Never gives a map: the RAID lies over other volumes too.
///
/// # Errors
/// Always.
pub fn map(_volume: &VolumeReader<'_>, _options: &MapOptions) -> MapResult {
    Err(Unmapped::new(Cause::Unknown, "it is a member of a Linux software RAID"))
}

/// The superblock says itself where it lies, in sectors of 512 bytes.
fn version_1(volume: &VolumeReader<'_>, offset: u64, variant: &str) -> Option<Identity> {
    let raw = volume.peek::<256>(offset)?;
    let is_superblock = le_u32(&raw, 0)? == MAGIC && le_u32(&raw, 4)? == 1 && le_u64(&raw, 144)? == offset / 512;
    is_superblock.then_some(Identity {
        kind: VolumeKind::Raid,
        variant: variant.to_owned(),
        uuid: bytes::uuid(array(&raw, 16)?),
        label: bytes::label(&raw[32..64]),
    })
}

/// Version 0.90 lies in the last whole 64 KiB, in the byte order of the machine that made it.
fn version_0(volume: &VolumeReader<'_>) -> Option<Identity> {
    let offset = (volume.bytes() & !0xFFFF).checked_sub(0x1_0000)?;
    let raw = volume.peek::<64>(offset)?;
    let number = if le_u32(&raw, 0)? == MAGIC { le_u32 } else { be_u32 };
    if number(&raw, 0)? != MAGIC || number(&raw, 4)? != 0 {
        return None;
    }
    let mut uuid = [0; 16];
    // The first word of the UUID lies apart from the rest.
    for (word, at) in uuid.as_chunks_mut::<4>().0.iter_mut().zip([20, 52, 56, 60]) {
        *word = number(&raw, at)?.to_be_bytes();
    }
    Some(Identity { kind: VolumeKind::Raid, variant: "md 0.90".to_owned(), uuid: bytes::uuid(uuid), label: None })
}
