//! Cutting: pieces cover a region, chunks cover a segment, and together they are the region again.

use crate::input::Input;
use holotype_core::chunker::{Chunker, ChunkerSettings};
use holotype_core::padding::BLOCK_BYTES;
use holotype_core::segment::{MAX_OVERRUN_BYTES, Piece, natural_end, pieces};

/// Settings as they come; then the rest as blocks, each said by one byte or given.
pub fn chunking(data: &[u8]) {
    let mut input = Input::new(data);
    let settings = ChunkerSettings {
        version: u16::from(input.u8() % 16 / 15) + 1,
        minimum_bytes: input.u32() & 0xF_FFFF,
        average_bytes: input.u32() & 0xF_FFFF,
        maximum_bytes: input.u32() & 0x1F_FFFF,
    };
    let chunker = Chunker::new(&settings);
    assert_eq!(chunker.is_ok(), settings.check().is_ok());
    let small = ChunkerSettings { version: 1, minimum_bytes: 64, average_bytes: 256, maximum_bytes: 1024 };
    let (chunker, settings) = match chunker {
        Ok(chunker) => (chunker, settings),
        Err(_) => (Chunker::new(&small).expect("the smallest settings"), small),
    };
    let region = region(input);
    let mut again = Vec::with_capacity(region.len());
    let mut end = 0;
    for piece in pieces(&region) {
        match piece {
            Piece::Zero(range) => {
                assert!(range.start == end && !range.is_empty());
                assert!(region[range.clone()].iter().all(|byte| *byte == 0), "zeros that are none");
                again.resize(again.len() + range.len(), 0);
                end = range.end;
            }
            Piece::Segment(range) => {
                assert!(range.start == end && !range.is_empty());
                end = range.end;
                let mut rest = &region[range];
                while !rest.is_empty() {
                    let length = chunker.first_chunk_bytes(rest);
                    assert!(length > 0 && length <= rest.len(), "a chunk of {length} of {} bytes", rest.len());
                    assert!(length <= settings.maximum_bytes as usize, "a chunk longer than the longest");
                    assert!(length == rest.len() || length >= settings.minimum_bytes as usize, "too short a chunk");
                    again.extend_from_slice(&rest[..length]);
                    rest = &rest[length..];
                }
            }
        }
    }
    assert!(end == region.len() && again == region, "the pieces are not the region");
    let (before, after) = region.split_at(region.len() / 2 / BLOCK_BYTES * BLOCK_BYTES);
    let overrun = natural_end(&before[before.len().saturating_sub(BLOCK_BYTES)..], after, false);
    assert!(overrun <= after.len().min(MAX_OVERRUN_BYTES));
}

fn region(input: Input<'_>) -> Vec<u8> {
    let mut region = Vec::new();
    let mut rest = input.rest();
    while let Some((kind, after)) = rest.split_first()
        && region.len() < 48 * BLOCK_BYTES
    {
        rest = after;
        let block = region.len();
        match kind % 5 {
            0 => region.resize(block + BLOCK_BYTES, 0),
            1 => region.resize(block + BLOCK_BYTES, *kind),
            2 => {
                region.resize(block + BLOCK_BYTES, *kind);
                let tail = region.len() - 32 * usize::from(kind / 5 + 1);
                region[tail..].fill(0);
            }
            3 => {
                let mut hash = blake3::Hasher::new();
                hash.update(rest);
                region.resize(block + BLOCK_BYTES, 0);
                hash.finalize_xof().fill(&mut region[block..]);
            }
            _ => {
                let (taken, after) = rest.split_at(rest.len().min(usize::from(*kind)));
                region.extend_from_slice(taken);
                rest = after;
            }
        }
    }
    region
}

pub fn chunking_seeds() -> Vec<Vec<u8>> {
    let settings = |minimum: u32, average: u32, maximum: u32| {
        [&[0][..], &minimum.to_le_bytes(), &average.to_le_bytes(), &maximum.to_le_bytes()].concat()
    };
    let blocks: Vec<u8> = [3, 3, 3, 0, 0, 1, 1, 2, 2, 7, 12, 3, 3, 3, 3, 3, 0, 14, 1, 2, 3].to_vec();
    let padded = vec![2; 40];
    vec![
        [settings(256, 1024, 4096), blocks.clone()].concat(),
        [settings(64, 256, 1024), padded].concat(),
        [settings(32 << 10, 64 << 10, 256 << 10), blocks].concat(),
    ]
}
