//! Reads a volume that nobody vouches for.

use super::geometry::FatKind;
use crate::error::{BootError, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};

/// Most bytes of all files together: media hold less.
const MAX_BYTES: u64 = 1 << 30;
const MAX_FILES: usize = 4096;
const MAX_DEPTH: usize = 8;

/// A volume on a device or in an image.
pub struct FatReader<R> {
    device: R,
    kind: FatKind,
    label: String,
    cluster_bytes: u64,
    clusters: u64,
    root: (u64, u64),
    data_at: u64,
    table: Vec<u8>,
    read_bytes: u64,
}

fn damaged(why: &str) -> BootError {
    BootError::new("FAT volume", why)
}

impl<R: Read + Seek> FatReader<R> {
    /// Opens the volume that begins at `offset_bytes`.
    ///
    /// # Errors
    /// Where there is none, or it makes no sense.
    pub fn open(mut device: R, offset_bytes: u64) -> Result<Self> {
        let sector: [u8; 512] =
            read_at(&mut device, offset_bytes, 512)?.try_into().map_err(|_| damaged("no boot sector"))?;
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
        if sector[510..] != [0x55, 0xaa] || u16_at(11) != 512 || sector[16] != 2 || !sector[13].is_power_of_two() {
            return Err(damaged("there is none, or its boot sector is damaged"));
        }
        let (cluster_sectors, reserved, root_entries) = (u64::from(sector[13]), u16_at(14), u16_at(17));
        let sectors = if u16_at(19) != 0 { u16_at(19) } else { u32_at(32) };
        let table_sectors = if u16_at(22) != 0 { u16_at(22) } else { u32_at(36) };
        let root_sectors = (root_entries * 32).div_ceil(512);
        let before = reserved + 2 * table_sectors + root_sectors;
        let clusters = sectors.checked_sub(before).ok_or_else(|| damaged("its sizes make no sense"))? / cluster_sectors;
        let kind = FatKind::of_clusters(clusters);
        let is_32 = kind == FatKind::Fat32;
        let table_bytes = ((clusters + 2) * kind.bits()).div_ceil(8);
        if table_bytes > table_sectors * 512 || reserved == 0 || is_32 != (root_entries == 0) || clusters > 0x0fff_fff5
        {
            return Err(damaged("its sizes make no sense"));
        }
        // The table of a data partition may be large; media's files stand at the beginning.
        let table = read_at(&mut device, offset_bytes + reserved * 512, table_bytes.min(4 << 20))?;
        let data_at = offset_bytes + before * 512;
        let label_at = if is_32 { 71 } else { 43 };
        let label = sector[label_at..label_at + 11].iter().map(|byte| char::from(*byte)).collect::<String>();
        Ok(Self {
            device,
            kind,
            label: label.trim_end().to_owned(),
            cluster_bytes: cluster_sectors * 512,
            clusters,
            root: if is_32 { (u32_at(44), 0) } else { (0, root_entries * 32) },
            data_at,
            table,
            read_bytes: 0,
        })
    }

    /// Its label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Bytes from the volume's start, counted like the device's, at which clusters begin; and bytes of a cluster.
    pub fn clusters_at(&self) -> (u64, u64) {
        (self.data_at, self.cluster_bytes)
    }

    fn entry(&self, cluster: u64) -> Option<u64> {
        let at = usize::try_from(cluster).ok()?;
        let bytes = |from: usize, count: usize| {
            let part = self.table.get(from..from + count)?;
            Some(part.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
        };
        match self.kind {
            FatKind::Fat12 => Some(bytes(at * 3 / 2, 2)? >> (at % 2 * 4) & 0xfff),
            FatKind::Fat16 => bytes(at * 2, 2),
            FatKind::Fat32 => Some(bytes(at * 4, 4)? & 0x0fff_ffff),
        }
    }

    /// The bytes of a chain of clusters, at most `most` of them.
    fn chain(&mut self, first: u64, most: u64) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        let mut cluster = first;
        while (content.len() as u64) < most {
            if cluster < 2 || cluster - 2 >= self.clusters {
                return Err(damaged("a chain of clusters leads out of it"));
            }
            // Also ends chains that are circles: each cluster is part of one file at most.
            self.read_bytes += self.cluster_bytes;
            if self.read_bytes > MAX_BYTES.min(self.clusters * self.cluster_bytes) {
                return Err(damaged("it holds more than a medium does"));
            }
            content.extend(read_at(
                &mut self.device,
                self.data_at + (cluster - 2) * self.cluster_bytes,
                self.cluster_bytes,
            )?);
            let next = self.entry(cluster).ok_or_else(|| damaged("a chain of clusters leads out of its table"))?;
            if next >= 0x0fff_fff8 & ((1 << self.kind.bits().min(28)) - 1) {
                break;
            }
            cluster = next;
        }
        content.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(content)
    }

    /// All files by path.
    ///
    /// # Errors
    /// Where it is damaged, or holds more than a medium does.
    pub fn files(&mut self) -> Result<BTreeMap<String, Vec<u8>>> {
        let root = match self.root {
            (0, bytes) => read_at(&mut self.device, self.data_at - bytes.next_multiple_of(512), bytes)?,
            (cluster, _) => self.chain(cluster, 4 << 20)?,
        };
        let mut files = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![(String::new(), root, 0)];
        while let Some((above, entries, depth)) = open.pop() {
            for (name, is_folder, cluster, bytes) in list(&entries) {
                let path = format!("{above}{name}");
                if files.len() >= MAX_FILES || depth > MAX_DEPTH || (is_folder && !seen.insert(cluster)) {
                    return Err(damaged("its folders make no sense"));
                }
                if is_folder {
                    open.push((format!("{path}/"), self.chain(cluster, 4 << 20)?, depth + 1));
                    continue;
                }
                let content = if bytes == 0 { Vec::new() } else { self.chain(cluster, bytes)? };
                if content.len() as u64 != bytes {
                    return Err(damaged("a file is shorter than its folder says"));
                }
                files.insert(path, content);
            }
        }
        Ok(files)
    }
}

fn read_at<R: Read + Seek>(device: &mut R, offset: u64, bytes: u64) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| damaged(&format!("could not be read at byte {offset}: {error}"));
    let mut content = Vec::new();
    device.seek(SeekFrom::Start(offset)).map_err(failed)?;
    device.take(bytes).read_to_end(&mut content).map_err(failed)?;
    match content.len() as u64 == bytes {
        true => Ok(content),
        false => Err(damaged("it ends too early")),
    }
}

/// Name, whether a folder, first cluster, bytes of each entry.
fn list(entries: &[u8]) -> Vec<(String, bool, u64, u64)> {
    let mut found = Vec::new();
    let mut long: Vec<u16> = Vec::new();
    for entry in entries.chunks_exact(32) {
        match (entry[0], entry[11]) {
            (0, _) => break,
            (0xe5, _) => long.clear(),
            (number, 0x0f) => {
                if number & 0x40 != 0 {
                    long.clear();
                }
                let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
                let mut part: Vec<u16> =
                    places.iter().map(|at| u16::from_le_bytes([entry[*at], entry[at + 1]])).collect();
                part.append(&mut long);
                long = part;
                long.truncate(260);
            }
            (b'.', _) | (_, 0x08) => long.clear(),
            (_, attributes) => {
                let units: Vec<u16> = long.drain(..).take_while(|unit| *unit != 0 && *unit != 0xffff).collect();
                let short: [u8; 11] = std::array::from_fn(|at| entry[at]);
                let name =
                    if units.is_empty() { super::names::shown(&short) } else { String::from_utf16_lossy(&units) };
                let name = name.replace(['/', '\0'], "?");
                let low = |at: usize| u64::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
                found.push((name, attributes & 0x10 != 0, low(20) << 16 | low(26), low(28) | low(30) << 16));
            }
        }
    }
    found
}
