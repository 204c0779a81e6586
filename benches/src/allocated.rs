//! What a disk's filesystems use: a backup reads nothing else, so the machine's limits count nothing else.

use holotype_core::extent::Extent;
use holotype_core::layout::{self, SurveyOptions};
use holotype_core::volume::ReadAt;
use holotype_repo::disk::Source;
use std::io;

/// Fills `buffer` from `offset` on.
pub fn read_exact(source: &dyn Source, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read_at(offset + filled as u64, &mut buffer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(())
}

/// The disk without its free runs, in order; all of it where every sector is kept (`raw`).
pub fn allocated(source: &dyn Source, raw: bool) -> io::Result<Vec<Extent>> {
    let geometry = source.geometry();
    let bytes = geometry.bytes.ok_or(io::ErrorKind::Unsupported)?;
    let options = SurveyOptions { raw, in_use: source.in_use(), ..SurveyOptions::default() };
    let survey = layout::survey(&Disk { source, bytes }, geometry.logical_sector_bytes, &options);
    let mut used = Vec::new();
    let mut at = 0;
    for run in survey.free.iter() {
        used.extend(Extent::between(at, run.offset()).filter(|extent| !extent.is_empty()));
        at = run.end();
    }
    used.extend(Extent::between(at, bytes).filter(|extent| !extent.is_empty()));
    Ok(used)
}

/// Cuts extents where they are longer than `bytes`.
pub fn cut(extents: &[Extent], bytes: u64) -> Vec<Extent> {
    let parts = |extent: &Extent| {
        let extent = *extent;
        let part = move |offset| Extent::between(offset, extent.end().min(offset + bytes)).expect("in order");
        extent.range().step_by(bytes as usize).map(part).collect::<Vec<_>>()
    };
    extents.iter().flat_map(parts).collect()
}

/// Puts extents that follow each other together, `bytes` at a time, over the gaps between them.
pub fn batches(extents: &[Extent], bytes: u64) -> Vec<Vec<Extent>> {
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    let mut room = bytes;
    for extent in extents {
        let mut left = *extent;
        while !left.is_empty() {
            let taken = Extent::new(left.offset(), left.len().min(room)).expect("inside the extent");
            left = Extent::between(taken.end(), left.end()).expect("inside the extent");
            room -= taken.len();
            batch.push(taken);
            if room == 0 {
                batches.push(std::mem::take(&mut batch));
                room = bytes;
            }
        }
    }
    batches.extend(Some(batch).filter(|batch| !batch.is_empty()));
    batches
}

struct Disk<'a> {
    source: &'a dyn Source,
    bytes: u64,
}

impl ReadAt for Disk<'_> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        read_exact(self.source, offset_bytes, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_go_over_gaps_and_lose_nothing() {
        let extent = |from, to| Extent::between(from, to).unwrap();
        let extents = [extent(0, 3), extent(10, 25), extent(30, 31)];
        assert_eq!(batches(&extents, 10), [vec![extent(0, 3), extent(10, 17)], vec![extent(17, 25), extent(30, 31)]]);
        assert_eq!(cut(&extents, 10), [extent(0, 3), extent(10, 20), extent(20, 25), extent(30, 31)]);
    }
}
