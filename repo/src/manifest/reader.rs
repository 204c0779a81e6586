//! Reads manifests back.

use super::{Extent, LeafExtent, MAX_LEVELS, Node};
use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::index::{ChunkLocation, PackKind};
use crate::pack::is_lost;
use crate::repository::Catalog;
use crate::repository::PackReaders;
use holotype_core::compress::Decompressor;
use holotype_core::frame::OpenedFrame;
use holotype_core::identity::IdentityKeys;
use holotype_core::seal::{self, NONCE_BYTES};
use holotype_core::secret::Secret32;
use holotype_core::{ChunkId, NodeId, PackId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Opened pairs of frames that are kept; a pair has about 0.6 MiB and about 40 leaves.
const CACHED_PAIRS: usize = 12;

type FramePair = Arc<(OpenedFrame, OpenedFrame)>;

/// Where a leaf lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeafPlace {
    pub offset: u64,
    pub bytes: u64,
    pub node: NodeId,
}

/// Reads nodes by their ids.
pub(crate) struct ManifestReader<'a> {
    catalog: &'a Catalog,
    packs: &'a PackReaders,
    identity: IdentityKeys,
    image_secret: Option<Secret32>,
    cache: Mutex<VecDeque<((PackId, u32), FramePair)>>,
}

impl<'a> ManifestReader<'a> {
    /// `identity` and `image_secret` are those of the image.
    pub fn new(
        catalog: &'a Catalog,
        packs: &'a PackReaders,
        identity: IdentityKeys,
        image_secret: Option<Secret32>,
    ) -> Self {
        Self { catalog, packs, identity, image_secret, cache: Mutex::default() }
    }

    fn pair(&self, location: &ChunkLocation) -> Result<FramePair> {
        let wanted = (location.pack, location.frame);
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pair)) = lock().iter().find(|(place, _)| *place == wanted) {
            return Ok(Arc::clone(pair));
        }
        let reader = self.packs.get(PackKind::Meta, &location.pack)?;
        let mut decompressor = Decompressor::default();
        let references = reader.fetch_frame(self.packs.store(), location.frame, &mut decompressor)?;
        let layouts = reader.fetch_frame(self.packs.store(), location.frame + 1, &mut decompressor)?;
        let pair = Arc::new((references, layouts));
        let mut cache = lock();
        if cache.len() >= CACHED_PAIRS {
            cache.pop_front();
        }
        cache.push_back((wanted, Arc::clone(&pair)));
        Ok(pair)
    }

    /// Reads a node and checks that it is the one of that name.
    pub fn node(&self, id: &NodeId) -> Result<Node> {
        let subject = || format!("manifest node {}", id.short());
        let missing = |why: &str| {
            Error::new(ErrorKind::Damaged, subject(), why).advise("run `holotype verify` to see which images need it")
        };
        let mut lost = None;
        let location = loop {
            let Some(location) = self.catalog.locate(&[ChunkId(id.0)])?[0] else {
                return Err(lost.unwrap_or_else(|| missing("no pack holds it")));
            };
            match self.packs.get(PackKind::Meta, &location.pack) {
                Ok(_) => break location,
                // Another pack may hold a copy.
                Err(error) if is_lost(&error) => {
                    self.catalog.forget(&location.pack)?;
                    lost = Some(error);
                }
                Err(error) => return Err(error),
            }
        };
        let pair = self.pair(&location)?;
        let (Some(references), Some(layout)) = (pair.0.chunk(location.slot), pair.1.chunk(location.slot)) else {
            return Err(missing("its frames have no such slot"));
        };
        let opened;
        let layout = match &self.image_secret {
            None => layout,
            Some(secret) => {
                opened = open_layout(secret, layout).about(subject())?;
                &opened
            }
        };
        if self.identity.node_id(references, layout) != *id {
            return Err(missing("its content is another one"));
        }
        Node::decode(references, layout).about(subject())
    }

    /// Every leaf under `root`, in disk order.
    pub fn leaves(&self, root: &NodeId) -> Result<Vec<LeafPlace>> {
        let mut leaves = Vec::new();
        let mut offset = 0;
        self.walk(root, None, MAX_LEVELS, &mut offset, &mut leaves)?;
        Ok(leaves)
    }

    fn walk(
        &self,
        id: &NodeId,
        bytes: Option<u64>,
        levels: u32,
        offset: &mut u64,
        leaves: &mut Vec<LeafPlace>,
    ) -> Result<()> {
        let damaged = |why: &str| Error::new(ErrorKind::Damaged, format!("manifest node {}", id.short()), why);
        if levels == 0 {
            return Err(damaged("its tree is deeper than any disk needs"));
        }
        let node = self.node(id)?;
        let node_bytes = node.bytes().unwrap_or(0);
        if bytes.is_some_and(|expected| expected != node_bytes) {
            return Err(damaged("its length is not what its parent says"));
        }
        match node {
            Node::Leaf { .. } => {
                leaves.push(LeafPlace { offset: *offset, bytes: node_bytes, node: *id });
                *offset = offset.checked_add(node_bytes).ok_or_else(|| damaged("its tree overflows"))?;
            }
            Node::Inner { references, layout } => {
                // The lowest inner nodes' children are leaves, which need not be read here: all
                // leaves are at one depth, so the first child tells.
                let ids = &references.ids;
                let child_id = |reference: u32| NodeId(ids[reference as usize]);
                let first = layout.children.first().ok_or_else(|| damaged("it has no child"))?;
                let over_leaves = matches!(self.node(&child_id(first.reference))?, Node::Leaf { .. });
                for child in &layout.children {
                    let id = child_id(child.reference);
                    if over_leaves {
                        leaves.push(LeafPlace { offset: *offset, bytes: child.bytes, node: id });
                        *offset = offset.checked_add(child.bytes).ok_or_else(|| damaged("its tree overflows"))?;
                    } else {
                        self.walk(&id, Some(child.bytes), levels - 1, offset, leaves)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The extents of one leaf.
    pub fn leaf(&self, place: &LeafPlace) -> Result<Vec<LeafExtent>> {
        let damaged = |why| Error::new(ErrorKind::Damaged, format!("manifest node {}", place.node.short()), why);
        let node = self.node(&place.node)?;
        if node.bytes() != Some(place.bytes) {
            return Err(damaged("its length is not what its parent says"));
        }
        let Node::Leaf { references, layout } = node else { return Err(damaged("it is no leaf")) };
        let full = |extent: &Extent| match *extent {
            Extent::Chunk { reference, bytes } => {
                LeafExtent::Chunk { id: ChunkId(references.ids[reference as usize]), bytes }
            }
            other => LeafExtent::Other(other),
        };
        Ok(layout.extents.iter().map(full).collect())
    }
}

fn open_layout(image_secret: &Secret32, sealed: &[u8]) -> Result<Vec<u8>, holotype_core::DecodeError> {
    const WHAT: &str = "layout";
    let (nonce, sealed) = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .ok_or_else(|| holotype_core::DecodeError::damaged(WHAT, "it is too short"))?;
    let mut layout = sealed.to_vec();
    seal::open_in_place(WHAT, image_secret, nonce, b"layout", &mut layout)?;
    Ok(layout)
}
