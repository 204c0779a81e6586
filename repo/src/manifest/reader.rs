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

/// Leaves have about 8 MiB each (`backup::read`), so a disk has fewer than one for
/// each of these bytes.
const LEAST_LEAF_BYTES: u64 = 1 << 20;
/// Leaves that any disk may have beyond that: regions end where one of at most 512 partitions begins or
/// ends.
const SPARE_LEAVES: u64 = 2048;
/// Leaves at most, more than [`MAX_DISK_BYTES`] has; 48 bytes of memory each.
const MOST_LEAVES: u64 = 1 << 24;
/// Largest disk: its leaves, of 7 MiB or more, fit the bound above.
pub(crate) const MAX_DISK_BYTES: u64 = 100 << 40;

fn most_leaves(disk_bytes: u64) -> usize {
    // Fits, as MOST_LEAVES does.
    (disk_bytes / LEAST_LEAF_BYTES).saturating_add(SPARE_LEAVES).min(MOST_LEAVES) as usize
}

/// The leaves of a tree that is walked.
struct Leaves {
    places: Vec<LeafPlace>,
    end: u64,
    most: usize,
}

impl Leaves {
    fn push(&mut self, node: NodeId, bytes: u64) -> Result<(), &'static str> {
        if self.places.len() >= self.most {
            return Err("its tree has more leaves than a disk of its length");
        }
        self.places.push(LeafPlace { offset: self.end, bytes, node });
        self.end = self.end.checked_add(bytes).ok_or("its tree overflows")?;
        Ok(())
    }
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

    /// Every leaf under `root`, in disk order, of a disk of `disk_bytes`. A few nodes that name each
    /// other many times make a tree of any size, so there is a bound to how many leaves are taken.
    pub fn leaves(&self, root: &NodeId, disk_bytes: u64) -> Result<Vec<LeafPlace>> {
        let mut leaves = Leaves { places: Vec::new(), end: 0, most: most_leaves(disk_bytes) };
        self.walk(root, None, MAX_LEVELS, &mut leaves)?;
        let ids: Vec<ChunkId> = leaves.places.iter().map(|leaf| ChunkId(leaf.node.0)).collect();
        self.catalog.expect(&ids)?;
        Ok(leaves.places)
    }

    fn walk(&self, id: &NodeId, bytes: Option<u64>, levels: u32, leaves: &mut Leaves) -> Result<()> {
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
                leaves.push(*id, node_bytes).map_err(damaged)?;
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
                        leaves.push(id, child.bytes).map_err(damaged)?;
                    } else {
                        self.walk(&id, Some(child.bytes), levels - 1, leaves)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_bounded_by_the_disk() {
        assert_eq!(most_leaves(0), 2048);
        assert_eq!(most_leaves(1 << 40), (1 << 20) + 2048);
        assert_eq!(most_leaves(u64::MAX), 1 << 24);
        const { assert!(MAX_DISK_BYTES / (7 << 20) < MOST_LEAVES) };
        let mut leaves = Leaves { places: Vec::new(), end: 0, most: 2 };
        let node = NodeId([1; 32]);
        leaves.push(node, 5).unwrap();
        leaves.push(node, 6).unwrap();
        assert!(leaves.push(node, 0).is_err());
        assert_eq!(leaves.places[1], LeafPlace { offset: 5, bytes: 6, node });
        let mut long = Leaves { places: Vec::new(), end: 0, most: 2 };
        long.push(node, u64::MAX).unwrap();
        assert!(long.push(node, 1).is_err());
    }
}
