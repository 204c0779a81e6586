//! Writes past the page cache, for restores: whole disks go through it once and are not read again,
//! and filling fresh pages costs more than the copy that alignment needs.

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
pub(super) struct DirectFile {
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
        buffer.resize(MOST_BYTES + ALIGNMENT, 0);
        // At most one alignment, where it can be told at all.
        let start = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let mut at = head;
        for part in data[head..head + middle].chunks(MOST_BYTES) {
            let aligned = &mut buffer[start..start + part.len()];
            aligned.copy_from_slice(part);
            match super::file_system::write_all_at(&self.file, aligned, offset_bytes + at as u64) {
                Ok(()) => at += part.len(),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.works.store(false, Ordering::Relaxed);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(head..at)
    }
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
}
