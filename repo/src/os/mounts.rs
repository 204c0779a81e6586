//! What is mounted and what is swapped to: `/proc/self/mountinfo` and `/proc/swaps`, see `proc(5)`.

use super::sysfs::DeviceNumber;
use std::path::PathBuf;

/// A line of `mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Number of the device; one of the kernel's own for btrfs, NFS and others.
    pub device: DeviceNumber,
    /// Where.
    pub at: String,
    /// What was mounted: a device's path, or a word.
    pub source: PathBuf,
    /// Whether the file system can write to its device (a bind mount can be read-only above it).
    pub read_write: bool,
}

/// The mounts of a `mountinfo` text. Lines that make no sense are passed over.
pub(super) fn parse_mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(parse_mount).collect()
}

/// `ID PARENT MAJOR:MINOR ROOT AT OPTIONS [TAG…] - TYPE SOURCE SUPER_OPTIONS`
fn parse_mount(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(2);
    let device = fields.next()?.parse().ok()?;
    let at = unescape(fields.nth(1)?);
    let mut fields = file_system.split(' ').skip(1);
    let source = PathBuf::from(unescape(fields.next()?));
    let read_write = fields.next()?.split(',').any(|option| option == "rw");
    Some(Mount { device, at, source, read_write })
}

/// The paths of a `swaps` text.
pub(super) fn parse_swaps(swaps: &str) -> Vec<PathBuf> {
    let names = swaps.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next());
    names.map(|name| PathBuf::from(unescape(name))).collect()
}

/// Undoes the kernel's `\ooo` for spaces, tabs, line ends and backslashes.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            digits
                .iter()
                .all(|digit| (b'0'..=b'7').contains(digit))
                .then(|| digits.iter().fold(0u16, |value, digit| value * 8 + u16::from(digit - b'0')).try_into().ok())?
        };
        match after.get(..3).filter(|_| first == b'\\').and_then(octal) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is mounted in this process's namespace; nothing where there is no `/proc`.
pub(super) fn mounts() -> Vec<Mount> {
    read_lossy("/proc/self/mountinfo").map(|text| parse_mounts(&text)).unwrap_or_default()
}

/// What is swapped to.
pub(super) fn swaps() -> Vec<PathBuf> {
    read_lossy("/proc/swaps").map(|text| parse_swaps(&text)).unwrap_or_default()
}

fn read_lossy(path: &str) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
35 22 8:17 /sub\\040folder /mnt/with\\040space\\134and\\011tab ro,nosuid master:3 shared:9 - vfat /dev/sdb1 rw,fmask=0022
36 22 8:18 / /media/stick ro - iso9660 /dev/sdb2 ro
37 22 0:45 / /data rw - btrfs /dev/mapper/vg-data rw,ssd
nonsense
1 2 3:x / /a rw - ext4 /dev/sda rw
1 2 3:4 / /a
";

    #[test]
    fn mounts_are_parsed() {
        let mounts = parse_mounts(MOUNTINFO);
        let mount = |major, minor, at: &str, source: &str, read_write| Mount {
            device: DeviceNumber { major, minor },
            at: at.into(),
            source: source.into(),
            read_write,
        };
        assert_eq!(
            mounts,
            [
                mount(254, 1, "/", "/dev/vda1", true),
                mount(8, 17, "/mnt/with space\\and\ttab", "/dev/sdb1", true),
                mount(8, 18, "/media/stick", "/dev/sdb2", false),
                mount(0, 45, "/data", "/dev/mapper/vg-data", true),
            ]
        );
    }

    #[test]
    fn swaps_are_parsed() {
        let text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
                    /dev/vda2                               partition\t999420\t\t0\t\t-2\n\
                    /swap\\040file                           file\t\t1024\t\t0\t\t-3\n";
        assert_eq!(parse_swaps(text), [PathBuf::from("/dev/vda2"), PathBuf::from("/swap file")]);
        assert!(parse_swaps("Filename Type\n").is_empty());
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in ["a\\", "a\\04", "a\\9990", "a\\777b", "\\x41", "ä"] {
            assert_eq!(unescape(text), text);
        }
        assert_eq!(unescape("\\303\\244"), "ä");
    }
}
