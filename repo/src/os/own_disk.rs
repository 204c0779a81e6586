//! A repository must not be part of what is backed up, nor overwritten by a restore: a backup of
//! the disk that it is written to would never be consistent, and would be lost with that disk.

use crate::error::{Error, ErrorKind, Result};
use std::path::Path;

/// Why a source cannot be backed up to the repository in this directory, in a sentence: where `source` is a file in
/// the repository's directory, the disk or partition that it is on, or the image file of such a disk.
pub fn source_refusal(source: &Path, repository: &Path) -> Option<String> {
    let why = holds(source, repository)?;
    let place = source.display();
    Some(format!("{place}: {why}, and a backup cannot hold itself; put the repository on another disk"))
}

/// Refuses a target inside of the repository's directory. Disks that are in use are refused by the
/// library.
///
/// # Errors
/// `TargetRefused`.
pub fn check_target(target: &Path, repository: &Path) -> Result<()> {
    let above = target.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = target.canonicalize().or_else(|_| above.canonicalize());
    let inside = place.is_ok_and(|place| repository.canonicalize().is_ok_and(|root| place.starts_with(root)));
    if !inside {
        return Ok(());
    }
    let why = "it is inside of the repository";
    let error = Error::new(ErrorKind::TargetRefused, target.display().to_string(), why);
    Err(error.advise("give another path"))
}

/// Why `source` holds the repository, where it does.
fn holds(source: &Path, repository: &Path) -> Option<String> {
    let file = source.canonicalize().ok()?;
    if repository.canonicalize().is_ok_and(|root| file.starts_with(root)) {
        return Some("it is a file of the repository".to_owned());
    }
    #[cfg(target_os = "linux")]
    if linux::is_below(&file, &where_it_is_or_will_be(repository)?) {
        return Some(format!("the repository {} is on it", repository.display()));
    }
    None
}

/// The repository's directory, or the one that it will be made in.
#[cfg(target_os = "linux")]
fn where_it_is_or_will_be(repository: &Path) -> Option<std::path::PathBuf> {
    let above = repository.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    repository.canonicalize().or_else(|_| above.canonicalize()).ok()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use std::path::{Path, PathBuf};

    /// What a file system can stand on.
    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
    enum Base {
        /// A block device, by number.
        Device(u64),
        /// A file under a loop device, by the device of its file system and its inode.
        File(u64, u64),
    }

    /// Whether the file system of `directory` stands, by partitions, volumes and loop devices, on
    /// `source`.
    pub fn is_below(source: &Path, directory: &Path) -> bool {
        let Ok(metadata) = fs::metadata(source) else { return false };
        let source = match metadata.file_type().is_block_device() {
            true => Base::Device(metadata.rdev()),
            false => Base::File(metadata.dev(), metadata.ino()),
        };
        bases(directory).contains(&source)
    }

    /// Everything that the file system of `directory` stands on. See `sysfs-block` in the kernel's
    /// ABI documents: `slaves`, `loop/backing_file`, `partition`.
    fn bases(directory: &Path) -> BTreeSet<Base> {
        let mut found = BTreeSet::new();
        let mut to_see: Vec<u64> = device_of(directory).into_iter().collect();
        while let Some(number) = to_see.pop() {
            if !found.insert(Base::Device(number)) {
                continue;
            }
            let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
            let Ok(sysfs) = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")) else { continue };
            if sysfs.join("partition").exists() {
                to_see.extend(sysfs.parent().and_then(number_in));
            }
            let slaves = fs::read_dir(sysfs.join("slaves")).into_iter().flatten().flatten();
            to_see.extend(slaves.filter_map(|slave| number_in(&slave.path())));
            if let Ok(file) = fs::read_to_string(sysfs.join("loop/backing_file")) {
                let file = PathBuf::from(file.trim_end_matches('\n'));
                if let Ok(metadata) = fs::metadata(&file) {
                    if metadata.file_type().is_block_device() {
                        to_see.push(metadata.rdev());
                    } else {
                        found.insert(Base::File(metadata.dev(), metadata.ino()));
                        to_see.extend(device_of(&file));
                    }
                }
            }
        }
        found
    }

    /// The number in a device's folder of sysfs.
    fn number_in(sysfs: &Path) -> Option<u64> {
        let text = fs::read_to_string(sysfs.join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
    }

    /// The block device of the file system that `path` is on. Some (btrfs) have a number of no
    /// device; what was mounted tells theirs.
    fn device_of(path: &Path) -> Option<u64> {
        let number = fs::metadata(path).ok()?.dev();
        if rustix::fs::major(number) != 0 {
            return Some(number);
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let source = mount_source(&mounts, path)?;
        let metadata = fs::metadata(source).ok()?;
        metadata.file_type().is_block_device().then(|| metadata.rdev())
    }

    /// What is mounted at the longest mount point above `path`; the last line wins, as it lies on top.
    fn mount_source<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
        let parse = |line: &'a str| {
            let (mount, file_system) = line.split_once(" - ")?;
            Some((mount.split(' ').nth(4)?, file_system.split(' ').nth(1)?))
        };
        let above = mounts.lines().filter_map(parse).filter(|(at, _)| path.starts_with(at));
        above.max_by_key(|(at, _)| at.len()).map(|(_, source)| source)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_longest_mount_point_counts() {
            let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                          37 22 0:45 /@ /data rw - btrfs /dev/sdb1 rw\n\
                          38 22 0:46 / /data/in rw - tmpfs tmpfs rw\n";
            assert_eq!(mount_source(mounts, Path::new("/data/repo")), Some("/dev/sdb1"));
            assert_eq!(mount_source(mounts, Path::new("/database")), Some("/dev/vda1"));
            assert_eq!(mount_source(mounts, Path::new("/data/in/x")), Some("tmpfs"));
        }

        #[test]
        fn a_directory_stands_on_its_disk() {
            let directory = tempfile::tempdir().unwrap();
            let number = device_of(directory.path());
            assert!(number.is_none_or(|number| bases(directory.path()).contains(&Base::Device(number))));
        }
    }
}
