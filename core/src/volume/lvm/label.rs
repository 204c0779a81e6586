//! Label, header and metadata areas of a physical volume.
//!
//! Source: lvm2, `lib/label/label.h` and `lib/format_text/layout.h`. All integers are little-endian.

use super::super::bytes::{le_u32, le_u64};
use super::super::{Cause, Unmapped, VolumeReader};
use crate::extent::Extent;
use crc::{Algorithm, Crc, Table};

/// LVM counts in sectors of this many bytes, whatever the disk's are.
pub(super) const SECTOR_BYTES: u64 = 512;

/// The label is in one of this many sectors.
const LABEL_SECTORS: u64 = 4;

const SECTOR: usize = SECTOR_BYTES as usize;

/// Most bytes of one copy of the text; LVM's own areas are about 1 MiB unless asked for otherwise.
const MAX_TEXT_BYTES: u64 = 32 << 20;

const MDA_MAGIC: &[u8] = b" LVM2 x[5A%r0N*>";

/// CRC-32 of Ethernet with its own start value and no final inversion.
const CHECKSUM: Algorithm<u32> = Algorithm {
    width: 32,
    poly: 0x04C1_1DB7,
    init: 0xF597_A6CFu32.reverse_bits(),
    refin: true,
    refout: true,
    xorout: 0,
    check: 0,
    residue: 0,
};

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CHECKSUM);

/// LVM's checksum.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    CRC.checksum(bytes)
}

/// A label sector whose signature, place and checksum are right.
pub(super) fn find(volume: &VolumeReader<'_>) -> Option<[u8; SECTOR]> {
    (0..LABEL_SECTORS).find_map(|number| {
        let sector: [u8; SECTOR] = volume.peek(number * SECTOR_BYTES)?;
        let signed = sector.starts_with(b"LABELONE")
            && sector[24..32] == *b"LVM2 001"
            && le_u64(&sector, 8) == Some(number)
            && (le_u32(&sector, 16) == Some(checksum(&sector[20..])) || cfg!(fuzzing));
        (signed && header_at(&sector).is_some_and(|at| uuid(&sector[at..]).is_some())).then_some(sector)
    })
}

/// Where the header of the physical volume is in its label sector: its offset is in the label, and
/// uuid and device size must be inside.
pub(super) fn header_at(sector: &[u8; SECTOR]) -> Option<usize> {
    let at = le_u32(sector, 20)? as usize;
    (32..=SECTOR - 40).contains(&at).then_some(at)
}

/// The 32 characters at the start of `bytes`, with dashes as the tools print them.
pub(super) fn uuid(bytes: &[u8]) -> Option<String> {
    let characters = bytes.get(..32)?;
    if !characters.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#".contains(byte)) {
        return None;
    }
    let mut text = String::with_capacity(38);
    for (number, byte) in characters.iter().enumerate() {
        if (6..30).contains(&number) && number % 4 == 2 {
            text.push('-');
        }
        text.push(char::from(*byte));
    }
    Some(text)
}

/// What the header of a physical volume says.
pub(super) struct Header {
    pub uuid: String,
    pub device_bytes: u64,
    /// Start of the first physical extent, in bytes.
    pub data_start_bytes: u64,
    /// What is kept though it is in no logical volume: metadata areas and the bootloader's.
    pub reserved: Vec<Extent>,
    metadata: Vec<Extent>,
}

/// Reads the header.
pub(super) fn header(volume: &VolumeReader<'_>) -> Result<Header, Unmapped> {
    let sector = find(volume).ok_or_else(|| Unmapped::new(Cause::Unknown, "it has no LVM label"))?;
    let broken = || Unmapped::inconsistent("the header of the physical volume is broken");
    let at = header_at(&sector).ok_or_else(broken)?;
    let uuid = uuid(&sector[at..]).ok_or_else(broken)?;
    let device_bytes = le_u64(&sector, at + 32).ok_or_else(broken)?;
    if device_bytes > volume.bytes() {
        let why = format!("its physical volume has {device_bytes} bytes, and its place {}", volume.bytes());
        return Err(Unmapped::new(Cause::Truncated, why));
    }
    let mut next = at + 40;
    // Lists of offset and size, each closed by zeros: data areas, metadata areas.
    let mut list = || -> Result<Vec<(u64, u64)>, Unmapped> {
        let mut places = Vec::new();
        loop {
            let place = le_u64(&sector, next).zip(le_u64(&sector, next + 8)).ok_or_else(broken)?;
            next += 16;
            if place == (0, 0) {
                return Ok(places);
            }
            places.push(place);
        }
    };
    let data = list()?;
    let metadata = list()?;
    let extents = |places: Vec<(u64, u64)>| -> Result<Vec<Extent>, Unmapped> {
        let extent = |(offset, bytes)| Extent::new(offset, bytes).filter(|area| area.end() <= volume.bytes());
        places.into_iter().map(|place| extent(place).ok_or_else(broken)).collect()
    };
    // Newer headers go on: version, flags, and a third list, the bootloader's area.
    let mut reserved = Vec::new();
    let version = le_u32(&sector, at + 40 + 16 * (data.len() + metadata.len() + 2)).unwrap_or(0);
    if version > 2 {
        return Err(Unmapped::feature(format!("the header of the physical volume has version {version}")));
    }
    if version > 0 {
        next += 8;
        let mut places = Vec::new();
        while let Some(place) = le_u64(&sector, next).zip(le_u64(&sector, next + 8)) {
            next += 16;
            if place == (0, 0) {
                break;
            }
            places.push(place);
        }
        reserved = extents(places)?;
    }
    let &[(data_start_bytes, _)] = data.as_slice() else {
        return Err(Unmapped::feature(format!("the physical volume has {} data areas", data.len())));
    };
    let metadata = extents(metadata)?;
    reserved.extend(&metadata);
    Ok(Header { uuid, device_bytes, data_start_bytes, reserved, metadata })
}

/// The text of the volume group, which all metadata areas of the physical volume must have alike.
pub(super) fn group_text(volume: &VolumeReader<'_>, header: &Header) -> Result<Vec<u8>, Unmapped> {
    let mut found: Option<Vec<u8>> = None;
    for area in &header.metadata {
        let Some(text) = area_text(volume, *area)? else { continue };
        if found.as_ref().is_some_and(|found| *found != text) {
            return Err(Unmapped::inconsistent("the metadata areas of the physical volume differ"));
        }
        found = Some(text);
    }
    found.ok_or_else(|| Unmapped::feature("the physical volume has no copy of the metadata of a volume group"))
}

/// The text that a metadata area holds; `None` where LVM was told to ignore the area.
fn area_text(volume: &VolumeReader<'_>, area: Extent) -> Result<Option<Vec<u8>>, Unmapped> {
    let broken = || Unmapped::inconsistent(format!("the LVM metadata area at byte {} is broken", area.offset()));
    if area.len() <= SECTOR_BYTES {
        return Err(broken());
    }
    let mut header = [0; SECTOR];
    volume.read_into(area.offset(), &mut header)?;
    let field = |at| le_u64(&header, at).ok_or_else(broken);
    let stored = le_u32(&header, 0).ok_or_else(broken)?;
    if header[4..20] != *MDA_MAGIC || (checksum(&header[4..]) != stored && !cfg!(fuzzing)) {
        return Err(broken());
    }
    if le_u32(&header, 20) != Some(1) {
        return Err(Unmapped::feature("the LVM metadata area has an unknown version"));
    }
    if (field(24)?, field(32)?) != (area.offset(), area.len()) {
        return Err(broken());
    }
    // Two places: the text that is valid, and one that is being written.
    let (offset, bytes) = (field(40)?, field(48)?);
    let flags = le_u32(&header, 60).ok_or_else(broken)?;
    if field(64)? != 0 || field(72)? != 0 {
        return Err(Unmapped::new(Cause::Dirty, "a change of the volume group was not finished"));
    }
    match flags {
        0 => {}
        1 => return Ok(None),
        _ => return Err(Unmapped::feature("the LVM metadata area has unknown flags")),
    }
    if offset == 0 {
        return Err(Unmapped::feature("the physical volume belongs to no volume group"));
    }
    // The area after its header is a ring.
    if offset < SECTOR_BYTES || offset >= area.len() || bytes > (area.len() - SECTOR_BYTES).min(MAX_TEXT_BYTES) {
        return Err(broken());
    }
    let straight = bytes.min(area.len() - offset);
    let mut text = volume.read(area.offset() + offset, straight)?;
    text.extend(volume.read(area.offset() + SECTOR_BYTES, bytes - straight)?);
    if Some(checksum(&text)) != le_u32(&header, 56) && !cfg!(fuzzing) {
        return Err(Unmapped::inconsistent("the checksum of the LVM metadata is wrong"));
    }
    // A zero byte ends the text, and is counted.
    text.truncate(text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    Ok(Some(text))
}
