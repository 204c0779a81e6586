//! Store: frames become packs, packs become durable.

use super::capacity;
use super::encode::EncodedFrame;
use super::filter::DuplicateFilter;
use super::flow::Counters;
use crate::error::Result;
use crate::index::segment::{SEGMENT_BYTES, SegmentPack, StoredSegment, write_segments};
use crate::pack::{FinishedPack, PackAssembler};
use crate::store::Store;
use crossbeam_channel::{Receiver, Sender};
use holotype_core::RepositoryId;
use holotype_core::frame::FrameKind;
use std::sync::atomic::Ordering;

/// Puts frames into packs and sends full ones on.
pub(crate) fn assemble(mut assembler: PackAssembler, frames: &Receiver<EncodedFrame>, packs: &Sender<FinishedPack>) {
    for frame in frames {
        assembler.push(frame.sealed, FrameKind::Chunks, &frame.origin, frame.number);
        if assembler.is_full()
            && let Some(pack) = assembler.take()
            && packs.send(pack).is_err()
        {
            return;
        }
    }
    if let Some(pack) = assembler.take() {
        let _ = packs.send(pack);
    }
}

/// Makes packs durable, one after another; gives what an index segment has still to say of them.
/// Where there are many, segments are written on the way.
pub(crate) fn store_packs(
    store: &dyn Store,
    repository: RepositoryId,
    packs: &Receiver<FinishedPack>,
    filter: &DuplicateFilter<'_>,
    counters: &Counters,
) -> Result<Vec<SegmentPack>> {
    let mut stored = Vec::new();
    let mut footer_bytes = 0;
    for pack in packs {
        capacity::check_room(store, pack.contents.bytes)?;
        let (contents, footer) = pack.store(store)?;
        counters.stored_bytes.fetch_add(contents.bytes, Ordering::Relaxed);
        footer_bytes += footer.0.len();
        stored.push(SegmentPack { pack_bytes: contents.bytes, footer });
        filter.note_durable(contents)?;
        if footer_bytes >= SEGMENT_BYTES {
            count_segments(counters, &write_segments(store, repository, std::mem::take(&mut stored))?);
            footer_bytes = 0;
        }
    }
    Ok(stored)
}

/// Segments are part of what a backup stored.
pub(super) fn count_segments(counters: &Counters, segments: &[StoredSegment]) {
    let bytes = segments.iter().map(|(_, bytes)| bytes).sum();
    counters.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
}
