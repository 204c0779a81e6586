//! Tests on real block devices. They need root, `losetup` and `mkfs.ext4`, and say so where they are missing.

use super::*;
use crate::disk::{Content, Source, Target};
use crate::error::ErrorKind;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const IMAGE_BYTES: u64 = 16 << 20;

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A loop device over a file, detached when dropped.
struct Loop {
    path: PathBuf,
    file: PathBuf,
    directory: tempfile::TempDir,
}

impl Loop {
    fn new(options: &[&str], prepare: impl FnOnce(&Path)) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("disk image");
        File::create(&file).unwrap().set_len(IMAGE_BYTES).unwrap();
        prepare(&file);
        let mut arguments = vec!["--find", "--show"];
        arguments.extend(options);
        arguments.push(file.to_str().unwrap());
        let Some(path) = run("losetup", &arguments) else {
            eprintln!("skipped: no loop devices here (root and losetup needed)");
            return None;
        };
        Some(Self { path: path.into(), file, directory })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run("losetup", &["--detach", self.path.to_str().unwrap()]);
    }
}

/// A mount, unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(device: &Path, at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mounted = run("mount", &["-o", options, device.to_str().unwrap(), at.to_str().unwrap()]);
        if mounted.is_none() {
            eprintln!("skipped: cannot mount here");
        }
        mounted.map(|_| Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[self.0.to_str().unwrap()]);
    }
}

fn make_ext4(device: &Path) -> bool {
    let made = run("mkfs.ext4", &["-q", "-F", device.to_str().unwrap()]).is_some();
    if !made {
        eprintln!("skipped: no mkfs.ext4 here");
    }
    made
}

fn read_all(source: &dyn Source) -> Vec<u8> {
    let mut bytes = vec![0; IMAGE_BYTES as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match source.read_at(filled as u64, &mut bytes[filled..]).unwrap() {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    bytes
}

#[test]
fn a_device_is_read_and_described() {
    let bytes: Vec<u8> = (0..IMAGE_BYTES).map(|place| (place / 1000) as u8).collect();
    let Some(disk) = Loop::new(&["--sector-size", "4096"], |file| fs::write(file, &bytes).unwrap()) else { return };
    let source = BlockDevice::open_source(&disk.path).unwrap();
    let geometry = source.geometry();
    assert_eq!((geometry.bytes, geometry.logical_sector_bytes), (Some(IMAGE_BYTES), 4096));
    assert!(read_all(&source) == bytes);
    let identity = source.identity();
    assert_eq!(identity.path, disk.path.display().to_string());
    assert_eq!(identity.model.unwrap(), format!("loop over {}", disk.file.display()));
    assert!(identity.bus.unwrap().starts_with("loop-"));
    assert_eq!(identity.host, run("uname", &["-n"]));
    assert_eq!(identity.mounted_read_write_at, [""; 0]);
}

#[test]
fn what_is_mounted_is_seen_and_refused() {
    let Some(disk) = Loop::new(&[], |_| {}) else { return };
    if !make_ext4(&disk.path) {
        return;
    }
    let at = disk.directory.path().join("mount point");
    let place = at.display().to_string();
    for (options, read_write) in [("rw", true), ("ro", false)] {
        let Some(mounted) = Mounted::new(&disk.path, at.clone(), options) else { return };
        for path in [&disk.path, &disk.file] {
            let source = open_source(path).unwrap();
            let expected = if read_write { vec![place.clone()] } else { Vec::new() };
            assert_eq!(source.identity().mounted_read_write_at, expected, "{options} {}", path.display());
            let error = BlockDevice::open_target(path, Overwrite::Confirmed).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TargetRefused);
            assert!(error.to_string().contains(&place), "{error}");
        }
        drop(mounted);
        fs::remove_dir(&at).unwrap();
    }
    let error = BlockDevice::open_target(&disk.file, Overwrite::Confirmed).unwrap_err();
    assert!(error.to_string().contains(disk.path.to_str().unwrap()), "a loop stands on it: {error}");
    BlockDevice::open_target(&disk.path, Overwrite::Confirmed).unwrap();
}

#[test]
fn a_device_is_written_only_when_confirmed_and_prepared() {
    let Some(disk) = Loop::new(&[], |file| fs::write(file, vec![7; IMAGE_BYTES as usize]).unwrap()) else { return };
    let error = BlockDevice::open_target(&disk.path, Overwrite::Refused).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetRefused);

    let target = BlockDevice::open_target(&disk.path, Overwrite::Confirmed).unwrap();
    let error = BlockDevice::open_target(&disk.path, Overwrite::Confirmed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetRefused, "opened for itself alone: {error}");
    let error = target.prepare(IMAGE_BYTES + 1, Content::Kept).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetRefused);
    for bytes in [IMAGE_BYTES, IMAGE_BYTES + 1] {
        assert!(error.to_string().contains(&bytes.to_string()), "{error}");
    }
    assert!(target.write_at(0, b"x").is_err(), "not prepared");

    target.prepare(IMAGE_BYTES - 1, Content::Kept).unwrap();
    let mut expected = vec![7; IMAGE_BYTES as usize];
    for (start, length) in [(0, 1 << 20), ((1 << 20) + 100, 512), (5_000_000, 3_000_000), (9_000_001, 1)] {
        target.write_zeros(start, length).unwrap();
        expected[start as usize..][..length as usize].fill(0);
    }
    target.write_at(12_345_678, b"data").unwrap();
    expected[12_345_678..][..4].copy_from_slice(b"data");
    target.finish().unwrap();
    drop(target);
    assert!(read_all(&BlockDevice::open_source(&disk.path).unwrap()) == expected);
}

#[test]
fn a_read_only_device_is_no_target() {
    let Some(disk) = Loop::new(&["--read-only"], |_| {}) else { return };
    let error = BlockDevice::open_target(&disk.path, Overwrite::Confirmed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetRefused);
    assert!(error.to_string().contains("read-only"), "{error}");
}

/// An MBR with one Linux partition from 1 MiB on (UEFI specification, table 5.1).
fn write_partition_table(file: &Path) {
    let mut sector = [0; 512];
    sector[446 + 4] = 0x83;
    sector[446 + 8..][..4].copy_from_slice(&2048u32.to_le_bytes());
    sector[446 + 12..][..4].copy_from_slice(&16_384u32.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let file = File::options().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &sector, 0).unwrap();
}

#[test]
fn a_mounted_partition_protects_its_disk() {
    let Some(disk) = Loop::new(&["--partscan"], write_partition_table) else { return };
    let partition = PathBuf::from(format!("{}p1", disk.path.display()));
    for _ in 0..50 {
        if partition.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    if !partition.exists() {
        eprintln!("skipped: the kernel shows no partitions of loop devices here");
        return;
    }
    if !make_ext4(&partition) {
        return;
    }
    let at = disk.directory.path().join("mnt");
    let place = at.display().to_string();
    let Some(_mounted) = Mounted::new(&partition, at, "rw") else { return };
    for path in [&disk.path, &partition, &disk.file] {
        assert_eq!(open_source(path).unwrap().identity().mounted_read_write_at, [place.as_str()]);
        let error = BlockDevice::open_target(path, Overwrite::Confirmed).unwrap_err();
        assert!(error.to_string().contains(&place), "{error}");
    }
    let source = BlockDevice::open_source(&partition).unwrap();
    assert_eq!(source.geometry().bytes, Some(16_384 * 512));
    assert_eq!(source.identity().model.unwrap(), format!("loop over {}", disk.file.display()));
}

#[test]
fn swap_is_in_use() {
    let Some(disk) = Loop::new(&[], |_| {}) else { return };
    let device = disk.path.to_str().unwrap();
    if run("mkswap", &[device]).is_none() || run("swapon", &[device]).is_none() {
        eprintln!("skipped: cannot swap here");
        return;
    }
    let refused = BlockDevice::open_target(&disk.path, Overwrite::Confirmed);
    let identity = open_source(&disk.path).unwrap().identity();
    run("swapoff", &[device]);
    assert!(refused.unwrap_err().to_string().contains("[SWAP]"));
    assert_eq!(identity.mounted_read_write_at, [""; 0]);
}
