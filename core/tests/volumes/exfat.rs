//! exFAT, made by mkfs.exfat and filled through FUSE.

use crate::support::{ImageFile, can, compare_with_tool, fill_tree, run, tree_hash, try_run};
use crate::{fuse, noise, partclone};
use holotype_core::volume::{Cause, MapOptions, ReadAt, Unmapped, VolumeMap, VolumeReader, exfat};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

const PROGRAMS: [&str; 4] = ["mkfs.exfat", "mount.exfat-fuse", "fsck.exfat", "blkid"];

fn map_of(image: &ImageFile) -> Result<VolumeMap, Unmapped> {
    exfat::map(&VolumeReader::whole(image, 512), &MapOptions::default())
}

fn cause_of(image: &ImageFile) -> Option<Cause> {
    map_of(image).err().map(|unmapped| unmapped.cause)
}

/// An image on random bytes, with files among the holes that deleted ones left.
fn filled(folder: &Path, bytes: u64, arguments: &[&str], most_bytes: u64) -> ImageFile {
    let image = ImageFile::create(&folder.join("exfat.img"), bytes);
    image.fill_with_random(bytes);
    // A label of more than ASCII needs a locale for it.
    let label = ["LC_ALL=C.UTF-8", "mkfs.exfat", "-L", "Mein Läbel"];
    run("env", &[&label[..], arguments, &[image.path.to_str().unwrap()]].concat());
    let at = folder.join("mounted");
    let mount = fuse::mount("mount.exfat-fuse", &image, &at, "");
    fill_tree(&at, most_bytes, bytes);
    for number in 0..400 {
        fs::write(at.join(format!("a file in the root directory {number}")), [7; 100]).unwrap();
    }
    for number in (0..400).filter(|number| number % 3 != 0) {
        fs::remove_file(at.join(format!("a file in the root directory {number}"))).unwrap();
    }
    drop(mount);
    image
}

fn files_of(image: &ImageFile) -> std::collections::BTreeMap<std::path::PathBuf, String> {
    let at = image.path.with_extension("mounted");
    let _mount = fuse::mount("mount.exfat-fuse", image, &at, "ro");
    tree_hash(&at)
}

fn fsck_is_clean(image: &ImageFile) -> bool {
    try_run("fsck.exfat", &[OsStr::new("-n"), image.path.as_os_str()]).status.success()
}

fn same_as_blkid(image: &ImageFile) -> holotype_core::volume::Identity {
    let identity = exfat::identify(&VolumeReader::whole(image, 512)).unwrap();
    let field = |name: &str| {
        let text = run("blkid", &["-p", "-o", "value", "-s", name, image.path.to_str().unwrap()]);
        Some(text.trim_end_matches('\n').to_owned()).filter(|text| !text.is_empty())
    };
    assert_eq!(field("TYPE").as_deref(), Some("exfat"));
    assert_eq!(field("UUID"), identity.uuid);
    assert_eq!(field("LABEL"), identity.label);
    identity
}

fn round_trip(bytes: u64, arguments: &[&str], most_bytes: u64) {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = filled(folder.path(), bytes, arguments, most_bytes);
    assert_eq!(same_as_blkid(&image).label.as_deref(), Some("Mein Läbel"));
    let before = blake3::hash(&fs::read(&image.path).unwrap());
    let map = map_of(&image).unwrap();
    assert_eq!(blake3::hash(&fs::read(&image.path).unwrap()), before);
    assert!(map.free.as_slice().len() > 3, "the free clusters lie among used ones");
    let used = image.bytes() - map.free.bytes();
    let files = files_of(&image);
    let scrambled = image.scrambled_copy(&map.free, 1);
    assert!(fsck_is_clean(&scrambled));
    assert_eq!(files_of(&scrambled), files);
    if can(&["dump.exfat"]) {
        // "Free Clusters: 15868"
        let report = run("dump.exfat", &[&image.path]);
        let line = report.lines().find(|line| line.starts_with("Free Clusters")).unwrap();
        let free: u64 = line.split_whitespace().last().unwrap().parse().unwrap();
        println!("{arguments:?}: {} bytes free, dump.exfat {}", map.free.bytes(), free * u64::from(map.block_bytes));
        assert_eq!(map.free.bytes(), free * u64::from(map.block_bytes));
    }
    if can(&["partclone.exfat"]) {
        let tool = partclone::free_runs("exfat", &image);
        println!("{arguments:?}: {used} bytes used, partclone.exfat {}", image.bytes() - tool.bytes());
        compare_with_tool(&map.free, &tool, image.bytes());
    }
}

#[test]
fn clusters_of_512() {
    round_trip(16 << 20, &["-c", "512"], 6 << 20);
}

#[test]
fn clusters_of_4_kib() {
    round_trip(64 << 20, &["-c", "4K"], 24 << 20);
}

#[test]
fn clusters_of_32_kib_at_another_boundary() {
    round_trip(200 << 20, &["-c", "32K", "-b", "64K"], 32 << 20);
}

#[test]
fn clusters_of_128_kib_and_an_odd_size() {
    round_trip((300 << 20) + 512 * 7, &["-c", "128K"], 32 << 20);
}

#[test]
fn bitmap_packed_before_the_other_metadata() {
    round_trip(64 << 20, &["-c", "8K", "--pack-bitmap"], 16 << 20);
}

fn put_checksum(image: &ImageFile, region: u64) {
    let bytes = image.read(region, 512 * 11);
    let sum = bytes.iter().enumerate().filter(|(at, _)| !matches!(at, 106 | 107 | 112));
    let sum = sum.fold(0u32, |sum, (_, byte)| sum.rotate_right(1).wrapping_add((*byte).into()));
    image.write(region + 512 * 11, &sum.to_le_bytes().repeat(128));
}

/// Patches, looks, and puts back what was there.
fn patched(image: &ImageFile, offset: u64, bytes: &[u8]) -> Option<Cause> {
    let both_regions = image.read(0, 512 * 24);
    let old = image.read(offset, bytes.len());
    image.write(offset, bytes);
    if offset < 512 * 11 {
        image.write(512 * 12 + offset, bytes);
        put_checksum(image, 0);
        put_checksum(image, 512 * 12);
    }
    let cause = cause_of(image);
    image.write(offset, &old);
    image.write(0, &both_regions);
    assert_eq!(cause_of(image), None);
    cause
}

fn le_u32(image: &ImageFile, offset: u64) -> u64 {
    u32::from_le_bytes(image.read(offset, 4).try_into().unwrap()).into()
}

#[test]
fn dirty_and_lying_volumes_are_kept() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = filled(folder.path(), 16 << 20, &["-c", "4K"], 4 << 20);
    let inconsistent = Some(Cause::Inconsistent);
    // Volume flags: dirty, media failure, second table, unknown; the harmless one.
    let flags =
        [(2, Some(Cause::Dirty)), (4, Some(Cause::Dirty)), (1, Some(Cause::Feature)), (0x10, Some(Cause::Feature))];
    for (flag, cause) in flags {
        assert_eq!(patched(&image, 106, &[flag]), cause, "flag {flag}");
    }
    assert_eq!(patched(&image, 106, &[8]), None);
    assert_eq!(patched(&image, 105, &[2]), Some(Cause::Feature), "revision 2.00");
    assert_eq!(patched(&image, 72, &(33u64 << 11).to_le_bytes()), Some(Cause::Truncated));
    // Boot regions: a wrong checksum of either, and a difference with right ones.
    assert_eq!(patched(&image, 512 * 11, &[1]), inconsistent);
    assert_eq!(patched(&image, 512 * 23, &[1]), inconsistent);
    let regions = image.read(0, 512 * 24);
    image.write(512 * 12 + 200, b"!");
    put_checksum(&image, 512 * 12);
    assert_eq!(cause_of(&image), inconsistent);
    image.write(0, &regions);

    let (fat, heap) = (512 * le_u32(&image, 80), 512 * le_u32(&image, 88));
    let root = heap + (le_u32(&image, 96) - 2) * 4096;
    let entry_of = |kind: u8| root + 32 * (0..128).find(|index| image.read(root + 32 * index, 1)[0] == kind).unwrap();
    let (bitmap, upcase, label) = (entry_of(0x81), entry_of(0x82), entry_of(0x83));
    let root_cluster = le_u32(&image, 96) as u32;
    // The table: not one, and the root directory's chain in a loop, beyond the end, into the bitmap.
    assert_eq!(patched(&image, fat, &[0]), inconsistent);
    let root_entry = fat + 4 * u64::from(root_cluster);
    for next in [root_cluster, 0, 1, 0xFFFF_FFF7, 0x00FF_FFFF] {
        assert_eq!(patched(&image, root_entry, &next.to_le_bytes()), inconsistent, "followed by {next}");
    }
    assert_ne!(patched(&image, root_entry, &2u32.to_le_bytes()), None, "followed by the bitmap");
    // The bitmap: of the wrong length, elsewhere, a second one, none.
    for length in [0, 1, 400, 4097, u64::MAX] {
        assert_eq!(patched(&image, bitmap + 24, &length.to_le_bytes()), inconsistent, "bitmap of {length} bytes");
    }
    for cluster in [0, 1, root_cluster, 0x1000_0000, u32::MAX] {
        assert_eq!(patched(&image, bitmap + 20, &cluster.to_le_bytes()), inconsistent, "bitmap at {cluster}");
    }
    assert_eq!(patched(&image, bitmap + 1, &[1]), Some(Cause::Feature));
    assert_eq!(patched(&image, bitmap, &[0x01]), inconsistent);
    let copy = image.read(bitmap, 32);
    assert_eq!(patched(&image, label, &copy), inconsistent);
    // It calls itself, the up-case table or the root directory free.
    let bits = heap + (le_u32(&image, bitmap + 20) - 2) * 4096;
    assert_eq!(patched(&image, bits, &[0xFE]), inconsistent);
    assert_eq!(patched(&image, bits, &[0xFD]), inconsistent);
    let byte = bits + u64::from(root_cluster - 2) / 8;
    assert_eq!(patched(&image, byte, &[!(1 << ((root_cluster - 2) % 8))]), inconsistent);
    // The up-case table.
    assert_eq!(patched(&image, upcase + 4, &[0, 1, 2, 3]), inconsistent);
    assert_eq!(patched(&image, upcase + 24, &u64::MAX.to_le_bytes()), inconsistent);
    assert_eq!(patched(&image, upcase, &[0x02]), inconsistent);
    // Entries of TexFAT and of the future.
    for kind in [0xA1, 0x84, 0xC2] {
        assert_eq!(patched(&image, label, &[kind]), Some(Cause::Feature));
    }
}

#[test]
fn copied_while_mounted_it_is_dirty() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = filled(folder.path(), 16 << 20, &["-c", "4K"], 4 << 20);
    let at = folder.path().join("again");
    let mount = fuse::mount("mount.exfat-fuse", &image, &at, "");
    fs::write(at.join("new"), [1; 10_000]).unwrap();
    assert_eq!(cause_of(&image), Some(Cause::Dirty));
    drop(mount);
    assert_eq!(cause_of(&image), None);
}

#[test]
fn what_is_not_exfat_is_not_identified() {
    if !can(&["mkfs.ntfs", "mkfs.exfat", "mkfs.fat"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (program, arguments) in [("mkfs.ntfs", &["-F", "-Q"][..]), ("mkfs.fat", &[])] {
        let image = ImageFile::create(&folder.path().join("other.img"), 16 << 20);
        run(program, &[arguments, &[image.path.to_str().unwrap()]].concat());
        assert_eq!(exfat::identify(&VolumeReader::whole(&image, 512)), None, "{program}");
        assert_eq!(cause_of(&image), Some(Cause::Inconsistent));
    }
    let image = ImageFile::create(&folder.path().join("exfat.img"), 16 << 20);
    run("mkfs.exfat", &[&image.path]);
    assert_eq!(same_as_blkid(&image).label, None);
    for (offset, byte) in [(0, 0), (4, 0), (11, 1), (108, 8), (108, 13), (109, 30), (110, 3), (112, 101), (510, 0)] {
        let old = image.read(offset, 1);
        image.write(offset, &[byte]);
        assert_eq!(exfat::identify(&VolumeReader::whole(&image, 512)), None, "byte {offset}");
        image.write(offset, &old);
    }
}

#[test]
fn no_byte_makes_it_panic() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = filled(folder.path(), 16 << 20, &["-c", "4K"], 4 << 20);
    let (fat, heap) = (512 * le_u32(&image, 80), 512 * le_u32(&image, 88));
    let root = heap + (le_u32(&image, 96) - 2) * 4096;
    let metadata = [(64, 56), (fat, 64), (root, 256), (heap, 512)];
    let mapped = noise::survives(&image, &metadata, 2000, |volume| {
        exfat::identify(volume);
        exfat::map(volume, &MapOptions::default()).map(|map| map.free)
    });
    println!("{mapped} of 2000 damaged ones have a map");
}
