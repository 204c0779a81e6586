//! Disks as files: partition tables by `sgdisk` and `sfdisk`, filesystems through loop devices.

use crate::command::{Run, Workspace};
use crate::support::{ImageFile, Mount, Random, can, fill_tree, run, tree_hash};
use holotype_core::layout::{SurveyOptions, survey};
use holotype_core::volume::{FreeRuns, ReadAt};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

pub const MIB: u64 = 1 << 20;
/// Random bytes are written over at most so much of a disk.
const NOISE_BYTES: u64 = 64 * MIB;

pub type Tree = BTreeMap<PathBuf, String>;

/// A loop device over a part of a file, detached when dropped; and what the kernel calls the file.
pub struct Loop(String, String);

impl Loop {
    pub fn new(file: &Path, part: &Range<u64>, sector_bytes: u32) -> Self {
        let [offset, length] = [part.start, part.end - part.start].map(|bytes| bytes.to_string());
        let sector = sector_bytes.to_string();
        let options = ["--find", "--show", "--offset", &offset, "--sizelimit", &length, "--sector-size", &sector];
        let mut arguments: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
        arguments.push(file.as_os_str());
        let device = run("losetup", &arguments).trim().to_owned();
        let backing = fs::read_to_string(device.replace("/dev/", "/sys/block/") + "/loop/backing_file").unwrap();
        Self(device, backing)
    }

    pub fn whole(file: &Path, sector_bytes: u32) -> Self {
        Self::new(file, &(0..fs::metadata(file).unwrap().len()), sector_bytes)
    }

    pub fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
        // It goes with its last user, which may be the unmount that has just ended.
        let backing = self.0.replace("/dev/", "/sys/block/") + "/loop/backing_file";
        for _ in 0..100 {
            match fs::read_to_string(&backing) {
                Ok(now) if now == self.1 => sleep(Duration::from_millis(50)),
                _ => return,
            }
        }
    }
}

/// A filesystem and how it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ext4Of1K,
    Ext4,
    Ext2,
    Xfs,
    Btrfs,
    Ntfs,
    Fat32,
    Exfat,
}

impl Kind {
    /// Whether it can be made and mounted here.
    pub fn can(self) -> bool {
        let programs: &[&str] = match self {
            Self::Ext4Of1K | Self::Ext4 | Self::Ext2 => &["mke2fs", "e2fsck"],
            Self::Xfs => &["mkfs.xfs", "xfs_repair"],
            Self::Btrfs => &["mkfs.btrfs", "btrfs"],
            Self::Ntfs => &["mkfs.ntfs", "ntfs-3g", "ntfsfix", "ntfsresize"],
            Self::Fat32 => &["mkfs.fat", "mcopy", "mdel", "fsck.fat"],
            Self::Exfat => &["mkfs.exfat", "mount.exfat-fuse", "fsck.exfat"],
        };
        can(&[programs, &["losetup", "sgdisk", "sfdisk", "mkswap"]].concat())
    }

    /// How long a volume it wants.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Ext4Of1K | Self::Ext2 | Self::Exfat => 24 * MIB,
            Self::Ext4 | Self::Ntfs | Self::Fat32 => 40 * MIB,
            Self::Xfs => 300 * MIB,
            Self::Btrfs => 128 * MIB,
        }
    }

    /// Its name in an image's layout.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4Of1K | Self::Ext4 => "ext4",
            Self::Ext2 => "ext2",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Ntfs => "NTFS",
            Self::Fat32 => "FAT32",
            Self::Exfat => "exFAT",
        }
    }

    pub fn make(self, device: &str) {
        let command = match self {
            Self::Ext4Of1K => "mke2fs -q -F -t ext4 -b 1024",
            Self::Ext4 => "mke2fs -q -F -t ext4 -b 4096",
            Self::Ext2 => "mke2fs -q -F -t ext2",
            Self::Xfs => "mkfs.xfs -q -f",
            Self::Btrfs => "mkfs.btrfs -q -f",
            Self::Ntfs => "mkfs.ntfs -q -F -Q",
            Self::Fat32 => "mkfs.fat -F 32 -s 1",
            Self::Exfat => "mkfs.exfat",
        };
        let words: Vec<&str> = command.split(' ').chain([device]).collect();
        run(words[0], &words[1..]);
    }

    /// Mounted with `options`, `rw` or `ro`.
    pub fn mount(self, device: &str, at: &Path, options: &str) -> Mount {
        match self {
            Self::Ext4Of1K | Self::Ext4 | Self::Ext2 | Self::Xfs | Self::Btrfs => {
                Mount::device(device, at, self.name(), options)
            }
            Self::Ntfs => Mount::fuse("ntfs-3g", Path::new(device), at, options),
            Self::Exfat => Mount::fuse("mount.exfat-fuse", Path::new(device), at, options),
            Self::Fat32 => panic!("mtools does it"),
        }
    }

    /// Files, and holes among them that hold what was deleted.
    pub fn fill(self, device: &str, folder: &Path, most_bytes: u64) {
        let at = folder.join("filled");
        if self != Self::Fat32 {
            let _mount = self.mount(device, &at, "rw");
            return fill_tree(&at, most_bytes, most_bytes + self as u64);
        }
        for name in ["kept", "deleted", "more"] {
            let tree = folder.join(name);
            fs::create_dir(&tree).unwrap();
            fill_tree(&tree, most_bytes / 3, name.len() as u64);
            run("mcopy", &["-i", device, "-s", "-m", "-Q", tree.to_str().unwrap(), "::/"]);
            fs::remove_dir_all(tree).unwrap();
            if name == "more" {
                run("mdeltree", &["-i", device, "::/deleted"]);
            }
        }
    }

    /// What is in it.
    pub fn tree(self, device: &str) -> Tree {
        let folder = tempfile::tempdir().unwrap();
        if self == Self::Fat32 {
            run("mcopy", &["-i", device, "-s", "-m", "-Q", "::/", folder.path().to_str().unwrap()]);
            return tree_hash(folder.path());
        }
        let _mount = self.mount(device, folder.path(), "ro");
        tree_hash(folder.path())
    }

    /// Its own fsck finds nothing.
    #[track_caller]
    pub fn check(self, device: &str) {
        let command = match self {
            Self::Ext4Of1K | Self::Ext4 | Self::Ext2 => "e2fsck -f -n",
            Self::Xfs => "xfs_repair -n",
            Self::Btrfs => "btrfs check --check-data-csum",
            Self::Ntfs => "ntfsfix --no-action",
            Self::Fat32 => "fsck.fat -n",
            Self::Exfat => "fsck.exfat -n",
        };
        let words: Vec<&str> = command.split(' ').chain([device]).collect();
        run(words[0], &words[1..]);
        if self == Self::Ntfs {
            run("ntfsresize", &["--info", "--force", "--no-progress-bar", device]);
        }
    }
}

/// Tables that a disk may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Gpt,
    GptOf4096,
    /// Primary ones up to the first of type 5; those behind it are logical.
    Mbr,
}

impl Table {
    pub fn sector_bytes(self) -> u32 {
        if self == Self::GptOf4096 { 4096 } else { 512 }
    }
}

/// A disk as a file, and where its partitions are.
pub struct Disk {
    pub image: ImageFile,
    pub sector_bytes: u32,
    /// By partition number.
    pub parts: BTreeMap<u32, Range<u64>>,
}

impl Disk {
    /// A disk full of random bytes without a table.
    pub fn noise(path: &Path, bytes: u64, seed: u64) -> Self {
        let image = ImageFile::create(path, bytes);
        write_noise(&image, 0..bytes.min(NOISE_BYTES), seed);
        Self { image, sector_bytes: 512, parts: BTreeMap::new() }
    }

    /// With a table of these partitions, in MiB: number, type, start, length. Between and behind them
    /// are zeros, in them random bytes.
    pub fn new(path: &Path, bytes: u64, table: Table, parts: &[(u32, &str, u64, u64)]) -> Self {
        let image = ImageFile::create(path, bytes);
        let places: BTreeMap<_, _> =
            parts.iter().map(|(number, _, start, length)| (*number, start * MIB..(start + length) * MIB)).collect();
        for (part, kind) in places.values().zip(parts.iter().map(|part| part.1)) {
            if kind != "5" {
                write_noise(&image, part.start..part.end.min(part.start + NOISE_BYTES), part.start);
            }
        }
        let sector_bytes = table.sector_bytes();
        let sector = |mib: u64| mib * MIB / u64::from(sector_bytes);
        if table == Table::Mbr {
            let mut script = "label: dos\n".to_owned();
            for (_, kind, start, length) in parts {
                script += &format!("start={}, size={}, type={kind}\n", sector(*start), sector(*length));
            }
            let file = path.with_extension("sfdisk");
            fs::write(&file, script).unwrap();
            let command = "sfdisk -q --wipe never --wipe-partitions never \"$0\" < \"$1\"";
            run("sh", &[OsStr::new("-c"), command.as_ref(), path.as_os_str(), file.as_os_str()]);
        } else {
            let mut arguments = vec!["-a".to_owned(), "1".to_owned()];
            for (number, kind, start, length) in parts {
                let (first, last) = (sector(*start), sector(start + length) - 1);
                arguments.extend(["-n".to_owned(), format!("{number}:{first}:{last}")]);
                arguments.extend(["-t".to_owned(), format!("{number}:{kind}")]);
            }
            let device = Loop::whole(path, sector_bytes);
            arguments.push(device.path().to_owned());
            run("sgdisk", &arguments);
        }
        Self { image, sector_bytes, parts: places }
    }

    pub fn path(&self) -> &Path {
        &self.image.path
    }

    pub fn part(&self, number: u32) -> Loop {
        Loop::new(self.path(), &self.parts[&number], self.sector_bytes)
    }

    /// Makes a filesystem in a partition and fills it; gives what is in it.
    pub fn fill(&self, number: u32, kind: Kind, most_bytes: u64) -> Tree {
        let device = self.part(number);
        let folder = tempfile::tempdir().unwrap();
        kind.make(device.path());
        kind.fill(device.path(), folder.path(), most_bytes);
        kind.check(device.path());
        kind.tree(device.path())
    }

    /// Its partition of this number, on another disk as long as this one.
    pub fn check(&self, other: &Path, number: u32, kind: Kind, tree: &Tree) {
        check(&Loop::new(other, &self.parts[&number], self.sector_bytes), kind, tree);
    }
}

/// A filesystem is in order and has these files.
#[track_caller]
pub fn check(device: &Loop, kind: Kind, tree: &Tree) {
    kind.check(device.path());
    assert!(kind.tree(device.path()) == *tree, "{kind:?}: other files");
}

pub fn write_noise(image: &ImageFile, range: Range<u64>, seed: u64) {
    let mut random = Random(seed);
    let mut buffer = vec![0; MIB as usize];
    for offset in range.clone().step_by(buffer.len()) {
        let length = MIB.min(range.end - offset) as usize;
        random.fill(&mut buffer);
        image.write(offset, &buffer[..length]);
    }
}

pub fn hash(path: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path).unwrap()).unwrap();
    hasher.finalize()
}

/// What nobody uses on a disk.
pub fn free_runs(path: &Path) -> FreeRuns {
    survey(&ImageFile::open(path), 512, &SurveyOptions::default()).free
}

pub fn ranges(free: &FreeRuns) -> Vec<Range<u64>> {
    free.iter().map(|run| run.offset()..run.end()).collect()
}

/// What is in use of a disk of that length.
pub fn used_ranges(free: &FreeRuns, bytes: u64) -> Vec<Range<u64>> {
    let mut used = Vec::new();
    let mut at = 0;
    for run in free.iter() {
        used.push(at..run.offset());
        at = run.end();
    }
    used.push(at..bytes);
    used.retain(|range| !range.is_empty());
    used
}

/// The first byte in these ranges that differs.
pub fn difference(a: &ImageFile, b: &ImageFile, ranges: &[Range<u64>]) -> Option<u64> {
    for range in ranges {
        for offset in range.clone().step_by(MIB as usize) {
            let length = MIB.min(range.end - offset) as usize;
            let (of_a, of_b) = (a.read(offset, length), b.read(offset, length));
            if of_a != of_b {
                let at = of_a.iter().zip(&of_b).position(|(a, b)| a != b).unwrap();
                return Some(offset + at as u64);
            }
        }
    }
    None
}

/// Zeros of that length, as something to compare with.
pub fn zeros(folder: &Path, bytes: u64) -> ImageFile {
    ImageFile::create(&folder.join("zeros"), bytes)
}

/// What a file takes of its own disk.
pub fn blocks_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().blocks() * 512
}

pub fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no number `{key}` in {value}"))
}

/// `sgdisk` finds nothing wrong.
#[track_caller]
pub fn check_gpt(path: &Path) {
    let text = run("sgdisk", &[OsStr::new("--verify"), path.as_os_str()]);
    assert!(text.contains("No problems found"), "{text}");
}

/// A workspace with an image `a` of a disk of 40 MiB: ext4 with blocks of 1 KiB (where sectors allow
/// it), ext4, random bytes.
pub struct Usual {
    pub workspace: Workspace,
    pub disk: Disk,
    pub free: FreeRuns,
    pub kinds: [Kind; 2],
    pub trees: [Tree; 2],
    pub report: Value,
}

impl Usual {
    /// Absent where it cannot be made here.
    pub fn new() -> Option<Self> {
        Self::with(40 * MIB, Table::Gpt)
    }

    pub fn with(bytes: u64, table: Table) -> Option<Self> {
        if !Kind::Ext4.can() {
            return None;
        }
        let workspace = Workspace::new();
        let kind = if table == Table::Mbr { "83" } else { "8300" };
        let parts = [(1, kind, 1, 8), (2, kind, 9, 16), (3, kind, 25, 4)];
        let disk = Disk::new(&workspace.path("disk"), bytes, table, &parts);
        let kinds = [if table == Table::GptOf4096 { Kind::Ext2 } else { Kind::Ext4Of1K }, Kind::Ext4];
        let trees = [disk.fill(1, kinds[0], 2 * MIB), disk.fill(2, kinds[1], 8 * MIB)];
        let free = free_runs(disk.path());
        let report = workspace.run(["backup", "disk", "--name", "a", "--json"]).expect(0).json();
        assert_eq!(number(&report, "free_bytes"), free.bytes());
        assert!(free.bytes() > 8 * MIB, "{free:?}");
        Some(Self { workspace, disk, free, kinds, trees, report })
    }

    pub fn restore(&self, arguments: &[&str]) -> Run {
        self.workspace.run(["restore", "--json"].iter().chain(arguments))
    }

    /// A disk of that name full of other bytes.
    pub fn noise(&self, name: &str, bytes: u64) -> Disk {
        Disk::noise(&self.workspace.path(name), bytes, 1000 + bytes)
    }

    /// Both filesystems are in order on another disk, and have their files.
    #[track_caller]
    pub fn check_files(&self, other: &Path) {
        for (number, (kind, tree)) in (1..).zip(self.kinds.iter().zip(&self.trees)) {
            self.disk.check(other, number, *kind, tree);
        }
    }

    /// That name has everything of the disk that is in use.
    #[track_caller]
    pub fn check(&self, name: &str) {
        let path = self.workspace.path(name);
        let used = used_ranges(&self.free, self.disk.image.bytes());
        assert_eq!(difference(&self.disk.image, &ImageFile::open(&path), &used), None);
        self.check_files(&path);
    }
}
