//! Generated disks: any size, no space, the same bytes each time.

use holotype_repo::disk::{Geometry, Source, SourceIdentity};
use std::io;

/// Content changes every so many bytes.
const TILE_BYTES: u64 = 1 << 20;

/// A disk that is computed when it is read. Of each 64 tiles of 1 MiB, 8 are zeros, `unique` are
/// found nowhere else, and the others repeat a pool of 1,024 tiles.
#[derive(Debug, Clone, Copy)]
pub struct GeneratedDisk {
    /// Length in bytes.
    pub bytes: u64,
    /// Tiles in 64 that are found nowhere else.
    pub unique: u64,
    /// Another seed, another disk.
    pub seed: u64,
}

/// The `number`th word of a content: SplitMix64. Every other word has four bits of information, so
/// that zstd about halves it, as it does files.
fn word(seed: u64, number: u64) -> [u8; 8] {
    let mut value = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^= value >> 31;
    (if number.is_multiple_of(2) { value } else { value & 15 }).to_le_bytes()
}

/// Fills `buffer` with the content of this seed from byte `skip` on, a multiple of 8.
fn fill(seed: u64, buffer: &mut [u8], skip: usize) {
    let first = (skip / 8) as u64;
    let (words, rest) = buffer.as_chunks_mut::<8>();
    for (number, place) in (first..).zip(&mut *words) {
        *place = word(seed, number);
    }
    let last = word(seed, first + words.len() as u64);
    rest.copy_from_slice(&last[..rest.len()]);
}

impl GeneratedDisk {
    fn tile(&self, number: u64, buffer: &mut [u8], skip: usize) {
        match number % 64 {
            0..8 => buffer.fill(0),
            place if place < 8 + self.unique => fill((self.seed << 40) + ((number + 1) << 20), buffer, skip),
            _ => fill((number % 1024) << 20, buffer, skip),
        }
    }
}

impl Source for GeneratedDisk {
    fn geometry(&self) -> Geometry {
        Geometry { bytes: Some(self.bytes), logical_sector_bytes: 512, physical_sector_bytes: 4096 }
    }

    fn identity(&self) -> SourceIdentity {
        SourceIdentity { path: "generated".into(), ..SourceIdentity::default() }
    }

    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.bytes.saturating_sub(offset_bytes)).unwrap_or(usize::MAX));
        let mut done = 0;
        while done < wanted {
            let at = offset_bytes + done as u64;
            let inside = at % TILE_BYTES;
            let length = (wanted - done).min((TILE_BYTES - inside) as usize);
            self.tile(at / TILE_BYTES, &mut buffer[done..done + length], inside as usize);
            done += length;
        }
        Ok(wanted)
    }
}
