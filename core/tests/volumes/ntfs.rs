//! NTFS, made by mkfs.ntfs and filled through ntfs-3g.

use crate::support::{ImageFile, Random, can, compare_with_tool, fill_tree, run, tree_hash};
use crate::{fuse, noise, partclone};
use holotype_core::volume::{Cause, Drops, MapOptions, ReadAt, Unmapped, VolumeMap, VolumeReader, ntfs};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const PROGRAMS: [&str; 6] = ["mkfs.ntfs", "ntfs-3g", "ntfsfix", "ntfsresize", "blkid", "losetup"];

fn map_with(image: &ImageFile, drops: Drops) -> Result<VolumeMap, Unmapped> {
    ntfs::map(&VolumeReader::whole(image, 512), &MapOptions { drops })
}

fn map_of(image: &ImageFile) -> Result<VolumeMap, Unmapped> {
    map_with(image, Drops::default())
}

fn cause_of(image: &ImageFile) -> Option<Cause> {
    map_of(image).err().map(|unmapped| unmapped.cause)
}

/// A new filesystem on random bytes.
fn made(folder: &Path, bytes: u64, arguments: &[&str]) -> ImageFile {
    let image = ImageFile::create(&folder.join("ntfs.img"), bytes);
    image.fill_with_random(bytes);
    // A label of more than ASCII needs a locale for it. Not a block device: forced.
    let program = ["LC_ALL=C.UTF-8", "mkfs.ntfs", "-F", "-L", "Mein Läbel"];
    run("env", &[&program[..], arguments, &[image.path.to_str().unwrap()]].concat());
    image
}

/// Does this in the mounted volume.
fn mounted(image: &ImageFile, what: impl FnOnce(&Path)) {
    let at = image.path.with_extension("mounted");
    let _mount = fuse::mount("ntfs-3g", image, &at, "");
    what(&at);
}

/// An image with files among the holes that deleted ones left.
fn filled(folder: &Path, bytes: u64, arguments: &[&str], most_bytes: u64) -> ImageFile {
    let image = made(folder, bytes, arguments);
    mounted(&image, |at| {
        fill_tree(at, most_bytes, bytes);
        let name = |number: usize| at.join(format!("a file in the root directory {number}"));
        for number in 0..300 {
            fs::write(name(number), [7; 2000]).unwrap();
        }
        for number in (0..300).filter(|number| number % 3 != 0) {
            fs::remove_file(name(number)).unwrap();
        }
    });
    image
}

fn files_of(image: &ImageFile) -> BTreeMap<PathBuf, String> {
    let at = image.path.with_extension("mounted");
    let _mount = fuse::mount("ntfs-3g", image, &at, "ro");
    tree_hash(&at)
}

/// ntfsfix looks at the system files; ntfsresize compares every file's runs with the bitmap.
fn check(image: &ImageFile) {
    run("ntfsfix", &[OsStr::new("--no-action"), image.path.as_os_str()]);
    let arguments = ["--info", "--force", "--no-progress-bar"].map(OsStr::new);
    run("ntfsresize", &[&arguments[..], &[image.path.as_os_str()]].concat());
}

fn same_as_blkid(image: &ImageFile) -> holotype_core::volume::Identity {
    let identity = ntfs::identify(&VolumeReader::whole(image, 512)).unwrap();
    let field = |name: &str| {
        let text = run("blkid", &["-p", "-o", "value", "-s", name, image.path.to_str().unwrap()]);
        Some(text.trim_end_matches('\n').to_owned()).filter(|text| !text.is_empty())
    };
    assert_eq!(field("TYPE").as_deref(), Some("ntfs"));
    assert_eq!(field("UUID"), identity.uuid);
    assert_eq!(field("LABEL"), identity.label);
    identity
}

/// Our map against partclone's, and a copy whose free runs are overwritten.
fn prove(image: &ImageFile, name: &str) {
    let before = blake3::hash(&fs::read(&image.path).unwrap());
    let map = map_of(image).unwrap();
    assert_eq!(blake3::hash(&fs::read(&image.path).unwrap()), before);
    assert!(map.free.as_slice().len() > 3, "the free clusters lie among used ones");
    check(image);
    let files = files_of(image);
    let scrambled = image.scrambled_copy(&map.free, 1);
    check(&scrambled);
    assert_eq!(files_of(&scrambled), files);
    if can(&["partclone.ntfs"]) {
        let tool = partclone::free_runs("ntfs", image);
        let (ours, theirs) = (image.bytes() - map.free.bytes(), image.bytes() - tool.bytes());
        println!("{name}: {ours} bytes used, partclone.ntfs {theirs}");
        compare_with_tool(&map.free, &tool, image.bytes());
    }
}

fn round_trip(bytes: u64, arguments: &[&str], most_bytes: u64) {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = filled(folder.path(), bytes, arguments, most_bytes);
    assert_eq!(same_as_blkid(&image).label.as_deref(), Some("Mein Läbel"));
    prove(&image, &format!("{arguments:?}"));
}

#[test]
fn clusters_of_512() {
    round_trip(32 << 20, &["-Q", "-c", "512"], 8 << 20);
}

#[test]
fn clusters_of_1_kib_formatted_in_full() {
    round_trip(48 << 20, &["-c", "1024"], 12 << 20);
}

#[test]
fn clusters_of_4_kib() {
    round_trip(300 << 20, &["-Q", "-c", "4096"], 32 << 20);
}

#[test]
fn clusters_of_64_kib_and_an_odd_size() {
    round_trip((200 << 20) + 512 * 77, &["-Q", "-c", "65536"], 32 << 20);
}

#[test]
fn clusters_of_256_kib() {
    round_trip(400 << 20, &["-Q", "-c", "262144"], 12 << 20);
}

#[test]
fn sectors_of_4096() {
    round_trip(100 << 20, &["-Q", "-s", "4096", "-c", "4096"], 16 << 20);
}

/// A full volume with holes of one cluster, into which the MFT has to grow.
#[test]
fn an_mft_in_many_pieces() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = made(folder.path(), 24 << 20, &["-Q", "-c", "4096", "-z", "1"]);
    mounted(&image, |at| {
        let full = (0..).find(|number| fs::write(at.join(format!("large{number}")), [1; 8192]).is_err()).unwrap();
        for number in (0..full).filter(|number| number % 2 == 1) {
            fs::File::options().write(true).open(at.join(format!("large{number}"))).unwrap().set_len(4096).unwrap();
        }
        let small = (0..).find(|number| fs::write(at.join(format!("small{number}")), [2; 70]).is_err()).unwrap();
        for number in 0..small / 3 {
            fs::remove_file(at.join(format!("large{}", number % full))).ok();
        }
    });
    let record = image.read(4 * 4096, 1024);
    let kinds = attributes(&record);
    assert!(kinds.iter().any(|(kind, _)| *kind == 0x20), "the MFT has an attribute list: {kinds:x?}");
    prove(&image, "MFT in many pieces");
    // The list lies in its own cluster: one of its entries elsewhere.
    let list = kinds.iter().find(|(kind, _)| *kind == 0x20).unwrap().1;
    let lcn = first_lcn(&record[list..]);
    let entries = image.read(lcn * 4096, 1024);
    let mut at = 0;
    let part = loop {
        let length = usize::from(u16::from_le_bytes([entries[at + 4], entries[at + 5]]));
        if entries[at] == 0x80 && entries[at + 8..at + 16] != [0; 8] {
            break at as u64;
        }
        at += length;
    };
    let place = lcn * 4096 + part;
    for (offset, bytes) in [(4, &[0, 0][..]), (4, &[0xFF, 0xFF]), (8, &[1]), (16, &[5]), (16, &[0xFF; 6])] {
        let old = image.read(place + offset, bytes.len());
        image.write(place + offset, bytes);
        assert_eq!(cause_of(&image), Some(Cause::Inconsistent), "{bytes:x?} at {offset}");
        image.write(place + offset, &old);
    }
    assert_eq!(cause_of(&image), None);
}

/// Type and offset of a record's attributes.
fn attributes(record: &[u8]) -> Vec<(u32, usize)> {
    let mut found = Vec::new();
    let mut at = usize::from(u16::from_le_bytes([record[20], record[21]]));
    loop {
        let kind = u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
        if kind == u32::MAX {
            return found;
        }
        found.push((kind, at));
        at += u32::from_le_bytes(record[at + 4..at + 8].try_into().unwrap()) as usize;
    }
}

/// Places of a non-resident attribute's clusters, one by one.
fn lcns(attribute: &[u8]) -> Vec<u64> {
    let number = |bytes: &[u8]| {
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        bytes.iter().rev().fold(if negative { -1 } else { 0 }, |number: i64, byte| number << 8 | i64::from(*byte))
    };
    let mut pairs = &attribute[usize::from(attribute[32])..];
    let (mut all, mut lcn) = (Vec::new(), 0);
    while pairs[0] != 0 {
        let (length, delta) = (usize::from(pairs[0] & 0xF), usize::from(pairs[0] >> 4));
        lcn += number(&pairs[1 + length..1 + length + delta]);
        all.extend((0..number(&pairs[1..1 + length])).map(|index| (lcn + index) as u64));
        pairs = &pairs[1 + length + delta..];
    }
    all
}

fn first_lcn(attribute: &[u8]) -> u64 {
    lcns(attribute)[0]
}

/// Offsets in a volume of 4 KiB clusters and 1 KiB records.
struct Places {
    mft: u64,
    mirror: u64,
}

impl Places {
    fn of(image: &ImageFile) -> Self {
        let lcn = |at| u64::from_le_bytes(image.read(at, 8).try_into().unwrap());
        Self { mft: lcn(48) * 4096, mirror: lcn(56) * 4096 }
    }

    fn record(&self, number: u64) -> u64 {
        self.mft + number * 1024
    }

    /// Offset of an attribute on the volume.
    fn attribute(&self, image: &ImageFile, number: u64, kind: u32) -> u64 {
        let record = image.read(self.record(number), 1024);
        let found = attributes(&record).into_iter().find(|(found, _)| *found == kind);
        self.record(number) + found.unwrap().1 as u64
    }

    /// Offset of a system file's content.
    fn content(&self, image: &ImageFile, number: u64) -> u64 {
        4096 * first_lcn(&image.read(self.attribute(image, number, 0x80), 512))
    }
}

/// Patches a byte row, of the MFT's first four records in the mirror too, looks, and puts back what
/// was there.
fn patched(image: &ImageFile, offset: u64, bytes: &[u8]) -> Option<Cause> {
    let places = Places::of(image);
    let mut all = vec![offset];
    if let Some(inside) = offset.checked_sub(places.mft).filter(|inside| *inside < 4096) {
        all.push(places.mirror + inside);
    }
    let old: Vec<_> = all.iter().map(|at| image.read(*at, bytes.len())).collect();
    all.iter().for_each(|at| image.write(*at, bytes));
    let cause = cause_of(image);
    all.iter().zip(old).for_each(|(at, old)| image.write(*at, &old));
    assert_eq!(cause_of(image), None);
    cause
}

fn small(folder: &Path) -> (ImageFile, Places) {
    let image = filled(folder, 32 << 20, &["-Q", "-c", "4096"], 4 << 20);
    let places = Places::of(&image);
    assert_eq!(cause_of(&image), None);
    (image, places)
}

const DIRTY: Option<Cause> = Some(Cause::Dirty);
const INCONSISTENT: Option<Cause> = Some(Cause::Inconsistent);

#[test]
fn dirty_volumes_are_kept() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, places) = small(folder.path());
    // $Volume: the value of a resident attribute begins after 24 bytes.
    let information = places.attribute(&image, 3, 0x70) + 24;
    for flags in [0x0001u16, 0x0002, 0x0004, 0x0008, 0x0010, 0x0020, 0x0080, 0x4000, 0x8000] {
        assert_eq!(patched(&image, information + 10, &flags.to_le_bytes()), DIRTY, "{flags:x}");
    }
    assert_eq!(patched(&image, information + 8, &[1, 2]), Some(Cause::Feature));
    assert_eq!(patched(&image, information + 9, &[0]), None);

    // $LogFile: not empty throughout; then as Windows leaves it.
    let log = places.content(&image, 2);
    assert_eq!(patched(&image, log + 70_000, &[0]), DIRTY);
    assert_eq!(patched(&image, log, &[0]), DIRTY);
    let empty = image.read(log, 8192);
    let put = |first: &[u8], second: &[u8]| {
        image.write(log, first);
        image.write(log + 4096, second);
        cause_of(&image)
    };
    let clean = restart_page(7, 0, 2, 1);
    assert_eq!(put(&clean, &clean), None);
    assert_eq!(put(&restart_page(7, 0xFFFF, 0, 1), &clean), None, "no client");
    assert_eq!(put(&restart_page(7, 0, 0, 1), &restart_page(7, 0, 0, 1)), DIRTY, "a client");
    assert_eq!(put(&clean, &restart_page(8, 0, 0, 1)), DIRTY, "the second one is newer");
    assert_eq!(put(&clean, &restart_page(6, 0, 0, 1)), None, "the second one is older");
    assert_eq!(put(&clean, &restart_page(7, 0, 2, 2)), DIRTY, "version 2: fast startup");
    assert_eq!(put(&clean, &empty[..4096]), DIRTY, "one page only");
    assert_eq!(put(&empty[..4096], &clean), DIRTY);
    for (at, byte) in [
        (0, b'C'),
        (4, 0xFF),
        (6, 3),
        (17, 0),
        (18, 0x10),
        (24, 0xFF),
        (25, 0x0F),
        (56, 2),
        (60, 1),
        (69, 0x10),
        (510, 9),
    ] {
        let mut broken = clean.clone();
        broken[at] = byte;
        assert_eq!(put(&broken, &clean), DIRTY, "{byte} at {at}");
    }
    image.write(log, &empty);
    assert_eq!(cause_of(&image), None);

    // ntfsresize leaves a volume that chkdsk is to look at.
    let path = image.path.to_str().unwrap();
    run("ntfsresize", &["--force", "--force", "--no-progress-bar", "--size", "24M", path]);
    assert_eq!(cause_of(&image), DIRTY);
    run("ntfsfix", &["--clear-dirty", path]);
    prove(&image, "made smaller");
    // And one whose bitmap had to grow.
    run("ntfsresize", &["--force", "--force", "--no-progress-bar", path]);
    assert_eq!(cause_of(&image), DIRTY);
    run("ntfsfix", &["--clear-dirty", path]);
    prove(&image, "made larger");
}

/// A restart page of 4 KiB with its update sequence.
fn restart_page(sequence: u64, client: u16, flags: u16, version: u8) -> Vec<u8> {
    let mut page = vec![0; 4096];
    page[..8].copy_from_slice(&[b'R', b'S', b'T', b'R', 30, 0, 9, 0]);
    (page[17], page[21], page[24]) = (16, 16, 48);
    (page[26], page[28]) = (version & 1, version);
    page[48..56].copy_from_slice(&sequence.to_le_bytes());
    (page[56], page[58], page[59], page[68], page[70]) = (1, 0xFF, 0xFF, 208, 48);
    page[60..62].copy_from_slice(&client.to_le_bytes());
    page[62..64].copy_from_slice(&flags.to_le_bytes());
    page[30] = 5;
    for guard in page.chunks_mut(512) {
        guard[510] = 5;
    }
    page
}

#[test]
fn a_driver_that_was_killed() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, _) = small(folder.path());
    let at = folder.path().join("again");
    let mount = fuse::mount("ntfs-3g", &image, &at, "");
    fs::write(at.join("new"), [1; 100_000]).unwrap();
    // A volume in use: ntfs-3g marks nothing, so whether it has a map is for the caller to know.
    println!("copied while mounted by ntfs-3g: {:?}", cause_of(&image));
    drop(mount);
    assert_eq!(cause_of(&image), None);
}

#[test]
fn hibernated_volumes_are_kept() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, _) = small(folder.path());
    let with = |content: &[u8]| {
        mounted(&image, |at| fs::write(at.join("HiberFil.sys"), content).unwrap());
        cause_of(&image)
    };
    let mut page = vec![0; 1 << 20];
    page[..4].copy_from_slice(b"wake");
    assert_eq!(with(&page), Some(Cause::Hibernated));
    assert_eq!(with(&[0; 100]), Some(Cause::Hibernated));
    page[..4].fill(0);
    assert_eq!(with(&page), None);
    page[4095] = 1;
    assert_eq!(with(&page), Some(Cause::Hibernated));
    page[..4].copy_from_slice(b"hibr");
    // The driver takes no writes from now on.
    assert_eq!(with(&page), Some(Cause::Hibernated));
}

#[test]
fn snapshots_are_kept() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, _) = small(folder.path());
    let mut header = [0; 128];
    let identifier = [0x6B, 0x87, 8, 0x38, 0x76, 0xC1, 0x48, 0x4E, 0xB7, 0xAE, 4, 4, 0x6E, 0x6C, 0xC7, 0x52];
    header[..16].copy_from_slice(&identifier);
    assert_eq!(patched(&image, 0x1E00, &header), None, "no catalog");
    header[50] = 1;
    assert_eq!(patched(&image, 0x1E00, &header), Some(Cause::Snapshots));
    mounted(&image, |at| {
        let folder = at.join("System Volume Information");
        fs::create_dir(&folder).unwrap();
        (0..200).for_each(|number| fs::write(folder.join(format!("{{other {number}}}")), "").unwrap());
        fs::write(folder.join("{3808876b-c176-4e48-b7ae-04046e6cc752}"), "").unwrap();
    });
    assert_eq!(cause_of(&image), None);
    mounted(&image, |at| {
        let name = "{7d7c4d4d-b19c-11e2-b4fc-000c29f5e3d2}{3808876b-C176-4e48-b7ae-04046e6cc752}";
        fs::write(at.join("System Volume Information").join(name), "").unwrap();
    });
    assert_eq!(cause_of(&image), Some(Cause::Snapshots));
}

#[test]
fn files_to_drop() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, _) = small(folder.path());
    mounted(&image, |at| {
        let mut random = Random(5);
        let mut content = vec![0; 3_000_000];
        random.fill(&mut content);
        fs::write(at.join("pagefile.sys"), &content).unwrap();
        fs::write(at.join("SWAPFILE.SYS"), &content[..500_000]).unwrap();
        content[..4096].fill(0);
        fs::write(at.join("hiberfil.sys"), &content[..2_000_000]).unwrap();
        fs::create_dir(at.join("folder")).unwrap();
        fs::write(at.join("folder/pagefile.sys"), &content).unwrap();
    });
    let plain = map_of(&image).unwrap();
    assert_eq!(plain.dropped, []);
    let names = |map: &VolumeMap| map.dropped.iter().map(|file| (file.name.clone(), file.bytes)).collect::<Vec<_>>();
    let rounded = |bytes: u64| bytes.next_multiple_of(4096);
    let hiberfil = ("hiberfil.sys".to_owned(), rounded(2_000_000) - 4096);
    let pagefiles = [("pagefile.sys".to_owned(), rounded(3_000_000)), ("swapfile.sys".to_owned(), rounded(500_000))];
    let both = map_with(&image, Drops { pagefile: true, hiberfil: true }).unwrap();
    assert_eq!(names(&both), [&[hiberfil.clone()][..], &pagefiles].concat());
    let sum: u64 = both.dropped.iter().map(|file| file.bytes).sum();
    assert_eq!(both.free.bytes(), plain.free.bytes() + sum);
    assert_eq!(names(&map_with(&image, Drops { pagefile: true, hiberfil: false }).unwrap()), pagefiles);
    assert_eq!(names(&map_with(&image, Drops { pagefile: false, hiberfil: true }).unwrap()), [hiberfil]);

    // Everything but their content is as before, and it is still not hibernated.
    let scrambled = image.scrambled_copy(&both.free, 9);
    check(&scrambled);
    let dropped = ["pagefile.sys", "SWAPFILE.SYS", "hiberfil.sys"].map(Path::new);
    let (before, after) = (files_of(&image), files_of(&scrambled));
    for path in dropped {
        assert_ne!(before[path], after[path], "{}", path.display());
    }
    let rest = |files: BTreeMap<PathBuf, String>| {
        files.into_iter().filter(|(path, _)| !dropped.contains(&path.as_path())).collect::<Vec<_>>()
    };
    assert_eq!(rest(before), rest(after));
    assert_eq!(cause_of(&scrambled), None);

    // A second name, a hole: kept.
    mounted(&image, |at| {
        fs::hard_link(at.join("pagefile.sys"), at.join("another name")).unwrap();
        fs::remove_file(at.join("SWAPFILE.SYS")).unwrap();
        let swapfile = fs::File::create(at.join("swapfile.sys")).unwrap();
        swapfile.write_all_at(&[1; 100_000], 500_000).unwrap();
        fs::remove_file(at.join("hiberfil.sys")).unwrap();
    });
    assert_eq!(map_with(&image, Drops { pagefile: true, hiberfil: true }).unwrap().dropped, []);
    // So few bytes that they lie in the record.
    mounted(&image, |at| {
        fs::remove_file(at.join("another name")).unwrap();
        fs::write(at.join("swapfile.sys"), [1; 100]).unwrap();
    });
    let again = map_with(&image, Drops { pagefile: true, hiberfil: true }).unwrap();
    assert_eq!(names(&again), pagefiles[..1]);
    // A directory of that name.
    mounted(&image, |at| {
        fs::remove_file(at.join("pagefile.sys")).unwrap();
        fs::create_dir(at.join("pagefile.sys")).unwrap();
    });
    assert_eq!(map_with(&image, Drops { pagefile: true, hiberfil: true }).unwrap().dropped, []);
}

#[test]
fn lies_are_found() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, places) = small(folder.path());
    // The boot sector: more sectors than there are; the MFT elsewhere.
    assert_eq!(patched(&image, 40, &(33u64 << 11).to_le_bytes()), Some(Cause::Truncated));
    let lcn = image.read(48, 8);
    for elsewhere in [0u64, 1, 100, 8000, u64::MAX] {
        image.write(48, &elsewhere.to_le_bytes());
        assert_eq!(cause_of(&image), INCONSISTENT, "MFT at {elsewhere}");
    }
    image.write(48, &lcn);
    // The mirror differs in a byte.
    let label = places.attribute(&image, 3, 0x60) + 24;
    let inside = places.mirror + label - places.mft;
    let old = image.read(inside, 1);
    image.write(inside, b"X");
    assert_eq!(cause_of(&image), INCONSISTENT);
    image.write(inside, &old);
    // Each system record: its magic, its guards, in use, its number, its attributes' lengths.
    for number in [0, 1, 2, 3, 5, 6, 7, 9, 11] {
        let record = places.record(number);
        let changes: [(u64, &[u8]); 7] =
            [(0, b"BAAD"), (510, b"\xAA\xBB"), (1022, b"\xAA\xBB"), (6, &[9]), (22, &[0]), (44, &[77]), (20, &[57])];
        for (offset, bytes) in changes {
            assert_eq!(patched(&image, record + offset, bytes), INCONSISTENT, "record {number}, {offset}");
        }
        let first = record + u64::from(image.read(record + 20, 1)[0]);
        for length in [0u32, 8, 23, 2000, u32::MAX] {
            assert_eq!(patched(&image, first + 4, &length.to_le_bytes()), INCONSISTENT, "record {number}, {length}");
        }
    }
    // $Bitmap: its runs beyond the volume, on the MFT, too short; its sizes.
    let data = places.attribute(&image, 6, 0x80);
    let pairs = data + u64::from(image.read(data + 32, 1)[0]);
    let mft_lcn = (places.mft / 4096) as u8;
    for runs in
        [&[0x21, 1, 0xFF, 0x7F, 0][..], &[0x11, 1, mft_lcn, 0], &[0x11, 2, 9, 0], &[0x01, 1, 0], &[0], &[0x11, 1, 0xFF]]
    {
        assert_eq!(patched(&image, pairs, runs), INCONSISTENT, "{runs:x?}");
    }
    assert_eq!(patched(&image, data + 56, &100u64.to_le_bytes()), INCONSISTENT);
    assert_eq!(patched(&image, data + 48, &100u64.to_le_bytes()), INCONSISTENT);
    assert_eq!(patched(&image, data + 12, &[1]), INCONSISTENT, "compressed");
    // It calls clusters of system files free: the boot sector, the MFT, the log, the mirror, itself.
    let bitmap = places.content(&image, 6);
    for offset in [0, 4096, places.mft, places.content(&image, 2), places.mirror, bitmap, places.content(&image, 10)] {
        let (byte, bit) = (bitmap + offset / 4096 / 8, offset / 4096 % 8);
        let bits = image.read(byte, 1)[0];
        assert_eq!(bits >> bit & 1, 1);
        assert_eq!(patched(&image, byte, &[bits & !(1 << bit)]), INCONSISTENT, "cluster at {offset}");
    }
    // The root directory: a loop, a block beyond, one that is another.
    let root = places.attribute(&image, 5, 0x90);
    let value = root + u64::from(image.read(root + 20, 1)[0]);
    let first = value + 32;
    let length = u64::from(image.read(first + 8, 1)[0]);
    assert_eq!(image.read(first + 12, 1)[0] & 1, 1, "a block below it");
    let below = first + length - 8;
    let block = u64::from_le_bytes(image.read(below, 8).try_into().unwrap());
    for other in [block ^ 1, 1 << 20, u64::MAX] {
        assert_eq!(patched(&image, below, &other.to_le_bytes()), INCONSISTENT, "block {other}");
    }
    let allocation = places.attribute(&image, 5, 0xA0);
    let block_offset = 4096 * lcns(&image.read(allocation, 512))[block as usize];
    assert_eq!(image.read(block_offset, 4), b"INDX");
    for (offset, bytes) in
        [(0, &b"FILE"[..]), (510, b"\xAA\xBB"), (16, &[99]), (24, &[0xFF, 0xFF]), (28, &[0xFF, 0xFF])]
    {
        assert_eq!(patched(&image, block_offset + offset, bytes), INCONSISTENT, "index block, {offset}");
    }
    // An entry in that block which leads to the block itself.
    let entry = block_offset + 24 + u64::from(image.read(block_offset + 24, 1)[0]);
    let length = u64::from(image.read(entry + 8, 1)[0]);
    let old = image.read(entry, length as usize);
    image.write(entry + 12, &[1]);
    image.write(entry + length - 8, &block.to_le_bytes());
    let error = map_of(&image).unwrap_err();
    assert_eq!((error.cause, error.why.contains("twice")), (Cause::Inconsistent, true), "{error}");
    image.write(entry, &old);
    assert_eq!(cause_of(&image), None);
}

#[test]
fn what_is_not_ntfs_is_not_identified() {
    if !can(&["mkfs.exfat", "mkfs.fat", "mkfs.ntfs"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for program in ["mkfs.exfat", "mkfs.fat"] {
        let image = ImageFile::create(&folder.path().join("other.img"), 16 << 20);
        run(program, &[&image.path]);
        assert_eq!(ntfs::identify(&VolumeReader::whole(&image, 512)), None, "{program}");
        assert_eq!(cause_of(&image), INCONSISTENT);
    }
    let image = ImageFile::create(&folder.path().join("ntfs.img"), 16 << 20);
    run("mkfs.ntfs", &["-F", "-Q", image.path.to_str().unwrap()]);
    assert_eq!(same_as_blkid(&image).label, None);
}

#[test]
fn no_byte_makes_it_panic() {
    if !can(&PROGRAMS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (image, places) = small(folder.path());
    mounted(&image, |at| {
        fs::write(at.join("pagefile.sys"), [1; 50_000]).unwrap();
        fs::write(at.join("hiberfil.sys"), [0; 50_000]).unwrap();
    });
    let root = places.attribute(&image, 5, 0xA0);
    let index = 4096 * first_lcn(&image.read(root, 512));
    let metadata =
        [(11, 70), (places.mft, 12 << 10), (places.record(5), 1024), (places.record(6), 1024), (index, 8192)];
    let options = MapOptions { drops: Drops { pagefile: true, hiberfil: true } };
    let mapped = noise::survives(&image, &metadata, 4000, |volume| {
        ntfs::identify(volume);
        ntfs::map(volume, &options).map(|map| map.free)
    });
    println!("{mapped} of 4000 damaged ones have a map");
}
