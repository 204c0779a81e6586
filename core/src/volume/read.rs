//! Reading a volume's metadata.

use super::{Cause, Unmapped};
use crate::extent::Extent;
use std::io;

/// Most bytes of one read: a hostile length costs no more memory than this.
pub const MAX_READ_BYTES: u64 = 64 << 20;

/// Bytes at places. A disk, a file, or a logical volume over them.
pub trait ReadAt {
    /// Length in bytes.
    fn bytes(&self) -> u64;

    /// Fills `buffer` from `offset_bytes` on.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` where the bytes end before.
    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for Vec<u8> {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let source = usize::try_from(offset_bytes)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(source);
        Ok(())
    }
}

/// One volume of a disk: offsets count from its start, and nothing beyond its end is read.
#[derive(Clone, Copy)]
pub struct VolumeReader<'a> {
    disk: &'a dyn ReadAt,
    extent: Extent,
    sector_bytes: u32,
}

impl<'a> VolumeReader<'a> {
    /// The volume in `extent` of a disk with logical sectors of `sector_bytes`. `None` where it ends
    /// beyond the disk.
    pub fn new(disk: &'a dyn ReadAt, extent: Extent, sector_bytes: u32) -> Option<Self> {
        (extent.end() <= disk.bytes()).then_some(Self { disk, extent, sector_bytes })
    }

    /// All of `disk` as one volume.
    pub fn whole(disk: &'a dyn ReadAt, sector_bytes: u32) -> Self {
        let extent = Extent::between(0, disk.bytes()).expect("from zero on");
        Self { disk, extent, sector_bytes }
    }

    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        self.extent.len()
    }

    /// Where it lies on its disk.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Logical sector size of the disk in bytes.
    pub fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    /// Fills `buffer` from `offset_bytes` of the volume on.
    ///
    /// # Errors
    /// `Inconsistent` where that is not inside the volume, `Unreadable` where the disk fails.
    pub fn read_into(&self, offset_bytes: u64, buffer: &mut [u8]) -> Result<(), Unmapped> {
        let inside = Extent::new(offset_bytes, buffer.len() as u64).is_some_and(|range| range.end() <= self.bytes());
        if !inside {
            let why = format!("its metadata leads to byte {offset_bytes}, beyond its end");
            return Err(Unmapped::inconsistent(why));
        }
        self.disk.read_exact_at(self.extent.offset() + offset_bytes, buffer).map_err(|error| {
            let why = format!("its metadata at byte {offset_bytes} could not be read: {error}");
            Unmapped::new(Cause::Unreadable, why)
        })
    }

    /// `length_bytes` from `offset_bytes` of the volume on, at most [`MAX_READ_BYTES`].
    ///
    /// # Errors
    /// As [`read_into`](Self::read_into), and `Inconsistent` for more.
    pub fn read(&self, offset_bytes: u64, length_bytes: u64) -> Result<Vec<u8>, Unmapped> {
        if length_bytes > MAX_READ_BYTES.min(self.bytes()) {
            let why = format!("a piece of its metadata claims {length_bytes} bytes");
            return Err(Unmapped::inconsistent(why));
        }
        let mut bytes = vec![0; length_bytes as usize];
        self.read_into(offset_bytes, &mut bytes)?;
        Ok(bytes)
    }

    /// `N` bytes from `offset_bytes` on, or `None` where they cannot be had. For signatures.
    pub fn peek<const N: usize>(&self, offset_bytes: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.read_into(offset_bytes, &mut bytes).ok()?;
        Some(bytes)
    }
}

impl std::fmt::Debug for VolumeReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VolumeReader")
            .field("extent", &self.extent)
            .field("sector_bytes", &self.sector_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_the_volume_is_read() {
        let disk: Vec<u8> = (0..100).collect();
        let volume = VolumeReader::new(&disk, Extent::between(10, 20).unwrap(), 512).unwrap();
        assert_eq!(volume.read(8, 2).unwrap(), [18, 19]);
        assert_eq!(volume.read(9, 2).unwrap_err().cause, Cause::Inconsistent);
        assert_eq!(volume.read(u64::MAX, 2).unwrap_err().cause, Cause::Inconsistent);
        assert_eq!(volume.read(0, u64::MAX).unwrap_err().cause, Cause::Inconsistent);
        assert_eq!(volume.peek::<2>(0), Some([10, 11]));
        assert_eq!(volume.peek::<11>(0), None);
        assert!(VolumeReader::new(&disk, Extent::between(90, 101).unwrap(), 512).is_none());
    }
}
