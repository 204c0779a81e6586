//! Writes the nodes of a manifest into metadata packs.

use super::node::EncodedNode;
use super::{FAN_OUT, Node};
use crate::error::Result;
use crate::index::{PackContents, PackKind};
use crate::keys::Keyring;
use crate::pack::{EncodedFooter, FinishedPack, OriginAllocator, PackAssembler, SealedTo};
use crate::store::Store;
use holotype_core::compress::{Compression, Compressor};
use holotype_core::frame::{FrameBuilder, FrameKind};
use holotype_core::identity::IdentityKeys;
use holotype_core::seal::{self, NONCE_BYTES};
use holotype_core::secret::Secret32;
use holotype_core::{ChunkId, NodeId};
use std::sync::Arc;

/// Manifests are small and compress well.
const COMPRESSION: Compression = Compression::Zstd(6);

/// Collects nodes and stores them. One for each image; shared behind a lock.
pub(crate) struct ManifestWriter {
    store: Arc<dyn Store>,
    image_secret: Option<Secret32>,
    references: FrameBuilder,
    layouts: FrameBuilder,
    compressor: Compressor,
    reference_origins: OriginAllocator,
    content_origins: OriginAllocator,
    assembler: PackAssembler,
    stored: Vec<(PackContents, EncodedFooter)>,
}

/// Seals a layout under an image's own secret. The nonce is derived from the layout, so equal
/// layouts of one image seal equally.
pub(super) fn seal_layout(image_secret: &Secret32, layout: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&blake3::keyed_hash(image_secret.expose(), layout).as_bytes()[..NONCE_BYTES]);
    let mut sealed = nonce.to_vec();
    sealed.extend_from_slice(layout);
    seal::seal_tail_in_place(image_secret, &nonce, b"layout", &mut sealed, NONCE_BYTES);
    sealed
}

impl ManifestWriter {
    pub fn new(store: Arc<dyn Store>, keyring: &Keyring, image_secret: Option<Secret32>, pack_bytes: u64) -> Self {
        let origins = |sealed_to| OriginAllocator::new(keyring, sealed_to, pack_bytes);
        Self {
            store,
            image_secret,
            references: FrameBuilder::new(FrameKind::References),
            layouts: FrameBuilder::new(FrameKind::Layouts),
            compressor: Compressor::new(COMPRESSION),
            reference_origins: origins(SealedTo::Reference),
            content_origins: origins(SealedTo::Content),
            assembler: PackAssembler::new(keyring.repository(), PackKind::Meta, keyring.signing(), pack_bytes),
            stored: Vec::new(),
        }
    }

    /// Adds a node that is not stored yet.
    pub fn add(&mut self, node: &EncodedNode) -> Result<()> {
        // Both frames hold the same nodes in the same slots; ids stand with the references.
        let id = ChunkId(node.id.0);
        self.references.push(id, &node.references);
        match &self.image_secret {
            Some(secret) => self.layouts.push(id, &seal_layout(secret, &node.layout)),
            None => self.layouts.push(id, &node.layout),
        }
        if self.references.is_full() || self.layouts.is_full() {
            self.close_frames()?;
            if self.assembler.is_full() {
                self.close_pack()?;
            }
        }
        Ok(())
    }

    fn close_frames(&mut self) -> Result<()> {
        let builders = [
            (&mut self.references, &self.reference_origins, FrameKind::References),
            (&mut self.layouts, &self.content_origins, FrameKind::Layouts),
        ];
        for (builder, origins, kind) in builders {
            if let Some(frame) = builder.take(&mut self.compressor) {
                let (sealed, origin, number) = origins.seal(frame)?;
                self.assembler.push(sealed, kind, &origin, number);
            }
        }
        Ok(())
    }

    fn close_pack(&mut self) -> Result<()> {
        if let Some(pack) = self.assembler.take() {
            self.stored.push(FinishedPack::store(pack, &*self.store)?);
        }
        Ok(())
    }

    /// Builds the tree over `leaves` (in disk order), stores what `is_known` does not know, and
    /// gives root, and all packs written.
    pub fn finish(
        &mut self,
        identity: &IdentityKeys,
        leaves: Vec<(NodeId, u64)>,
        is_known: &mut dyn FnMut(&NodeId) -> Result<bool>,
    ) -> Result<(NodeId, Vec<(PackContents, EncodedFooter)>)> {
        let mut level = leaves;
        loop {
            let mut above = Vec::with_capacity(level.len().div_ceil(FAN_OUT));
            for children in level.chunks(FAN_OUT) {
                let node = Node::inner(children);
                let bytes = children.iter().map(|(_, bytes)| bytes).sum();
                let encoded = node.encode(identity);
                if !is_known(&encoded.id)? {
                    self.add(&encoded)?;
                }
                above.push((encoded.id, bytes));
            }
            level = above;
            if let [(root, _)] = level[..] {
                self.close_frames()?;
                self.close_pack()?;
                return Ok((root, std::mem::take(&mut self.stored)));
            }
        }
    }
}
