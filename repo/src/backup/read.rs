//! Read: the source, in order, as regions.
//!
//! A region is about [`REGION_BYTES`] long and ends where a segment would end anyway, so that
//! regions can be worked on independently and still cut equal content equally.

use super::flow::{Abort, Counters};
use crate::disk::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Job;
use crate::manifest::MAX_DISK_BYTES;
use crossbeam_channel::{Receiver, Sender};
use holotype_core::padding::BLOCK_BYTES;
use holotype_core::segment::{MAX_OVERRUN_BYTES, natural_end};
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// How much of the disk is read and worked on as one.
pub(crate) const REGION_BYTES: usize = 8 << 20;
/// A region's buffer has room for what it takes over from the next one.
pub(crate) const BUFFER_BYTES: usize = REGION_BYTES + MAX_OVERRUN_BYTES;
/// After a read error it goes on in steps of this many bytes, then in sectors.
const RETRY_BYTES: usize = 64 << 10;
/// Read ahead of what is being read, in bytes.
const READ_AHEAD_BYTES: u64 = 2 * REGION_BYTES as u64;

/// A part of the disk in memory. Its buffer goes back to the reader.
#[derive(Debug)]
pub(crate) struct Region {
    /// Number in disk order, from 0.
    pub number: u64,
    /// Where `data` begins on the disk.
    pub offset: u64,
    buffer: Vec<u8>,
    data: Range<usize>,
    /// Ranges of [`Region::data`] that could not be read; they are zeros there.
    pub unreadable: Vec<Range<usize>>,
}

impl Region {
    pub fn data(&self) -> &[u8] {
        &self.buffer[self.data.clone()]
    }

    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

/// The reader.
pub(crate) struct Reader<'a> {
    pub source: &'a dyn Source,
    pub counters: &'a Counters,
    pub abort: &'a Abort,
    pub job: &'a Job,
}

impl Reader<'_> {
    /// Reads all of the source and sends it on; gives the source's length.
    pub fn run(&self, buffers: &Receiver<Vec<u8>>, regions: &Sender<Region>) -> Result<u64> {
        let known_bytes = self.source.geometry().bytes;
        let mut position = 0;
        let mut number = 0;
        let mut held: Option<Region> = None;
        loop {
            self.job.check()?;
            if position.max(known_bytes.unwrap_or(0)) > MAX_DISK_BYTES {
                let why = format!("it is longer than {MAX_DISK_BYTES} bytes, the most that an image can have");
                return Err(Error::new(ErrorKind::InvalidInput, self.source.identity().path, why));
            }
            let Ok(buffer) = buffers.recv() else { return Ok(position) };
            let mut next = self.read_region(position, known_bytes, buffer)?;
            let read = next.data.len();
            position += read as u64;
            if let Some(mut before) = held.take() {
                take_over(&mut before, &mut next);
                before.number = number;
                number += 1;
                if regions.send(before).is_err() {
                    return Ok(position);
                }
            }
            if read < REGION_BYTES {
                if !next.data.is_empty() {
                    next.number = number;
                    let _ = regions.send(next);
                }
                break;
            }
            held = Some(next);
        }
        match known_bytes {
            Some(bytes) if bytes > position => {
                let why = format!("it became shorter while it was read: {position} bytes in place of {bytes}");
                Err(Error::new(ErrorKind::Io, self.source.identity().path, why)
                    .advise("nothing was published; run it again when the source is at rest"))
            }
            _ => Ok(position),
        }
    }

    fn read_region(&self, offset: u64, known_bytes: Option<u64>, mut buffer: Vec<u8>) -> Result<Region> {
        buffer.resize(BUFFER_BYTES, 0);
        let left = known_bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(offset));
        let wanted = REGION_BYTES.min(usize::try_from(left).unwrap_or(usize::MAX));
        self.source.will_need(offset + wanted as u64, READ_AHEAD_BYTES);
        let mut unreadable = Vec::new();
        let mut filled = 0;
        while filled < wanted {
            if self.abort.is_set() {
                return Err(Error::cancelled());
            }
            let at = offset + filled as u64;
            match self.read_at(at, &mut buffer[filled..wanted]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if is_medium_error(&error) => {
                    filled += self.read_around(at, &mut buffer[filled..wanted], filled, &mut unreadable)?;
                }
                Err(error) => {
                    return Err(Error::io(self.source.identity().path, &format!("read at byte {at}"), error));
                }
            }
        }
        Ok(Region { number: 0, offset, buffer, data: 0..filled, unreadable })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.source.read_at(offset, buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) => {
                    self.counters.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
                    return Ok(read);
                }
                other => return other,
            }
        }
    }

    /// Reads on over a bad place in smaller steps and notes what stays unreadable. Gives how far
    /// it came: one step of [`RETRY_BYTES`].
    fn read_around(
        &self,
        offset: u64,
        buffer: &mut [u8],
        buffer_at: usize,
        unreadable: &mut Vec<Range<usize>>,
    ) -> Result<usize> {
        let sector = (self.source.geometry().logical_sector_bytes as usize).clamp(512, RETRY_BYTES);
        let step = buffer.len().min(RETRY_BYTES);
        let mut at = 0;
        while at < step {
            // The rest of the sector that `offset` lies in, then whole sectors.
            let in_sector = ((offset + at as u64) % sector as u64) as usize;
            let end = (at + sector - in_sector).min(step);
            match self.read_at(offset + at as u64, &mut buffer[at..end]) {
                Ok(0) => return Ok(at.max(1).min(step)),
                Ok(read) => at += read,
                Err(error) if is_medium_error(&error) => {
                    buffer[at..end].fill(0);
                    let range = buffer_at + at..buffer_at + end;
                    match unreadable.last_mut() {
                        Some(last) if last.end == range.start => last.end = range.end,
                        _ => unreadable.push(range),
                    }
                    at = end;
                }
                Err(error) => {
                    let action = format!("read at byte {}", offset + at as u64);
                    return Err(Error::io(self.source.identity().path, &action, error));
                }
            }
        }
        Ok(step)
    }
}

/// Errors that say that this place of the medium cannot be read, and others may.
fn is_medium_error(error: &io::Error) -> bool {
    // EIO, ENODATA (the kernel's word for a critical medium error), EILSEQ, EREMOTEIO.
    matches!(error.raw_os_error(), Some(5 | 61 | 84 | 121))
}

/// Moves the start of `next` up to the next natural cut to the end of `before`.
fn take_over(before: &mut Region, next: &mut Region) {
    if !before.unreadable.is_empty() || !next.unreadable.is_empty() {
        return;
    }
    let data = before.data();
    let last_block = data.len().saturating_sub(1) / BLOCK_BYTES * BLOCK_BYTES;
    let length = natural_end(&data[last_block..], next.data());
    let end = before.data.end;
    before.buffer[end..end + length].copy_from_slice(&next.data()[..length]);
    before.data.end += length;
    next.data.start += length;
    next.offset += length as u64;
}
