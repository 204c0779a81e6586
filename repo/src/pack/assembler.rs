//! Puts frames together into packs.

use super::{EncodedFooter, FrameEntry, Origin, OriginEntry, PackFooter, pack_key};
use crate::error::Result;
use crate::index::{PackContents, PackKind};
use crate::store::Store;
use holotype_core::frame::{FrameKind, SealedFrame};
use holotype_core::signature::Signing;
use holotype_core::{PackId, RepositoryId};
use std::sync::Arc;

/// The pack that is being filled.
pub(crate) struct PackAssembler {
    repository: RepositoryId,
    kind: PackKind,
    signing: Signing,
    pack_bytes: u64,
    parts: Vec<Vec<u8>>,
    bytes: u64,
    hasher: blake3::Hasher,
    origins: Vec<OriginEntry>,
    frames: Vec<FrameEntry>,
}

/// A pack that waits to be stored.
pub(crate) struct FinishedPack {
    pub pack: PackId,
    pub contents: PackContents,
    pub footer: EncodedFooter,
    parts: Vec<Vec<u8>>,
}

impl PackAssembler {
    pub fn new(repository: RepositoryId, kind: PackKind, signing: Signing, pack_bytes: u64) -> Self {
        Self {
            repository,
            kind,
            signing,
            pack_bytes,
            parts: Vec::new(),
            bytes: 0,
            hasher: blake3::Hasher::new(),
            origins: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Adds a frame. Layout frames follow their reference frames.
    pub fn push(&mut self, frame: SealedFrame, kind: FrameKind, origin: &Arc<Origin>, number: u32) {
        let known = self.origins.iter().position(|entry| entry.salt == origin.entry.salt);
        let origin_index = known.unwrap_or_else(|| {
            self.origins.push(origin.entry.clone());
            self.origins.len() - 1
        });
        self.hasher.update(&frame.bytes);
        self.bytes += frame.bytes.len() as u64;
        let ids = if kind == FrameKind::Layouts { Vec::new() } else { frame.ids };
        self.frames.push(FrameEntry {
            bytes: frame.bytes.len() as u32,
            kind: kind as u8,
            origin: origin_index as u32,
            number,
            ids,
        });
        self.parts.push(frame.bytes);
    }

    pub fn is_full(&self) -> bool {
        self.bytes >= self.pack_bytes
    }

    /// Signs and names the pack, and begins another. `None` where it has no frame.
    pub fn take(&mut self) -> Option<FinishedPack> {
        if self.frames.is_empty() {
            return None;
        }
        let frames_hash = *self.hasher.finalize().as_bytes();
        self.hasher.reset();
        let footer = PackFooter {
            repository: self.repository,
            kind: self.kind,
            writer: self.signing.writer(),
            frames_hash,
            origins: std::mem::take(&mut self.origins),
            frames: std::mem::take(&mut self.frames),
            extensions: Vec::new(),
        };
        let encoded = footer.encode(&self.signing);
        let pack = encoded.pack_id();
        let contents = footer.contents(pack, self.bytes + encoded.0.len() as u64);
        self.bytes = 0;
        Some(FinishedPack { pack, contents, footer: encoded, parts: std::mem::take(&mut self.parts) })
    }
}

impl FinishedPack {
    /// Makes the pack durable and lets its bytes go.
    pub fn store(mut self, store: &dyn Store) -> Result<(PackContents, EncodedFooter)> {
        let mut parts: Vec<&[u8]> = self.parts.iter().map(Vec::as_slice).collect();
        parts.push(&self.footer.0);
        store.put(&pack_key(self.contents.kind, &self.pack), &parts)?;
        self.parts.clear();
        Ok((self.contents, self.footer))
    }
}
