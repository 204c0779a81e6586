//! Doing what the plan says.
//!
//! The first MiB comes last: a device that was pulled out in between boots nowhere, instead of half. Then everything is
//! read back from the device.

use super::WritePlan;
use crate::disk::{DATA_NAME, read_table};
use crate::error::{BootError, Result};
use crate::fat::FatReader;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;

const BLOCK_BYTES: u64 = 1 << 20;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes written, and read back. The unused part of a data partition is left as it was.
    pub bytes: u64,
}

impl WritePlan {
    /// Writes. `progress` is told bytes done and bytes in all, writing and reading back together; `cancelled` is asked
    /// between blocks.
    ///
    /// # Errors
    /// Where the device is in use meanwhile or another one is there, it cannot be written, gives back something else, or it
    /// was cancelled.
    pub fn apply(self, progress: &mut dyn FnMut(u64, u64), cancelled: &dyn Fn() -> bool) -> Result<Written> {
        let mut medium = File::open(&self.medium).map_err(|error| BootError::io(&self.medium, "open it", &error))?;
        let blocks = self.blocks(&mut medium)?;
        // O_EXCL on a block device: refused where anything in the kernel uses it.
        let exclusive = rustix::fs::OFlags::EXCL.bits().cast_signed();
        let mut device =
            OpenOptions::new().read(true).write(true).custom_flags(exclusive).open(&self.device).map_err(|error| {
                BootError::io(&self.device, "open it for writing", &error)
                    .advise("is it in use, or do you need to be root?")
            })?;
        // Only now: what is open is not replaced by another device under its number.
        self.check_same(&Self::make(&self.medium, &self.device)?)?;
        copy(&self, &mut medium, &mut device, &blocks, progress, cancelled)
    }

    /// Blocks to be written, the first last.
    fn blocks(&self, medium: &mut File) -> Result<Vec<u64>> {
        let unused = unused(medium)?;
        let is_used =
            |at: &u64| !unused.as_ref().is_some_and(|unused| unused.start <= *at && at + BLOCK_BYTES <= unused.end);
        let mut blocks: Vec<u64> =
            (0..self.medium_bytes.div_ceil(BLOCK_BYTES)).map(|block| block * BLOCK_BYTES).filter(is_used).collect();
        if !blocks.is_empty() {
            blocks.rotate_left(1);
        }
        Ok(blocks)
    }
}

/// Bytes of the data partition that no file uses, where the image has nothing there either.
fn unused(medium: &mut File) -> Result<Option<Range<u64>>> {
    let (partitions, _) = read_table(medium)?;
    let Some(data) = partitions.into_iter().find(|partition| partition.name == DATA_NAME) else { return Ok(None) };
    let Ok(volume) = FatReader::open(&mut *medium, data.offset_bytes) else { return Ok(None) };
    let (clusters_at, cluster_bytes) = volume.clusters_at();
    let range = clusters_at + cluster_bytes..data.offset_bytes + data.bytes;
    // Where the next data is. An error (a file system without holes, or none to the end) means: there is some.
    match rustix::fs::seek(&*medium, rustix::fs::SeekFrom::Data(range.start)) {
        Ok(next) if next >= range.end => Ok(Some(range)),
        _ => Ok(None),
    }
}

fn copy(
    plan: &WritePlan,
    medium: &mut File,
    device: &mut File,
    blocks: &[u64],
    progress: &mut dyn FnMut(u64, u64),
    cancelled: &dyn Fn() -> bool,
) -> Result<Written> {
    let failed = |action: &str, error: std::io::Error| {
        BootError::io(&plan.device, action, &error).advise("try again, or take another")
    };
    let of_medium = |error: std::io::Error| BootError::io(&plan.medium, "read it", &error);
    let total: u64 = blocks.iter().map(|at| BLOCK_BYTES.min(plan.medium_bytes - at)).sum();
    let stopped =
        || BootError::new(plan.device.display(), "writing was stopped").advise("it is no medium now; write it anew");
    let mut done = 0;
    if cancelled() {
        return Err(BootError::new(plan.device.display(), "stopped; nothing was written"));
    }
    // What was bootable before, is not while it is half overwritten.
    device
        .seek(SeekFrom::Start(0))
        .and_then(|_| device.write_all(&[0; 4096]))
        .map_err(|error| failed("write to it", error))?;
    for at in blocks {
        if cancelled() {
            return Err(stopped());
        }
        let block = read_block(medium, *at, plan.medium_bytes).map_err(of_medium)?;
        device
            .seek(SeekFrom::Start(*at))
            .and_then(|_| device.write_all(&block))
            .map_err(|error| failed("write to it", error))?;
        done += block.len() as u64;
        progress(done, 2 * total);
    }
    device.sync_all().map_err(|error| failed("write to it", error))?;
    // Else the kernel would answer from its memory.
    let _ = rustix::fs::fadvise(&*device, 0, None, rustix::fs::Advice::DontNeed);
    for at in blocks {
        if cancelled() {
            return Err(stopped());
        }
        let expected = read_block(medium, *at, plan.medium_bytes).map_err(of_medium)?;
        let found = read_block(device, *at, plan.medium_bytes).map_err(|error| failed("read it back", error))?;
        if expected != found {
            return Err(BootError::new(
                plan.device.display(),
                format_args!("it gives back something else than was written, at byte {at}"),
            )
            .advise("the stick is broken; take another"));
        }
        done += expected.len() as u64;
        progress(done, 2 * total);
    }
    Ok(Written { bytes: total })
}

fn read_block(file: &mut File, at: u64, end: u64) -> std::io::Result<Vec<u8>> {
    let mut block = vec![0; usize::try_from(BLOCK_BYTES.min(end - at)).unwrap_or(0)];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut block)?;
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan;
    use super::*;

    #[test]
    fn what_is_stopped_before_it_begins_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path());
        std::fs::write(&plan.medium, [1; 5000]).unwrap();
        std::fs::write(&plan.device, [2; 8000]).unwrap();
        let device = || OpenOptions::new().read(true).write(true).open(&plan.device).unwrap();
        let mut medium = File::open(&plan.medium).unwrap();
        let stopped = copy(&plan, &mut medium, &mut device(), &[0], &mut |_, _| {}, &|| true).unwrap_err();
        assert!(stopped.to_string().contains("nothing was written"), "{stopped}");
        assert_eq!(std::fs::read(&plan.device).unwrap(), [2; 8000]);
        copy(&plan, &mut medium, &mut device(), &[0], &mut |_, _| {}, &|| false).unwrap();
        assert_eq!(std::fs::read(&plan.device).unwrap(), [[1; 5000].as_slice(), &[2; 3000]].concat());
    }
}
