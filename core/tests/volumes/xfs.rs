//! XFS.

use crate::support::{ImageFile, Mount, Random, can, compare_with_tool, fill_tree, run, tree_hash};
use holotype_core::volume::xfs::{identify, map};
use holotype_core::volume::{Cause, FreeRuns, MapOptions, MapResult, ReadAt, VolumeReader};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

fn map_of(disk: &dyn ReadAt) -> MapResult {
    map(&VolumeReader::whole(disk, 512), &MapOptions::default())
}

/// A new filesystem in `folder`; `None` where it cannot be had here.
fn mkfs(folder: &TempDir, bytes: u64, arguments: &str) -> Option<ImageFile> {
    if !can(&["mkfs.xfs", "xfs_db", "xfs_repair", "blkid"]) {
        return None;
    }
    let image = ImageFile::create(&folder.path().join("image"), bytes);
    let mut all: Vec<&OsStr> = arguments.split_whitespace().map(OsStr::new).collect();
    all.extend([OsStr::new("-q"), "-f".as_ref(), "-L".as_ref(), "Ä label".as_ref(), image.path.as_os_str()]);
    run("mkfs.xfs", &all);
    Some(image)
}

/// What `xfs_db` calls free: the blocks kept ready for trees too.
fn tool_free(image: &ImageFile) -> FreeRuns {
    let db =
        |command: &str| run("xfs_db", &[OsStr::new("-r"), "-c".as_ref(), command.as_ref(), image.path.as_os_str()]);
    let field = |name: &str| -> u64 {
        let text = run(
            "xfs_db",
            &[
                OsStr::new("-r"),
                "-c".as_ref(),
                "sb 0".as_ref(),
                "-c".as_ref(),
                format!("p {name}").as_ref(),
                image.path.as_os_str(),
            ],
        );
        text.split('=').nth(1).unwrap().trim().parse().unwrap()
    };
    let (block_bytes, ag_blocks) = (field("blocksize"), field("agblocks"));
    let mut free = FreeRuns::builder(image.bytes());
    // A line per run: group, block, length; behind them a histogram with more columns.
    for line in db("freesp -d").lines() {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        if let ([ag, block, length], 3) = (&numbers[..], line.split_whitespace().count()) {
            free.push((ag * ag_blocks + block) * block_bytes, length * block_bytes).unwrap();
        }
    }
    free.finish()
}

fn hash(path: &Path) -> blake3::Hash {
    blake3::hash(&fs::read(path).unwrap())
}

fn blkid_tag(path: &Path, tag: &str) -> String {
    let arguments = [OsStr::new("-p"), "-o".as_ref(), "value".as_ref(), "-s".as_ref(), tag.as_ref(), path.as_os_str()];
    run("blkid", &arguments).trim_end_matches('\n').to_owned()
}

fn prove(image: &ImageFile) {
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
    run("xfs_repair", &[OsStr::new("-n"), "-f".as_ref(), copy.path.as_os_str()]);
    let tree_of = |image: &ImageFile| {
        let at = image.path.with_extension("mount");
        let _mount = Mount::kernel(&image.path, &at, "xfs", "ro");
        tree_hash(&at)
    };
    assert_eq!(tree_of(image), tree_of(&copy));
}

/// Small files in rows with gaps: many free runs, and with them trees of more than one level.
fn fragment(root: &Path) {
    let folder = root.join("small");
    fs::create_dir_all(&folder).unwrap();
    for number in 0..2400 {
        fs::write(folder.join(format!("{number}")), [number as u8; 900]).unwrap();
    }
    run("sync", &[OsStr::new("-f"), root.as_os_str()]);
    for number in (0..2400).step_by(2) {
        fs::remove_file(folder.join(format!("{number}"))).unwrap();
    }
}

fn fill(folder: &TempDir, image: &ImageFile, mount_options: &str) {
    let at = folder.path().join("at");
    let _mount = Mount::kernel(&image.path, &at, "xfs", mount_options);
    fragment(&at);
    fill_tree(&at, 30 * MIB, 1);
}

fn case(bytes: u64, arguments: &str, mount_options: &str) {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, bytes, arguments) else { return };
    // As mkfs leaves it, with an unmount record of its own.
    compare_with_tool(&map_of(&image).unwrap().free, &tool_free(&image), bytes);
    fill(&folder, &image, mount_options);
    prove(&image);
}

#[test]
fn as_mkfs_makes_it() {
    case(320 * MIB, "", "");
}

#[test]
fn blocks_of_1k() {
    case(320 * MIB + 7 * 1024, "--unsupported -b size=1024 -d agcount=2", "");
}

#[test]
fn blocks_of_2k() {
    case(320 * MIB, "-b size=2048", "");
}

#[test]
fn blocks_of_64k() {
    case(320 * MIB, "-b size=65536", "");
}

#[test]
fn many_groups() {
    case(330 * MIB, "--unsupported -d agcount=13 -b size=1024", "");
}

#[test]
fn trees_of_owners_and_references() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 320 * MIB, "-m rmapbt=1,reflink=1 -b size=1024 -d agcount=2") else { return };
    fill(&folder, &image, "");
    {
        let at = folder.path().join("at");
        let _mount = Mount::kernel(&image.path, &at, "xfs", "");
        for number in (1..2400).step_by(6) {
            let (from, to) = (at.join(format!("small/{number}")), at.join(format!("small/copy-{number}")));
            run("cp", &[OsStr::new("--reflink=always"), from.as_os_str(), to.as_os_str()]);
        }
    }
    prove(&image);
}

#[test]
fn without_later_trees() {
    case(320 * MIB, "-m reflink=0,finobt=0,inobtcount=0,bigtime=0 -i sparse=0", "");
}

#[test]
fn later_forms_of_inodes() {
    case(320 * MIB, "-i nrext64=1,size=1024 -m bigtime=1,inobtcount=1", "");
}

#[test]
fn sectors_of_4k() {
    case(320 * MIB, "-s size=4096", "");
}

#[test]
fn log_in_stripes() {
    case(320 * MIB, "--unsupported -d su=64k,sw=2 -l su=256k", "logbsize=256k");
}

#[test]
fn another_uuid_than_its_metadata() {
    let folder = tempfile::tempdir().unwrap();
    if !can(&["xfs_admin"]) {
        return;
    }
    let Some(image) = mkfs(&folder, 320 * MIB, "") else { return };
    fill(&folder, &image, "");
    run("xfs_admin", &[OsStr::new("-U"), "generate".as_ref(), image.path.as_os_str()]);
    // The tools write a log with a gap of zeros, which the next mount closes.
    assert_eq!(map_of(&image).unwrap_err().cause, Cause::Dirty);
    fill(&folder, &image, "");
    prove(&image);
}

/// The log goes round: its head is somewhere in the middle, and behind it is the round before.
#[test]
fn a_log_that_went_round() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 320 * MIB, "--unsupported -l size=6m") else { return };
    {
        let at = folder.path().join("at");
        let _mount = Mount::kernel(&image.path, &at, "xfs", "");
        for round in 0..8 {
            fragment(&at);
            fs::rename(at.join("small"), at.join(format!("small-{round}"))).unwrap();
        }
    }
    let disk = Overlay::new(&image.path);
    let cycle = |offset| {
        let block = disk.read(log_start(&disk) + offset, 8);
        u32::from_be_bytes(block[if block.starts_with(&[0xFE, 0xED]) { 4..8 } else { 0..4 }].try_into().unwrap())
    };
    let (first, last) = (cycle(0), cycle(6 * MIB - 512));
    assert!(first >= 2 && last == first - 1, "the log did not go round: {first}, {last}");
    prove(&image);
    // Mounted and unmounted, it has one record more each time: the head comes by the log's end.
    for _ in 0..12 {
        let at = folder.path().join("at");
        let mount = Mount::kernel(&image.path, &at, "xfs", "");
        fs::write(at.join("more"), "more").unwrap();
        drop(mount);
        assert!(map_of(&image).is_ok());
    }
}

#[test]
fn a_large_one_takes_little_time() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 1 << 40, "") else { return };
    let start = std::time::Instant::now();
    let found = map_of(&image).unwrap();
    println!("{:?}", start.elapsed());
    compare_with_tool(&found.free, &tool_free(&image), image.bytes());
}

/// As it is on disk while it is mounted and written to.
#[test]
fn a_log_in_use_is_dirty() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 320 * MIB, "") else { return };
    let copy = folder.path().join("copy");
    {
        let at = folder.path().join("at");
        let _mount = Mount::kernel(&image.path, &at, "xfs", "");
        fill_tree(&at, 3 * MIB, 5);
        fs::write(at.join("last"), "written").unwrap();
        run("sync", &[OsStr::new("-f"), at.as_os_str()]);
        run("cp", &[OsStr::new("--sparse=always"), image.path.as_os_str(), copy.as_os_str()]);
    }
    assert!(map_of(&image).is_ok(), "unmounted it is clean");
    assert_eq!(map_of(&Overlay::new(&copy)).unwrap_err().cause, Cause::Dirty);
}

#[test]
fn forms_that_are_not_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in ["-m crc=0", "-l logdev=LOG,size=64m", "-r rtdev=LOG"] {
        let device = folder.path().join("device");
        ImageFile::create(&device, 300 * MIB);
        let arguments = arguments.replace("LOG", &device.display().to_string());
        let Some(image) = mkfs(&folder, 320 * MIB, &arguments) else { return };
        let unmapped = map_of(&image).unwrap_err();
        println!("{unmapped}");
        assert_eq!(unmapped.cause, Cause::Feature);
    }
}

/// An image with other bytes at some places.
struct Overlay {
    image: fs::File,
    bytes: u64,
    patches: Vec<(u64, Vec<u8>)>,
}

impl Overlay {
    fn new(path: &Path) -> Self {
        let image = fs::File::open(path).unwrap();
        Self { bytes: image.metadata().unwrap().len(), image, patches: Vec::new() }
    }

    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read_exact_at(offset, &mut bytes).unwrap();
        bytes
    }

    /// Writes, and mends the checksum at `checksum_at` of the structure of `length` at `start`.
    fn patch(&mut self, start: u64, length: usize, checksum_at: usize, at: usize, value: &[u8]) {
        let mut bytes = self.read(start, length);
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes[checksum_at..checksum_at + 4].fill(0);
        let checksum = crc32c(&bytes).to_le_bytes();
        bytes[checksum_at..checksum_at + 4].copy_from_slice(&checksum);
        self.patches.push((start, bytes));
    }
}

impl ReadAt for Overlay {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.image, buffer, offset_bytes)?;
        let end = offset_bytes + buffer.len() as u64;
        for (start, bytes) in &self.patches {
            let from = offset_bytes.max(*start);
            let to = end.min(start + bytes.len() as u64);
            if from < to {
                buffer[(from - offset_bytes) as usize..(to - offset_bytes) as usize]
                    .copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
            }
        }
        Ok(())
    }
}

/// Where the log lies, in bytes; blocks are 2 to the power of byte 120.
fn log_start(disk: &Overlay) -> u64 {
    let number = |at, length| disk.read(at, length).iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let (start, block_log, group_log) = (number(48, 8), number(120, 1), number(124, 1));
    ((start >> group_log) * number(84, 4) + (start & ((1 << group_log) - 1))) << block_log
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82F6_3B78 & 0u32.wrapping_sub(sum & 1)))
    })
}

/// A structure by its start, length and place of its checksum; a place in it, a value there, and what comes of it.
type Lie = ((u64, usize, usize), usize, [u8; 4], Cause);

/// Fields with checksums mended: superblock, header of a group, its tree's root, its list, its log.
#[test]
fn lies() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 320 * MIB, "-b size=1024 -l size=5m --unsupported -d agcount=2") else { return };
    fill(&folder, &image, "");
    drop(image);
    let path = folder.path().join("image");
    assert!(map_of(&Overlay::new(&path)).is_ok());
    let raw = Overlay::new(&path).read(512, 512);
    let word = |at: usize| u32::from_be_bytes(raw[at..at + 4].try_into().unwrap());
    let root = u64::from(word(16)) * 1024;
    assert_eq!(word(28), 2, "the tree has two levels");
    let leaf = {
        let first_child = Overlay::new(&path).read(root + 56 + 8 * ((1024 - 56) / 12), 4);
        u64::from(u32::from_be_bytes(first_child.try_into().unwrap())) * 1024
    };
    let child = (56 + 8 * ((1024 - 56) / 12)) as u64;
    let log = log_start(&Overlay::new(&path));
    // Start and length of the structure, where its checksum is.
    let (sb, agf, agfl) = ((0, 512, 224), (512, 512, 216), (1536, 512, 32));
    let (root, leaf) = ((root, 1024, 52), (leaf, 1024, 52));
    let be = |value: u32| value.to_be_bytes();
    use Cause::{Dirty, Feature, Inconsistent, Truncated};
    let cases: &[Lie] = &[
        (sb, 8, be(1), Truncated),
        (sb, 12, be(400_000), Truncated),
        (sb, 12, be(300_000), Inconsistent),
        (sb, 16, be(1), Feature),
        (sb, 84, be(0x10000), Inconsistent),
        (sb, 84, be(100), Inconsistent),
        (sb, 88, be(3), Inconsistent),
        (sb, 88, be(!0), Inconsistent),
        (sb, 96, be(!0), Inconsistent),
        (sb, 96, be(200_000), Inconsistent),
        (sb, 52, be(10), Dirty),
        (sb, 52, be(!0), Inconsistent),
        (sb, 148, be(77), Inconsistent),
        (sb, 208, be(1), Feature),
        (sb, 212, be(0x80), Feature),
        (sb, 216, be(0x103), Feature),
        (sb, 216, be(0x13), Inconsistent),
        (sb, 216, be(0x7), Inconsistent),
        (sb, 220, be(1), Feature),
        (sb, 100, [0xB4, 0xA4, 2, 0], Feature),
        (sb, 126, [1, 25, 0, 0], Dirty),
        (sb, 32, be(9), Dirty),
        (agf, 0, be(1), Inconsistent),
        (agf, 8, be(1), Inconsistent),
        (agf, 12, be(1000), Inconsistent),
        (agf, 16, be(!0), Inconsistent),
        (agf, 16, be(1), Inconsistent),
        (agf, 28, be(1), Inconsistent),
        (agf, 28, be(3), Inconsistent),
        (agf, 28, be(0), Inconsistent),
        (agf, 28, be(!0), Inconsistent),
        (agf, 40, be(200), Inconsistent),
        (agf, 44, be(!0), Inconsistent),
        (agf, 48, be(100), Inconsistent),
        (agf, 52, be(1000), Inconsistent),
        (agf, 56, be(1), Inconsistent),
        (agf, 60, be(3), Inconsistent),
        (agf, 64, be(1), Inconsistent),
        (agfl, 0, be(1), Inconsistent),
        (agfl, 4, be(1), Inconsistent),
        (root, 4, [0, 2, 0, 2], Inconsistent),
        (root, 4, [0, 1, 0xFF, 0xFF], Inconsistent),
        (root, 4, [0, 1, 0, 0], Inconsistent),
        (root, 20, be(1), Inconsistent),
        (root, 48, be(1), Inconsistent),
        (root, child as usize, be(!0), Inconsistent),
        (root, child as usize, be((root.0 / 1024) as u32), Inconsistent),
        (root, child as usize + 4, be((leaf.0 / 1024) as u32), Inconsistent),
        (leaf, 4, [0, 0, 0, 1], Inconsistent),
        (leaf, 4, [0, 0, 0, 0], Inconsistent),
        (leaf, 56, be(0), Inconsistent),
        (leaf, 56, be(!0), Inconsistent),
        (leaf, 60, be(0), Inconsistent),
        (leaf, 60, be(!0), Inconsistent),
        (leaf, 60, be(200_000), Inconsistent),
    ];
    for ((start, length, checksum_at), at, value, cause) in cases {
        let mut disk = Overlay::new(&path);
        disk.patch(*start, *length, *checksum_at, *at, value);
        let unmapped = map_of(&disk).expect_err(&format!("byte {at} of {start}"));
        println!("byte {at} of {start}: {unmapped}");
        assert_eq!(unmapped.cause, *cause, "byte {at} of {start}: {unmapped}");
        // Not mended, the checksum tells.
        let mut disk = Overlay::new(&path);
        let mut bytes = value.to_vec();
        bytes[3] ^= 0x40;
        disk.patches.push((start + *at as u64, bytes));
        assert!(map_of(&disk).is_err());
    }
    // The log: its first block, a cycle in the middle, the unmount record.
    let mut head = 0;
    let cycles = Overlay::new(&path).read(log, 5 << 20);
    for (number, block) in cycles.chunks(512).enumerate() {
        if block.starts_with(&[0xFE, 0xED, 0xBA, 0xBE]) && block[43] == 1 && cycles[number * 512 + 521] == 0x20 {
            head = number as u64;
        }
    }
    assert_ne!(head, 0);
    for (at, value) in [
        (0, be(0x77)),
        (3000 * 512, be(0x77)),
        (head * 512 + 12, be(0)),
        (head * 512 + 12, be(!0)),
        (head * 512 + 16, be(5)),
        (head * 512 + 33, be(5)),
        (head * 512 + 40, be(2)),
        (head * 512 + 304, be(2)),
        (head * 512 + 320, be(!0)),
        ((head + 1) * 512 + 8, [0xAA, 0, 0, 0]),
        ((head + 1) * 512 + 8, [0x69, 0x20, 0, 0]),
        ((head + 1) * 512 + 100, [1; 4]),
    ] {
        let mut disk = Overlay::new(&path);
        disk.patches.push((log + at, value.to_vec()));
        let unmapped = map_of(&disk).expect_err(&format!("byte {at} of the log"));
        println!("byte {at} of the log: {unmapped}");
        assert_eq!(unmapped.cause, Dirty);
    }
    // A place that is too short.
    let mut disk = Overlay::new(&path);
    disk.bytes -= 1024;
    assert_eq!(map_of(&disk).unwrap_err().cause, Truncated);
    disk.bytes = 512;
    assert_eq!(map_of(&disk).unwrap_err().cause, Truncated);
    disk.bytes = 511;
    assert_eq!(map_of(&disk).unwrap_err().cause, Inconsistent);
    // Larger ones keep what is behind.
    let file = fs::File::options().write(true).open(&path).unwrap();
    let small = map_of(&Overlay::new(&path)).unwrap();
    file.set_len(340 * MIB).unwrap();
    assert_eq!(map_of(&Overlay::new(&path)).unwrap(), small);
}

#[test]
fn random_bytes_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let Some(image) = mkfs(&folder, 320 * MIB, "-b size=1024 -l size=5m --unsupported -d agcount=2") else { return };
    fill(&folder, &image, "");
    let root = u64::from(u32::from_be_bytes(image.read(512 + 16, 4).try_into().unwrap())) * 1024;
    let good_map = map_of(&image).unwrap().free;
    let mut random = Random(8);
    let mut maps = 0;
    for _ in 0..150 {
        let mut disk = Overlay::new(&image.path);
        for _ in 0..=random.below(2) {
            let places = [(0, 512, 224), (512, 512, 216), (1536, 512, 32), (root, 1024, 52)];
            let (start, length, checksum_at) = places[random.below(4) as usize];
            let at = random.below(264) as usize;
            disk.patch(start, length, checksum_at, at, &[random.next() as u8]);
        }
        if let Ok(found) = map_of(&disk) {
            maps += 1;
            compare_with_tool(&found.free, &good_map, image.bytes());
        }
        identify(&VolumeReader::whole(&disk, 512));
    }
    println!("{maps} of 150 were mapped");
}
