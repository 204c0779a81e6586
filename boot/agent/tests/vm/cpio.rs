//! An initramfs: "newc" archives of cpio (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::fmt::Write;

/// Builds one in memory.
#[derive(Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    number: u32,
}

impl Cpio {
    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.number += 1;
        let fields =
            [self.number, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, device.0, device.1, path.len() as u32 + 1, 0];
        let mut head = String::from("070701");
        fields.iter().for_each(|field| write!(head, "{field:08x}").unwrap());
        self.bytes.extend(head.as_bytes());
        self.bytes.extend(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A folder.
    pub fn folder(&mut self, path: &str) {
        self.entry(path, 0o40755, (0, 0), b"");
    }

    /// A file that can be run.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, 0o100755, (0, 0), content);
    }

    /// A character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, 0o20600, (major, minor), b"");
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), b"");
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }
}
