//! Chunk: a region's bytes become extents of a manifest leaf, and new chunks go into frames.

use super::encode::FrameEncoder;
use super::filter::{Claim, DuplicateFilter, Leaned};
use super::flow::Counters;
use super::parent::{ParentChunk, ParentImage};
use super::read::{HoleKind, Region};
use crate::error::Result;
use crate::manifest::{Extent, LeafExtent};
use holotype_core::ChunkId;
use holotype_core::chunker::Chunker;
use holotype_core::identity::IdentityKeys;
use holotype_core::segment::{Piece, pieces};
use std::ops::Range;
use std::sync::atomic::Ordering;

/// What a chunking thread works with.
pub(crate) struct RegionChunker<'a> {
    pub chunker: &'a Chunker,
    pub identity: &'a IdentityKeys,
    pub filter: &'a DuplicateFilter<'a>,
    pub parent: Option<&'a ParentImage<'a>>,
    pub counters: &'a Counters,
    pub leaned: Leaned,
    /// Scratch: the chunks of the region at hand.
    found: Vec<(Range<usize>, ChunkId)>,
}

impl<'a> RegionChunker<'a> {
    pub fn new(
        chunker: &'a Chunker,
        identity: &'a IdentityKeys,
        filter: &'a DuplicateFilter<'a>,
        parent: Option<&'a ParentImage<'a>>,
        counters: &'a Counters,
    ) -> Self {
        Self { chunker, identity, filter, parent, counters, leaned: Leaned::new(), found: Vec::new() }
    }

    /// Works on one region; new chunks go to `encoder`.
    pub fn run(&mut self, region: &Region, encoder: &mut FrameEncoder<'_>) -> Result<Vec<LeafExtent>> {
        let data = region.data();
        let expected = self.parent.map_or_else(Vec::new, |parent| parent.chunks(region.offset, data.len()));
        self.found.clear();
        let mut extents = Extents::default();
        let mut at = 0;
        for hole in &region.holes {
            self.cut(&data[at..hole.range.start], at, &expected, &mut extents);
            let bytes = hole.range.len() as u64;
            extents.0.push(LeafExtent::Other(match hole.kind {
                HoleKind::Free => Extent::Free { bytes },
                HoleKind::Unreadable => {
                    self.counters.unreadable_bytes.fetch_add(bytes, Ordering::Relaxed);
                    Extent::Unreadable { bytes }
                }
            }));
            at = hole.range.end;
        }
        self.cut(&data[at..], at, &expected, &mut extents);
        self.store_new(data, encoder)?;
        Ok(extents.0)
    }

    /// Cuts `readable`, which begins at `base` of the region, into zero runs and chunks.
    fn cut(&mut self, readable: &[u8], base: usize, expected: &[ParentChunk], extents: &mut Extents) {
        for piece in pieces(readable) {
            match piece {
                Piece::Zero(range) => {
                    self.counters.zero_bytes.fetch_add(range.len() as u64, Ordering::Relaxed);
                    extents.push_zeros(range.len() as u64);
                }
                Piece::Segment(range) => {
                    self.counters.data_bytes.fetch_add(range.len() as u64, Ordering::Relaxed);
                    self.cut_segment(&readable[range.clone()], base + range.start, expected, extents);
                }
            }
        }
    }

    fn cut_segment(&mut self, segment: &[u8], base: usize, expected: &[ParentChunk], extents: &mut Extents) {
        let mut at = 0;
        while at < segment.len() {
            let rest = &segment[at..];
            // The parent's cut first: where its hash is right, no chunker has to look.
            let (length, id) = ParentChunk::at(expected, base + at)
                .filter(|chunk| chunk.bytes as usize <= rest.len())
                .and_then(|chunk| {
                    let length = chunk.bytes as usize;
                    (self.identity.chunk_id(&rest[..length]) == chunk.id).then_some((length, chunk.id))
                })
                .unwrap_or_else(|| {
                    let length = self.chunker.first_chunk_bytes(rest);
                    (length, self.identity.chunk_id(&rest[..length]))
                });
            self.found.push((base + at..base + at + length, id));
            extents.0.push(LeafExtent::Chunk { id, bytes: length as u32 });
            at += length;
        }
    }

    fn store_new(&mut self, data: &[u8], encoder: &mut FrameEncoder<'_>) -> Result<()> {
        let ids: Vec<ChunkId> = self.found.iter().map(|(_, id)| *id).collect();
        self.filter.look_up(&ids)?;
        let (mut new_chunks, mut new_bytes) = (0, 0);
        for (range, id) in self.found.drain(..) {
            if self.filter.claim(&id, &mut self.leaned) == Claim::New {
                new_chunks += 1;
                new_bytes += range.len() as u64;
                encoder.push(id, &data[range])?;
            }
        }
        self.counters.chunks.fetch_add(ids.len() as u64, Ordering::Relaxed);
        self.counters.new_chunks.fetch_add(new_chunks, Ordering::Relaxed);
        self.counters.new_bytes.fetch_add(new_bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// Extents of a leaf, where zero runs that touch are one.
#[derive(Default)]
struct Extents(Vec<LeafExtent>);

impl Extents {
    fn push_zeros(&mut self, more: u64) {
        match self.0.last_mut() {
            Some(LeafExtent::Other(Extent::Zero { bytes })) => *bytes += more,
            _ => self.0.push(LeafExtent::Other(Extent::Zero { bytes: more })),
        }
    }
}
