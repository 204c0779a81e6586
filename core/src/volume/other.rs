//! Volumes that are known by their signature and not looked into: kept whole.
//!
//! Sources: util-linux: libblkid; Linux: include/uapi/linux/magic.h; the filesystems' own headers.

use super::bytes::{be_u16, be_u32, le_u16, le_u32};
use super::{Cause, Identity, MapOptions, MapResult, Unmapped, VolumeKind, VolumeReader};

/// Where a signature lies, in bytes.
enum At {
    Start(u64),
    /// Before the volume's end, rounded down to whole sectors of 512 bytes.
    End(u64),
    /// Before the volume's end, rounded down to whole blocks of 4 KiB.
    BlockEnd(u64),
}

struct Signature {
    /// As `blkid` names it.
    name: &'static str,
    at: At,
    magic: &'static [u8],
    /// What else is so, where the magic is short.
    and: fn(&VolumeReader<'_>) -> bool,
}

const fn plain(name: &'static str, at: At, magic: &'static [u8]) -> Signature {
    Signature { name, at, magic, and: |_| true }
}

/// In the order of looking.
static SIGNATURES: &[Signature] = &[
    plain("bcache", At::Start(4096 + 24), b"\xC6\x85\x73\xF6\x4E\x1A\x45\xCA\x82\x65\xF5\x7F\x48\xBA\x6D\x81"),
    plain("bcachefs", At::Start(4096 + 24), b"\xC6\x85\x73\xF6\x66\xCE\x90\xA9\xD9\x6A\x60\xCF\x80\x3D\xF7\xEF"),
    plain("isw_raid_member", At::End(1024), b"Intel Raid ISM Cfg Sig. "),
    plain("ddf_raid_member", At::End(512), b"\xDE\x11\xDE\x11"),
    plain("ddf_raid_member", At::End(512), b"\x11\xDE\x11\xDE"),
    plain("drbd", At::BlockEnd(4096 - 60), b"\x83\x74\x02\x6B"),
    plain("drbd", At::BlockEnd(4096 - 60), b"\x83\x74\x02\x6C"),
    plain("drbd", At::BlockEnd(4096 - 60), b"\x83\x74\x02\x6D"),
    plain("stratis", At::Start(512 + 4), b"!Stra0tis\x86\xFF\x02^\x41rh"),
    plain("vdo", At::Start(0), b"dmvdo001"),
    plain("LDM", At::Start(6 * 512), b"PRIVHEAD"),
    plain("LDM", At::End(512), b"PRIVHEAD"),
    plain("LDM", At::Start(512), b"TOCBLOCK"),
    plain("VMFS_volume_member", At::Start(1 << 20), b"\x0D\xD0\x01\xC0"),
    plain("VMFS", At::Start(2 << 20), b"\x5E\xF1\xAB\x2F"),
    plain("ReFS", At::Start(0), b"\0\0\0ReFS\0"),
    Signature {
        name: "apfs",
        at: At::Start(32),
        magic: b"NXSB",
        and: |volume| {
            volume.peek::<40>(0).is_some_and(|raw| le_u16(&raw, 24) == Some(1) && le_u32(&raw, 36) >= Some(4096))
        },
    },
    Signature { name: "hfsplus", at: At::Start(1024), magic: b"H+\0\x04", and: is_hfs_plus },
    Signature { name: "hfsplus", at: At::Start(1024), magic: b"HX\0\x05", and: is_hfs_plus },
    plain("f2fs", At::Start(1024), b"\x10\x20\xF5\xF2"),
    plain("erofs", At::Start(1024), b"\xE2\xE1\xF5\xE0"),
    Signature {
        name: "nilfs2",
        at: At::Start(1024 + 6),
        magic: b"\x34\x34",
        and: |volume| {
            // Revision 2, and the superblock's length.
            let raw = volume.peek::<16>(1024).unwrap_or_default();
            le_u32(&raw, 0) == Some(2) && le_u16(&raw, 8).is_some_and(|bytes| (256..=1024).contains(&bytes))
        },
    },
    plain("ufs", At::Start((8 << 10) + 1372), b"\x54\x19\x01\x00"),
    plain("ufs", At::Start((8 << 10) + 1372), b"\x00\x01\x19\x54"),
    plain("ufs", At::Start((64 << 10) + 1372), b"\x19\x01\x54\x19"),
    plain("ufs", At::Start((64 << 10) + 1372), b"\x19\x54\x01\x19"),
    plain("reiserfs", At::Start((64 << 10) + 52), b"ReIsErFs"),
    plain("reiserfs", At::Start((64 << 10) + 52), b"ReIsEr2Fs"),
    plain("reiserfs", At::Start((64 << 10) + 52), b"ReIsEr3Fs"),
    plain("reiserfs", At::Start((8 << 10) + 52), b"ReIsErFs"),
    plain("jfs", At::Start(32 << 10), b"JFS1"),
    Signature {
        name: "gfs2",
        at: At::Start(64 << 10),
        magic: b"\x01\x16\x19\x70",
        // The superblock's type.
        and: |volume| volume.peek::<8>(64 << 10).is_some_and(|raw| be_u32(&raw, 4) == Some(1)),
    },
    Signature {
        name: "squashfs",
        at: At::Start(0),
        magic: b"hsqs",
        and: |volume| squashfs_version(volume, le_u16) == Some(4),
    },
    Signature {
        name: "squashfs",
        at: At::Start(0),
        magic: b"sqsh",
        and: |volume| squashfs_version(volume, be_u16).is_some_and(|version| version <= 4),
    },
    plain("iso9660", At::Start((32 << 10) + 1), b"CD001"),
    plain("udf", At::Start((32 << 10) + 1), b"BEA01"),
];

fn is_hfs_plus(volume: &VolumeReader<'_>) -> bool {
    let raw = volume.peek::<44>(1024).unwrap_or([0; 44]);
    be_u32(&raw, 40).is_some_and(|block_bytes| block_bytes.is_power_of_two() && block_bytes >= 512)
}

fn squashfs_version(volume: &VolumeReader<'_>, number: fn(&[u8], usize) -> Option<u16>) -> Option<u16> {
    number(&volume.peek::<32>(0)?, 28)
}

/// Knows the volume by its signature.
pub fn identify(volume: &VolumeReader<'_>) -> Option<Identity> {
    let name = SIGNATURES
        .iter()
        .find(|signature| matches(volume, signature) && (signature.and)(volume))
        .map(|signature| signature.name)
        .or_else(|| is_zfs(volume).then_some("zfs_member"))?;
    Some(Identity { kind: VolumeKind::Other(name), variant: name.to_owned(), uuid: None, label: None })
}

/// Never gives a map.
///
/// # Errors
/// Always.
pub fn map(volume: &VolumeReader<'_>, _options: &MapOptions) -> MapResult {
    let name = identify(volume).map_or(String::new(), |identity| format!(" ({})", identity.variant));
    Err(Unmapped::new(Cause::Unknown, format!("its form{name} is not looked into")))
}

fn matches(volume: &VolumeReader<'_>, signature: &Signature) -> bool {
    let size = volume.bytes();
    let offset = match signature.at {
        At::Start(offset) => Some(offset),
        At::End(before) => (size & !511).checked_sub(before),
        At::BlockEnd(before) => (size & !4095).checked_sub(before),
    };
    let mut found = [0; 32];
    let found = &mut found[..signature.magic.len()];
    offset.is_some_and(|offset| volume.read_into(offset, found).is_ok() && found == signature.magic)
}

/// Four uberblocks in the first two labels, of 256 KiB each: their second half is a ring of them.
fn is_zfs(volume: &VolumeReader<'_>) -> bool {
    const MAGIC: u64 = 0x00BA_B10C;
    let rings = [128 << 10, 384 << 10].into_iter().filter_map(|offset| volume.read(offset, 128 << 10).ok());
    let uberblocks = rings.map(|ring| {
        let is_uberblock = |block: &&[u8; 1024]| {
            block.first_chunk().is_some_and(|magic| *magic == MAGIC.to_le_bytes() || *magic == MAGIC.to_be_bytes())
        };
        ring.as_chunks::<1024>().0.iter().filter(is_uberblock).count()
    });
    uberblocks.sum::<usize>() >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_is_found_where_it_lies() {
        let size = (4 << 20) + 512 + 1000;
        for signature in SIGNATURES {
            let mut disk = vec![0u8; size];
            let offset = match signature.at {
                At::Start(offset) => offset,
                At::End(before) => (4 << 20) + 1024 - before,
                At::BlockEnd(before) => (4 << 20) - before,
            } as usize;
            disk[offset..][..signature.magic.len()].copy_from_slice(signature.magic);
            assert!(matches(&VolumeReader::whole(&disk, 512), signature), "{}", signature.name);
            disk[offset] ^= 1;
            assert!(!matches(&VolumeReader::whole(&disk, 512), signature), "{}", signature.name);
        }
    }
}
