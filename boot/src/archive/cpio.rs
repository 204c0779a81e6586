//! The archive that an initramfs is: cpio in the `newc` form (kernel: Documentation/driver-api/early-userspace/
//! buffer-format.rst). Own code: the writer has to give the same bytes for the same files, and the reader none to
//! whoever made them.
//!
//! Each entry: 110 bytes of header, the name with a zero byte, zeros up to a multiple of 4, the content, zeros up to
//! a multiple of 4. Numbers are 8 hexadecimal digits.
//!
//! | bytes | field | | bytes | field |
//! |---|---|---|---|---|
//! | 0..6 | `070701` | | 54..62 | bytes of the content |
//! | 6..14 | inode: 1, 2, 3 … | | 62..78 | device: 0 |
//! | 14..22 | mode | | 78..94 | device number of a device node: major, minor |
//! | 22..38 | user and group: 0 | | 94..102 | bytes of the name, with its zero byte |
//! | 38..46 | links: 1 | | 102..110 | checksum: 0 |
//! | 46..54 | time: 0 | | | |
//!
//! The last entry is called `TRAILER!!!`; zeros fill up to a multiple of 512.

use std::collections::BTreeMap;

/// Most bytes that one archive may have; the header counts in 32 bits.
pub const MAX_FILE_BYTES: usize = 1 << 30;

const HEADER_BYTES: usize = 110;
const TRAILER: &str = "TRAILER!!!";

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder,
    /// A file; `executable` where it can be run.
    File {
        /// Its bytes.
        content: Vec<u8>,
        /// Whether it can be run.
        executable: bool,
    },
    /// A character device.
    CharacterDevice {
        /// Driver.
        major: u32,
        /// Which of the driver's devices.
        minor: u32,
    },
}

/// Files of an archive, by path.
#[derive(Debug, Default)]
pub struct Archive {
    nodes: BTreeMap<String, Node>,
}

impl Archive {
    /// Adds a node, and the folders above it. Paths are absolute.
    pub fn add(&mut self, path: &str, node: Node) {
        let path = path.trim_matches('/');
        for (at, _) in path.match_indices('/') {
            self.nodes.entry(path[..at].to_owned()).or_insert(Node::Folder);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// Adds a file that is not run.
    pub fn add_file(&mut self, path: &str, content: Vec<u8>) {
        self.add(path, Node::File { content, executable: false });
    }

    /// Its bytes: the same for the same nodes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, (path, node)) in self.nodes.iter().enumerate() {
            write_entry(&mut bytes, at + 1, path, node);
        }
        let end = Node::File { content: Vec::new(), executable: false };
        write_entry(&mut bytes, 0, TRAILER, &end);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

fn write_entry(bytes: &mut Vec<u8>, inode: usize, path: &str, node: &Node) {
    let (mode, content, (major, minor)): (u32, &[u8], _) = match node {
        _ if path == TRAILER => (0, &[], (0, 0)),
        Node::Folder => (0o040_755, &[], (0, 0)),
        Node::File { content, executable: false } => (0o100_644, content, (0, 0)),
        Node::File { content, executable: true } => (0o100_755, content, (0, 0)),
        Node::CharacterDevice { major, minor } => (0o020_600, &[], (*major, *minor)),
    };
    let (length, name_length) = (content.len(), path.len() + 1);
    let header = format!(
        "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{length:08x}{0:08x}{0:08x}{major:08x}{minor:08x}{name_length:08x}{0:08x}",
        0, 1
    );
    bytes.extend(header.as_bytes());
    bytes.extend(path.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The content of the file at `path` in an archive that nobody vouches for; `None` where it is not there, or the
/// archive is damaged before it.
pub fn find_file<'a>(archive: &'a [u8], path: &str) -> Option<&'a [u8]> {
    let mut at = 0_usize;
    loop {
        let header = archive.get(at..at.checked_add(HEADER_BYTES)?)?;
        if &header[..6] != b"070701" {
            return None;
        }
        let number = |from: usize| usize::from_str_radix(std::str::from_utf8(&header[from..from + 8]).ok()?, 16).ok();
        let (length, name_length) = (number(54)?, number(94)?);
        let name_at = at + HEADER_BYTES;
        let name = archive.get(name_at..name_at.checked_add(name_length)?)?.strip_suffix(&[0])?;
        let content_at = name_at.checked_add(name_length)?.checked_next_multiple_of(4)?;
        let content = archive.get(content_at..content_at.checked_add(length)?)?;
        if name == path.trim_start_matches('/').as_bytes() {
            return Some(content);
        }
        if name == TRAILER.as_bytes() {
            return None;
        }
        at = content_at.checked_add(length)?.checked_next_multiple_of(4)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive {
        let mut archive = Archive::default();
        archive.add("/init", Node::File { content: b"hello".to_vec(), executable: true });
        archive.add("/dev/console", Node::CharacterDevice { major: 5, minor: 1 });
        archive
    }

    #[test]
    fn the_format_stays() {
        let bytes = archive().to_bytes();
        let text = String::from_utf8(bytes).unwrap();
        let zeros = |count: usize| "00000000".repeat(count);
        let expected = format!(
            "07070100000001000041ed{}00000001{}00000004{}dev\0\0\0\
             0707010000000200002180{}00000001{}00000005000000010000000c{}dev/console\0\0\
             \u{0}070701",
            zeros(2),
            zeros(6),
            zeros(1),
            zeros(2),
            zeros(4),
            zeros(1)
        );
        // The first two entries; names end on multiples of 4.
        assert_eq!(text.split("dev/console").next().unwrap(), expected.split("dev/console").next().unwrap());
        assert!(text.contains("000081a4") || text.contains("000081ed"));
        assert_eq!(text.len() % 512, 0);
        assert!(text.trim_end_matches('\0').ends_with("TRAILER!!!"));
    }

    #[test]
    fn files_are_found_and_damage_ends_the_search() {
        let bytes = archive().to_bytes();
        assert_eq!(find_file(&bytes, "/init"), Some(b"hello".as_slice()));
        assert_eq!(find_file(&bytes, "/none"), None);
        for end in 0..bytes.len() {
            let _ = find_file(&bytes[..end], "/init");
            let mut damaged = bytes.clone();
            damaged[end] = b'f';
            let _ = find_file(&damaged, "/init");
        }
    }
}
