//! Encode: new chunks are collected into frames, compressed and sealed.

use super::flow::Counters;
use crate::error::{Error, ErrorKind, Result};
use crate::pack::{Origin, OriginAllocator};
use crossbeam_channel::Sender;
use holotype_core::ChunkId;
use holotype_core::compress::{Compression, Compressor};
use holotype_core::frame::{FrameBuilder, FrameKind, SealedFrame};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A frame on its way into a pack.
pub(crate) struct EncodedFrame {
    pub sealed: SealedFrame,
    pub origin: Arc<Origin>,
    pub number: u32,
}

/// Where encoded frames go.
pub(crate) enum FrameSink {
    /// To the packs.
    Store(Sender<EncodedFrame>),
    /// Nowhere: a dry run only counts.
    DryRun,
}

/// The frame that one thread is filling.
pub(crate) struct FrameEncoder<'a> {
    builder: FrameBuilder,
    compressor: Compressor,
    origins: &'a OriginAllocator,
    counters: &'a Counters,
    sink: FrameSink,
}

impl<'a> FrameEncoder<'a> {
    pub fn new(
        compression: Compression,
        origins: &'a OriginAllocator,
        counters: &'a Counters,
        sink: FrameSink,
    ) -> Self {
        let builder = FrameBuilder::new(FrameKind::Chunks);
        Self { builder, compressor: Compressor::new(compression), origins, counters, sink }
    }

    pub fn push(&mut self, id: ChunkId, chunk: &[u8]) -> Result<()> {
        self.builder.push(id, chunk);
        if self.builder.is_full() { self.close_frame() } else { Ok(()) }
    }

    /// Encodes what was collected.
    pub fn close_frame(&mut self) -> Result<()> {
        let Some(frame) = self.builder.take(&mut self.compressor) else { return Ok(()) };
        match &self.sink {
            FrameSink::DryRun => {
                self.counters.stored_bytes.fetch_add(frame.sealed_len() as u64, Ordering::Relaxed);
                Ok(())
            }
            FrameSink::Store(frames) => {
                let (sealed, origin, number) = self.origins.seal(frame)?;
                // The receiver is gone only where storing failed, and that error is the one to tell.
                let gone = |_| Error::new(ErrorKind::Cancelled, "backup", "storing has stopped");
                frames.send(EncodedFrame { sealed, origin, number }).map_err(gone)
            }
        }
    }
}
