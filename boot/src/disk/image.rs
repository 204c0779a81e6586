//! Makes the image.
//!
//! | sectors | what |
//! |---|---|
//! | 0 | protective MBR, with GRUB's first sector in its code |
//! | 1–33 | GPT |
//! | 40– | BIOS boot partition: GRUB's core |
//! | then, from a whole 256 KiB | ESP (FAT): loaders, kernel, initramfs, profile, manifest |
//! | then, from a whole MiB | data partition (FAT32), where there is one |
//! | last 33 | GPT's copy |

use super::{BIOS_NAME, DATA_LABEL, DATA_NAME, ESP_LABEL, ESP_NAME};
use crate::error::{BootError, Result};
use crate::fat::{self, FatVolume, SECTOR_BYTES};
use crate::loaders::GrubBios;
use crate::new_file::{Readers, new_file, write_failed};
use crate::sparse::Sparse;
use crate::watch::Watch;
use gpt::disk::LogicalBlockSize;
use gpt::partition::Partition;
use gpt::partition_types::{self, Type};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Where GRUB's core begins.
pub const CORE_SECTOR: u64 = 40;
/// Where an ESP may begin: a multiple of what flash is written in, and small beside the medium.
const ESP_STEP_SECTORS: u64 = 512;
const MIB_SECTORS: u64 = 2048;
const TABLE_SECTORS: u64 = 33;
/// Room that the agent may write to: the machine's key.
const SPARE_BYTES: u64 = 64 << 10;

/// How large the data partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DataPartition {
    /// There is none.
    #[default]
    None,
    /// So many bytes.
    Bytes(u64),
    /// As many as make the image so many bytes long.
    UpTo(u64),
}

/// What a disk holds.
pub struct DiskContent<'a> {
    /// Files of the ESP.
    pub files: &'a BTreeMap<String, Vec<u8>>,
    /// GRUB for BIOS.
    pub grub: &'a GrubBios,
    /// Size of the data partition.
    pub data: DataPartition,
}

/// Writes the image to `path`, over what was there before; nothing stays of one that was not made to the end.
///
/// # Errors
/// Where the sizes make no sense, or the file cannot be written.
pub fn make_disk(content: &DiskContent<'_>, path: &Path) -> Result<u64> {
    make_disk_watched(content, path, &())
}

/// The same, watched by somebody who can stop it.
pub(crate) fn make_disk_watched(content: &DiskContent<'_>, path: &Path, watch: &dyn Watch) -> Result<u64> {
    let core_sectors = (content.grub.core.len() as u64).div_ceil(SECTOR_BYTES);
    let esp_sector = (CORE_SECTOR + core_sectors.max(1)).next_multiple_of(ESP_STEP_SECTORS);
    let esp = fat::make(&FatVolume {
        label: ESP_LABEL,
        hidden_sectors: esp_sector,
        sectors: None,
        spare_bytes: SPARE_BYTES,
        files: content.files,
    })?;
    let esp_sectors = esp.content.bytes() / SECTOR_BYTES;
    let mut places = vec![(BIOS_NAME, partition_types::BIOS, CORE_SECTOR, esp_sector - CORE_SECTOR)];
    places.push((ESP_NAME, partition_types::EFI, esp_sector, esp_sectors));
    let mut image = Sparse::new(0);
    image.put(CORE_SECTOR * SECTOR_BYTES, content.grub.core.clone());
    image.put_all(esp_sector * SECTOR_BYTES, esp.content);
    let mut sectors = esp_sector + esp_sectors + TABLE_SECTORS;
    if let Some((first, length, end)) = data_place(content.data, esp_sector + esp_sectors)? {
        places.push((DATA_NAME, partition_types::BASIC, first, length));
        let files = BTreeMap::new();
        let volume = FatVolume {
            label: DATA_LABEL,
            hidden_sectors: first,
            sectors: Some(length),
            spare_bytes: 0,
            files: &files,
        };
        image.put_all(first * SECTOR_BYTES, fat::make(&volume)?.content);
        sectors = end;
    }
    let hash = image.hash();
    // BIOSes and UEFI like images whose end is no odd sector.
    sectors = sectors.next_multiple_of(8);
    let mut mbr = protective_mbr(&content.grub.first_sector, sectors);
    mbr[440..444].copy_from_slice(&hash.as_bytes()[..4]);
    image.put(sectors * SECTOR_BYTES, Vec::new());
    new_file(path, Readers::Owner, watch, |file| {
        image.write_into(file, path, watch)?;
        write_table(file, &places, hash.as_bytes()).map_err(|error| BootError::new(path.display(), error))?;
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&mbr));
        written.map_err(|error| write_failed(path, &error))
    })?;
    Ok(sectors * SECTOR_BYTES)
}

/// First sector and length of the data partition, and sectors of the whole image.
fn data_place(data: DataPartition, used_sectors: u64) -> Result<Option<(u64, u64, u64)>> {
    let first = used_sectors.next_multiple_of(MIB_SECTORS);
    let length = match data {
        DataPartition::None => return Ok(None),
        DataPartition::Bytes(bytes) => bytes / SECTOR_BYTES,
        DataPartition::UpTo(bytes) => (bytes / SECTOR_BYTES).saturating_sub(first + TABLE_SECTORS + 8),
    };
    let length = length / MIB_SECTORS * MIB_SECTORS;
    if length < 512 * MIB_SECTORS {
        let mib = length / MIB_SECTORS;
        return Err(BootError::new("data partition", format_args!("{mib} MiB are too few; it needs 512 MiB"))
            .advise("take a larger medium, or make one without a data partition"));
    }
    Ok(Some((first, length, first + length + TABLE_SECTORS)))
}

/// A GUID out of a hash, marked as made by neither time nor chance (version 8, RFC 9562).
fn guid(hash: &[u8], what: &str) -> u128 {
    let hash = blake3::hash(&[hash, what.as_bytes()].concat());
    let bytes: [u8; 16] = std::array::from_fn(|at| hash.as_bytes()[at]);
    u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | 8 << 76 | 0b10 << 62
}

fn write_table(file: &mut File, places: &[(&str, Type, u64, u64)], hash: &[u8]) -> Result<(), gpt::GptError> {
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(file, None)?;
    let mut partitions = BTreeMap::new();
    for (number, (name, kind, first, sectors)) in (1..).zip(places) {
        let partition = Partition {
            part_type_guid: kind.clone(),
            part_guid: gpt_guid(guid(hash, name)),
            first_lba: *first,
            last_lba: first + sectors - 1,
            flags: 0,
            name: (*name).to_owned(),
        };
        partitions.insert(number, partition);
    }
    table.update_guid(Some(gpt_guid(guid(hash, "disk"))));
    table.update_partitions(partitions)?;
    table.write()?;
    Ok(())
}

fn gpt_guid(value: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(value)
}

/// Code, and one entry that covers the disk: 0 active (some BIOSes boot nothing else), type EE, from sector 1.
fn protective_mbr(code: &[u8; 440], sectors: u64) -> [u8; 512] {
    let mut mbr = [0; 512];
    mbr[..440].copy_from_slice(code);
    mbr[446..454].copy_from_slice(&[0x80, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff]);
    mbr[454..458].copy_from_slice(&1_u32.to_le_bytes());
    mbr[458..462].copy_from_slice(&u32::try_from(sectors - 1).unwrap_or(u32::MAX).to_le_bytes());
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    mbr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sector_stays() {
        let mbr = protective_mbr(&[0x90; 440], 40_960);
        let hex: String = mbr[436..].iter().map(|byte| format!("{byte:02x}")).collect();
        let zeros = "00".repeat(48);
        assert_eq!(hex, format!("9090909000000000000080000200eeffffff01000000ff9f0000{zeros}55aa"));
        assert_eq!(protective_mbr(&[0; 440], 1 << 40)[458..462], [0xff; 4]);
    }

    #[test]
    fn guids_are_made_of_content() {
        let text = uuid::Uuid::from_u128(guid(b"a", "disk")).to_string();
        assert_eq!((&text[14..15], text.len()), ("8", 36));
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
        assert_ne!(guid(b"a", "disk"), guid(b"b", "disk"));
    }
}
