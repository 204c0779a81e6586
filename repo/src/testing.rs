//! For tests and benchmarks: repositories of any size without disks of that size.

use crate::error::Result;
use crate::index::PackKind;
use crate::index::segment::{SegmentPack, write_segments};
use crate::pack::{FinishedPack, OriginAllocator, PackAssembler, SealedTo};
use crate::random;
use crate::repository::Repository;
use holotype_core::compress::{Compression, Compressor};
use holotype_core::frame::{FrameBuilder, FrameKind};

/// Length of each chunk that [`fill_with_chunks`] stores.
const CHUNK_BYTES: usize = 16;

/// Stores `packs` real packs of `chunks_per_pack` random chunks each, signed, sealed and indexed.
/// The chunks are tiny, so that an index of millions costs little disk.
///
/// # Errors
/// Where the store fails.
pub fn fill_with_chunks(repository: &Repository, packs: usize, chunks_per_pack: usize) -> Result<()> {
    let (config, keyring) = (repository.config(), repository.keyring());
    let origins = OriginAllocator::new(keyring, SealedTo::Content, config.pack_bytes);
    let mut compressor = Compressor::new(Compression::None);
    let mut stored = Vec::with_capacity(packs);
    for _ in 0..packs {
        let mut assembler = PackAssembler::new(config.repository, PackKind::Data, keyring.signing(), config.pack_bytes);
        let mut builder = FrameBuilder::new(FrameKind::Chunks);
        for number in 0..chunks_per_pack {
            let chunk: [u8; CHUNK_BYTES] = random::bytes()?;
            builder.push(keyring.identity().chunk_id(&chunk), &chunk);
            if (builder.is_full() || number + 1 == chunks_per_pack)
                && let Some(frame) = builder.take(&mut compressor)
            {
                let (sealed, origin, number) = origins.seal(frame)?;
                assembler.push(sealed, FrameKind::Chunks, &origin, number);
            }
        }
        if let Some(pack) = assembler.take() {
            let (contents, footer) = FinishedPack::store(pack, repository.store())?;
            stored.push(SegmentPack { pack_bytes: contents.bytes, footer });
        }
    }
    write_segments(repository.store(), config.repository, stored)?;
    repository.catalog()?.refresh()
}
