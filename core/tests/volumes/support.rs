//! What the tests of every filesystem need.
//!
//! A test that needs root or a tool that is not there says so and passes: `scripts/test` installs
//! the tools, and CI runs as root.

#![allow(dead_code)] // each filesystem uses what it needs

use holotype_core::volume::{FreeRuns, ReadAt};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whether loop mounts can be had, and these programs are there.
pub fn can(programs: &[&str]) -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root for loop mounts");
        return false;
    }
    let missing = programs.iter().find(|program| which(program).is_none());
    if let Some(program) = missing {
        eprintln!("skipped: {program} is not installed");
    }
    missing.is_none()
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    path.split(':').chain(more).map(|folder| Path::new(folder).join(program)).find(|path| path.exists())
}

/// Runs a program and gives what it printed; both streams for the message where it fails.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> String {
    let output = try_run(program, arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{program} ended with {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Runs a program, however it ends.
pub fn try_run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Output {
    Command::new(which(program).expect("the program is there"))
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .expect("the program starts")
}

/// A file as a disk.
pub struct ImageFile {
    pub path: PathBuf,
    file: File,
}

impl ImageFile {
    /// A sparse file of this length.
    pub fn create(path: &Path, bytes: u64) -> Self {
        let file = File::options().create(true).truncate(true).read(true).write(true).open(path).unwrap();
        file.set_len(bytes).unwrap();
        Self { path: path.to_owned(), file }
    }

    /// A file that is there.
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), file: File::options().read(true).write(true).open(path).unwrap() }
    }

    /// Fills it with bytes that repeat nowhere.
    pub fn fill_with_random(&self, seed: u64) {
        let whole = self.bytes();
        let mut random = Random(seed);
        let mut buffer = vec![0; 1 << 20];
        for offset in (0..whole).step_by(buffer.len()) {
            random.fill(&mut buffer);
            let length = buffer.len().min((whole - offset) as usize);
            self.file.write_all_at(&buffer[..length], offset).unwrap();
        }
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset).unwrap();
    }

    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    /// A sparse copy beside it, with every free run overwritten by random bytes: what a restore onto
    /// a disk that was in use leaves.
    pub fn scrambled_copy(&self, free: &FreeRuns, seed: u64) -> Self {
        let path = self.path.with_extension("scrambled");
        run("cp", &[OsStr::new("--sparse=always"), self.path.as_os_str(), path.as_os_str()]);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut random = Random(seed | 1);
        let mut buffer = vec![0; 1 << 20];
        for run in free.iter() {
            let mut at = run.offset();
            while at < run.end() {
                let length = buffer.len().min((run.end() - at) as usize);
                random.fill(&mut buffer[..length]);
                file.write_all_at(&buffer[..length], at).unwrap();
                at += length as u64;
            }
        }
        file.sync_all().unwrap();
        Self { path, file }
    }
}

impl ReadAt for ImageFile {
    fn bytes(&self) -> u64 {
        self.file.metadata().unwrap().len()
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset_bytes)
    }
}

/// A small generator (splitmix64); same seed, same bytes.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn fill(&mut self, buffer: &mut [u8]) {
        for group in buffer.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            group.copy_from_slice(&word[..group.len()]);
        }
    }
}

/// A mounted file; unmounted when dropped.
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// Mounts `image` through a loop device with the kernel's driver; `options` as for `mount -o`.
    pub fn kernel(image: &Path, at: &Path, kind: &str, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let options = if options.is_empty() { "loop".to_owned() } else { format!("loop,{options}") };
        run(
            "mount",
            &[OsStr::new("-t"), kind.as_ref(), "-o".as_ref(), options.as_ref(), image.as_os_str(), at.as_os_str()],
        );
        Self { at: at.to_owned() }
    }

    /// Mounts a block device with the kernel's driver.
    pub fn device(device: &str, at: &Path, kind: &str, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let options = [OsStr::new("-t"), kind.as_ref(), "-o".as_ref(), options.as_ref()];
        run("mount", &[&options[..], &[device.as_ref(), at.as_os_str()]].concat());
        Self { at: at.to_owned() }
    }

    /// Mounts with a FUSE program: `program IMAGE DIRECTORY -o OPTIONS`.
    pub fn fuse(program: &str, image: &Path, at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        let mut arguments = vec![image.as_os_str(), at.as_os_str()];
        if !options.is_empty() {
            arguments.extend([OsStr::new("-o"), options.as_ref()]);
        }
        run(program, &arguments);
        Self { at: at.to_owned() }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A FUSE mount may be busy for a moment after its last file was closed.
        for _ in 0..50 {
            if try_run("umount", &[&self.at]).status.success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let _ = try_run("umount", &[OsStr::new("--lazy"), self.at.as_os_str()]);
        if !std::thread::panicking() {
            panic!("{} could not be unmounted", self.at.display());
        }
    }
}

/// Fills a mounted filesystem with files of many sizes, and deletes every third one, so that free
/// space lies among files and holds old content. `most_bytes` bounds what stands at any time.
pub fn fill_tree(root: &Path, most_bytes: u64, seed: u64) {
    let mut random = Random(seed);
    let mut written = 0;
    let mut removed = Vec::new();
    for number in 0.. {
        let bytes = match random.below(10) {
            0 => 0,
            1..=5 => random.below(6_000),
            6..=8 => random.below(200_000),
            _ => random.below(most_bytes / 6),
        };
        if written + bytes > most_bytes {
            break;
        }
        written += bytes;
        let folder = root.join(format!("folder {}", random.below(9)));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("file-{number}-with-a-name-of-some-length.bin"));
        let mut content = vec![0; bytes as usize];
        random.fill(&mut content);
        fs::write(&path, content).unwrap();
        if random.below(3) == 0 {
            removed.push(path);
        }
    }
    // Removed only now, and synced before: deleted content has then reached the disk.
    run("sync", &[OsStr::new("-f"), root.as_os_str()]);
    for path in removed {
        fs::remove_file(path).unwrap();
    }
    run("sync", &[OsStr::new("-f"), root.as_os_str()]);
}

/// Every file, directory and link under `root`, with a hash of its content and its attributes.
pub fn tree_hash(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                folders.push(path.clone());
                "directory".to_owned()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else {
                blake3::hash(&fs::read(&path).unwrap()).to_hex().to_string()
            };
            let facts = format!(
                "{content} {} {:o}",
                metadata.len() * u64::from(metadata.is_file()),
                metadata.permissions().mode()
            );
            let facts = format!("{facts} {}", metadata.mtime());
            found.insert(path.strip_prefix(root).unwrap().to_owned(), facts);
        }
    }
    assert!(!found.is_empty(), "an empty tree proves nothing");
    found
}

/// Compares our map with the tool's: `tool_free` are its free runs in bytes. Everything that it
/// calls used must be used in ours, and ours may call at most one percent more used.
pub fn compare_with_tool(ours: &FreeRuns, tool_free: &FreeRuns, volume_bytes: u64) {
    for run in ours.iter() {
        let free: u64 = tool_free.within(*run).map(|part| part.len()).sum();
        assert_eq!(free, run.len(), "{run} is free in our map, and not all of it in the tool's");
    }
    let (ours_used, tool_used) = (volume_bytes - ours.bytes(), volume_bytes - tool_free.bytes());
    assert!(
        ours_used as f64 <= tool_used as f64 * 1.01,
        "our map keeps {ours_used} bytes where the tool's keeps {tool_used}"
    );
}
