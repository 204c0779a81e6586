//! An image as bytes at places: for its partition table, and for pieces of chunks.

use crate::error::{Error, ErrorKind, Result};
use crate::index::PackKind;
use crate::manifest::{LeafExtent, LeafPlace, ManifestReader};
use crate::repository::Repository;
use holotype_core::ChunkId;
use holotype_core::compress::Decompressor;
use holotype_core::volume::ReadAt;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Chunks that are kept: at most 4 MiB.
const CACHED_CHUNKS: usize = 16;

/// Reads an image at any place. Free and unreadable bytes are zeros.
pub(super) struct ImageBytes<'a> {
    repository: &'a Repository,
    reader: &'a ManifestReader<'a>,
    leaves: &'a [LeafPlace],
    chunks: Mutex<VecDeque<(ChunkId, Arc<Vec<u8>>)>>,
}

impl<'a> ImageBytes<'a> {
    pub fn new(repository: &'a Repository, reader: &'a ManifestReader<'a>, leaves: &'a [LeafPlace]) -> Self {
        Self { repository, reader, leaves, chunks: Mutex::default() }
    }

    /// The bytes of a chunk, checked by its id.
    pub fn chunk(&self, id: &ChunkId) -> Result<Arc<Vec<u8>>> {
        let lock = || self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, chunk)) = lock().iter().find(|(cached, _)| cached == id) {
            return Ok(Arc::clone(chunk));
        }
        let missing = |why: &str| Error::new(ErrorKind::Damaged, format!("chunk {}", id.short()), why);
        let location = self.repository.catalog()?.locate(&[*id])?[0].ok_or_else(|| missing("it is in no pack"))?;
        let packs = self.repository.pack_readers();
        let pack = packs.get(PackKind::Data, &location.pack)?;
        let frame = pack.fetch_frame(packs.store(), location.frame, &mut Decompressor::default())?;
        let chunk =
            frame.chunk(location.slot).filter(|chunk| self.repository.keyring().identity().chunk_id(chunk) == *id);
        let chunk = Arc::new(chunk.ok_or_else(|| missing("its frame holds something else"))?.to_vec());
        let mut chunks = lock();
        if chunks.len() >= CACHED_CHUNKS {
            chunks.pop_front();
        }
        chunks.push_back((*id, Arc::clone(&chunk)));
        Ok(chunk)
    }

    /// Fills `buffer` from `offset` on; what lies beyond the image stays as it is.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        let first = self.leaves.partition_point(|leaf| leaf.offset + leaf.bytes <= offset);
        for leaf in self.leaves[first..].iter().take_while(|leaf| leaf.offset < end) {
            let mut at = leaf.offset;
            for extent in self.reader.leaf(leaf)? {
                let bytes = extent.bytes();
                let (from, to) = (at.max(offset), (at + bytes).min(end));
                if from < to {
                    let part = &mut buffer[(from - offset) as usize..(to - offset) as usize];
                    match extent {
                        LeafExtent::Chunk { id, .. } => {
                            let chunk = self.chunk(&id)?;
                            let inside = chunk.get((from - at) as usize..(to - at) as usize).ok_or_else(|| {
                                Error::new(ErrorKind::Damaged, format!("chunk {}", id.short()), "it is too short")
                            })?;
                            part.copy_from_slice(inside);
                        }
                        LeafExtent::Other(_) => part.fill(0),
                    }
                }
                at += bytes;
            }
        }
        Ok(())
    }
}

impl ReadAt for ImageBytes<'_> {
    fn bytes(&self) -> u64 {
        self.leaves.last().map_or(0, |leaf| leaf.offset + leaf.bytes)
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset_bytes.checked_add(buffer.len() as u64).filter(|end| *end <= self.bytes());
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.read(offset_bytes, buffer).map_err(io::Error::other)
    }
}
