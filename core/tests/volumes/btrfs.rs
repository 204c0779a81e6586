//! Btrfs: images made by mkfs.btrfs and filled through the kernel, compared with what
//! `btrfs inspect-internal dump-tree` prints.

use crate::support::*;
use holotype_core::volume::{Cause, FreeRuns, MapOptions, MapResult, ReadAt, VolumeKind, VolumeReader, btrfs};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const TOOLS: &[&str] = &["mkfs.btrfs", "btrfs", "btrfstune", "blkid"];

fn map(disk: &dyn ReadAt) -> MapResult {
    btrfs::map(&VolumeReader::whole(disk, 512), &MapOptions::default())
}

fn cause(disk: &dyn ReadAt) -> Cause {
    map(disk).unwrap_err().cause
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder, an image in it, and where to mount it.
fn made(mib: u64, mkfs: &[&str]) -> (TempDir, ImageFile, PathBuf) {
    let folder = TempDir::new().unwrap();
    let image = ImageFile::create(&folder.path().join("btrfs.img"), mib * MIB);
    run("mkfs.btrfs", &[&["-q"], mkfs, &[text(&image.path)]].concat());
    let at = folder.path().join("mount");
    (folder, image, at)
}

fn dump(image: &Path, tree: &str) -> String {
    run("btrfs", &["inspect-internal", "dump-tree", "-t", tree, text(image)])
}

fn number_after(line: &str, word: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    words.find(|w| *w == word)?;
    words.next()?.parse().ok()
}

/// The fields of `key (A B C)`.
fn key(line: &str) -> Option<[&str; 3]> {
    let inside = line.split_once("key (")?.1.split_once(')')?.0;
    inside.split(' ').collect::<Vec<_>>().try_into().ok()
}

/// Chunks as dump-tree prints them: logical address, length, places.
fn tool_chunks(image: &Path) -> Vec<(u64, u64, Vec<u64>)> {
    let mut chunks: Vec<(u64, u64, Vec<u64>)> = Vec::new();
    for line in dump(image, "chunk").lines() {
        if let Some([_, "CHUNK_ITEM", logical]) = key(line) {
            chunks.push((logical.parse().unwrap(), 0, Vec::new()));
        }
        let Some(chunk) = chunks.last_mut() else { continue };
        if let Some(length) = number_after(line, "length") {
            chunk.1 = length;
        }
        if line.trim_start().starts_with("stripe ") {
            chunk.2.push(number_after(line, "offset").unwrap());
        }
    }
    chunks
}

/// What dump-tree prints no extent for, without the first MiB; superblocks are not subtracted.
fn tool_free(image: &ImageFile, node_bytes: u64) -> FreeRuns {
    let chunks = tool_chunks(&image.path);
    let mut builder = FreeRuns::builder(image.bytes());
    builder.push(MIB, image.bytes() - MIB).unwrap();
    let mut free = builder.finish();
    for line in dump(&image.path, "extent").lines() {
        let (address, length) = match key(line) {
            Some([address, "EXTENT_ITEM", length]) => (address, length.parse().unwrap()),
            Some([address, "METADATA_ITEM", _]) => (address, node_bytes),
            _ => continue,
        };
        let address: u64 = address.parse().unwrap();
        let (logical, _, places) =
            chunks.iter().find(|(start, bytes, _)| (*start..start + bytes).contains(&address)).unwrap();
        for place in places {
            free = free.without(holotype_core::extent::Extent::new(place + address - logical, length).unwrap());
        }
    }
    free
}

fn hash(image: &ImageFile) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for offset in (0..image.bytes()).step_by(1 << 20) {
        hasher.update(&image.read(offset, (image.bytes() - offset).min(1 << 20) as usize));
    }
    hasher.finalize()
}

fn check(image: &Path) {
    run("btrfs", &["check", "--readonly", "--check-data-csum", text(image)]);
}

/// All that is proven of an unmounted image: our map is the tool's; it survives its free runs.
fn prove(image: &ImageFile, at: &Path, node_bytes: u64) -> FreeRuns {
    let before = hash(image);
    let found = map(image).unwrap();
    assert_eq!(hash(image), before);
    let tool = tool_free(image, node_bytes);
    let (ours_used, tool_used) = (image.bytes() - found.free.bytes(), image.bytes() - tool.bytes());
    eprintln!("{}: {ours_used} bytes used, dump-tree {tool_used}", found.method);
    compare_with_tool(&found.free, &tool, image.bytes());
    let mount = Mount::kernel(&image.path, at, "btrfs", "ro");
    let standing = tree_hash(at);
    drop(mount);
    assert_eq!(hash(image), before);
    let copy = image.scrambled_copy(&found.free, 11);
    check(&copy.path);
    let mount = Mount::kernel(&copy.path, at, "btrfs", "ro");
    assert_eq!(tree_hash(at), standing);
    drop(mount);
    std::fs::remove_file(&copy.path).unwrap();
    found.free
}

/// Files at the top and in subvolumes, one of which has a snapshot that keeps what was deleted.
fn fill(at: &Path, most_bytes: u64) {
    fill_tree(at, most_bytes / 2, 1);
    for name in ["one", "two"] {
        run("btrfs", &["subvolume", "create", text(&at.join(name))]);
        fill_tree(&at.join(name), most_bytes / 4, 2);
    }
    run("btrfs", &["subvolume", "snapshot", "-r", text(&at.join("one")), text(&at.join("snapshot"))]);
    std::fs::remove_dir_all(at.join("one").join("folder 1")).unwrap();
    run("btrfs", &["subvolume", "delete", "--commit-after", text(&at.join("two"))]);
    run("btrfs", &["subvolume", "sync", text(at)]);
}

fn whole_way(mib: u64, mkfs: &[&str], options: &str, node_bytes: u64) {
    if !can(TOOLS) {
        return;
    }
    let label = [mkfs, &["-L", "A label ünd more"]].concat();
    let (_folder, image, at) = made(mib, &label);
    let mount = Mount::kernel(&image.path, &at, "btrfs", options);
    fill(&at, 40 * MIB);
    drop(mount);
    let identity = btrfs::identify(&VolumeReader::whole(&image, 512)).unwrap();
    let tool = |tag| run("blkid", &["-p", "-o", "value", "-s", tag, text(&image.path)]).trim().to_owned();
    assert_eq!((identity.kind, identity.variant), (VolumeKind::Btrfs, tool("TYPE")));
    assert_eq!((identity.uuid, identity.label), (Some(tool("UUID")), Some(tool("LABEL"))));
    prove(&image, &at, node_bytes);
}

#[test]
fn metadata_twice() {
    whole_way(300, &["-m", "dup", "-d", "single"], "", 16384);
}

#[test]
fn all_single_and_compressed() {
    whole_way(300, &["-m", "single", "-d", "single"], "compress-force=zstd", 16384);
}

#[test]
fn data_twice() {
    whole_way(400, &["-m", "dup", "-d", "dup"], "compress=lzo", 16384);
}

#[test]
fn mixed_groups() {
    whole_way(256, &["-M"], "", 4096);
}

#[test]
fn nodes_of_4_kib() {
    whole_way(300, &["-n", "4096"], "", 4096);
}

#[test]
fn nodes_of_64_kib() {
    whole_way(300, &["-n", "65536"], "", 65536);
}

#[test]
fn old_features() {
    whole_way(300, &["-O", "^no-holes,^extref,^skinny-metadata", "-R", "^free-space-tree"], "space_cache=v1", 16384);
}

#[test]
fn quotas() {
    whole_way(300, &["-R", "quota"], "nodatacow", 16384);
}

#[test]
fn converted_from_ext4() {
    if !can(&[TOOLS, &["mke2fs", "btrfs-convert"]].concat()) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let image = ImageFile::create(&folder.path().join("converted.img"), 400 * MIB);
    let at = folder.path().join("mount");
    run("mke2fs", &["-q", "-t", "ext4", "-b", "4096", text(&image.path)]);
    let mount = Mount::kernel(&image.path, &at, "ext4", "");
    fill_tree(&at, 30 * MIB, 8);
    drop(mount);
    run("btrfs-convert", &["--no-progress", text(&image.path)]);
    prove(&image, &at, 16384);
    let mount = Mount::kernel(&image.path, &at, "btrfs", "");
    run("btrfs", &["subvolume", "delete", "--commit-after", text(&at.join("ext2_saved"))]);
    run("btrfs", &["subvolume", "sync", text(&at)]);
    run("btrfs", &["balance", "start", "--full-balance", text(&at)]);
    drop(mount);
    prove(&image, &at, 16384);
}

#[test]
fn other_checksums() {
    if !can(TOOLS) {
        return;
    }
    for name in ["xxhash", "sha256", "blake2"] {
        let (_folder, image, at) = made(200, &["--csum", name]);
        let mount = Mount::kernel(&image.path, &at, "btrfs", "");
        fill_tree(&at, 15 * MIB, 4);
        drop(mount);
        prove(&image, &at, 16384);
    }
}

#[test]
fn changed_uuid_and_size_and_balance() {
    if !can(TOOLS) {
        return;
    }
    let (_folder, image, at) = made(300, &[]);
    run("btrfstune", &["-f", "-m", text(&image.path)]);
    let mount = Mount::kernel(&image.path, &at, "btrfs", "");
    fill(&at, 40 * MIB);
    run("btrfs", &["filesystem", "resize", "-20m", text(&at)]);
    run("btrfs", &["balance", "start", "--full-balance", text(&at)]);
    run("btrfs", &["subvolume", "set-default", text(&at.join("one"))]);
    drop(mount);
    let free = prove_with_shrunk_end(&image, &at, 20 * MIB);
    // Grown again, and the space is used.
    let mount = Mount::kernel(&image.path, &at, "btrfs", "subvolid=5");
    run("btrfs", &["filesystem", "resize", "max", text(&at)]);
    drop(mount);
    assert!(prove(&image, &at, 16384).bytes() > free);
}

fn prove_with_shrunk_end(image: &ImageFile, at: &Path, cut: u64) -> u64 {
    let found = map(image).unwrap();
    let end = image.bytes() - cut;
    assert!(found.free.iter().all(|run| run.end() <= end), "what is beyond the filesystem's end is not free");
    let copy = image.scrambled_copy(&found.free, 5);
    check(&copy.path);
    let hash_of = |path: &Path| {
        let mount = Mount::kernel(path, at, "btrfs", "ro,subvolid=5");
        let hash = tree_hash(at);
        drop(mount);
        hash
    };
    assert_eq!(hash_of(&image.path), hash_of(&copy.path));
    found.free.bytes()
}

#[test]
fn three_superblocks() {
    if !can(TOOLS) {
        return;
    }
    let (_folder, image, at) = made(300 << 10, &[]);
    let mount = Mount::kernel(&image.path, &at, "btrfs", "");
    fill_tree(&at, 40 * MIB, 3);
    drop(mount);
    let start = Instant::now();
    let found = map(&image).unwrap();
    eprintln!("300 GiB, nearly empty: {:?}", start.elapsed());
    compare_with_tool(&found.free, &tool_free(&image, 16384), image.bytes());
    for place in [64u64 << 10, 64 << 20, 256 << 30] {
        assert_eq!(image.read(place + 64, 8), b"_BHRfS_M");
        let superblock = holotype_core::extent::Extent::new(place, 4096).unwrap();
        assert_eq!(found.free.within(superblock).next(), None);
    }
    let byte = image.read((256 << 30) + 300, 1)[0];
    image.write((256 << 30) + 300, &[byte ^ 1]);
    assert_eq!(cause(&image), Cause::Inconsistent);
}

#[test]
fn a_log_is_dirty() {
    if !can(TOOLS) {
        return;
    }
    let (folder, image, at) = made(200, &[]);
    let mount = Mount::kernel(&image.path, &at, "btrfs", "");
    fill_tree(&at, 10 * MIB, 3);
    let file = std::fs::File::create(at.join("log")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[7; 9000], 0).unwrap();
    file.sync_all().unwrap();
    let copy = folder.path().join("copy.img");
    run("cp", &["--sparse=always", text(&image.path), text(&copy)]);
    drop(file);
    drop(mount);
    let copy = std::fs::read(copy).unwrap();
    assert_eq!(cause(&copy), Cause::Dirty);
    assert!(map(&image).is_ok());
}

#[test]
fn several_devices_and_seeds() {
    if !can(TOOLS) {
        return;
    }
    let folder = TempDir::new().unwrap();
    let images = ["1.img", "2.img"].map(|name| ImageFile::create(&folder.path().join(name), 150 * MIB));
    run("mkfs.btrfs", &["-q", "-d", "raid1", "-m", "raid1", text(&images[0].path), text(&images[1].path)]);
    for image in &images {
        assert!(btrfs::identify(&VolumeReader::whole(image, 512)).is_some());
        assert_eq!(cause(image), Cause::Feature);
    }
    let (_folder, image, _) = made(150, &[]);
    assert!(map(&image).is_ok());
    run("btrfstune", &["-S", "1", text(&image.path)]);
    assert_eq!(cause(&image), Cause::Feature);
}

/// Bit by bit: CRC-32C.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1u32).wrapping_neg()))
    })
}

/// An image in memory whose nodes and superblocks can be changed with right checksums.
#[derive(Clone)]
struct Lies {
    disk: Vec<u8>,
    chunks: Vec<(u64, u64, Vec<u64>)>,
    node_bytes: usize,
}

impl Lies {
    fn of(image: &ImageFile, node_bytes: usize) -> Self {
        Self { disk: std::fs::read(&image.path).unwrap(), chunks: tool_chunks(&image.path), node_bytes }
    }

    fn place(&self, address: u64) -> usize {
        let chunk = self.chunks.iter().find(|(start, bytes, _)| (*start..start + bytes).contains(&address)).unwrap();
        (chunk.2[0] + address - chunk.0) as usize
    }

    fn seal(&mut self, place: usize, length: usize) {
        let sum = crc32c(&self.disk[place + 32..place + length]);
        self.disk[place..place + 4].copy_from_slice(&sum.to_le_bytes());
    }

    fn node(&mut self, address: u64, edit: impl FnOnce(&mut [u8])) {
        let place = self.place(address);
        edit(&mut self.disk[place..place + self.node_bytes]);
        self.seal(place, self.node_bytes);
    }

    /// Changes all superblocks.
    fn superblocks(&mut self, at: usize, bytes: &[u8]) {
        for place in [64 << 10, 64 << 20] {
            self.disk[place + at..][..bytes.len()].copy_from_slice(bytes);
            self.seal(place, 4096);
        }
    }

    fn u64(&self, place: usize) -> u64 {
        u64::from_le_bytes(self.disk[place..place + 8].try_into().unwrap())
    }

    /// Where item `number` of a leaf begins, and its data.
    fn item(node: &[u8], number: usize) -> (usize, usize) {
        let at = 101 + 25 * number;
        (at, 101 + u32::from_le_bytes(node[at + 17..at + 21].try_into().unwrap()) as usize)
    }

    /// The leaves of a tree, and its inner nodes, by their addresses.
    fn nodes(image: &Path, tree: &str) -> (Vec<u64>, Vec<u64>) {
        let text = dump(image, tree);
        let nodes = |word: &'static str| {
            text.lines().filter(|line| line.contains(" items ")).filter_map(move |line| number_after(line, word))
        };
        (nodes("leaf").collect(), nodes("node").collect())
    }
}

fn find_item(node: &[u8], kind: u8) -> usize {
    let count = u32::from_le_bytes(node[96..100].try_into().unwrap()) as usize;
    (0..count).find(|number| node[Lies::item(node, *number).0 + 8] == kind).unwrap()
}

fn add(bytes: &mut [u8], by: i64) {
    let value = u64::from_le_bytes(bytes[..8].try_into().unwrap()).wrapping_add_signed(by);
    bytes[..8].copy_from_slice(&value.to_le_bytes());
}

/// A filesystem with an extent tree of two levels, in nodes of 4 KiB.
fn small() -> (TempDir, ImageFile) {
    let (folder, image, at) = made(128, &["-m", "single", "-d", "single", "-n", "4096"]);
    let mount = Mount::kernel(&image.path, &at, "btrfs", "");
    for number in 0..400 {
        std::fs::write(at.join(number.to_string()), vec![number as u8; 5000]).unwrap();
    }
    drop(mount);
    (folder, image)
}

impl Lies {
    /// Takes all items out of a leaf, and puts these in: key and data.
    fn refill(node: &mut [u8], items: &[(Vec<u8>, Vec<u8>)]) {
        node[96..100].copy_from_slice(&(items.len() as u32).to_le_bytes());
        node[101..].fill(0);
        let mut end = node.len();
        for (number, (key, data)) in items.iter().enumerate() {
            end -= data.len();
            node[end..end + data.len()].copy_from_slice(data);
            let at = 101 + 25 * number;
            node[at..at + 17].copy_from_slice(key);
            node[at + 17..at + 21].copy_from_slice(&(end as u32 - 101).to_le_bytes());
            node[at + 21..at + 25].copy_from_slice(&(data.len() as u32).to_le_bytes());
        }
    }

    fn items(&self, leaf: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
        let node = &self.disk[self.place(leaf)..][..self.node_bytes];
        let count = u32::from_le_bytes(node[96..100].try_into().unwrap()) as usize;
        let item = |number| {
            let (at, data) = Self::item(node, number);
            let length = u32::from_le_bytes(node[at + 21..at + 25].try_into().unwrap()) as usize;
            (node[at..at + 17].to_vec(), node[data..data + length].to_vec())
        };
        (0..count).map(item).collect()
    }
}

fn disk_key(object: u64, kind: u8, offset: u64) -> Vec<u8> {
    [object.to_le_bytes().as_slice(), &[kind], &offset.to_le_bytes()].concat()
}

/// Not every mkfs makes a block group tree: an empty filesystem gets one by hand, which the kernel
/// then takes, and fills.
#[test]
fn block_group_tree() {
    if !can(TOOLS) {
        return;
    }
    let (_folder, image, at) = made(300, &["-m", "single", "-d", "single"]);
    let mut lies = Lies::of(&image, 16384);
    let [extent, root] = ["extent", "root"].map(|tree| Lies::nodes(&image.path, tree).0[0]);
    // The new leaf is the last node of the group of metadata.
    let (groups, mut extents): (Vec<_>, Vec<_>) = lies.items(extent).into_iter().partition(|(key, _)| key[8] == 192);
    let field = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let mut groups = groups;
    let metadata = groups.iter_mut().find(|(_, data)| data[16] == 4).unwrap();
    let new = field(&metadata.0) + field(&metadata.0[9..]) - 16384;
    add(&mut metadata.1, 16384);
    let leaf = lies.disk[lies.place(extent)..][..16384].to_vec();
    let at_new = lies.place(new);
    lies.disk[at_new..at_new + 16384].copy_from_slice(&leaf);
    lies.node(new, |node| {
        node[48..56].copy_from_slice(&new.to_le_bytes());
        node[88..96].copy_from_slice(&11u64.to_le_bytes());
        Lies::refill(node, &groups);
    });
    // Its extent, owned by the new tree, and its root, like that of the extent tree.
    let mut owned = extents.iter().find(|(key, _)| key[8] == 169).unwrap().1.clone();
    owned[25..33].copy_from_slice(&11u64.to_le_bytes());
    extents.push((disk_key(new, 169, 0), owned));
    extents.sort_by_key(|(key, _)| (field(key), key[8]));
    lies.node(extent, |node| Lies::refill(node, &extents));
    let mut roots = lies.items(root);
    let mut item = roots.iter().find(|(key, _)| *key == disk_key(2, 132, 0)).unwrap().1.clone();
    item[176..184].copy_from_slice(&new.to_le_bytes());
    let place = roots.iter().position(|(key, _)| field(key) > 11).unwrap();
    roots.insert(place, (disk_key(11, 132, 0), item));
    lies.node(root, |node| Lies::refill(node, &roots));
    // The last free extent of the group is shorter in the free space tree.
    let free_space = Lies::nodes(&image.path, "10").0[0];
    let mut spaces = lies.items(free_space);
    let space =
        spaces.iter_mut().find(|(key, _)| key[8] == 199 && field(key) + field(&key[9..]) == new + 16384).unwrap();
    add(&mut space.0[9..], -16384);
    lies.node(free_space, |node| Lies::refill(node, &spaces));
    add_superblock(&mut lies, 120, 16384);
    lies.superblocks(180, &[1 | 2 | 8]);
    let found = map(&lies.disk).unwrap();
    assert!(found.free.within(holotype_core::extent::Extent::new(at_new as u64, 16384).unwrap()).next().is_none());
    image.write(0, &lies.disk);
    let mount = Mount::kernel(&image.path, &at, "btrfs", "");
    fill(&at, 40 * MIB);
    drop(mount);
    let features = run("btrfs", &["inspect-internal", "dump-super", text(&image.path)]);
    assert!(features.contains("0xb"), "{features}");
    prove(&image, &at, 16384);
}

#[test]
fn lies_are_found() {
    if !can(TOOLS) {
        return;
    }
    let (_folder, image) = small();
    let honest = Lies::of(&image, 4096);
    let whole = map(&honest.disk).unwrap();
    assert_eq!(whole, map(&image).unwrap());
    let (extent_leaves, extent_nodes) = Lies::nodes(&image.path, "extent");
    let (chunk_leaves, _) = Lies::nodes(&image.path, "chunk");
    let (device_leaves, _) = Lies::nodes(&image.path, "dev");
    let (root_leaves, root_nodes) = Lies::nodes(&image.path, "root");
    let (fs_leaves, fs_nodes) = Lies::nodes(&image.path, "fs");
    assert!(extent_leaves.len() > 2 && extent_nodes.len() == 1);
    let lie = |what: &str, expected: Cause, edit: &dyn Fn(&mut Lies)| {
        let mut lies = honest.clone();
        edit(&mut lies);
        assert_eq!(map(&lies.disk).as_ref().map_err(|unmapped| unmapped.cause).err(), Some(expected), "{what}");
    };
    use Cause::{Dirty, Feature, Inconsistent, Truncated};

    // Superblocks.
    lie("checksum", Inconsistent, &|l| l.disk[(64 << 10) + 200] ^= 1);
    lie("copy", Inconsistent, &|l| l.disk[(64 << 20) + 200] ^= 1);
    lie("copy of another generation", Inconsistent, &|l| {
        l.disk[(64 << 20) + 72] ^= 1;
        l.seal(64 << 20, 4096);
    });
    lie("bytes used", Inconsistent, &|l| add_superblock(l, 120, 4096));
    lie("generation", Inconsistent, &|l| add_superblock(l, 72, 1));
    lie("root level", Inconsistent, &|l| l.superblocks(198, &[7]));
    lie("root level beyond all", Inconsistent, &|l| l.superblocks(198, &[200]));
    lie("root nowhere", Inconsistent, &|l| l.superblocks(80, &[0xF0; 8]));
    lie("device bytes used", Inconsistent, &|l| add_superblock(l, 217, 65536));
    lie("device number", Inconsistent, &|l| l.superblocks(201, &[9]));
    lie("array of chunks", Inconsistent, &|l| l.superblocks(160, &[90]));
    lie("array of chunks without end", Inconsistent, &|l| l.superblocks(160, &[0xFF; 4]));
    lie("log", Dirty, &|l| l.superblocks(96, &[1]));
    lie("devices", Feature, &|l| l.superblocks(136, &[3]));
    lie("kind of checksum", Feature, &|l| l.superblocks(196, &[9]));
    lie("flags", Feature, &|l| l.superblocks(56 + 4, &[8]));
    lie("flag of an error", Feature, &|l| l.superblocks(56, &[5]));
    for bit in [7, 11, 12, 13, 14, 15, 17, 40] {
        let features = honest.u64((64 << 10) + 188) | 1 << bit;
        lie("incompat", Feature, &|l| l.superblocks(188, &features.to_le_bytes()));
    }
    lie("compat_ro", Feature, &|l| l.superblocks(180, &[0x13]));
    lie("compat", Feature, &|l| l.superblocks(172, &[1]));
    lie("block group tree", Inconsistent, &|l| l.superblocks(180, &[0xB]));
    lie("size", Truncated, &|l| {
        add_superblock(l, 112, 1 << 30);
        add_superblock(l, 209, 1 << 30);
    });
    let cut = honest.disk[..honest.disk.len() - 4096].to_vec();
    assert_eq!(cause(&cut), Truncated);
    lie("sector size", Cause::Unknown, &|l| l.superblocks(144, &[1]));

    // Headers of nodes.
    for (tree, leaf) in [
        ("extent", extent_leaves[0]),
        ("chunk", chunk_leaves[0]),
        ("device", device_leaves[0]),
        ("root", root_leaves[0]),
    ] {
        for (field, at) in [("uuid", 32), ("address", 48), ("generation", 80), ("owner", 88), ("level", 100)] {
            lie(&format!("{tree} {field}"), Inconsistent, &|l| l.node(leaf, |node| node[at] ^= 1));
        }
        lie("not written", Inconsistent, &|l| l.node(leaf, |node| node[56] = 0));
        lie("checksum", Inconsistent, &|l| {
            let place = l.place(leaf);
            l.disk[place + 4000] ^= 1;
        });
        for count in [0u32, 1, 1000, u32::MAX] {
            lie(&format!("{tree} {count} items"), Inconsistent, &|l| {
                l.node(leaf, |node| node[96..100].copy_from_slice(&count.to_le_bytes()));
            });
        }
        lie("key order", Inconsistent, &|l| l.node(leaf, |node| node[101 + 25..][..17].fill(0)));
        lie("data of an item", Inconsistent, &|l| l.node(leaf, |node| node[101 + 25 + 17] ^= 1));
        lie("length of an item", Inconsistent, &|l| l.node(leaf, |node| node[101 + 25 + 21..][..4].fill(0xFF)));
    }
    // Loops: an inner node that leads to itself, and twice to the same leaf.
    let inner = extent_nodes[0];
    lie("loop", Inconsistent, &|l| l.node(inner, |node| node[118..126].copy_from_slice(&inner.to_le_bytes())));
    lie("same leaf twice", Inconsistent, &|l| {
        l.node(inner, |node| node.copy_within(101 + 17..101 + 33, 101 + 33 + 17));
    });
    lie("same pointer twice", Inconsistent, &|l| l.node(inner, |node| node.copy_within(101..101 + 33, 101 + 33)));
    lie("a leaf is left out", Inconsistent, &|l| l.node(inner, |node| add(&mut node[96..104], -1)));

    // Items of the extent tree.
    lie("used of a block group", Inconsistent, &|l| {
        l.node(extent_leaves[0], |node| {
            let (_, data) = Lies::item(node, find_item(node, 192));
            add(&mut node[data..], 4096);
        });
    });
    lie("flags of a block group", Inconsistent, &|l| {
        l.node(extent_leaves[0], |node| {
            let (_, data) = Lies::item(node, find_item(node, 192));
            node[data + 16] ^= 4;
        });
    });
    let data_leaf = *extent_leaves.iter().find(|leaf| honest.has_item(**leaf, 168)).unwrap();
    for (what, at, by) in
        [("longer", 9, 4096i64), ("huge", 9, i64::MAX), ("empty", 9, -8192), ("odd", 9, 1), ("moved", 0, 512)]
    {
        lie(&format!("extent {what}"), Inconsistent, &|l| {
            l.node(data_leaf, |node| {
                let (item, _) = Lies::item(node, find_item(node, 168));
                add(&mut node[item + at..], by);
            });
        });
    }
    for (what, at, value) in
        [("no reference", 0, 0u8), ("of the future", 8 + 4, 1), ("a node", 16, 2), ("neither", 16, 0)]
    {
        lie(what, Inconsistent, &|l| {
            l.node(data_leaf, |node| {
                let (_, data) = Lies::item(node, find_item(node, 168));
                node[data + at] = value;
            });
        });
    }
    lie("unknown item", Feature, &|l| {
        l.node(data_leaf, |node| {
            let (item, _) = Lies::item(node, find_item(node, 168));
            node[item + 8] = 170;
        });
    });
    // The extent of a node is somewhere else, and all sums are right.
    let mut hidden = 0;
    for address in [fs_nodes.first().unwrap_or(&fs_leaves[0]), root_nodes.first().unwrap_or(&root_leaves[0]), &inner] {
        let mut lies = honest.clone();
        if lies.hide_extent(&extent_leaves, *address) {
            let why = map(&lies.disk).unwrap_err().why;
            assert!(why.contains("not in the extent tree"), "{why}");
            hidden += 1;
        }
    }
    assert!(hidden > 0, "no node has room beside it");

    // Chunks and pieces of the device.
    for (what, kind, at, by) in [
        ("chunk is longer", 228u8, 0, 1 << 20),
        ("chunk is endless", 228, 0, i64::MAX),
        ("chunk is elsewhere", 228, 56, 1 << 20),
        ("chunk is outside", 228, 56, 1 << 40),
        ("chunk is of another device", 228, 48, 1),
        ("chunk has more copies", 228, 44, 1),
        ("stripes of another size", 228, 16, 4096),
        ("device has other use", 216, 16, 4096),
    ] {
        lie(what, Inconsistent, &|l| {
            l.node(chunk_leaves[0], |node| {
                let (_, data) = Lies::item(node, find_item(node, kind));
                add(&mut node[data + at..], by);
            });
        });
    }
    lie("RAID", Feature, &|l| {
        l.node(chunk_leaves[0], |node| {
            let (_, data) = Lies::item(node, find_item(node, 228));
            node[data + 24] |= 16;
        });
    });
    for (what, at, by) in [("other chunk", 16, 65536), ("longer", 24, 65536)] {
        lie(what, Inconsistent, &|l| {
            l.node(device_leaves[0], |node| {
                let (_, data) = Lies::item(node, find_item(node, 204));
                add(&mut node[data + at..], by);
            });
        });
    }
    lie("replacing", Dirty, &|l| {
        l.node(device_leaves[0], |node| {
            let (item, data) = Lies::item(node, find_item(node, 249));
            node[item + 8] = 250;
            node[data + 32] = 1;
        });
    });
    // The last root, of the tree that balances use, is called something else.
    for (what, object, kind) in [("relocation", -8i64, 132), ("balance", -4, 248)] {
        lie(what, Dirty, &|l| {
            l.node(*root_leaves.last().unwrap(), |node| {
                let count = u32::from_le_bytes(node[96..100].try_into().unwrap()) as usize;
                let (item, _) = Lies::item(node, count - 1);
                assert_eq!(node[item + 8], 132);
                node[item..item + 8].copy_from_slice(&object.to_le_bytes());
                node[item + 8] = kind;
            });
        });
    }
}

fn add_superblock(lies: &mut Lies, at: usize, by: i64) {
    let value = lies.u64((64 << 10) + at).wrapping_add_signed(by);
    lies.superblocks(at, &value.to_le_bytes());
}

impl Lies {
    fn has_item(&self, leaf: u64, kind: u8) -> bool {
        let node = &self.disk[self.place(leaf)..][..self.node_bytes];
        let count = u32::from_le_bytes(node[96..100].try_into().unwrap()) as usize;
        (0..count).any(|number| node[Self::item(node, number).0 + 8] == kind)
    }

    /// Moves the extent item of a node to the address after it, where that is free and in the same
    /// leaf; whether it could.
    fn hide_extent(&mut self, extent_leaves: &[u64], address: u64) -> bool {
        for leaf in extent_leaves {
            let node = self.disk[self.place(*leaf)..][..self.node_bytes].to_vec();
            let count = u32::from_le_bytes(node[96..100].try_into().unwrap()) as usize;
            let key = |number: usize| {
                let at = Self::item(&node, number).0;
                (u64::from_le_bytes(node[at..at + 8].try_into().unwrap()), node[at + 8])
            };
            // Not the first item, whose key is in the parent too; items up to the next gap move along.
            let Some(own) = (1..count).find(|number| key(*number) == (address, 169)) else { continue };
            let Some(last) = (own..count - 1).find(|number| key(number + 1).0 > key(*number).0 + 4096) else {
                return false;
            };
            if (own..=last).any(|number| key(number).1 != 169) {
                return false;
            }
            self.node(*leaf, |node| (own..=last).for_each(|number| add(&mut node[101 + 25 * number..], 4096)));
            return true;
        }
        false
    }
}

#[test]
fn damage_anywhere_is_no_panic() {
    if !can(TOOLS) {
        return;
    }
    let (_folder, image) = small();
    let mut lies = Lies::of(&image, 4096);
    let mut places = Vec::new();
    for tree in ["extent", "chunk", "dev", "root"] {
        let (leaves, nodes) = Lies::nodes(&image.path, tree);
        places.extend(leaves.into_iter().chain(nodes).map(|address| (lies.place(address), 4096)));
    }
    places.push((64 << 10, 4096));
    let free = map(&lies.disk).unwrap().free;
    let mut random = Random(9);
    let mut same = 0;
    for turn in 0..4000 {
        let (place, length) = places[random.below(places.len() as u64) as usize];
        let kept = lies.disk[place..place + length].to_vec();
        // Mostly in headers and keys, where the fields are.
        let within = if turn % 2 == 0 { random.below(300) } else { random.below(length as u64) } as usize;
        lies.disk[place + within] = [0, 1, 0xFF, random.next() as u8][random.below(4) as usize];
        if within >= 32 {
            lies.seal(place, length);
        }
        same += usize::from(map(&lies.disk).is_ok_and(|found| found.free == free));
        lies.disk[place..place + length].copy_from_slice(&kept);
    }
    eprintln!("{same} of 4000 changes did not matter");
}
