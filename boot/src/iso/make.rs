//! Makes the image.

use super::SECTOR_BYTES;
use super::descriptors::{boot_record, catalogue, end, path_record, primary, record};
use crate::error::{BootError, Result};
use crate::fat::MadeFat;
use crate::sparse::Sparse;
use std::collections::BTreeMap;

/// What an image holds.
pub struct IsoContent<'a> {
    /// `isolinux.bin`; its boot information is filled in.
    pub isolinux: Vec<u8>,
    /// MBR code, 432 bytes.
    pub hybrid: &'a [u8],
    /// Files beside the ESP's, by path.
    pub files: &'a BTreeMap<String, Vec<u8>>,
    /// The ESP's volume.
    pub esp: MadeFat,
    /// Length of the ESP's files.
    pub esp_files: &'a BTreeMap<String, Vec<u8>>,
}

const ISOLINUX_PATH: &str = "isolinux/isolinux.bin";
const CATALOGUE_SECTOR: u64 = 19;
const FIRST_FOLDER_SECTOR: u64 = 22;
/// Where files begin.
const FIRST_FILE_SECTOR: u64 = FIRST_FOLDER_SECTOR + 64;
/// Bytes of the first sector before the disk's id.
const MBR_CODE_BYTES: usize = 440;

/// Where something is: first sector, bytes.
type Place = (u32, u32);

#[derive(Default)]
struct Folder {
    folders: BTreeMap<Vec<u8>, usize>,
    files: BTreeMap<Vec<u8>, Place>,
    above: usize,
    place: Place,
}

fn too_large() -> BootError {
    BootError::new("ISO image", "it would be larger than ISO 9660 allows")
}

/// Where isolinux.bin and the files beside the ESP's are, and the sector behind them.
fn places(isolinux_bytes: usize, files: &BTreeMap<String, Vec<u8>>) -> Result<(BTreeMap<String, Place>, u64)> {
    let mut next = FIRST_FILE_SECTOR;
    let mut places = BTreeMap::new();
    let sizes = files.iter().map(|(path, bytes)| (path.as_str(), bytes.len()));
    for (path, bytes) in [(ISOLINUX_PATH, isolinux_bytes)].into_iter().chain(sizes) {
        let sector = u32::try_from(next).map_err(|_| too_large())?;
        next += (bytes as u64).div_ceil(SECTOR_BYTES);
        places.insert(path.to_owned(), (sector, u32::try_from(bytes).map_err(|_| too_large())?));
    }
    Ok((places, next))
}

/// What a BIOS starts, as it will stand on the medium: name, where in bytes, and content. The arguments are those of
/// [`IsoContent`].
///
/// # Errors
/// Where boot files are not as known.
pub fn bios_parts(
    isolinux: Vec<u8>,
    hybrid: &[u8],
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<Vec<(String, u64, Vec<u8>)>> {
    let (places, _) = places(isolinux.len(), files)?;
    let place = places[ISOLINUX_PATH];
    let mut first_sector = mbr(hybrid, place.0, 0, 0, &[0; 4])?;
    first_sector.truncate(MBR_CODE_BYTES);
    let at = |place: Place| u64::from(place.0) * SECTOR_BYTES;
    let mut parts = vec![("ISOLINUX's first sector".to_owned(), 0, first_sector)];
    parts.push((ISOLINUX_PATH.to_owned(), at(place), with_boot_information(isolinux, place)?));
    parts.extend(files.iter().map(|(path, bytes)| (path.clone(), at(places[path]), bytes.clone())));
    Ok(parts)
}

/// Makes the image.
///
/// # Errors
/// Where it would be too large, or boot files are not as known.
pub fn make_iso(content: IsoContent<'_>) -> Result<Sparse> {
    let mut image = Sparse::new(0);
    let (mut places, esp_sector) = places(content.isolinux.len(), content.files)?;
    let isolinux = places[ISOLINUX_PATH];
    image.put(u64::from(isolinux.0) * SECTOR_BYTES, with_boot_information(content.isolinux, isolinux)?);
    for (path, bytes) in content.files {
        image.put(u64::from(places[path].0) * SECTOR_BYTES, bytes.clone());
    }
    let esp_bytes = content.esp.content.bytes();
    let esp_sector = u32::try_from(esp_sector).map_err(|_| too_large())?;
    for (path, bytes) in content.esp_files {
        let offset = content.esp.places.get(path).copied().unwrap_or(0) / SECTOR_BYTES;
        let sector = u32::try_from(u64::from(esp_sector) + offset).map_err(|_| too_large())?;
        places.insert(path.clone(), (sector, u32::try_from(bytes.len()).map_err(|_| too_large())?));
    }
    image.put_all(u64::from(esp_sector) * SECTOR_BYTES, content.esp.content);
    // CD drives read ahead: 150 sectors of nothing at the end, as all writers leave them; and whole MiB for sticks.
    let bytes = (image.bytes() + 150 * SECTOR_BYTES).next_multiple_of(1 << 20);
    let sectors = u32::try_from(bytes / SECTOR_BYTES).map_err(|_| too_large())?;

    let mut folders = tree(&places);
    let mut next_folder = FIRST_FOLDER_SECTOR;
    for at in 0..folders.len() {
        let length = folder_bytes(&folders, at).len() as u64;
        folders[at].place = (next_folder as u32, length as u32);
        next_folder += length / SECTOR_BYTES;
    }
    if next_folder > FIRST_FILE_SECTOR {
        return Err(BootError::new("ISO image", "it has too many folders"));
    }
    for at in 0..folders.len() {
        image.put(u64::from(folders[at].place.0) * SECTOR_BYTES, folder_bytes(&folders, at));
    }
    let tables = [false, true].map(|most_first| path_table(&folders, most_first));
    let root = record(&[0], folders[0].place.0, folders[0].place.1, true);
    let table_bytes = tables[0].len() as u32;
    if u64::from(table_bytes) > SECTOR_BYTES {
        return Err(BootError::new("ISO image", "it has too many folders"));
    }
    image.put(16 * SECTOR_BYTES, primary("HOLOTYPE", sectors, table_bytes, [20, 21], &root));
    image.put(17 * SECTOR_BYTES, boot_record(CATALOGUE_SECTOR as u32));
    image.put(18 * SECTOR_BYTES, end());
    image.put(CATALOGUE_SECTOR * SECTOR_BYTES, catalogue(isolinux.0, esp_sector, esp_bytes / 512));
    for (sector, table) in (20..).zip(tables) {
        image.put(sector * SECTOR_BYTES, table);
    }
    image.put(bytes, Vec::new());
    let id = image.hash();
    image.put(0, mbr(content.hybrid, isolinux.0, esp_sector, esp_bytes, &id.as_bytes()[..4])?);
    Ok(image)
}

/// ISOLINUX wants to know where it is: from byte 8, sector of the volume descriptor, its own sector, its length, and
/// the sum of its 32-bit words from byte 64.
fn with_boot_information(mut isolinux: Vec<u8>, place: Place) -> Result<Vec<u8>> {
    if isolinux.len() < 2048 {
        return Err(BootError::new("isolinux.bin", "it is not as known here").advise("install the package isolinux"));
    }
    let word = |part: &[u8]| part.iter().rev().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    let sum = isolinux[64..].chunks(4).fold(0_u32, |sum, part| sum.wrapping_add(word(part)));
    for (at, value) in [(8, 16), (12, place.0), (16, place.1), (20, sum)] {
        isolinux[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    isolinux[24..64].fill(0);
    Ok(isolinux)
}

/// The first sector for disks: ISOLINUX's code, the place of isolinux.bin in sectors of 512 bytes at 432, a disk id at
/// 440, one partition.
fn mbr(code: &[u8], isolinux: u32, esp: u32, esp_bytes: u64, id: &[u8]) -> Result<Vec<u8>> {
    let mut mbr = vec![0; 512];
    let code = code
        .get(..432)
        .ok_or_else(|| BootError::new("isohdpfx.bin", "it is too short").advise("install the package isolinux"))?;
    mbr[..432].copy_from_slice(code);
    mbr[432..440].copy_from_slice(&(u64::from(isolinux) * 4).to_le_bytes());
    mbr[440..444].copy_from_slice(id);
    mbr[446..454].copy_from_slice(&[0x80, 0xfe, 0xff, 0xff, 0xef, 0xfe, 0xff, 0xff]);
    mbr[454..458].copy_from_slice(&(esp * 4).to_le_bytes());
    mbr[458..462].copy_from_slice(&u32::try_from(esp_bytes / 512).unwrap_or(u32::MAX).to_le_bytes());
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    Ok(mbr)
}

/// A name as ISO 9660 (level 2 at most) has it: capitals, digits, `_`, one dot, `;1` behind files.
fn iso_name(name: &str, is_file: bool) -> Vec<u8> {
    let plain = |text: &str| {
        text.bytes().map(|b| if b.is_ascii_alphanumeric() { b.to_ascii_uppercase() } else { b'_' }).collect::<Vec<u8>>()
    };
    if !is_file {
        return plain(name);
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    [plain(stem), b".".to_vec(), plain(extension), b";1".to_vec()].concat()
}

/// Folders in the order of path tables: by depth, then by the folder above, then by name.
fn tree(places: &BTreeMap<String, Place>) -> Vec<Folder> {
    let mut paths: Vec<Vec<&str>> = places
        .keys()
        .flat_map(|path| {
            let parts: Vec<&str> = path.split('/').collect();
            (0..parts.len()).map(move |depth| parts[..depth].to_vec())
        })
        .collect();
    paths.sort_by_key(|path| (path.len(), path.clone()));
    paths.dedup();
    let number = |path: &[&str]| paths.iter().position(|other| other == path).unwrap_or(0);
    let mut folders: Vec<Folder> = paths.iter().map(|_| Folder::default()).collect();
    for (at, path) in paths.iter().enumerate().skip(1) {
        let above = number(&path[..path.len() - 1]);
        folders[at].above = above;
        folders[above].folders.insert(iso_name(path[path.len() - 1], false), at);
    }
    for (path, place) in places {
        let parts: Vec<&str> = path.split('/').collect();
        let (name, above) = parts.split_last().map_or(("", &parts[..]), |(name, above)| (*name, above));
        folders[number(above)].files.insert(iso_name(name, true), *place);
    }
    folders
}

/// A folder's records; none crosses a sector.
fn folder_bytes(folders: &[Folder], at: usize) -> Vec<u8> {
    let folder = &folders[at];
    let above = folders[folder.above].place;
    let mut bytes = [record(&[0], folder.place.0, folder.place.1, true), record(&[1], above.0, above.1, true)].concat();
    let inner = folder.folders.iter().map(|(name, inner)| (name, folders[*inner].place, true));
    let mut entries: Vec<(&Vec<u8>, Place, bool)> =
        inner.chain(folder.files.iter().map(|(name, place)| (name, *place, false))).collect();
    entries.sort();
    for (name, (sector, length), is_folder) in entries {
        let record = record(name, sector, length, is_folder);
        if bytes.len() % 2048 + record.len() > 2048 {
            bytes.resize(bytes.len().next_multiple_of(2048), 0);
        }
        bytes.extend(record);
    }
    bytes.resize(bytes.len().next_multiple_of(2048), 0);
    bytes
}

fn path_table(folders: &[Folder], most_first: bool) -> Vec<u8> {
    let mut table = path_record(&[0], folders[0].place.0, 1, most_first);
    for (at, folder) in folders.iter().enumerate().skip(1) {
        let names = &folders[folder.above].folders;
        if let Some((name, _)) = names.iter().find(|(_, number)| **number == at) {
            table.extend(path_record(name, folder.place.0, folder.above as u16 + 1, most_first));
        }
    }
    table
}
