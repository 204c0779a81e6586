//! Disks as the pipelines see them: where a backup reads and a restore writes.

#[cfg(any(test, feature = "testing"))]
pub mod fault;
mod memory;

#[cfg(any(test, feature = "testing"))]
pub use fault::FaultDisk;
pub use memory::MemoryDisk;

use holotype_core::extent::Extent;
use holotype_core::volume::ReadAt;
use serde::Serialize;
use std::io;

/// Size and sectors of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Geometry {
    /// Length in bytes; absent where it shows only at the end (a stream).
    pub bytes: Option<u64>,
    /// Logical sector size in bytes, 512 or 4096; 512 for files.
    pub logical_sector_bytes: u32,
    /// Physical sector size in bytes.
    pub physical_sector_bytes: u32,
}

/// What is known of the disk behind a source. All optional: files have none of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceIdentity {
    /// Path or `-`, as it was given.
    pub path: String,
    /// Model name that the device reports.
    pub model: Option<String>,
    /// Serial number that the device reports.
    pub serial: Option<String>,
    /// Bus and port, for instance `ata-1`, as the operating system tells it.
    pub bus: Option<String>,
    /// Name of the host that reads it.
    pub host: Option<String>,
    /// Where it, or a partition of it, is mounted read-write.
    pub mounted_read_write_at: Vec<String>,
}

/// Something that can be backed up.
pub trait Source: Send + Sync {
    /// Size and sectors.
    fn geometry(&self) -> Geometry;

    /// What is known of the disk.
    fn identity(&self) -> SourceIdentity;

    /// Reads into `buffer` from `offset_bytes` on and returns how many bytes came; less than asked
    /// is allowed, 0 is the end. A stream is only asked for the offset where it stands. Where 0
    /// comes before the length that [`geometry`](Self::geometry) tells, the source shrank.
    ///
    /// # Errors
    /// What the operating system says; an `EIO` leaves the bytes after it readable.
    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Tells that `length_bytes` from `offset_bytes` will be read soon.
    fn will_need(&self, _offset_bytes: u64, _length_bytes: u64) {}

    /// Whether it can be read a second time.
    fn can_reread(&self) -> bool {
        true
    }

    /// Places that somebody may write to while they are read, and who: `mounted at /srv`. Volumes
    /// there are read whole.
    fn in_use(&self) -> Vec<(Extent, String)> {
        let places = self.identity().mounted_read_write_at;
        let whole = Extent::between(0, self.geometry().bytes.unwrap_or(u64::MAX)).expect("from zero on");
        places.into_iter().map(|place| (whole, format!("it is mounted read-write at {place}"))).collect()
    }

    /// Something that is another text after each write to the source, where the system keeps count.
    fn change_mark(&self) -> Option<String> {
        None
    }
}

/// Fills `buffer` from `offset_bytes` on by `read`, which may give less than asked; `UnexpectedEof` where
/// it gives 0 before.
pub(crate) fn read_exact(
    read: impl Fn(u64, &mut [u8]) -> io::Result<usize>,
    offset_bytes: u64,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(offset_bytes + filled as u64, &mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A source as bytes at places: what a look at its partition table and volumes reads.
pub struct SourceBytes<'a>(pub &'a dyn Source);

impl ReadAt for SourceBytes<'_> {
    fn bytes(&self) -> u64 {
        self.0.geometry().bytes.unwrap_or(0)
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_exact(|offset, buffer| self.0.read_at(offset, buffer), offset_bytes, buffer)
    }
}

/// In which order a target takes its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOrder {
    /// At any place, from several threads.
    Any,
    /// From the first byte to the last, without gaps (standard output).
    Ascending,
}

/// What becomes of what a target holds before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// It may go: a file becomes all holes.
    Replaced,
    /// It stays, as far as the target's length allows.
    Kept,
}

/// What is known of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetInfo {
    /// Its length in bytes, where it cannot be another one.
    pub bytes: Option<u64>,
    /// How many bytes it holds already; 0 for what is new or empty, and for streams.
    pub content_bytes: u64,
    /// Logical sector size in bytes, of devices.
    pub logical_sector_bytes: Option<u32>,
    /// Serial number that the device reports.
    pub serial: Option<String>,
    /// Bytes that are free where a file lies.
    pub free_bytes: Option<u64>,
}

/// Something that an image can be restored to.
pub trait Target: Send + Sync {
    /// In which order it takes writes.
    fn order(&self) -> WriteOrder;

    /// What is known of it.
    fn info(&self) -> TargetInfo {
        TargetInfo::default()
    }

    /// Makes it ready for `target_bytes`; called once before any write.
    ///
    /// # Errors
    /// `TargetRefused` where it is too small.
    fn prepare(&self, target_bytes: u64, content: Content) -> crate::Result<()>;

    /// Reads into `buffer` from `offset_bytes` on and returns how many bytes came; 0 is the end. What
    /// was written is read. May be called before [`prepare`](Self::prepare).
    ///
    /// # Errors
    /// What the operating system says; `Unsupported` of streams.
    fn read_back(&self, _offset_bytes: u64, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Lets the following reads come from the device, as far as the system can.
    fn forget_cached(&self) {}

    /// Tells the device or filesystem that `length_bytes` from `offset_bytes` are not needed. They
    /// read as anything afterwards.
    ///
    /// # Errors
    /// What the operating system says; nothing has changed then.
    fn discard(&self, _offset_bytes: u64, _length_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    /// Writes all of `data` at `offset_bytes`.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_at(&self, offset_bytes: u64, data: &[u8]) -> io::Result<()>;

    /// Makes `length_bytes` from `offset_bytes` read as zeros.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_zeros(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()>;

    /// Makes what was written so far durable while more is being written. Called now and then from
    /// a thread of its own, so that the device is at work before [`Target::finish`].
    ///
    /// # Errors
    /// What the operating system says.
    fn settle(&self) -> io::Result<()> {
        Ok(())
    }

    /// Everything written is durable when it returns.
    ///
    /// # Errors
    /// What the operating system says.
    fn finish(&self) -> io::Result<()>;

    /// Where it is, for messages.
    fn describe(&self) -> String;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn geometry(&self) -> Geometry {
        (**self).geometry()
    }
    fn identity(&self) -> SourceIdentity {
        (**self).identity()
    }
    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset_bytes, buffer)
    }
    fn will_need(&self, offset_bytes: u64, length_bytes: u64) {
        (**self).will_need(offset_bytes, length_bytes);
    }
    fn can_reread(&self) -> bool {
        (**self).can_reread()
    }
    fn in_use(&self) -> Vec<(Extent, String)> {
        (**self).in_use()
    }
    fn change_mark(&self) -> Option<String> {
        (**self).change_mark()
    }
}

impl<T: Target + ?Sized> Target for Box<T> {
    fn order(&self) -> WriteOrder {
        (**self).order()
    }
    fn info(&self) -> TargetInfo {
        (**self).info()
    }
    fn prepare(&self, target_bytes: u64, content: Content) -> crate::Result<()> {
        (**self).prepare(target_bytes, content)
    }
    fn read_back(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).read_back(offset_bytes, buffer)
    }
    fn forget_cached(&self) {
        (**self).forget_cached();
    }
    fn discard(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        (**self).discard(offset_bytes, length_bytes)
    }
    fn write_at(&self, offset_bytes: u64, data: &[u8]) -> io::Result<()> {
        (**self).write_at(offset_bytes, data)
    }
    fn write_zeros(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        (**self).write_zeros(offset_bytes, length_bytes)
    }
    fn settle(&self) -> io::Result<()> {
        (**self).settle()
    }
    fn finish(&self) -> io::Result<()> {
        (**self).finish()
    }
    fn describe(&self) -> String {
        (**self).describe()
    }
}
