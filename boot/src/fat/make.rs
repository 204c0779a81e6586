//! Makes a volume. Each file and each folder lies in one piece, in the order of their paths.

use super::boot_sector::{boot_sector, fs_info};
use super::geometry::{FatKind, Geometry, ROOT_ENTRIES, SECTOR_BYTES};
use super::names::{self, long_entries, short_entry, short_name};
use crate::error::{BootError, Result};
use crate::sparse::Sparse;
use std::collections::{BTreeMap, BTreeSet};

/// What a volume is to be.
pub struct FatVolume<'a> {
    /// Its label, at most 11 characters `A-Z 0-9`.
    pub label: &'a str,
    /// Sectors before it on its disk.
    pub hidden_sectors: u64,
    /// Its sectors; as few as do, with [`spare_bytes`](Self::spare_bytes), where nothing is said.
    pub sectors: Option<u64>,
    /// Room to be left free, where its size is found here.
    pub spare_bytes: u64,
    /// Its files by path, as `EFI/BOOT/BOOTX64.EFI`.
    pub files: &'a BTreeMap<String, Vec<u8>>,
}

/// A volume that was made.
pub struct MadeFat {
    /// Its bytes.
    pub content: Sparse,
    /// Where each file begins, in bytes from the volume's start: a multiple of 2048. Empty files are not in it.
    pub places: BTreeMap<String, u64>,
    /// Which FAT.
    pub kind: FatKind,
}

enum Node<'a> {
    Folder(BTreeMap<&'a str, Node<'a>>),
    File(&'a str, &'a [u8]),
}

/// Makes a volume.
///
/// # Errors
/// Where its files do not fit, or have names that FAT cannot have.
pub fn make(volume: &FatVolume<'_>) -> Result<MadeFat> {
    let tree = tree(volume.files)?;
    let geometry = match volume.sectors {
        Some(sectors) => Geometry::of_volume(sectors)?,
        None => smallest(&tree, volume.spare_bytes)?,
    };
    let mut label = [b' '; 11];
    for (place, byte) in label.iter_mut().zip(volume.label.bytes()) {
        *place = byte;
    }
    let mut maker = Maker {
        geometry,
        next: 2,
        chains: Vec::new(),
        content: Sparse::new(geometry.sectors * SECTOR_BYTES),
        places: BTreeMap::new(),
        label,
    };
    maker.root(&tree)?;
    let hash = maker.content.hash();
    let volume_id = u32::from_le_bytes(std::array::from_fn(|at| hash.as_bytes()[at]));
    maker.tables();
    maker.boot(boot_sector(&geometry, volume.hidden_sectors, volume_id, &label));
    Ok(MadeFat { content: maker.content, places: maker.places, kind: geometry.kind })
}

fn tree(files: &BTreeMap<String, Vec<u8>>) -> Result<Node<'_>> {
    let mut root = BTreeMap::new();
    for (path, bytes) in files {
        let twice = || BootError::new(format_args!("file {path:?}"), "it is a folder at the same time");
        let mut folder = &mut root;
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        for part in above.split('/').filter(|part| !part.is_empty()) {
            match folder.entry(part).or_insert_with(|| Node::Folder(BTreeMap::new())) {
                Node::Folder(inner) => folder = inner,
                Node::File(..) => return Err(twice()),
            }
        }
        if folder.insert(name, Node::File(path, bytes)).is_some() {
            return Err(twice());
        }
    }
    Ok(Node::Folder(root))
}

/// Bytes of a folder's entries.
fn folder_bytes(nodes: &BTreeMap<&str, Node<'_>>, is_root: bool) -> u64 {
    // A label, or `.` and `..`; long names at their longest, and the short one.
    let own = if is_root { 1 } else { 2 };
    let entries: usize = nodes.keys().map(|name| name.encode_utf16().count().div_ceil(13) + 1).sum();
    (own + entries as u64) * 32
}

fn clusters_of(node: &Node<'_>, cluster_bytes: u64, is_root: bool) -> u64 {
    match node {
        Node::File(_, bytes) => (bytes.len() as u64).div_ceil(cluster_bytes),
        Node::Folder(nodes) => {
            let own = folder_bytes(nodes, is_root).div_ceil(cluster_bytes);
            own + nodes.values().map(|node| clusters_of(node, cluster_bytes, false)).sum::<u64>()
        }
    }
}

/// The smallest volume for these files: by halves, as the room grows with the size.
fn smallest(tree: &Node<'_>, spare_bytes: u64) -> Result<Geometry> {
    let fits = |sectors: u64| {
        let geometry = Geometry::of_volume(sectors).ok()?;
        let wanted = clusters_of(tree, geometry.cluster_bytes(), true) + spare_bytes.div_ceil(geometry.cluster_bytes());
        (wanted <= geometry.clusters).then_some(geometry)
    };
    // 64 KiB steps; up to 64 GiB.
    let (mut too_few, mut enough) = (0_u64, 1_u64 << 20);
    while enough - too_few > 1 {
        let middle = (too_few + enough) / 2;
        match fits(middle * 128) {
            Some(_) => enough = middle,
            None => too_few = middle,
        }
    }
    fits(enough * 128).ok_or_else(|| BootError::new("FAT volume", "its files are too large for one"))
}

struct Maker {
    geometry: Geometry,
    next: u64,
    /// First cluster and number of clusters of each file and folder.
    chains: Vec<(u64, u64)>,
    content: Sparse,
    places: BTreeMap<String, u64>,
    label: [u8; 11],
}

impl Maker {
    fn take_clusters(&mut self, bytes: u64) -> Result<u64> {
        let clusters = bytes.div_ceil(self.geometry.cluster_bytes());
        if clusters == 0 {
            return Ok(0);
        }
        let first = self.next;
        if first - 2 + clusters > self.geometry.clusters {
            let size = self.geometry.sectors * SECTOR_BYTES;
            return Err(BootError::new(format_args!("FAT volume of {size} bytes"), "its files do not fit into it"));
        }
        self.next += clusters;
        self.chains.push((first, clusters));
        Ok(first)
    }

    fn root(&mut self, tree: &Node<'_>) -> Result<()> {
        let Node::Folder(nodes) = tree else { return Ok(()) };
        let label = short_entry(&self.label.clone(), names::LABEL, 0, 0);
        if self.geometry.kind == FatKind::Fat32 {
            let cluster = self.take_clusters(folder_bytes(nodes, true).max(1))?;
            let entries = self.entries(nodes, 0, vec![label])?;
            self.content.put(self.geometry.cluster_offset(cluster), entries);
        } else {
            if folder_bytes(nodes, true) > ROOT_ENTRIES * 32 {
                return Err(BootError::new("FAT volume", "its root folder has too many entries"));
            }
            let entries = self.entries(nodes, 0, vec![label])?;
            self.content.put(self.geometry.root_offset(), entries);
        }
        Ok(())
    }

    /// The bytes of a folder whose own cluster is `own` (0 for the root, as `..` wants it).
    fn entries(&mut self, nodes: &BTreeMap<&str, Node<'_>>, own: u64, first: Vec<[u8; 32]>) -> Result<Vec<u8>> {
        let mut entries = first;
        let mut taken = BTreeSet::new();
        for (name, node) in nodes {
            let short = short_name(name, &mut taken)?;
            entries.extend(long_entries(name, &short));
            entries.push(match node {
                Node::File(path, bytes) => self.file(&short, path, bytes)?,
                Node::Folder(inner) => self.folder(&short, inner, own)?,
            });
        }
        Ok(entries.concat())
    }

    fn file(&mut self, short: &[u8; 11], path: &str, bytes: &[u8]) -> Result<[u8; 32]> {
        let too_large =
            |_| BootError::new(format_args!("file {path:?}"), "it has 4 GiB or more, and FAT cannot hold that");
        let length = u32::try_from(bytes.len()).map_err(too_large)?;
        let cluster = self.take_clusters(length.into())?;
        if cluster != 0 {
            let offset = self.geometry.cluster_offset(cluster);
            self.places.insert(path.to_owned(), offset);
            self.content.put(offset, bytes.to_vec());
        }
        Ok(short_entry(short, names::FILE, cluster as u32, length))
    }

    fn folder(&mut self, short: &[u8; 11], nodes: &BTreeMap<&str, Node<'_>>, above: u64) -> Result<[u8; 32]> {
        let cluster = self.take_clusters(folder_bytes(nodes, false))?;
        let dots = [(b".          ", cluster), (b"..         ", above)];
        let dots = dots.map(|(name, cluster)| short_entry(name, names::FOLDER, cluster as u32, 0)).to_vec();
        let entries = self.entries(nodes, cluster, dots)?;
        self.content.put(self.geometry.cluster_offset(cluster), entries);
        Ok(short_entry(short, names::FOLDER, cluster as u32, 0))
    }

    /// Both tables: entries of 12, 16 or 32 bits; the first holds the medium, the second says "clean".
    fn tables(&mut self) {
        let bits = self.geometry.kind.bits() as usize;
        let end: u32 = [0xfff, 0xffff, 0x0fff_ffff][bits / 14];
        let mut values = vec![end & !0xff | 0xf8, end];
        for &(first, clusters) in &self.chains {
            values.resize((first + clusters) as usize, 0);
            for cluster in first..first + clusters - 1 {
                values[cluster as usize] = cluster as u32 + 1;
            }
            values[(first + clusters - 1) as usize] = end;
        }
        let mut table = vec![0; (values.len() * bits).div_ceil(8) + 1];
        for (at, value) in values.into_iter().enumerate() {
            let bit = at * bits;
            // The smallest group of bytes that holds the entry; FAT12 entries begin in the middle of a byte.
            let shifted = u64::from(value) << (bit % 8);
            for (byte, part) in
                table[bit / 8..].iter_mut().zip(shifted.to_le_bytes()).take((bit % 8 + bits).div_ceil(8))
            {
                *byte |= part;
            }
        }
        table.pop();
        let first = self.geometry.reserved_sectors * SECTOR_BYTES;
        self.content.put(first, table.clone());
        self.content.put(first + self.geometry.table_sectors * SECTOR_BYTES, table);
    }

    fn boot(&mut self, sector: [u8; 512]) {
        if self.geometry.kind != FatKind::Fat32 {
            return self.content.put(0, sector.to_vec());
        }
        let used = self.next - 2;
        let info = fs_info(self.geometry.clusters - used, self.next);
        let mut third = [0; 512];
        third[510..].copy_from_slice(&[0x55, 0xaa]);
        let sectors = [sector, info, third].concat();
        self.content.put(0, sectors.clone());
        self.content.put(6 * SECTOR_BYTES, sectors);
    }
}

#[cfg(test)]
mod tests {
    use super::super::FatReader;
    use super::*;
    use std::io::Cursor;

    fn files() -> BTreeMap<String, Vec<u8>> {
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        files.insert("EFI/BOOT/BOOTX64.EFI".into(), vec![1; 70_000]);
        files.insert("EFI/debian/grub.cfg".into(), b"boot".to_vec());
        files.insert("holotype/a long name.profile".into(), vec![7; 2049]);
        files.insert("empty".into(), Vec::new());
        for at in 0..100 {
            files.insert(format!("many/files with long names {at}"), vec![at; at.into()]);
        }
        files
    }

    #[test]
    fn what_was_put_in_is_read_back_from_every_kind() {
        let files = files();
        for (sectors, kind) in
            [(None, FatKind::Fat12), (Some(40_960), FatKind::Fat16), (Some(1_100_000), FatKind::Fat32)]
        {
            let volume = FatVolume { label: "TEST", hidden_sectors: 63, sectors, spare_bytes: 0, files: &files };
            let made = make(&volume).unwrap();
            assert_eq!(made.kind, kind);
            assert_eq!(make(&volume).unwrap().content, made.content);
            let mut reader = FatReader::open(Cursor::new(made.content.to_vec()), 0).unwrap();
            let read = reader.files().unwrap();
            assert_eq!(read, files);
            let bytes = made.content.to_vec();
            for (path, place) in &made.places {
                let place = usize::try_from(*place).unwrap();
                assert_eq!(bytes[place..place + files[path].len()], files[path]);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let files = BTreeMap::from([("a".to_owned(), vec![0; 100_000])]);
        let volume = FatVolume { label: "TEST", hidden_sectors: 0, sectors: Some(100), spare_bytes: 0, files: &files };
        assert!(make(&volume).is_err_and(|error| error.to_string().contains("do not fit")));
    }
}
