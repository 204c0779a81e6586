//! One node of a manifest.

use super::FAN_OUT;
use bincode::{Decode, Encode};
use holotype_core::identity::IdentityKeys;
use holotype_core::{ChunkId, DecodeError, NodeId, codec};

const WHAT: &str = "manifest node";
/// More extents than any region gives: a region has at most 9 MiB.
const MAX_LEAF_EXTENTS: usize = 1 << 20;

/// First part: which ids a node references.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct NodeReferences {
    /// Whether the ids are nodes (of an inner node) or chunks (of a leaf).
    pub of_nodes: bool,
    /// The ids, sorted, each once.
    pub ids: Vec<[u8; 32]>,
}

/// A range of the disk in a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Extent {
    /// A chunk: index into the references, and its length.
    Chunk { reference: u32, bytes: u32 },
    /// Zeros.
    Zero { bytes: u64 },
    /// Not in use by any filesystem; any content will do.
    Free { bytes: u64 },
    /// The source could not read it.
    Unreadable { bytes: u64 },
}

impl Extent {
    pub fn bytes(&self) -> u64 {
        match *self {
            Extent::Chunk { bytes, .. } => u64::from(bytes),
            Extent::Zero { bytes } | Extent::Free { bytes } | Extent::Unreadable { bytes } => bytes,
        }
    }
}

/// Second part of a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct LeafLayout {
    /// The ranges, one after another.
    pub extents: Vec<Extent>,
}

/// A child of an inner node: index into the references, and its length on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Child {
    pub reference: u32,
    pub bytes: u64,
}

/// Second part of an inner node.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct InnerLayout {
    pub children: Vec<Child>,
}

/// A whole node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Leaf { references: NodeReferences, layout: LeafLayout },
    Inner { references: NodeReferences, layout: InnerLayout },
}

/// A range of a leaf under construction or read back, with full ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeafExtent {
    Chunk { id: ChunkId, bytes: u32 },
    Other(Extent),
}

impl LeafExtent {
    /// Length in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Chunk { bytes, .. } => u64::from(*bytes),
            Self::Other(other) => other.bytes(),
        }
    }
}

/// The two parts of a node as they are stored, and its name.
#[derive(Debug)]
pub(crate) struct EncodedNode {
    pub id: NodeId,
    pub references: Vec<u8>,
    pub layout: Vec<u8>,
}

fn reference_set(ids: impl Iterator<Item = [u8; 32]>) -> Vec<[u8; 32]> {
    let mut sorted: Vec<[u8; 32]> = ids.collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

fn index_of(ids: &[[u8; 32]], id: &[u8; 32]) -> u32 {
    ids.binary_search(id).expect("the set was made of these ids") as u32
}

impl Node {
    pub fn leaf(extents: &[LeafExtent]) -> Self {
        let ids = reference_set(extents.iter().filter_map(|extent| match extent {
            LeafExtent::Chunk { id, .. } => Some(id.0),
            LeafExtent::Other(_) => None,
        }));
        let stored = |extent: &LeafExtent| match *extent {
            LeafExtent::Chunk { id, bytes } => Extent::Chunk { reference: index_of(&ids, &id.0), bytes },
            LeafExtent::Other(extent) => extent,
        };
        let layout = LeafLayout { extents: extents.iter().map(stored).collect() };
        Node::Leaf { references: NodeReferences { of_nodes: false, ids }, layout }
    }

    pub fn inner(children: &[(NodeId, u64)]) -> Self {
        let ids = reference_set(children.iter().map(|(id, _)| id.0));
        let stored = |(id, bytes): &(NodeId, u64)| Child { reference: index_of(&ids, &id.0), bytes: *bytes };
        let layout = InnerLayout { children: children.iter().map(stored).collect() };
        Node::Inner { references: NodeReferences { of_nodes: true, ids }, layout }
    }

    pub fn encode(&self, identity: &IdentityKeys) -> EncodedNode {
        let (references, layout) = match self {
            Node::Leaf { references, layout } => (codec::encode(references), codec::encode(layout)),
            Node::Inner { references, layout } => (codec::encode(references), codec::encode(layout)),
        };
        EncodedNode { id: identity.node_id(&references, &layout), references, layout }
    }

    /// Reads the two parts of a node; their id has been checked by the caller or will be.
    pub fn decode(references: &[u8], layout: &[u8]) -> Result<Self, DecodeError> {
        let references = NodeReferences::decode(references)?;
        let damaged = |why: &str| Err(DecodeError::damaged(WHAT, why));
        let in_set = |reference: u32| (reference as usize) < references.ids.len();
        let node = if references.of_nodes {
            let layout: InnerLayout = codec::decode(WHAT, layout)?;
            if layout.children.is_empty() || layout.children.len() > FAN_OUT {
                return damaged("it has an impossible number of children");
            }
            if !layout.children.iter().all(|child| in_set(child.reference)) {
                return damaged("a child is not in its reference set");
            }
            Node::Inner { references, layout }
        } else {
            let layout: LeafLayout = codec::decode(WHAT, layout)?;
            let fits = |extent: &Extent| match *extent {
                Extent::Chunk { reference, bytes } => in_set(reference) && bytes > 0,
                _ => true,
            };
            if layout.extents.len() > MAX_LEAF_EXTENTS || !layout.extents.iter().all(fits) {
                return damaged("an extent is impossible");
            }
            Node::Leaf { references, layout }
        };
        if node.bytes().is_none() {
            return damaged("its length overflows");
        }
        Ok(node)
    }

    pub fn into_references(self) -> NodeReferences {
        match self {
            Node::Leaf { references, .. } | Node::Inner { references, .. } => references,
        }
    }

    /// Length on the disk, or `None` where it overflows.
    pub fn bytes(&self) -> Option<u64> {
        let sum = |sum: u64, bytes: u64| sum.checked_add(bytes);
        match self {
            Node::Leaf { layout, .. } => layout.extents.iter().map(Extent::bytes).try_fold(0, sum),
            Node::Inner { layout, .. } => layout.children.iter().map(|child| child.bytes).try_fold(0, sum),
        }
    }
}

impl NodeReferences {
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let references: NodeReferences = codec::decode(WHAT, bytes)?;
        if !references.ids.is_sorted_by(|a, b| a < b) {
            return Err(DecodeError::damaged(WHAT, "its references are not a sorted set"));
        }
        Ok(references)
    }
}

/// Everything past authentication, for the fuzzer.
#[doc(hidden)]
pub fn decode_parts_for_fuzzing(references: &[u8], layout: &[u8]) -> Result<(), DecodeError> {
    Node::decode(references, layout).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use holotype_core::secret::Secret32;

    #[test]
    fn leaf_round_trip_and_golden_parts() {
        let chunk = |byte: u8| LeafExtent::Chunk { id: ChunkId([byte; 32]), bytes: u32::from(byte) };
        let extents = [chunk(9), LeafExtent::Other(Extent::Zero { bytes: 4096 }), chunk(1), chunk(9)];
        let node = Node::leaf(&extents);
        assert_eq!(node.bytes(), Some(4096 + 19));
        let encoded = node.encode(&IdentityKeys::new(&Secret32::new([1; 32])));
        assert_eq!(encoded.references.len(), 1 + 8 + 64);
        assert_eq!(encoded.layout.len(), 8 + 3 * 12 + 12);
        assert_eq!(encoded.layout[..20], [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(Node::decode(&encoded.references, &encoded.layout).unwrap(), node);
    }

    #[test]
    fn lies_are_refused() {
        let references = |ids: Vec<[u8; 32]>| codec::encode(&NodeReferences { of_nodes: false, ids });
        let layout = |extents| codec::encode(&LeafLayout { extents });
        let chunk = Extent::Chunk { reference: 0, bytes: 1 };
        assert!(Node::decode(&references(vec![[1; 32]]), &layout(vec![chunk])).is_ok());
        assert!(Node::decode(&references(vec![]), &layout(vec![chunk])).is_err());
        assert!(Node::decode(&references(vec![[2; 32], [1; 32]]), &layout(vec![chunk])).is_err());
        assert!(Node::decode(&references(vec![[1; 32], [1; 32]]), &layout(vec![chunk])).is_err());
        let long = Extent::Zero { bytes: u64::MAX };
        assert!(Node::decode(&references(vec![]), &layout(vec![long, long])).is_err());
    }
}
