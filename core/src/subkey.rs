//! Subkeys: `blake3::derive_key` with one context each, so that no key serves two purposes.

use crate::secret::Secret32;

/// A purpose. The text is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context(pub(crate) &'static str);

/// Chunk ids, from the repository's id secret.
pub const CHUNK_ID: Context = Context("holotype 2026 v1 chunk id");
/// Manifest node ids, from the repository's id secret.
pub const NODE_ID: Context = Context("holotype 2026 v1 node id");
/// Sealing frames, from a pack's key.
pub const FRAME_SEAL: Context = Context("holotype 2026 v1 frame seal");
/// Deriving a frame's nonce, from a pack's key.
pub const FRAME_NONCE: Context = Context("holotype 2026 v1 frame nonce");
/// Sealing to a public key, from the shared secret.
pub const ENVELOPE: Context = Context("holotype 2026 v1 envelope");
/// Sealing a key slot's secrets, from password and key file.
pub const KEY_SLOT: Context = Context("holotype 2026 v1 key slot");
/// Sealing an image's metadata and layout under its own password.
pub const IMAGE_PASSWORD: Context = Context("holotype 2026 v1 image password");
/// Node ids of an image with its own password, so that it shares no node.
pub const IMAGE_NODE_ID: Context = Context("holotype 2026 v1 image node id");

/// The subkey of `secret` for one purpose.
pub fn derive(context: Context, secret: &[u8]) -> Secret32 {
    Secret32::new(blake3::derive_key(context.0, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_pinned_and_distinct() {
        let all = [CHUNK_ID, NODE_ID, FRAME_SEAL, FRAME_NONCE, ENVELOPE, KEY_SLOT, IMAGE_PASSWORD, IMAGE_NODE_ID];
        for (at, context) in all.iter().enumerate() {
            assert!(context.0.starts_with("holotype 2026 v1 "));
            assert!(all[..at].iter().all(|other| other.0 != context.0));
        }
        assert_ne!(derive(CHUNK_ID, &[1; 32]), derive(NODE_ID, &[1; 32]));
    }
}
