//! Where the bytes of a logical volume are.
//!
//! Segments stay as LVM describes them, a few numbers each; places are computed, so that a volume
//! striped in pieces of 64 KiB over terabytes costs no memory.

use super::super::{FreeRuns, ReadAt, Unmapped, VolumeReader};
use crate::extent::Extent;
use std::io;

/// A logical volume: what a filesystem sees as its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalVolume {
    /// Its name within the group.
    pub name: String,
    /// Its uuid, as `lvs` prints it.
    pub uuid: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Uuids of the physical volumes that it needs and that are not at hand.
    pub missing: Vec<String>,
    /// In logical order and without gaps.
    pub(super) segments: Vec<Segment>,
}

/// A row of logical extents that lies on its areas in stripes, or on its only area in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub start_bytes: u64,
    pub bytes: u64,
    /// How many bytes lie on one area before the next one's turn; for one area any number.
    pub stripe_bytes: u64,
    pub areas: Vec<Area>,
}

/// A part of a physical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Area {
    /// Which of the physical volumes at hand; `None` where it is not.
    pub physical_volume: Option<usize>,
    /// From the start of the physical volume.
    pub offset_bytes: u64,
}

impl Segment {
    /// How many of the segment's first `logical_bytes` lie on area `number`.
    fn bytes_on_area(&self, number: usize, logical_bytes: u64) -> u64 {
        let count = self.areas.len() as u64;
        if count == 1 {
            return logical_bytes;
        }
        let (stripe, rest) = (logical_bytes / self.stripe_bytes, logical_bytes % self.stripe_bytes);
        let (row, column) = (stripe / count, stripe % count);
        row * self.stripe_bytes
            + match column.cmp(&(number as u64)) {
                std::cmp::Ordering::Less => 0,
                std::cmp::Ordering::Equal => rest,
                std::cmp::Ordering::Greater => self.stripe_bytes,
            }
    }

    /// The area on which byte `at` of the segment is, where on it, and how many bytes from it on
    /// lie together.
    fn locate(&self, at: u64) -> (&Area, u64, u64) {
        let count = self.areas.len() as u64;
        if count == 1 {
            return (&self.areas[0], at, self.bytes - at);
        }
        let (stripe, rest) = (at / self.stripe_bytes, at % self.stripe_bytes);
        let area = &self.areas[(stripe % count) as usize];
        (area, stripe / count * self.stripe_bytes + rest, (self.stripe_bytes - rest).min(self.bytes - at))
    }
}

impl LogicalVolume {
    /// Index of the first segment that ends after `at_bytes`.
    fn segment_after(&self, at_bytes: u64) -> usize {
        self.segments.partition_point(|segment| segment.start_bytes + segment.bytes <= at_bytes)
    }

    /// Where free runs of this logical volume lie on each of the physical volumes at hand, whose
    /// lengths are given. Runs on ones that are not at hand are left out. A run over many stripes
    /// becomes one run on each area.
    ///
    /// # Errors
    /// Where a run is not inside the volume, or there are too many.
    pub fn to_physical(
        &self,
        free: &FreeRuns,
        physical_volume_bytes: impl IntoIterator<Item = u64>,
    ) -> Result<Vec<FreeRuns>, Unmapped> {
        let mut builders: Vec<_> = physical_volume_bytes.into_iter().map(FreeRuns::builder).collect();
        let outside = || Unmapped::inconsistent(format!("a free run ends beyond the logical volume {}", self.name));
        for run in free.iter() {
            if run.end() > self.bytes {
                return Err(outside());
            }
            for segment in &self.segments[self.segment_after(run.offset())..] {
                let whole = Extent::new(segment.start_bytes, segment.bytes).ok_or_else(outside)?;
                let Some(part) = run.intersection(&whole) else { break };
                let (from, to) = (part.offset() - segment.start_bytes, part.end() - segment.start_bytes);
                for (number, area) in segment.areas.iter().enumerate() {
                    let Some(index) = area.physical_volume else { continue };
                    let (start, end) = (segment.bytes_on_area(number, from), segment.bytes_on_area(number, to));
                    let builder = builders.get_mut(index).ok_or_else(outside)?;
                    builder.push(area.offset_bytes + start, end - start)?;
                }
            }
        }
        Ok(builders.into_iter().map(|builder| builder.finish()).collect())
    }
}

/// Reads a logical volume from its physical volumes.
#[derive(Debug)]
pub struct LogicalReader<'a> {
    logical_volume: &'a LogicalVolume,
    physical_volumes: &'a [VolumeReader<'a>],
}

impl<'a> LogicalReader<'a> {
    /// `physical_volumes` in the order in which they were given to
    /// [`read_group`](super::read_group). `None` where one that is needed is not there.
    pub fn new(logical_volume: &'a LogicalVolume, physical_volumes: &'a [VolumeReader<'a>]) -> Option<Self> {
        let there = |area: &Area| area.physical_volume.is_some_and(|index| index < physical_volumes.len());
        let all = logical_volume.segments.iter().flat_map(|segment| &segment.areas).all(there);
        all.then_some(Self { logical_volume, physical_volumes })
    }
}

impl ReadAt for LogicalReader<'_> {
    fn bytes(&self) -> u64 {
        self.logical_volume.bytes
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let wanted = Extent::new(offset_bytes, buffer.len() as u64).filter(|wanted| wanted.end() <= self.bytes());
        let mut at = wanted.ok_or(io::ErrorKind::UnexpectedEof)?.offset();
        let mut index = self.logical_volume.segment_after(at);
        let mut rest = buffer;
        while !rest.is_empty() {
            let segment = self.logical_volume.segments.get(index).ok_or(io::ErrorKind::UnexpectedEof)?;
            let (area, on_area, together) = segment.locate(at - segment.start_bytes);
            let length = together.min(rest.len() as u64);
            let (piece, after) = rest.split_at_mut(length as usize);
            let volume = area.physical_volume.and_then(|number| self.physical_volumes.get(number));
            volume
                .ok_or(io::ErrorKind::NotFound)?
                .read_into(area.offset_bytes + on_area, piece)
                .map_err(|unmapped| io::Error::other(unmapped.why))?;
            at += length;
            rest = after;
            index += usize::from(at == segment.start_bytes + segment.bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A linear segment, one over three areas on two volumes, and one whose third area is missing.
    fn volume() -> LogicalVolume {
        let area = |physical_volume, offset_bytes| Area { physical_volume, offset_bytes };
        LogicalVolume {
            name: "lv".into(),
            uuid: String::new(),
            bytes: 10 + 36 + 16,
            missing: Vec::new(),
            segments: vec![
                Segment { start_bytes: 0, bytes: 10, stripe_bytes: 0, areas: vec![area(Some(1), 40)] },
                Segment {
                    start_bytes: 10,
                    bytes: 36,
                    stripe_bytes: 4,
                    areas: vec![area(Some(0), 5), area(Some(1), 50), area(Some(1), 70)],
                },
                Segment {
                    start_bytes: 46,
                    bytes: 16,
                    stripe_bytes: 2,
                    areas: vec![area(Some(0), 30), area(Some(1), 20)],
                },
            ],
        }
    }

    #[test]
    fn a_long_run_over_stripes_is_one_run_on_each_area() {
        let stripe = 64 << 10;
        let area = |number| Area { physical_volume: Some(number), offset_bytes: 1 << 20 };
        let segment = Segment { start_bytes: 0, bytes: 8 << 40, stripe_bytes: stripe, areas: vec![area(0), area(1)] };
        let name = String::new();
        let lv = LogicalVolume { uuid: name.clone(), name, bytes: 8 << 40, missing: vec![], segments: vec![segment] };
        let mut free = FreeRuns::builder(lv.bytes);
        free.push(5, lv.bytes - 5).unwrap();
        let runs = lv.to_physical(&free.finish(), [1 << 43, 1 << 43]).unwrap();
        assert_eq!(runs[0].as_slice(), [Extent::new((1 << 20) + 5, (4 << 40) - 5).unwrap()]);
        assert_eq!(runs[1].as_slice(), [Extent::new(1 << 20, 4 << 40).unwrap()]);
    }

    #[test]
    fn missing_volumes_have_no_reader_and_no_runs() {
        let mut lv = volume();
        lv.segments[1].areas[0].physical_volume = None;
        let disks = [vec![0u8; 100], vec![0u8; 100]];
        let readers = disks.each_ref().map(|disk| VolumeReader::whole(disk, 512));
        assert!(LogicalReader::new(&lv, &readers).is_none());
        assert!(LogicalReader::new(&volume(), &readers[..1]).is_none());
        let mut free = FreeRuns::builder(lv.bytes);
        free.push(10, 36).unwrap();
        let runs = lv.to_physical(&free.finish(), [100, 100]).unwrap();
        assert!(runs[0].is_empty());
        assert_eq!(runs[1].bytes(), 24);
    }

    proptest! {
        #[test]
        fn runs_and_reads_go_to_the_same_bytes(from in 0u64..62, length in 0u64..62) {
            let lv = volume();
            let length = length.min(lv.bytes - from);
            // Every byte of the disks has its own value, in one of two halves.
            let disks: [Vec<u8>; 2] = [(0..100).collect(), (100..200).collect()];
            let readers = disks.each_ref().map(|disk| VolumeReader::whole(disk, 512));
            let reader = LogicalReader::new(&lv, &readers).unwrap();
            let mut read = vec![0; length as usize];
            reader.read_exact_at(from, &mut read).unwrap();
            let mut free = FreeRuns::builder(lv.bytes);
            free.push(from, length).unwrap();
            let runs = lv.to_physical(&free.finish(), [100, 100]).unwrap();
            let mut bytes: Vec<u8> = runs.iter().zip([0u8, 100]).flat_map(|(runs, base)| {
                runs.iter().flat_map(|run| run.range()).map(move |at| at as u8 + base).collect::<Vec<_>>()
            }).collect();
            read.sort_unstable();
            bytes.sort_unstable();
            prop_assert_eq!(read, bytes);
            prop_assert!(reader.read_exact_at(from, &mut vec![0; (lv.bytes - from) as usize + 1]).is_err());
        }
    }
}
