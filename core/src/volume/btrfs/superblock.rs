//! Superblocks and checksums.
//!
//! Source: Linux, `include/uapi/linux/btrfs_tree.h` and `include/uapi/linux/btrfs.h`;
//! btrfs.readthedocs.io, "On-disk Format". All integers are little-endian.

use super::super::bytes::{le_u16, le_u32, le_u64};
use super::super::{Cause, Unmapped, VolumeReader};
use blake2::Blake2b;
use blake2::digest::consts::U32;
use crc::{CRC_32_ISCSI, Crc, Table};
use sha2::{Digest, Sha256};
use twox_hash::XxHash64;

/// Where the superblock and its copies are, in bytes.
pub(super) const PLACES: [u64; 3] = [64 << 10, 64 << 20, 256 << 30];

/// Length of a superblock.
pub(super) const SUPERBLOCK_BYTES: usize = 4096;

/// What the kernel sets aside around each superblock: one stripe.
pub(super) const RESERVED_BYTES: u64 = 64 << 10;

/// The checksum's field at the start of every superblock and node; the sum is over what follows.
pub(super) const CHECKSUM_BYTES: usize = 32;

const MAGIC: &[u8] = b"_BHRfS_M";

static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Bits of incompatible features that change nothing in which blocks are in use, or that are
/// handled here. Not among them: RAID5 and RAID6, RAID1 of more than two copies, zones, the second
/// extent tree, the RAID stripe tree.
const INCOMPAT: u64 = MIXED_BACKREF
    | 1 << 1 // default subvolume
    | 1 << 2 // mixed block groups
    | 1 << 3 // LZO
    | 1 << 4 // ZSTD
    | 1 << 5 // nodes larger than a page
    | 1 << 6 // extended inode references
    | 1 << 8 // skinny metadata
    | 1 << 9 // no holes
    | METADATA_UUID
    | 1 << 16; // simple quotas

const MIXED_BACKREF: u64 = 1;
const METADATA_UUID: u64 = 1 << 10;

/// Bits of features that only writers must know: free space tree, that it is valid, verity, block
/// group tree.
const COMPAT_RO: u64 = 1 | 2 | 4 | BLOCK_GROUP_TREE;
const BLOCK_GROUP_TREE: u64 = 8;

/// Which checksum a filesystem uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    Crc32c,
    XxHash64,
    Sha256,
    Blake2b,
}

impl Checksum {
    fn of(number: u16) -> Option<Self> {
        Some(match number {
            0 => Self::Crc32c,
            1 => Self::XxHash64,
            2 => Self::Sha256,
            3 => Self::Blake2b,
            _ => return None,
        })
    }

    /// Whether a superblock or node has the checksum that it begins with.
    pub fn is_right(self, block: &[u8]) -> bool {
        let Some((stored, rest)) = block.split_at_checked(CHECKSUM_BYTES) else { return false };
        let right = match self {
            Self::Crc32c => stored.starts_with(&CRC32C.checksum(rest).to_le_bytes()),
            Self::XxHash64 => stored.starts_with(&XxHash64::oneshot(0, rest).to_le_bytes()),
            Self::Sha256 => stored == Sha256::digest(rest).as_slice(),
            Self::Blake2b => stored == Blake2b::<U32>::digest(rest).as_slice(),
        };
        right || cfg!(fuzzing)
    }
}

/// Where the root of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root {
    /// Logical address.
    pub address: u64,
    pub generation: u64,
    pub level: u8,
}

/// What a superblock says.
pub(super) struct Superblock {
    raw: [u8; SUPERBLOCK_BYTES],
    /// What nodes carry: the uuid, unless that was changed without rewriting them.
    pub metadata_uuid: [u8; 16],
    pub generation: u64,
    pub root: Root,
    pub chunk_root: Root,
    pub bytes_used: u64,
    pub sector_bytes: u32,
    pub node_bytes: u32,
    pub checksum: Checksum,
    pub device_id: u64,
    pub device_uuid: [u8; 16],
    pub device_bytes: u64,
    pub device_bytes_used: u64,
    /// Chunks that hold the chunk tree: keys and items.
    pub system_chunks: Vec<u8>,
    pub has_block_group_tree: bool,
}

/// The first superblock, if there is one by magic, place and sizes.
pub(super) fn peek(volume: &VolumeReader<'_>) -> Option<[u8; SUPERBLOCK_BYTES]> {
    let raw: [u8; SUPERBLOCK_BYTES] = volume.peek(PLACES[0])?;
    let (sector, node) = sizes(&raw)?;
    let sane = |bytes: u32| bytes.is_power_of_two() && (4096..=65536).contains(&bytes);
    (raw[64..72] == *MAGIC && le_u64(&raw, 48)? == PLACES[0] && sane(sector) && sane(node) && sector <= node)
        .then_some(raw)
}

fn sizes(raw: &[u8]) -> Option<(u32, u32)> {
    Some((le_u32(raw, 144)?, le_u32(raw, 148)?))
}

/// The uuid as `blkid` prints it.
pub(super) fn uuid_text(raw: &[u8; SUPERBLOCK_BYTES]) -> String {
    let mut text = String::with_capacity(36);
    for (number, byte) in raw[32..48].iter().enumerate() {
        if [4, 6, 8, 10].contains(&number) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The label, which ends at a zero byte.
pub(super) fn label(raw: &[u8; SUPERBLOCK_BYTES]) -> Option<String> {
    let field = raw[299..555].split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(field);
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads all superblocks, which must agree, and refuses what is not on the allow-list.
pub(super) fn read(volume: &VolumeReader<'_>) -> Result<Superblock, Unmapped> {
    let raw = peek(volume).ok_or_else(|| Unmapped::new(Cause::Unknown, "it has no Btrfs superblock"))?;
    let kind = le_u16(&raw, 196).and_then(Checksum::of);
    let checksum = kind.ok_or_else(|| Unmapped::feature("its kind of checksum is not known"))?;
    if !checksum.is_right(&raw) {
        return Err(Unmapped::inconsistent("the checksum of the superblock is wrong"));
    }
    let superblock = parse(raw, checksum).ok_or_else(|| Unmapped::inconsistent("the superblock is damaged"))?;
    check(&superblock, volume)?;
    check_copies(&superblock, volume)?;
    Ok(superblock)
}

fn parse(raw: [u8; SUPERBLOCK_BYTES], checksum: Checksum) -> Option<Superblock> {
    let uuid_at = |at: usize| raw.get(at..)?.first_chunk::<16>().copied();
    let incompat = le_u64(&raw, 188)?;
    let (sector_bytes, node_bytes) = sizes(&raw)?;
    let generation = le_u64(&raw, 72)?;
    Some(Superblock {
        metadata_uuid: uuid_at(if incompat & METADATA_UUID != 0 { 571 } else { 32 })?,
        generation,
        root: Root { address: le_u64(&raw, 80)?, generation, level: raw[198] },
        chunk_root: Root { address: le_u64(&raw, 88)?, generation: le_u64(&raw, 164)?, level: raw[199] },
        bytes_used: le_u64(&raw, 120)?,
        sector_bytes,
        node_bytes,
        checksum,
        device_id: le_u64(&raw, 201)?,
        device_bytes: le_u64(&raw, 209)?,
        device_bytes_used: le_u64(&raw, 217)?,
        device_uuid: uuid_at(267)?,
        system_chunks: raw[811..811 + 2048].get(..le_u32(&raw, 160)? as usize)?.to_vec(),
        has_block_group_tree: le_u64(&raw, 180)? & BLOCK_GROUP_TREE != 0,
        raw,
    })
}

fn check(superblock: &Superblock, volume: &VolumeReader<'_>) -> Result<(), Unmapped> {
    let raw = &superblock.raw;
    let field = |at| le_u64(raw, at).ok_or_else(|| Unmapped::inconsistent("the superblock is damaged"));
    // "Written" is the only flag of a filesystem at rest; others: an error, a seed, a dump of
    // metadata alone, a conversion that was not finished.
    let flags = field(56)?;
    if flags != 1 {
        return Err(Unmapped::feature(format!("its superblock has the flags {flags:#x}")));
    }
    let (compat, compat_ro, incompat) = (field(172)?, field(180)?, field(188)?);
    if compat != 0 || compat_ro & !COMPAT_RO != 0 || incompat & !INCOMPAT != 0 || incompat & MIXED_BACKREF == 0 {
        let why = format!("its features are {compat:#x}, {compat_ro:#x}, {incompat:#x}, and not all are supported");
        return Err(Unmapped::feature(why));
    }
    let devices = field(136)?;
    if devices != 1 {
        return Err(Unmapped::feature(format!("it is one of {devices} devices of a filesystem")));
    }
    if field(96)? != 0 {
        return Err(Unmapped::new(Cause::Dirty, "its log was not replayed since it was last in use"));
    }
    if superblock.device_bytes > volume.bytes() {
        let why = format!("it has {} bytes, and its place {}", superblock.device_bytes, volume.bytes());
        return Err(Unmapped::new(Cause::Truncated, why));
    }
    let same_uuid = raw[283..299] == superblock.metadata_uuid;
    if superblock.device_bytes != field(112)? || !same_uuid || superblock.chunk_root.generation > superblock.generation
    {
        return Err(Unmapped::inconsistent("the superblock contradicts itself"));
    }
    Ok(())
}

/// Every place of a copy that lies on the device has the same as the first, but for its own place
/// and its checksum: the kernel writes all of them when it unmounts.
fn check_copies(superblock: &Superblock, volume: &VolumeReader<'_>) -> Result<(), Unmapped> {
    for place in PLACES.into_iter().skip(1) {
        if place + SUPERBLOCK_BYTES as u64 >= superblock.device_bytes {
            break;
        }
        let mut copy = [0; SUPERBLOCK_BYTES];
        volume.read_into(place, &mut copy)?;
        let raw = &superblock.raw;
        let same = copy[32..48] == raw[32..48] && copy[56..] == raw[56..] && le_u64(&copy, 48) == Some(place);
        if !same || !superblock.checksum.is_right(&copy) {
            return Err(Unmapped::inconsistent(format!("the superblock's copy at byte {place} is not like it")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_usual_ones() {
        // Of "123456789": from the catalogues of each algorithm.
        let expected = [
            (Checksum::Crc32c, "839206e3"),
            (Checksum::XxHash64, "83aee640db41b88c"),
            (Checksum::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ];
        for (kind, hex) in expected {
            let mut block: Vec<u8> = hex
                .as_bytes()
                .as_chunks::<2>()
                .0
                .iter()
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect();
            block.resize(CHECKSUM_BYTES, 0);
            block.extend(b"123456789");
            assert!(kind.is_right(&block), "{kind:?}");
            block[0] ^= 1;
            assert!(!kind.is_right(&block), "{kind:?}");
        }
        assert!(!Checksum::Crc32c.is_right(&[0; 31]));
    }
}
