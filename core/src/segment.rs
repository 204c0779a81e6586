//! Segments: a region's bytes cut at zero runs and file tails, before any chunker sees them.
//!
//! Where a cut lies depends on the bytes around it alone, so equal content is cut equally
//! wherever it lies on a disk.

use crate::padding::{BLOCK_BYTES, Block, classify};
use std::ops::Range;

/// After this many padded blocks in a row, only every eighth one (chosen by its content) ends a
/// segment. Files made of zero-tailed pages, databases above all, would otherwise become chunks of
/// 4 KiB without end, while rows of small files, which are short, keep every cut.
const PADDED_RUN_CUTS: u32 = 16;

/// How far after a region's end a natural cut is looked for, in bytes.
pub const MAX_OVERRUN_BYTES: usize = 1 << 20;

/// A piece of a region, as a range of its buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Zeros: whole blocks, and a shorter last one.
    Zero(Range<usize>),
    /// Data to be chunked on its own.
    Segment(Range<usize>),
}

/// Cuts a region's bytes into pieces. The pieces follow each other and cover all of it.
pub fn pieces(region: &[u8]) -> Pieces<'_> {
    Pieces { region, position: 0, padded_run: 0 }
}

/// Iterator of [`pieces`].
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    region: &'a [u8],
    position: usize,
    padded_run: u32,
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let start = self.position;
        let mut blocks = self.region[start..].chunks(BLOCK_BYTES);
        let first = blocks.next()?;
        self.position += first.len();
        let mut kind = classify(first);
        if kind == Block::Zero {
            self.padded_run = 0;
            let zeros = blocks.take_while(|block| classify(block) == Block::Zero);
            self.position += zeros.map(<[u8]>::len).sum::<usize>();
            return Some(Piece::Zero(start..self.position));
        }
        let mut block = first;
        while !self.ends_segment(kind, block) {
            let Some(next) = blocks.next() else { break };
            kind = classify(next);
            if kind == Block::Zero {
                break;
            }
            block = next;
            self.position += next.len();
        }
        Some(Piece::Segment(start..self.position))
    }
}

impl Pieces<'_> {
    fn ends_segment(&mut self, kind: Block, block: &[u8]) -> bool {
        if kind != Block::Padded {
            self.padded_run = 0;
            return false;
        }
        self.padded_run = self.padded_run.saturating_add(1);
        self.padded_run <= PADDED_RUN_CUTS || content_choice(block)
    }
}

/// True for about one block content in eight.
fn content_choice(block: &[u8]) -> bool {
    let mix = |sum: u64, word: &[u8; 8]| {
        (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
    };
    block.as_chunks::<8>().0.iter().fold(0, mix) >> 61 == 0
}

/// Where the region that ends with `last_block` should really end, as a length of `following`, the
/// bytes after it: at the first place that [`pieces`] would cut anyway, looking at most
/// [`MAX_OVERRUN_BYTES`] far; at 0 where there is none. `cut_at_end` tells that a segment ends where
/// `following` does, because nothing is read from there on.
pub fn natural_end(last_block: &[u8], following: &[u8], cut_at_end: bool) -> usize {
    if classify(last_block) != Block::Full {
        return 0;
    }
    let reach = &following[..following.len().min(MAX_OVERRUN_BYTES)];
    let mut length = 0;
    for block in reach.chunks(BLOCK_BYTES) {
        match classify(block) {
            Block::Zero => return length,
            Block::Padded => return length + block.len(),
            Block::Full => length += block.len(),
        }
    }
    if cut_at_end && length == following.len() { length } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn disk(layout: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (at, kind) in layout.chars().enumerate() {
            let mut block = vec![0u8; BLOCK_BYTES];
            match kind {
                '0' => {}
                'p' => block[0] = at as u8 + 1,
                _ => block.fill(at as u8 + 1),
            }
            bytes.extend_from_slice(&block);
        }
        bytes
    }

    fn shape(bytes: &[u8]) -> String {
        pieces(bytes)
            .map(|piece| match piece {
                Piece::Zero(range) => format!("0{} ", range.len() / BLOCK_BYTES),
                Piece::Segment(range) => format!("s{} ", range.len() / BLOCK_BYTES),
            })
            .collect()
    }

    #[test]
    fn cuts_at_zero_runs_and_file_tails() {
        assert_eq!(shape(&disk("ffp0ffpff00p")), "s3 01 s3 s2 02 s1 ");
        assert_eq!(shape(&disk("")), "");
        assert_eq!(shape(&disk("0")), "01 ");
    }

    #[test]
    fn long_runs_of_padded_pages_are_capped() {
        let mut pages = Vec::new();
        for page in 0u64..4096 {
            let mut block = vec![0u8; BLOCK_BYTES];
            block[..8].copy_from_slice(&(page * page + 1).to_le_bytes());
            pages.extend_from_slice(&block);
        }
        let segments = pieces(&pages).count();
        assert!((300..900).contains(&segments), "{segments} segments of 4096 pages");
    }

    #[test]
    fn regions_end_where_a_segment_would() {
        let full = disk("f");
        assert_eq!(natural_end(&disk("p"), &disk("ff"), false), 0);
        assert_eq!(natural_end(&full, &disk("ffpf"), false), 3 * BLOCK_BYTES);
        assert_eq!(natural_end(&full, &disk("ff0f"), false), 2 * BLOCK_BYTES);
        assert_eq!(natural_end(&full, &disk("0f"), false), 0);
        assert_eq!(natural_end(&full, &disk("fff"), false), 0);
        assert_eq!(natural_end(&full, &vec![1; MAX_OVERRUN_BYTES + BLOCK_BYTES], true), 0);
        assert_eq!(natural_end(&full, &disk("ff"), true), 2 * BLOCK_BYTES);
        assert_eq!(natural_end(&full, &disk("fp"), true), 2 * BLOCK_BYTES);
        assert_eq!(natural_end(&disk("p"), &disk("ff"), true), 0);
    }

    proptest! {
        #[test]
        fn pieces_cover_everything_once(layout in "[0pf]{0,60}", cut in 0usize..4096) {
            let mut bytes = disk(&layout);
            bytes.truncate(bytes.len().saturating_sub(cut));
            let mut at = 0;
            for piece in pieces(&bytes) {
                let range = match piece {
                    Piece::Zero(range) => {
                        prop_assert!(crate::padding::is_zero(&bytes[range.clone()]));
                        range
                    }
                    Piece::Segment(range) => range,
                };
                prop_assert_eq!(range.start, at);
                prop_assert!(range.end > at);
                at = range.end;
            }
            prop_assert_eq!(at, bytes.len());
        }
    }
}
