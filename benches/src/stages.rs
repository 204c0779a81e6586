//! The stages of a first backup, one at a time on one core, over the bytes of a real disk.

use holotype_core::chunker::{Chunker, ChunkerSettings};
use holotype_core::compress::{Compression, Compressor};
use holotype_core::frame::{CompressedFrame, FrameBuilder, FrameKind, FrameOrigin, PackKey, SealedFrame};
use holotype_core::identity::IdentityKeys;
use holotype_core::secret::Secret32;
use holotype_core::segment::{Piece, pieces};
use holotype_core::{ChunkId, RepositoryId};
use std::ops::Range;

/// A chunk's range in the sample, and its name.
pub type NamedChunk = (Range<usize>, ChunkId);

/// Keys and settings that the stages work with.
pub struct Stages {
    chunker: Chunker,
    identity: IdentityKeys,
    key: PackKey,
}

impl Default for Stages {
    fn default() -> Self {
        Self {
            chunker: Chunker::new(&ChunkerSettings::default()).expect("the default is possible"),
            identity: IdentityKeys::new(&Secret32::new([1; 32])),
            key: PackKey::new(&Secret32::new([2; 32])),
        }
    }
}

impl Stages {
    /// Zero and padding detection: the segments.
    pub fn scan(&self, sample: &[u8]) -> Vec<Range<usize>> {
        let segment = |piece| match piece {
            Piece::Segment(range) => Some(range),
            Piece::Zero(_) => None,
        };
        pieces(sample).filter_map(segment).collect()
    }

    /// FastCDC inside the segments: the chunks.
    pub fn chunk(&self, sample: &[u8], segments: &[Range<usize>]) -> Vec<Range<usize>> {
        let mut chunks = Vec::new();
        for segment in segments {
            let mut at = segment.start;
            while at < segment.end {
                let length = self.chunker.first_chunk_bytes(&sample[at..segment.end]);
                chunks.push(at..at + length);
                at += length;
            }
        }
        chunks
    }

    /// Keyed BLAKE3: the chunks' names.
    pub fn name(&self, sample: &[u8], chunks: Vec<Range<usize>>) -> Vec<NamedChunk> {
        chunks.into_iter().map(|range| (range.clone(), self.identity.chunk_id(&sample[range]))).collect()
    }

    /// zstd over frames.
    pub fn compress(&self, sample: &[u8], chunks: &[NamedChunk], compression: Compression) -> Vec<CompressedFrame> {
        let mut compressor = Compressor::new(compression);
        let mut builder = FrameBuilder::new(FrameKind::Chunks);
        let mut frames = Vec::new();
        for (range, id) in chunks {
            builder.push(*id, &sample[range.clone()]);
            if builder.is_full() {
                frames.extend(builder.take(&mut compressor));
            }
        }
        frames.extend(builder.take(&mut compressor));
        frames
    }

    /// Nonce and XChaCha20-Poly1305.
    pub fn seal(&self, frames: Vec<CompressedFrame>) -> Vec<SealedFrame> {
        let origin = |number| FrameOrigin { salt: [3; 32], number, key_epoch: 1 };
        let seal = |(number, frame): (usize, CompressedFrame)| {
            frame.seal(&RepositoryId([4; 16]), &self.key, &origin(number as u32))
        };
        frames.into_iter().enumerate().map(seal).collect()
    }
}
