//! Writes past the page cache, for restores and packs: what is written once and not read soon. Filling
//! fresh pages costs more than the copy that alignment needs.

use super::file_system::write_all_at;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Offsets, lengths and memory are aligned to this: the largest sector of today's disks, and a page.
const ALIGNMENT: usize = 4096;
/// Shorter writes are left to the page cache, which joins them.
const LEAST_BYTES: usize = 64 << 10;
/// Longest write in one call.
const MOST_BYTES: usize = 1 << 20;

/// A second way to an open file.
#[derive(Debug)]
pub(crate) struct DirectFile {
    file: File,
    /// Memory to align in.
    buffer: Mutex<Vec<u8>>,
    works: AtomicBool,
}

impl DirectFile {
    /// Opens what `file` is once more; `None` where the filesystem has no such way.
    pub fn beside(file: &File) -> Option<Self> {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            use std::os::unix::fs::OpenOptionsExt;
            let flag = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
            let same = format!("/proc/self/fd/{}", file.as_raw_fd());
            let file = File::options().write(true).custom_flags(flag).open(same).ok()?;
            Some(Self { file, buffer: Mutex::default(), works: AtomicBool::new(true) })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = file;
            None
        }
    }

    /// Writes `parts`, one after another, from the start of `file`, which this stands beside. The last
    /// bytes, which fill no block, and whatever is not taken here, go through the page cache.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write_from_start(&self, file: &File, parts: &[&[u8]]) -> io::Result<()> {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = aligned(&mut buffer);
        let (mut filled, mut offset_bytes) = (0, 0);
        for part in parts {
            let mut left = *part;
            while !left.is_empty() {
                let (now, later) = left.split_at(left.len().min(buffer.len() - filled));
                buffer[filled..filled + now.len()].copy_from_slice(now);
                filled += now.len();
                left = later;
                if filled == buffer.len() {
                    if !self.write(buffer, offset_bytes)? {
                        write_all_at(file, buffer, offset_bytes)?;
                    }
                    offset_bytes += filled as u64;
                    filled = 0;
                }
            }
        }
        write_all_at(file, &buffer[..filled], offset_bytes)
    }

    /// Writes aligned bytes; `false` where this cannot be done here.
    fn write(&self, aligned: &[u8], offset_bytes: u64) -> io::Result<bool> {
        if !self.works() {
            return Ok(false);
        }
        match write_all_at(&self.file, aligned, offset_bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.works.store(false, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it took everything so far.
    pub fn works(&self) -> bool {
        self.works.load(Ordering::Relaxed)
    }

    /// Writes the aligned middle of `data` and gives which part that was; the caller writes the rest
    /// through the page cache. An empty part where it cannot.
    ///
    /// # Errors
    /// What the operating system says, but for "cannot do that here".
    pub fn write_middle(&self, data: &[u8], offset_bytes: u64) -> io::Result<std::ops::Range<usize>> {
        let head = (offset_bytes.next_multiple_of(ALIGNMENT as u64) - offset_bytes) as usize;
        let middle = data.len().saturating_sub(head) / ALIGNMENT * ALIGNMENT;
        if middle < LEAST_BYTES || !self.works() {
            return Ok(0..0);
        }
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = aligned(&mut buffer);
        let mut at = head;
        for part in data[head..head + middle].chunks(MOST_BYTES) {
            let block = &mut buffer[..part.len()];
            block.copy_from_slice(part);
            if !self.write(block, offset_bytes + at as u64)? {
                break;
            }
            at += part.len();
        }
        Ok(head..at)
    }
}

/// Appends to a file past the page cache, in large blocks; a file that grows piece by piece.
#[derive(Debug)]
pub(crate) struct DirectAppender {
    direct: Option<DirectFile>,
    buffer: Vec<u8>,
    filled: usize,
    offset_bytes: u64,
}

impl DirectAppender {
    /// What can be gone on with after a break: the file's length, down to a block.
    pub fn whole_blocks(bytes: u64) -> u64 {
        bytes / ALIGNMENT as u64 * ALIGNMENT as u64
    }

    /// Appends from `offset_bytes` on, which is the end of a block.
    pub fn new(file: &File, offset_bytes: u64) -> Self {
        Self { direct: DirectFile::beside(file), buffer: Vec::new(), filled: 0, offset_bytes }
    }

    /// Takes bytes; they are in the file when enough came.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn push(&mut self, file: &File, data: &[u8]) -> io::Result<()> {
        let buffer = aligned(&mut self.buffer);
        let mut left = data;
        while !left.is_empty() {
            let (now, later) = left.split_at(left.len().min(buffer.len() - self.filled));
            buffer[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            left = later;
            if self.filled == buffer.len() {
                let direct =
                    self.direct.as_ref().map_or(Ok(false), |direct| direct.write(buffer, self.offset_bytes))?;
                if !direct {
                    write_all_at(file, buffer, self.offset_bytes)?;
                }
                self.offset_bytes += self.filled as u64;
                self.filled = 0;
            }
        }
        Ok(())
    }

    /// Writes the rest, through the page cache. Nothing can be pushed afterwards.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn finish(&mut self, file: &File) -> io::Result<()> {
        let filled = std::mem::take(&mut self.filled);
        if filled == 0 {
            return Ok(());
        }
        write_all_at(file, &aligned(&mut self.buffer)[..filled], self.offset_bytes)
    }
}

/// The aligned part of the buffer, of [`MOST_BYTES`].
fn aligned(buffer: &mut Vec<u8>) -> &mut [u8] {
    buffer.resize(MOST_BYTES + ALIGNMENT, 0);
    // At most one alignment, where it can be told at all.
    let start = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    &mut buffer[start..start + MOST_BYTES]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn only_whole_blocks_are_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::options().read(true).write(true).create_new(true).open(directory.path().join("file")).unwrap();
        file.set_len(4 << 20).unwrap();
        let Some(direct) = DirectFile::beside(&file) else { return };
        let data: Vec<u8> = (0..2_500_000u32).map(|at| (at % 251) as u8 + 1).collect();
        for (offset, middle) in [(0, 0..2_498_560), (4000, 96..2_498_656), (8192, 0..2_498_560)] {
            file.write_all_at(&vec![0; 4 << 20], 0).unwrap();
            let written = direct.write_middle(&data, offset).unwrap();
            if !direct.works() {
                return;
            }
            assert_eq!(written, middle, "{offset}");
            let mut back = vec![0; 4 << 20];
            file.read_exact_at(&mut back, 0).unwrap();
            let start = offset as usize;
            assert!(back[start + middle.start..start + middle.end] == data[middle.clone()]);
            assert!(back[..start + middle.start].iter().chain(&back[start + middle.end..]).all(|byte| *byte == 0));
        }
        assert_eq!(direct.write_middle(&data[..60_000], 0).unwrap(), 0..0);
    }

    #[test]
    fn parts_are_written_one_after_another() {
        let directory = tempfile::tempdir().unwrap();
        for length in [0, 1, 4096, MOST_BYTES, MOST_BYTES + 1, 3 * MOST_BYTES - 5] {
            let path = directory.path().join(length.to_string());
            let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
            let Some(direct) = DirectFile::beside(&file) else { return };
            let data: Vec<u8> = (0..length).map(|at| (at % 253) as u8).collect();
            let parts: Vec<&[u8]> = data.chunks(300_001).collect();
            direct.write_from_start(&file, &parts).unwrap();
            file.sync_all().unwrap();
            assert!(std::fs::read(&path).unwrap() == data, "{length}");
        }
    }
}
