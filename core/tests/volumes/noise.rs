//! Damaged copies of a volume.

use crate::support::{ImageFile, Random};
use holotype_core::volume::{FreeRuns, ReadAt, Unmapped, VolumeReader};
use std::io;

/// An image that is shorter, and a few of whose bytes are others.
struct Damaged<'a> {
    image: &'a ImageFile,
    bytes: u64,
    patches: Vec<(u64, u8)>,
}

impl ReadAt for Damaged<'_> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.image.read_exact_at(offset_bytes, buffer)?;
        for (at, byte) in &self.patches {
            if let Some(place) = at.checked_sub(offset_bytes).and_then(|at| buffer.get_mut(at as usize)) {
                *place = *byte;
            }
        }
        Ok(())
    }
}

/// Maps copies with random bytes in places of `metadata`, and shorter copies. None may panic, and
/// what is free must be inside. Gives how many of them had a map.
pub fn survives(
    image: &ImageFile,
    metadata: &[(u64, u64)],
    rounds: u32,
    map: impl Fn(&VolumeReader<'_>) -> Result<FreeRuns, Unmapped>,
) -> u32 {
    let mut random = Random(rounds.into());
    let mut mapped = 0;
    for round in 0..rounds {
        let patches = (0..1 + random.below(3)).map(|_| {
            let (offset, length) = metadata[random.below(metadata.len() as u64) as usize];
            let byte = [0, 1, 0x7F, 0x80, 0xFF, random.next() as u8][random.below(6) as usize];
            (offset + random.below(length), byte)
        });
        let patches = patches.collect();
        let bytes = if round % 8 == 0 { random.below(image.bytes()) } else { image.bytes() };
        let damaged = Damaged { image, bytes, patches };
        if let Ok(free) = map(&VolumeReader::whole(&damaged, 512)) {
            assert!(free.iter().all(|run| run.end() <= bytes));
            assert!(bytes == image.bytes(), "a map of {bytes} bytes of {}", image.bytes());
            mapped += 1;
        }
    }
    mapped
}
