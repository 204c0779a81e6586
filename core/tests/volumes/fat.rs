//! FAT12, FAT16 and FAT32, made by mkfs.fat and filled by mtools.

use crate::support::{ImageFile, can, compare_with_tool, fill_tree, run, tree_hash, try_run};
use crate::{noise, partclone};
use holotype_core::volume::{Cause, MapOptions, ReadAt, Unmapped, VolumeMap, VolumeReader, fat};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

const PROGRAMS: [&str; 6] = ["mkfs.fat", "mcopy", "mdel", "mdeltree", "fsck.fat", "blkid"];

fn map_of(image: &ImageFile) -> Result<VolumeMap, Unmapped> {
    fat::map(&VolumeReader::whole(image, 512), &MapOptions::default())
}

fn cause_of(image: &ImageFile) -> Option<Cause> {
    map_of(image).err().map(|unmapped| unmapped.cause)
}

fn mtools(program: &str, image: &Path, arguments: &[&OsStr]) {
    let mut all = vec![OsStr::new("-i"), image.as_os_str()];
    all.extend(arguments);
    run(program, &all);
}

/// An image on random bytes, with files among the holes that deleted ones left.
fn filled(folder: &Path, bytes: u64, arguments: &[&str], most_bytes: u64) -> ImageFile {
    let image = ImageFile::create(&folder.join("fat.img"), bytes);
    image.fill_with_random(bytes);
    let path = image.path.to_str().unwrap();
    run("mkfs.fat", &[arguments, &["-n", "MY LABEL", path]].concat());
    for (name, seed) in [("kept", 1), ("deleted", 2), ("more", 3), ("gone", 4)] {
        let tree = folder.join(name);
        fs::create_dir(&tree).unwrap();
        fill_tree(&tree, most_bytes / 4, seed + bytes);
        mtools("mcopy", &image.path, &["-s", "-m", "-Q", tree.to_str().unwrap(), "::/"].map(OsStr::new));
        if matches!(name, "deleted" | "more") {
            // Every other file of every folder: what comes next goes into the holes.
            for folder in fs::read_dir(&tree).unwrap() {
                let files = fs::read_dir(folder.unwrap().path()).unwrap().map(|file| file.unwrap().path());
                let inside = |file: &Path| format!("::/{name}/{}", file.strip_prefix(&tree).unwrap().display());
                let every_other: Vec<String> = files.step_by(2).map(|file| inside(&file)).collect();
                let every_other: Vec<&OsStr> = every_other.iter().map(AsRef::as_ref).collect();
                if !every_other.is_empty() {
                    mtools("mdel", &image.path, &every_other);
                }
            }
        }
    }
    mtools("mdeltree", &image.path, &["::/gone".as_ref()]);
    image
}

fn files_of(image: &ImageFile) -> std::collections::BTreeMap<std::path::PathBuf, String> {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().as_os_str();
    mtools("mcopy", &image.path, &["-s".as_ref(), "-m".as_ref(), "-Q".as_ref(), "::/".as_ref(), to]);
    tree_hash(folder.path())
}

fn fsck_is_clean(image: &ImageFile) -> bool {
    try_run("fsck.fat", &[OsStr::new("-n"), image.path.as_os_str()]).status.success()
}

/// `blkid` prints what `identify` says.
fn same_as_blkid(image: &ImageFile) -> holotype_core::volume::Identity {
    let identity = fat::identify(&VolumeReader::whole(image, 512)).unwrap();
    let field = |name: &str| {
        let text = run("blkid", &["-p", "-o", "value", "-s", name, image.path.to_str().unwrap()]);
        Some(text.trim_end_matches('\n').to_owned()).filter(|text| !text.is_empty())
    };
    assert_eq!(field("VERSION").as_ref(), Some(&identity.variant));
    assert_eq!(field("UUID"), identity.uuid);
    assert_eq!(field("LABEL"), identity.label);
    identity
}

fn round_trip(variant: &str, bytes: u64, arguments: &[&str], most_bytes: u64) {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = filled(folder.path(), bytes, arguments, most_bytes);
    assert_eq!(same_as_blkid(&image).variant, variant);
    let before = blake3::hash(&fs::read(&image.path).unwrap());
    let map = map_of(&image).unwrap();
    assert_eq!(blake3::hash(&fs::read(&image.path).unwrap()), before);
    assert!(map.free.as_slice().len() > 3, "the free clusters lie among used ones");
    let used = image.bytes() - map.free.bytes();
    let files = files_of(&image);
    let scrambled = image.scrambled_copy(&map.free, 1);
    assert!(fsck_is_clean(&scrambled));
    assert_eq!(files_of(&scrambled), files);
    // "IMAGE: 12 files, 34/567 clusters"
    let report = run("fsck.fat", &[OsStr::new("-n"), image.path.as_os_str()]);
    let counts = report.split_whitespace().rev().nth(1).unwrap();
    let (used_clusters, all_clusters) = counts.split_once('/').unwrap();
    let free_clusters = all_clusters.parse::<u64>().unwrap() - used_clusters.parse::<u64>().unwrap();
    println!("{variant} {arguments:?}: {} bytes free, fsck.fat {counts} clusters used", map.free.bytes());
    assert_eq!(map.free.bytes(), free_clusters * u64::from(map.block_bytes));
    // partclone misreads FAT12's entries: it calls half as many more used as fsck.fat.
    if variant != "FAT12" && can(&["partclone.fat"]) {
        let tool = partclone::free_runs("fat", &image);
        println!("{variant} {arguments:?}: {used} bytes used, partclone.fat {}", image.bytes() - tool.bytes());
        compare_with_tool(&map.free, &tool, image.bytes());
    }
}

#[test]
fn fat12() {
    round_trip("FAT12", 5_000_192, &["-F", "12", "-s", "4"], 2 << 20);
}

#[test]
fn fat12_of_a_floppy() {
    round_trip("FAT12", 1_474_560, &["-F", "12"], 1 << 20);
}

#[test]
fn fat16() {
    round_trip("FAT16", 64 << 20, &["-F", "16", "-s", "8"], 24 << 20);
}

#[test]
fn fat16_with_one_table_and_512_byte_clusters() {
    round_trip("FAT16", 16 << 20, &["-F", "16", "-s", "1", "-f", "1", "-a"], 8 << 20);
}

#[test]
fn fat16_with_4096_byte_sectors() {
    round_trip("FAT16", 64 << 20, &["-F", "16", "-S", "4096", "-s", "2"], 16 << 20);
}

#[test]
fn fat16_of_an_odd_size() {
    round_trip("FAT16", (40 << 20) + 512 * 7, &["-F", "16", "-s", "4", "-r", "1024", "-R", "7"], 16 << 20);
}

#[test]
fn fat32() {
    round_trip("FAT32", 300 << 20, &["-F", "32", "-s", "8"], 32 << 20);
}

#[test]
fn fat32_with_512_byte_clusters() {
    round_trip("FAT32", 48 << 20, &["-F", "32", "-s", "1"], 16 << 20);
}

#[test]
fn fat32_with_one_table_and_4096_byte_sectors() {
    round_trip("FAT32", (290 << 20) + 4096, &["-F", "32", "-S", "4096", "-s", "1", "-f", "1"], 24 << 20);
}

/// A small volume, and the offset of its first table.
fn small(folder: &Path, width: &str) -> (ImageFile, u64) {
    let image = filled(folder, 40 << 20, &["-F", width, "-s", if width == "32" { "1" } else { "16" }], 1 << 20);
    let reserved = u16::from_le_bytes(image.read(14, 2).try_into().unwrap());
    assert!(map_of(&image).is_ok());
    (image, u64::from(reserved) * 512)
}

/// Patches, looks, and puts back what was there.
fn patched(image: &ImageFile, offset: u64, bytes: &[u8]) -> Option<Cause> {
    let old = image.read(offset, bytes.len());
    image.write(offset, bytes);
    let cause = cause_of(image);
    image.write(offset, &old);
    assert_eq!(cause_of(image), None);
    cause
}

#[test]
fn dirty_volumes_are_kept() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, table) = small(folder.path(), "32");
    assert_eq!(patched(&image, 0x41, &[1]), Some(Cause::Dirty));
    assert_eq!(patched(&image, 0x41, &[2]), Some(Cause::Dirty));
    assert_eq!(patched(&image, table + 7, &[0x07]), Some(Cause::Dirty));
    assert_eq!(patched(&image, table + 7, &[0x0B]), Some(Cause::Dirty));
    let folder = tempfile::tempdir().unwrap();
    let (image, table) = small(folder.path(), "16");
    assert_eq!(patched(&image, 0x25, &[1]), Some(Cause::Dirty));
    assert_eq!(patched(&image, table + 3, &[0x7F]), Some(Cause::Dirty));
    assert_eq!(patched(&image, table + 3, &[0xBF]), Some(Cause::Dirty));
}

#[test]
fn lies_are_found() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, table) = small(folder.path(), "32");
    let inconsistent = Some(Cause::Inconsistent);
    // Mirroring off; total sectors; FSInfo.
    assert_eq!(patched(&image, 0x28, &[0x80]), Some(Cause::Feature));
    assert_eq!(patched(&image, 0x20, &(41u32 << 11).to_le_bytes()), Some(Cause::Truncated));
    assert_eq!(patched(&image, 512, b"no"), inconsistent);
    assert_eq!(patched(&image, 512 + 488, &0x00FF_FFFFu32.to_le_bytes()), inconsistent);
    assert_eq!(patched(&image, 512 + 488, &0xFFFF_FFFFu32.to_le_bytes()), None);
    // The table: of the wrong media, too short, without the root directory.
    assert_eq!(patched(&image, table, &[0xF0]), inconsistent);
    assert_eq!(patched(&image, 0x24, &3u32.to_le_bytes()), inconsistent);
    assert_eq!(patched(&image, table + 8, &[0; 4]), inconsistent);
    // The second table alone frees a cluster.
    let table_bytes = 512 * u64::from(u32::from_le_bytes(image.read(0x24, 4).try_into().unwrap()));
    let entries = image.read(table, 4096);
    let entries: Vec<u32> = entries.as_chunks().0.iter().map(|entry| u32::from_le_bytes(*entry)).collect();
    let (chained, next) =
        entries.iter().enumerate().skip(3).find(|(_, entry)| (2..1024).contains(*entry)).map(|(i, e)| (i, *e)).unwrap();
    let at = |cluster: u32| table + 4 * u64::from(cluster);
    assert_eq!(patched(&image, table_bytes + at(next), &[0; 4]), inconsistent);
    // Both free one in the middle of a chain.
    let old = image.read(table_bytes + at(next), 4);
    image.write(table_bytes + at(next), &[0; 4]);
    image.write(at(next), &[0; 4]);
    assert_eq!(cause_of(&image), inconsistent);
    image.write(table_bytes + at(next), &old);
    image.write(at(next), &old);
    // Chains that end nowhere, in themselves, or in each other.
    assert_eq!(patched(&image, at(chained as u32), &[1, 0, 0, 0]), inconsistent);
    assert_eq!(patched(&image, at(chained as u32), &0x0FF0_0000u32.to_le_bytes()), inconsistent);
    assert_eq!(patched(&image, at(next), &next.to_le_bytes()), inconsistent);
    // Reserved bits, bad clusters: as before, and used.
    assert_eq!(patched(&image, at(chained as u32) + 3, &[0xF0]), None);
    assert_eq!(patched(&image, at(next), &0x0FFF_FFF7u32.to_le_bytes()), None);
}

#[test]
fn what_is_not_fat_is_not_identified() {
    if !can(&["mkfs.ntfs", "mkfs.exfat", "mkfs.ext4", "mkfs.fat"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (program, arguments) in [("mkfs.ntfs", &["-F", "-Q"][..]), ("mkfs.exfat", &[]), ("mkfs.ext4", &["-q"])] {
        let image = ImageFile::create(&folder.path().join("other.img"), 16 << 20);
        let path = image.path.to_str().unwrap();
        run(program, &[arguments, &[path]].concat());
        assert_eq!(fat::identify(&VolumeReader::whole(&image, 512)), None, "{program}");
        assert_eq!(cause_of(&image), Some(Cause::Inconsistent));
    }
    let image = ImageFile::create(&folder.path().join("fat.img"), 300 << 20);
    run("mkfs.fat", &["-F", "32", image.path.to_str().unwrap()]);
    assert_eq!(same_as_blkid(&image).label, None);
    for (offset, byte) in [(0, 0), (11, 1), (13, 3), (14, 0), (16, 3), (16, 0), (21, 0x11), (511, 0), (17, 2), (42, 1)]
    {
        let old = image.read(offset, 2);
        image.write(offset, &[byte]);
        if offset == 14 {
            image.write(15, &[0]);
        }
        assert_eq!(fat::identify(&VolumeReader::whole(&image, 512)), None, "byte {offset}");
        image.write(offset, &old);
    }
    // The boot sector of FAT stayed, and ext came after it.
    let boot = image.read(0, 1024);
    run("mkfs.ext4", &["-q", "-F", image.path.to_str().unwrap()]);
    image.write(0, &boot);
    assert_eq!(fat::identify(&VolumeReader::whole(&image, 512)), None);
    run("mkfs.fat", &["-F", "32", image.path.to_str().unwrap()]);
    assert!(fat::identify(&VolumeReader::whole(&image, 512)).is_some());
    // BitLocker To Go looks like FAT32.
    let identifier = [0x3B, 0xD6, 0x67, 0x49, 0x29, 0x2E, 0xD8, 0x4A, 0x83, 0x99, 0xF6, 0xA3, 0x39, 0xE3, 0xD0, 0x01];
    image.write(424, &identifier);
    assert_eq!(fat::identify(&VolumeReader::whole(&image, 512)), None);
}

#[test]
fn no_byte_makes_it_panic() {
    if !can(&PROGRAMS) {
        return;
    }
    for width in ["12", "16", "32"] {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, cluster) = if width == "32" { (40 << 20, "1") } else { (16 << 20, "4") };
        let bytes = if width == "12" { 1 << 20 } else { bytes };
        let image = filled(folder.path(), bytes, &["-F", width, "-s", cluster], 1 << 19);
        let mapped = noise::survives(&image, &[(0, 512), (512, 512), (512, 40 << 10)], 1000, |volume| {
            fat::identify(volume);
            fat::map(volume, &MapOptions::default()).map(|map| map.free)
        });
        println!("width {width}: {mapped} of 1000 damaged ones have a map");
    }
}
