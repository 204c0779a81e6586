//! Manifests: what a disk consists of, as a tree of content-addressed nodes over its ranges.
//!
//! A node has two parts that are sealed apart: the sorted set of the ids that it references, for
//! who keeps house, and its layout, for who restores. Equal ranges give equal nodes, so a range
//! that did not change costs nothing.

mod node;
mod reader;
mod writer;

pub(crate) use node::{Extent, LeafExtent, Node, NodeReferences};
pub(crate) use reader::{LeafPlace, MAX_DISK_BYTES, ManifestReader};
pub(crate) use writer::ManifestWriter;

#[doc(hidden)]
pub use node::decode_parts_for_fuzzing;

/// Children of an inner node, at most.
pub(crate) const FAN_OUT: usize = 256;
/// Levels of a manifest, at most: more than any disk of 2^64 bytes needs.
pub(crate) const MAX_LEVELS: u32 = 8;
