//! Names of chunks and nodes: BLAKE3 keyed with a secret of the repository. A plain hash of
//! plaintext would let anyone who sees the ids confirm that a known file is stored.

use crate::secret::Secret32;
use crate::subkey::{self, Context};
use crate::{ChunkId, NodeId};

/// Makes chunk and node ids.
#[derive(Debug, Clone)]
pub struct IdentityKeys {
    chunk: Secret32,
    node: Secret32,
}

impl IdentityKeys {
    /// From the repository's id secret.
    pub fn new(id_secret: &Secret32) -> Self {
        let derive = |context: Context| subkey::derive(context, id_secret.expose());
        Self { chunk: derive(subkey::CHUNK_ID), node: derive(subkey::NODE_ID) }
    }

    /// The same chunk ids, and node ids that no other image has (`image_secret` is random).
    #[must_use]
    pub fn with_own_nodes(&self, image_secret: &Secret32) -> Self {
        let node = subkey::derive(subkey::IMAGE_NODE_ID, image_secret.expose());
        Self { chunk: self.chunk.clone(), node }
    }

    /// The name of a chunk with this plaintext.
    pub fn chunk_id(&self, plaintext: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(self.chunk.expose(), plaintext).as_bytes())
    }

    /// The name of a node with these two parts. The length of the first is hashed too, so that no
    /// two pairs of parts give the same bytes.
    pub fn node_id(&self, references: &[u8], layout: &[u8]) -> NodeId {
        let mut hasher = blake3::Hasher::new_keyed(self.node.expose());
        hasher.update(&(references.len() as u64).to_le_bytes());
        hasher.update(references);
        hasher.update(layout);
        NodeId(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_ids_and_separate_domains() {
        let keys = IdentityKeys::new(&Secret32::new([1; 32]));
        let other = IdentityKeys::new(&Secret32::new([2; 32]));
        assert_eq!(keys.chunk_id(b"abc").short(), "8bab1c25e497");
        assert_ne!(keys.chunk_id(b"abc"), other.chunk_id(b"abc"));
        assert_ne!(keys.node_id(b"ab", b"c"), keys.node_id(b"a", b"bc"));
        let private = keys.with_own_nodes(&Secret32::new([3; 32]));
        assert_eq!(keys.chunk_id(b"abc"), private.chunk_id(b"abc"));
        assert_ne!(keys.node_id(b"ab", b"c"), private.node_id(b"ab", b"c"));
    }
}
