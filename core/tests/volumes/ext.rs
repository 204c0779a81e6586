//! ext2, ext3, ext4.

use crate::support::{ImageFile, Mount, Random, can, compare_with_tool, fill_tree, run, tree_hash, try_run};
use holotype_core::volume::ext::{identify, map};
use holotype_core::volume::{Cause, FreeRuns, MapOptions, MapResult, ReadAt, VolumeReader};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn map_of(disk: &dyn ReadAt) -> MapResult {
    map(&VolumeReader::whole(disk, 512), &MapOptions::default())
}

fn cause_of(disk: &dyn ReadAt) -> Cause {
    map_of(disk).expect_err("it has no map").cause
}

/// A new filesystem in `folder`; `None` where it cannot be had here.
fn mkfs(folder: &TempDir, bytes: u64, arguments: &str) -> Option<ImageFile> {
    if !can(&["mke2fs", "dumpe2fs", "e2fsck", "debugfs", "blkid"]) {
        return None;
    }
    let image = ImageFile::create(&folder.path().join("image"), bytes);
    let mut all: Vec<&OsStr> = arguments.split_whitespace().map(OsStr::new).collect();
    all.extend([OsStr::new("-q"), "-F".as_ref(), "-L".as_ref(), "Ä label".as_ref(), image.path.as_os_str()]);
    run("mke2fs", &all);
    Some(image)
}

/// What `dumpe2fs` calls free. With bigalloc it prints the first block of the last cluster.
fn tool_free(image: &ImageFile) -> FreeRuns {
    let text = run("dumpe2fs", &[&image.path]);
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().parse::<u64>().unwrap())
    };
    let (block_bytes, blocks) = (number("Block size:").unwrap(), number("Block count:").unwrap());
    let cluster_blocks = number("Cluster size:").map_or(1, |bytes| bytes / block_bytes);
    let mut free = FreeRuns::builder(image.bytes());
    for line in text.lines().filter_map(|line| line.strip_prefix("  Free blocks: ")) {
        for part in line.split(", ").filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
            let end = (last + cluster_blocks).min(blocks);
            free.push(first * block_bytes, (end - first) * block_bytes).unwrap();
        }
    }
    free.finish()
}

fn hash(path: &Path) -> blake3::Hash {
    blake3::hash(&fs::read(path).unwrap())
}

fn check_with_fsck(path: &Path) {
    run("e2fsck", &[OsStr::new("-f"), "-n".as_ref(), path.as_os_str()]);
}

fn blkid_tag(path: &Path, tag: &str) -> String {
    let arguments = [OsStr::new("-p"), "-o".as_ref(), "value".as_ref(), "-s".as_ref(), tag.as_ref(), path.as_os_str()];
    run("blkid", &arguments).trim_end_matches('\n').to_owned()
}

/// The map agrees with the tool's, mapping changes nothing, and without the free runs all is there.
fn prove(image: &ImageFile, mounts: bool) {
    let identity = identify(&VolumeReader::whole(image, 512)).expect("it is known");
    assert_eq!(identity.variant, blkid_tag(&image.path, "TYPE"));
    assert_eq!(identity.uuid.unwrap_or_default(), blkid_tag(&image.path, "UUID"));
    assert_eq!(identity.label.unwrap_or_default(), blkid_tag(&image.path, "LABEL"));
    let before = hash(&image.path);
    let found = map_of(image).unwrap();
    assert_eq!(before, hash(&image.path), "mapping changed the image");
    let tool = tool_free(image);
    println!(
        "ours {} used, tool {} used, of {}; {} runs; {}",
        image.bytes() - found.free.bytes(),
        image.bytes() - tool.bytes(),
        image.bytes(),
        found.free.as_slice().len(),
        found.method
    );
    compare_with_tool(&found.free, &tool, image.bytes());
    let copy = image.scrambled_copy(&found.free, 7);
    check_with_fsck(&copy.path);
    if mounts {
        let tree_of = |image: &ImageFile| {
            let at = image.path.with_extension("mount");
            let _mount = Mount::kernel(&image.path, &at, "ext4", "ro");
            tree_hash(&at)
        };
        assert_eq!(tree_of(image), tree_of(&copy));
    }
}

/// Makes, fills and proves.
fn case(bytes: u64, arguments: &str, mount_options: &str) {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, bytes, arguments) else { return };
    {
        let at = folder.path().join("at");
        let _mount = Mount::kernel(&image.path, &at, "ext4", mount_options);
        fill_tree(&at, 30 * MIB, bytes ^ arguments.len() as u64);
    }
    prove(&image, true);
}

#[test]
fn ext2_with_1k_blocks() {
    case(100 * MIB + 3 * 1024, "-t ext2 -b 1024", "");
}

#[test]
fn ext2_of_the_first_revision() {
    case(100 * MIB, "-t ext2 -b 1024 -r 0", "");
}

#[test]
fn ext2_without_sparse_super() {
    case(100 * MIB, "-t ext2 -b 1024 -O ^sparse_super,^resize_inode", "");
}

#[test]
fn ext3_with_4k_blocks() {
    case(300 * MIB, "-t ext3 -b 4096 -J size=16", "");
}

#[test]
fn ext3_with_1k_blocks() {
    case(100 * MIB, "-t ext3 -b 1024 -J size=8", "");
}

#[test]
fn ext4_with_1k_blocks() {
    case(150 * MIB, "-t ext4 -b 1024", "");
}

#[test]
fn ext4_with_2k_blocks() {
    case(150 * MIB, "-t ext4 -b 2048", "");
}

#[test]
fn ext4_with_4k_blocks() {
    case(600 * MIB + 12 * 1024, "-t ext4 -b 4096 -O 64bit", "");
}

/// Of forms that not every kernel mounts: filled by `mke2fs`.
fn case_without_mount(bytes: u64, arguments: &str) {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fill_tree(&tree, 20 * MIB, 3);
    let Some(image) = mkfs(&folder, bytes, &format!("{arguments} -d {}", tree.display())) else { return };
    // Holes in what is used: an entry is /inode/mode/user/group/name/size/.
    for line in run("debugfs", &[OsStr::new("-R"), r#"ls -p "/folder 1""#.as_ref(), image.path.as_os_str()]).lines() {
        if let Some(name) = line.split('/').nth(5).filter(|name| name.starts_with("file-")) {
            debugfs(&image, &format!(r#"rm "/folder 1/{name}""#));
        }
    }
    // Removed so, files still count in the quota.
    let mended = try_run("e2fsck", &[OsStr::new("-f"), "-y".as_ref(), image.path.as_os_str()]).status;
    assert!(mended.code().is_some_and(|code| code <= 1));
    prove(&image, false);
}

#[test]
fn ext4_with_64k_blocks() {
    case_without_mount(400 * MIB, "-t ext4 -b 65536");
}

#[test]
fn ext4_with_32k_blocks_and_clusters() {
    case_without_mount(400 * MIB, "-t ext4 -b 32768 -O bigalloc -C 131072");
}

#[test]
fn ext4_without_flex_bg() {
    case(300 * MIB, "-t ext4 -b 1024 -O ^flex_bg", "");
}

#[test]
fn ext4_with_meta_bg() {
    case(300 * MIB, "-t ext4 -b 1024 -O meta_bg,^resize_inode", "");
}

/// Grown beyond the blocks that were reserved for group descriptors: those before `first_meta_bg`
/// lie at the start, the rest in their meta groups.
#[test]
fn ext4_with_meta_bg_after_other_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 300 * MIB, "-t ext4 -b 1024 -O 64bit,^resize_inode") else { return };
    debugfs(&image, "ssv first_meta_bg 3");
    debugfs(&image, "feature meta_bg");
    check_with_fsck(&image.path);
    fs::File::options().write(true).open(&image.path).unwrap().set_len(500 * MIB).unwrap();
    run("resize2fs", &[&image.path]);
    check_with_fsck(&image.path);
    {
        let at = folder.path().join("at");
        let _mount = Mount::kernel(&image.path, &at, "ext4", "");
        fill_tree(&at, 30 * MIB, 9);
    }
    let text = run("dumpe2fs", &[OsStr::new("-h"), image.path.as_os_str()]);
    assert!(text.contains("meta_bg") && text.contains("First meta block group:   3"), "{text}");
    prove(&image, true);
}

#[test]
fn ext4_without_64bit() {
    case(300 * MIB, "-t ext4 -b 4096 -O ^64bit", "");
}

#[test]
fn ext4_with_bigalloc() {
    case(300 * MIB, "-t ext4 -b 4096 -O bigalloc -C 32768", "");
}

#[test]
fn ext4_with_bigalloc_of_1k_blocks() {
    case(300 * MIB + 5 * 1024, "-t ext4 -b 1024 -O bigalloc -C 16384", "");
}

#[test]
fn ext4_with_group_checksums() {
    case(300 * MIB, "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit", "");
}

#[test]
fn ext4_with_wide_group_checksums() {
    case(300 * MIB, "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,64bit", "");
}

#[test]
fn ext4_with_sparse_super2() {
    case(300 * MIB, "-t ext4 -b 1024 -O sparse_super2", "");
}

#[test]
fn ext4_with_a_checksum_seed() {
    case(100 * MIB, "-t ext4 -O metadata_csum_seed,inline_data,ea_inode,large_dir,orphan_file,fast_commit", "");
}

#[test]
fn ext4_with_features_of_files() {
    case_without_mount(150 * MIB, "-t ext4 -O quota,project,verity,casefold,encrypt,stable_inodes");
}

#[test]
fn ext4_without_a_journal() {
    case(150 * MIB, "-t ext4 -O ^has_journal", "");
}

#[test]
fn ext4_with_many_inodes() {
    case(140 * MIB, "-t ext4 -b 1024 -I 128 -i 1024 -G 4", "");
}

#[test]
fn ext4_with_few_inodes() {
    case(300 * MIB, "-t ext4 -b 4096 -N 800", "");
}

#[test]
fn larger_places_keep_what_is_behind_the_filesystem() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 20 * MIB, "-t ext4") else { return };
    let small = map_of(&image).unwrap();
    fs::File::options().write(true).open(&image.path).unwrap().set_len(30 * MIB).unwrap();
    assert_eq!(map_of(&image).unwrap(), small);
}

#[test]
fn a_large_one_takes_little_time() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 1 << 40, "-t ext4 -E lazy_itable_init=1,lazy_journal_init=1") else { return };
    let start = std::time::Instant::now();
    let found = map_of(&image).unwrap();
    println!("{:?}, {} runs", start.elapsed(), found.free.as_slice().len());
    compare_with_tool(&found.free, &tool_free(&image), image.bytes());
}

/// The image as it is on disk while it is mounted and written to.
fn copy_while_mounted(folder: &TempDir, image: &ImageFile, kind: &str) -> ImageFile {
    let at = folder.path().join("at");
    let copy = ImageFile::create(&folder.path().join("copy"), image.bytes());
    let _mount = Mount::kernel(&image.path, &at, kind, "");
    fill_tree(&at, 3 * MIB, 5);
    fs::write(at.join("last"), "written").unwrap();
    run("sync", &[OsStr::new("-f"), at.as_os_str()]);
    run("cp", &[&image.path, &copy.path]);
    copy
}

fn debugfs(image: &ImageFile, request: &str) {
    let output = try_run("debugfs", &[OsStr::new("-w"), "-R".as_ref(), request.as_ref(), image.path.as_os_str()]);
    assert!(output.status.success());
}

#[test]
fn a_journal_in_use_is_dirty() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 60 * MIB, "-t ext4") else { return };
    let copy = copy_while_mounted(&folder, &image, "ext4");
    assert_eq!(cause_of(&copy), Cause::Dirty);
    assert!(map_of(&image).is_ok(), "unmounted it is clean");
    debugfs(&copy, "feature -needs_recovery");
    let unmapped = map_of(&copy).unwrap_err();
    assert_eq!((unmapped.cause, unmapped.why.as_str()), (Cause::Dirty, "its journal is not empty"));
}

#[test]
fn a_mounted_ext2_is_dirty() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 60 * MIB, "-t ext2") else { return };
    let copy = copy_while_mounted(&folder, &image, "ext4");
    assert_eq!(cause_of(&copy), Cause::Dirty);
}

#[test]
fn a_protected_mount_is_dirty() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 60 * MIB, "-t ext4 -b 1024 -O mmp,^metadata_csum") else { return };
    prove(&image, true);
    let text = run("dumpe2fs", &[OsStr::new("-h"), image.path.as_os_str()]);
    let block = text.lines().find_map(|line| line.strip_prefix("MMP block number:")).unwrap();
    let block: u64 = block.trim().parse().unwrap();
    // A mount counts here, a check has a number of its own.
    for sequence in [5u32, 0xE24D_4D50] {
        image.write(block * 1024 + 4, &sequence.to_le_bytes());
        let unmapped = map_of(&image).unwrap_err();
        assert!(unmapped.cause == Cause::Dirty && unmapped.why.contains("multiple-mount"), "{unmapped:?}");
    }
    image.write(block * 1024, &[0; 8]);
    assert_eq!(cause_of(&image), Cause::Inconsistent);
}

/// Requests to debugfs, which mends checksums, and what comes of them.
#[test]
fn states_and_lies() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 40 * MIB, "-t ext4 -b 1024 -O orphan_file") else { return };
    let good = fs::read(&image.path).unwrap();
    assert!(map_of(&good).is_ok());
    for (requests, cause) in [
        ("ssv state 0", Cause::Dirty),
        ("ssv state 3", Cause::Dirty),
        ("ssv state 5", Cause::Dirty),
        ("ssv last_orphan 12", Cause::Dirty),
        ("feature orphan_present", Cause::Dirty),
        ("feature needs_recovery", Cause::Dirty),
        ("ssv feature_incompat 0x80002c2", Cause::Feature),
        ("ssv feature_ro_compat 0x446b", Cause::Feature),
        ("ssv feature_compat 0x8000023c", Cause::Feature),
        ("ssv journal_inum 0", Cause::Feature),
        ("ssv journal_inum 11", Cause::Inconsistent),
        ("ssv checksum_type 2", Cause::Feature),
        ("ssv free_blocks_count 1000", Cause::Inconsistent),
        ("ssv blocks_count 41000", Cause::Truncated),
        ("ssv blocks_count 40000", Cause::Inconsistent),
        ("ssv blocks_count 0xffffffffff", Cause::Truncated),
        ("ssv blocks_per_group 8", Cause::Inconsistent),
        ("ssv inodes_per_group 100", Cause::Inconsistent),
        ("ssv inode_size 100", Cause::Inconsistent),
        ("ssv desc_size 32", Cause::Inconsistent),
        ("ssv reserved_gdt_blocks 60000", Cause::Inconsistent),
        ("ssv first_data_block 0", Cause::Inconsistent),
        ("ssv uuid random", Cause::Inconsistent),
        ("sif <8> flags 0", Cause::Inconsistent),
        ("sif <8> size 0", Cause::Inconsistent),
        ("set_bg 1 free_blocks_count 7;set_bg 1 checksum calc", Cause::Inconsistent),
        ("set_bg 1 free_blocks_count 7", Cause::Inconsistent),
        ("set_bg 1 block_bitmap 70000;set_bg 1 checksum calc", Cause::Inconsistent),
        ("set_bg 1 block_bitmap 30000;set_bg 1 checksum calc", Cause::Inconsistent),
        ("set_bg 1 inode_table 3;set_bg 1 checksum calc", Cause::Inconsistent),
        ("set_bg 1 inode_table 40959;set_bg 1 checksum calc", Cause::Inconsistent),
        ("set_bg 0 flags 2;set_bg 0 checksum calc", Cause::Inconsistent),
        ("freeb 1", Cause::Inconsistent),
        ("freeb 300", Cause::Inconsistent),
        ("setb 5000", Cause::Inconsistent),
    ] {
        fs::write(&image.path, &good).unwrap();
        let commands = folder.path().join("commands");
        fs::write(&commands, requests.replace(';', "\n")).unwrap();
        try_run("debugfs", &[OsStr::new("-w"), "-f".as_ref(), commands.as_os_str(), image.path.as_os_str()]);
        assert_ne!(hash(&image.path), blake3::hash(&good), "{requests} changed nothing");
        match map_of(&image) {
            Err(unmapped) => {
                println!("{requests}: {unmapped}");
                assert_eq!(unmapped.cause, cause, "{requests}: {unmapped}");
            }
            Ok(_) => panic!("{requests}: there is a map"),
        }
    }
}

#[test]
fn journal_devices_and_short_places() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 20 * MIB, "-O journal_dev") else { return };
    assert_eq!(identify(&VolumeReader::whole(&image, 512)).unwrap().variant, "jbd");
    assert_eq!(cause_of(&image), Cause::Feature);
    let image = mkfs(&folder, 20 * MIB, "-t ext4 -b 1024").unwrap();
    let mut bytes = fs::read(&image.path).unwrap();
    bytes.truncate(bytes.len() - 1024);
    assert_eq!(cause_of(&bytes), Cause::Truncated);
    bytes.truncate(2048);
    assert_eq!(cause_of(&bytes), Cause::Truncated);
    bytes.truncate(2047);
    assert!(identify(&VolumeReader::whole(&bytes, 512)).is_none());
    assert_eq!(cause_of(&bytes), Cause::Inconsistent);
    // A bit of a bitmap, of a descriptor, of the superblock.
    let good = fs::read(&image.path).unwrap();
    let text = run("dumpe2fs", &[&image.path]);
    let bitmap: usize = text.split("Block bitmap at ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    for at in [1024 + 0x180, 2048 + 5, bitmap * 1024 + 1000] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert_eq!(cause_of(&bytes), Cause::Inconsistent, "byte {at}");
    }
}

/// Fields of the journal's inode and superblock, which have no part in the filesystem's counts.
#[test]
fn journals_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["-t ext4 -b 1024", "-t ext3 -b 1024"] {
        let Some(image) = mkfs(&folder, 40 * MIB, kind) else { return };
        let text = run("debugfs", &[OsStr::new("-R"), "imap <8>".as_ref(), image.path.as_os_str()]);
        let number = |text: &str| u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap();
        let (_, place) = text.split_once("located at block ").unwrap();
        let (block, offset) = place.split_once(", offset ").unwrap();
        let inode = block.parse::<u64>().unwrap() * 1024 + number(offset);
        let text = run("debugfs", &[OsStr::new("-R"), "blocks <8>".as_ref(), image.path.as_os_str()]);
        let journal: u64 = text.split_whitespace().next().unwrap().parse().unwrap();
        let good = fs::read(&image.path).unwrap();
        let map = inode + 0x28;
        let extents = kind.contains("ext4");
        let cases: &[(u64, u32)] = match extents {
            // Magic, entries, depth, the extent's length, its block, and the file's size.
            true => &[(map, 0), (map, 0x40_F30A), (map + 4, 0x1_0004), (map + 16, 0), (map + 20, 39_000)],
            // A direct block, the list of more, the list of lists.
            false => {
                &[(map, 0), (map + 4, 39_000), (map + 48, 0), (map + 48, 39_000), (map + 52, 0), (map + 52, 50_000)]
            }
        };
        let of_both = [(inode + 4, 0), (inode + 4, !0), (journal * 1024, 0), (journal * 1024 + 12, 9)];
        for (at, value) in cases.iter().chain(&of_both) {
            let mut bytes = good.clone();
            bytes[*at as usize..][..4].copy_from_slice(&value.to_le_bytes());
            let unmapped = map_of(&bytes).unwrap_err();
            println!("{}: {unmapped}", at - inode.min(*at));
            assert_eq!(unmapped.cause, Cause::Inconsistent, "{} {unmapped}", at - inode.min(*at));
        }
        for field in [0x1C, 0x20] {
            let mut bytes = good.clone();
            bytes[(journal * 1024 + field + 3) as usize] = 1;
            assert_eq!(cause_of(&bytes), Cause::Dirty);
        }
    }
}

/// Without checksums every flipped byte reaches the parser.
#[test]
fn random_bytes_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in ["-t ext3 -b 1024 -J size=1", "-t ext4 -b 1024 -O ^metadata_csum,^uninit_bg,meta_bg,^resize_inode"]
    {
        let Some(image) = mkfs(&folder, 20 * MIB, arguments) else { return };
        let good = fs::read(&image.path).unwrap();
        let good_map = map_of(&good).unwrap().free;
        let mut random = Random(4);
        let mut maps = 0;
        for _ in 0..400 {
            let mut bytes = good.clone();
            for _ in 0..=random.below(3) {
                // Superblock and descriptors, or anything in the first group's metadata.
                let at = if random.below(2) == 0 { 1024 + random.below(0x180) } else { random.below(400 * 1024) };
                bytes[at as usize] = random.next() as u8;
            }
            if let Ok(found) = map_of(&bytes) {
                maps += 1;
                compare_with_tool(&found.free, &good_map, image.bytes());
            }
            identify(&VolumeReader::whole(&bytes, 512));
        }
        println!("{maps} of 400 were mapped");
    }
}
