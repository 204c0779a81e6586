//! A disk that fails as it is told: bad sectors, short reads, shrinking, full targets.

use super::{Content, Geometry, Source, SourceIdentity, Target, TargetInfo, WriteOrder};
use crate::error::Result;
use holotype_core::extent::Extent;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// `EIO` of Linux and its kin.
const EIO: i32 = 5;

/// Wraps a source or target (or a reference to one) and adds faults.
#[derive(Debug)]
pub struct FaultDisk<D> {
    inner: D,
    unreadable: Vec<Range<u64>>,
    unwritable: Vec<Range<u64>>,
    read_limit_bytes: usize,
    shrinks: Option<(u64, u64)>,
    space_bytes: Option<u64>,
    reads: AtomicU64,
    written_bytes: AtomicU64,
}

impl<D> FaultDisk<D> {
    /// `inner`, without faults.
    pub fn new(inner: D) -> Self {
        Self {
            inner,
            unreadable: Vec::new(),
            unwritable: Vec::new(),
            read_limit_bytes: usize::MAX,
            shrinks: None,
            space_bytes: None,
            reads: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
        }
    }

    /// Every read that touches these bytes fails whole, with `EIO`.
    #[must_use]
    pub fn unreadable(mut self, bytes: Range<u64>) -> Self {
        self.unreadable.push(bytes);
        self
    }

    /// Every write that touches these bytes fails whole, with `EIO`.
    #[must_use]
    pub fn unwritable(mut self, bytes: Range<u64>) -> Self {
        self.unwritable.push(bytes);
        self
    }

    /// No read returns more than `bytes` (at least 1).
    #[must_use]
    pub fn short_reads(mut self, bytes: usize) -> Self {
        self.read_limit_bytes = bytes.max(1);
        self
    }

    /// After `reads` reads it ends at `bytes`; its geometry still tells the old length.
    #[must_use]
    pub fn shrinks_to(mut self, bytes: u64, reads: u64) -> Self {
        self.shrinks = Some((bytes, reads));
        self
    }

    /// After `bytes` bytes of data (zeros do not count), writes fail as on a full disk.
    #[must_use]
    pub fn full_after(mut self, bytes: u64) -> Self {
        self.space_bytes = Some(bytes);
        self
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// What it wraps.
    pub fn into_inner(self) -> D {
        self.inner
    }
}

fn fail_if_touched(bad: &[Range<u64>], offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
    let end = offset_bytes.saturating_add(length_bytes);
    let touches = |bad: &Range<u64>| bad.start < end && offset_bytes < bad.end;
    if bad.iter().any(touches) { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
}

impl<D: Source> Source for FaultDisk<D> {
    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn identity(&self) -> SourceIdentity {
        self.inner.identity()
    }

    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let earlier_reads = self.reads.fetch_add(1, Ordering::Relaxed);
        let mut asked = buffer.len().min(self.read_limit_bytes);
        if let Some((bytes, reads)) = self.shrinks
            && earlier_reads >= reads
        {
            let left = bytes.saturating_sub(offset_bytes);
            asked = asked.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        fail_if_touched(&self.unreadable, offset_bytes, asked as u64)?;
        self.inner.read_at(offset_bytes, &mut buffer[..asked])
    }

    fn will_need(&self, offset_bytes: u64, length_bytes: u64) {
        self.inner.will_need(offset_bytes, length_bytes);
    }

    fn can_reread(&self) -> bool {
        self.inner.can_reread()
    }

    fn in_use(&self) -> Vec<(Extent, String)> {
        self.inner.in_use()
    }

    fn change_mark(&self) -> Option<String> {
        self.inner.change_mark()
    }
}

impl<D: Target> Target for FaultDisk<D> {
    fn order(&self) -> WriteOrder {
        self.inner.order()
    }

    fn info(&self) -> TargetInfo {
        self.inner.info()
    }

    fn prepare(&self, target_bytes: u64, content: Content) -> Result<()> {
        self.inner.prepare(target_bytes, content)
    }

    fn read_back(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_back(offset_bytes, buffer)
    }

    fn discard(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        self.inner.discard(offset_bytes, length_bytes)
    }

    fn write_at(&self, offset_bytes: u64, data: &[u8]) -> io::Result<()> {
        let written = self.written_bytes.fetch_add(data.len() as u64, Ordering::Relaxed) + data.len() as u64;
        if self.space_bytes.is_some_and(|space| written > space) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        fail_if_touched(&self.unwritable, offset_bytes, data.len() as u64)?;
        self.inner.write_at(offset_bytes, data)
    }

    fn write_zeros(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        fail_if_touched(&self.unwritable, offset_bytes, length_bytes)?;
        self.inner.write_zeros(offset_bytes, length_bytes)
    }

    fn finish(&self) -> io::Result<()> {
        self.inner.finish()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    fn disk() -> FaultDisk<MemoryDisk> {
        FaultDisk::new(MemoryDisk::new((0..100).collect()))
    }

    #[test]
    fn bad_sectors_fail_every_read_that_touches_them() {
        let disk = disk().unreadable(10..20);
        let read = |offset, length: usize| disk.read_at(offset, &mut vec![0; length]).map_err(|it| it.raw_os_error());
        for (offset, length) in [(0, 11), (19, 1), (0, 100), (12, 3)] {
            assert_eq!(read(offset, length), Err(Some(EIO)), "{offset} {length}");
        }
        assert_eq!(read(0, 10), Ok(10));
        assert_eq!(read(20, 10), Ok(10));
        assert_eq!(disk.reads(), 6);
    }

    #[test]
    fn reads_are_short_and_the_disk_shrinks() {
        let disk = disk().short_reads(7).shrinks_to(50, 2);
        let mut buffer = [0; 30];
        assert_eq!(disk.read_at(90, &mut buffer).unwrap(), 7);
        assert_eq!(buffer[..7], [90, 91, 92, 93, 94, 95, 96]);
        assert_eq!(disk.read_at(97, &mut buffer).unwrap(), 3);
        assert_eq!(disk.read_at(90, &mut buffer).unwrap(), 0);
        assert_eq!(disk.read_at(48, &mut buffer).unwrap(), 2);
        assert_eq!(disk.geometry().bytes, Some(100));
    }

    #[test]
    fn targets_fill_up_and_have_bad_sectors() {
        let disk = disk().full_after(10).unwritable(90..91);
        disk.write_at(0, &[1; 10]).unwrap();
        disk.write_zeros(20, 50).unwrap();
        assert_eq!(disk.write_at(10, &[1]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.write_zeros(80, 20).unwrap_err().raw_os_error(), Some(EIO));
        assert_eq!(disk.into_inner().into_bytes()[..11], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 10]);
    }
}
