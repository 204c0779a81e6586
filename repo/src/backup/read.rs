//! Read: the source, in order, as regions.
//!
//! A region is about [`REGION_BYTES`] long and ends where a segment would end anyway, so that
//! regions can be worked on independently and still cut equal content equally. Regions are counted
//! from the start of each volume, so that a volume is cut alike wherever it lies on its disk. What
//! no filesystem uses is not read.

use super::bad_sectors;
use super::flow::{Abort, Counters};
use crate::disk::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Job;
use crate::manifest::MAX_DISK_BYTES;
use crossbeam_channel::{Receiver, Sender};
use holotype_core::extent::Extent;
use holotype_core::padding::BLOCK_BYTES;
use holotype_core::segment::{MAX_OVERRUN_BYTES, natural_end};
use holotype_core::volume::FreeRuns;
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;

/// How much of the disk is read and worked on as one.
pub(crate) const REGION_BYTES: usize = 8 << 20;
/// A region's buffer has room for what it takes over from the next one.
pub(crate) const BUFFER_BYTES: usize = REGION_BYTES + MAX_OVERRUN_BYTES;
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
    /// Ranges of [`Region::data`] without content, in order.
    pub holes: Vec<Hole>,
}

/// A range of a region that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hole {
    pub range: Range<usize>,
    pub kind: HoleKind,
}

/// Why a range was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoleKind {
    /// No filesystem uses it.
    Free,
    /// The medium did not give it.
    Unreadable,
}

impl Region {
    pub fn data(&self) -> &[u8] {
        &self.buffer[self.data.clone()]
    }

    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Ranges that could not be read, as offset on the disk and length.
    pub fn unreadable(&self) -> Vec<(u64, u64)> {
        let unreadable = self.holes.iter().filter(|hole| hole.kind == HoleKind::Unreadable);
        unreadable.map(|hole| (self.offset + hole.range.start as u64, hole.range.len() as u64)).collect()
    }

    fn has_unreadable(&self) -> bool {
        self.holes.iter().any(|hole| hole.kind == HoleKind::Unreadable)
    }
}

/// The reader.
pub(crate) struct Reader<'a> {
    pub source: &'a dyn Source,
    /// What is not read.
    pub free: &'a FreeRuns,
    /// Where volumes begin and end, in order: no region goes over them.
    pub boundaries: &'a [u64],
    /// How often a sector that cannot be read is tried again.
    pub rescue_passes: u32,
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
            let wanted = self.window_at(position, known_bytes);
            let mut next = self.read_region(wanted, buffer)?;
            let read = next.data.len();
            let at_boundary = self.boundaries.binary_search(&position).is_ok();
            position += read as u64;
            if let Some(mut before) = held.take() {
                if !at_boundary {
                    take_over(&mut before, &mut next);
                }
                before.number = number;
                number += 1;
                if regions.send(before).is_err() {
                    return Ok(position);
                }
            }
            if (read as u64) < wanted.len() || known_bytes.is_some_and(|bytes| position >= bytes) {
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

    /// The next stretch to read: up to the length of a region, the next boundary, or the end.
    fn window_at(&self, position: u64, known_bytes: Option<u64>) -> Extent {
        let next_boundary = self.boundaries.partition_point(|boundary| *boundary <= position);
        let ends = [self.boundaries.get(next_boundary).copied(), known_bytes];
        let end = ends.into_iter().flatten().fold(position + REGION_BYTES as u64, u64::min);
        Extent::between(position, end.max(position)).expect("in order")
    }

    fn read_region(&self, wanted: Extent, mut buffer: Vec<u8>) -> Result<Region> {
        buffer.resize(BUFFER_BYTES, 0);
        let offset = wanted.offset();
        let in_buffer = |extent: &Extent| (extent.offset() - offset) as usize..(extent.end() - offset) as usize;
        self.read_ahead(wanted.end());
        let mut holes = Vec::new();
        let mut filled = 0;
        let free = self.free.within(wanted).map(Some).chain([None]);
        for run in free {
            let until = run.map_or(wanted.len() as usize, |run| in_buffer(&run).start);
            filled = self.fill(offset, &mut buffer, filled..until, &mut holes)?;
            let (Some(run), true) = (run, filled == until) else { break };
            filled = in_buffer(&run).end;
            self.counters.free_bytes.fetch_add(run.len(), Ordering::Relaxed);
            holes.push(Hole { range: in_buffer(&run), kind: HoleKind::Free });
        }
        Ok(Region { number: 0, offset, buffer, data: 0..filled, holes })
    }

    /// Reads `range` of the buffer, and gives where in the buffer the bytes ended: before the end of
    /// `range` only where the source ends.
    fn fill(&self, offset: u64, buffer: &mut [u8], range: Range<usize>, holes: &mut Vec<Hole>) -> Result<usize> {
        let mut filled = range.start;
        while filled < range.end {
            if self.abort.is_set() {
                return Err(Error::cancelled());
            }
            let at = offset + filled as u64;
            match self.read_at(at, &mut buffer[filled..range.end]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if bad_sectors::is_medium_error(&error) => {
                    let (passed, unreadable) = self.read_around(at, &mut buffer[filled..range.end])?;
                    for bad in unreadable {
                        note_unreadable(holes, filled + bad.start..filled + bad.end);
                    }
                    filled += passed;
                }
                Err(error) => {
                    return Err(Error::io(self.source.identity().path, &format!("read at byte {at}"), error));
                }
            }
        }
        Ok(filled)
    }

    fn read_around(&self, offset: u64, buffer: &mut [u8]) -> Result<(usize, Vec<Range<usize>>)> {
        let sector_bytes = self.source.geometry().logical_sector_bytes as usize;
        let mut read = |offset: u64, buffer: &mut [u8]| {
            self.job.check()?;
            match self.read_at(offset, buffer) {
                Ok(read) => Ok(Some(read)),
                Err(error) if bad_sectors::is_medium_error(&error) => Ok(None),
                Err(error) => Err(Error::io(self.source.identity().path, &format!("read at byte {offset}"), error)),
            }
        };
        bad_sectors::read_around(offset, buffer, sector_bytes, self.rescue_passes, &mut read)
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

    /// Tells the source what comes after `position`, without what is free.
    fn read_ahead(&self, position: u64) {
        let Some(ahead) = Extent::new(position, READ_AHEAD_BYTES) else { return };
        let mut at = ahead.offset();
        for run in self.free.within(ahead) {
            if run.offset() > at {
                self.source.will_need(at, run.offset() - at);
            }
            at = run.end();
        }
        if at < ahead.end() {
            self.source.will_need(at, ahead.end() - at);
        }
    }
}

fn note_unreadable(holes: &mut Vec<Hole>, range: Range<usize>) {
    match holes.last_mut() {
        Some(last) if last.kind == HoleKind::Unreadable && last.range.end == range.start => last.range.end = range.end,
        _ => holes.push(Hole { range, kind: HoleKind::Unreadable }),
    }
}

/// Moves the start of `next` up to the next natural cut to the end of `before`.
fn take_over(before: &mut Region, next: &mut Region) {
    let ends_with_hole = before.holes.last().is_some_and(|hole| hole.range.end == before.data.end);
    if ends_with_hole || before.has_unreadable() || next.has_unreadable() {
        return;
    }
    let data = before.data();
    let last_block = data.len().saturating_sub(1) / BLOCK_BYTES * BLOCK_BYTES;
    let until_hole = next.holes.first().map_or(next.data().len(), |hole| hole.range.start);
    let length = natural_end(&data[last_block..], &next.data()[..until_hole], !next.holes.is_empty());
    let end = before.data.end;
    before.buffer[end..end + length].copy_from_slice(&next.data()[..length]);
    before.data.end += length;
    next.data.start += length;
    next.offset += length as u64;
    for hole in &mut next.holes {
        hole.range = hole.range.start - length..hole.range.end - length;
    }
}
