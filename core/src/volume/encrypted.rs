//! Encrypted volumes, LUKS and BitLocker: known, and kept whole.
//!
//! Sources: LUKS On-Disk Format Specification 1.2.3; LUKS2 On-Disk Format Specification; libyal:
//! BitLocker Drive Encryption (BDE) format.

use super::bytes::label;
use super::{Cause, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeReader};

/// Knows the volume by its first header.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    luks(volume).or_else(|| bitlocker(volume))
}

/// Never gives a map: free blocks look like any.
///
/// # Errors
/// Always.
pub fn map(_volume: &VolumeReader<'_>, _options: &MapOptions) -> MapResult {
    Err(Unmapped::new(Cause::Encrypted, "it is encrypted: which blocks are free cannot be told"))
}

fn luks(volume: &VolumeReader<'_>) -> Option<Identity> {
    let raw = volume.peek::<512>(0)?;
    if !raw.starts_with(b"LUKS\xBA\xBE") {
        return None;
    }
    let (variant, label_field): (_, &[u8]) = match raw[6..8] {
        [0, 1] => ("LUKS1", &[]),
        [0, 2] => ("LUKS2", &raw[24..72]),
        _ => return None,
    };
    Some(Identity {
        kind: VolumeKind::Luks,
        variant: variant.to_owned(),
        uuid: label(&raw[168..208]),
        label: label(label_field),
    })
}

/// Of Windows Vista, of later ones, and of removable disks, whose boot sector looks like FAT32's.
fn bitlocker(volume: &VolumeReader<'_>) -> Option<Identity> {
    /// 4967d63b-2e29-4ad8-8399-f6a339e3d001, as it lies on disk.
    const TO_GO: [u8; 16] = *b"\x3B\xD6\x67\x49\x29\x2E\xD8\x4A\x83\x99\xF6\xA3\x39\xE3\xD0\x01";
    let raw = volume.peek::<512>(0)?;
    let variant = match (&raw[..3], &raw[3..11]) {
        (b"\xEB\x52\x90", b"-FVE-FS-") => "BitLocker of Windows Vista",
        (b"\xEB\x58\x90", b"-FVE-FS-") => "BitLocker",
        (b"\xEB\x58\x90", b"MSWIN4.1") if raw[424..440] == TO_GO => "BitLocker To Go",
        _ => return None,
    };
    Some(Identity { kind: VolumeKind::BitLocker, variant: variant.to_owned(), uuid: None, label: None })
}
