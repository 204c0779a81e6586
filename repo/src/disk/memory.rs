//! A disk in memory, for tests and for embedding.

use super::{Content, Geometry, Source, SourceIdentity, Target, TargetInfo, WriteOrder};
use crate::error::{Error, ErrorKind, Result};
use std::io;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A disk of fixed size in memory. As on a real one, what a restore does not write stays as it was.
#[derive(Debug)]
pub struct MemoryDisk {
    bytes: RwLock<Vec<u8>>,
    logical_sector_bytes: u32,
    physical_sector_bytes: u32,
    keeps_sectors: bool,
    identity: SourceIdentity,
}

impl MemoryDisk {
    /// A disk that holds `bytes`, in sectors of 512 bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        let identity = SourceIdentity { path: "memory".into(), ..SourceIdentity::default() };
        Self {
            bytes: RwLock::new(bytes),
            logical_sector_bytes: 512,
            physical_sector_bytes: 512,
            keeps_sectors: false,
            identity,
        }
    }

    /// With other sectors. Reads and writes need not keep to them; a restore to it has to have the
    /// same, as on a device. Without this, it is as a file.
    #[must_use]
    pub fn with_sectors(mut self, logical_bytes: u32, physical_bytes: u32) -> Self {
        (self.logical_sector_bytes, self.physical_sector_bytes) = (logical_bytes, physical_bytes);
        self.keeps_sectors = true;
        self
    }

    /// With another identity.
    #[must_use]
    pub fn with_identity(mut self, identity: SourceIdentity) -> Self {
        self.identity = identity;
        self
    }

    /// What it holds now.
    pub fn bytes(&self) -> RwLockReadGuard<'_, Vec<u8>> {
        self.bytes.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it holds, to be changed.
    pub fn bytes_mut(&self) -> RwLockWriteGuard<'_, Vec<u8>> {
        self.bytes.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it holds at last.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, offset_bytes: u64, length_bytes: u64, change: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let mut bytes = self.bytes_mut();
        let end = offset_bytes.checked_add(length_bytes).and_then(|end| usize::try_from(end).ok());
        let range = end.and_then(|end| bytes.get_mut(usize::try_from(offset_bytes).ok()?..end));
        change(range.ok_or(io::ErrorKind::StorageFull)?);
        Ok(())
    }
}

impl Source for MemoryDisk {
    fn geometry(&self) -> Geometry {
        Geometry {
            bytes: Some(self.bytes().len() as u64),
            logical_sector_bytes: self.logical_sector_bytes,
            physical_sector_bytes: self.physical_sector_bytes,
        }
    }

    fn identity(&self) -> SourceIdentity {
        self.identity.clone()
    }

    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes();
        let rest = usize::try_from(offset_bytes).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

impl Target for MemoryDisk {
    fn order(&self) -> WriteOrder {
        WriteOrder::Any
    }

    fn info(&self) -> TargetInfo {
        let bytes = self.bytes().len() as u64;
        TargetInfo {
            bytes: Some(bytes),
            content_bytes: bytes,
            logical_sector_bytes: self.keeps_sectors.then_some(self.logical_sector_bytes),
            serial: self.identity.serial.clone(),
            free_bytes: None,
        }
    }

    fn prepare(&self, target_bytes: u64, _content: Content) -> Result<()> {
        let bytes = self.bytes().len() as u64;
        if bytes < target_bytes {
            let why = format!("has {bytes} bytes, and {target_bytes} bytes are needed");
            return Err(Error::new(ErrorKind::TargetRefused, self.describe(), why).advise("give a larger disk"));
        }
        Ok(())
    }

    fn read_back(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_at(offset_bytes, buffer)
    }

    fn write_at(&self, offset_bytes: u64, data: &[u8]) -> io::Result<()> {
        self.change(offset_bytes, data.len() as u64, |bytes| bytes.copy_from_slice(data))
    }

    fn write_zeros(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        self.change(offset_bytes, length_bytes, |bytes| bytes.fill(0))
    }

    fn finish(&self) -> io::Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        self.identity.path.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let disk = MemoryDisk::new(vec![7; 10]).with_sectors(4096, 8192);
        let expected = Geometry { bytes: Some(10), logical_sector_bytes: 4096, physical_sector_bytes: 8192 };
        assert_eq!(disk.geometry(), expected);
        disk.prepare(10, Content::Kept).unwrap();
        disk.write_at(2, b"abc").unwrap();
        disk.write_zeros(8, 2).unwrap();
        let mut buffer = [0; 20];
        assert_eq!(disk.read_at(1, &mut buffer).unwrap(), 9);
        assert_eq!(&buffer[..9], b"\x07abc\x07\x07\x07\0\0");
        assert_eq!(disk.read_at(10, &mut buffer).unwrap(), 0);
        assert_eq!(disk.read_at(u64::MAX, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn its_size_is_fixed() {
        let disk = MemoryDisk::new(vec![7; 10]);
        assert_eq!(disk.prepare(11, Content::Kept).unwrap_err().kind(), ErrorKind::TargetRefused);
        for (offset, length) in [(9, 2), (11, 0), (u64::MAX, 2)] {
            assert_eq!(disk.write_zeros(offset, length).unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
        assert_eq!(disk.into_bytes(), [7; 10]);
    }
}
