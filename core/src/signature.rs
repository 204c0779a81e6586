//! Signatures: Ed25519 (RFC 8032), strictly verified, each over a context and a message.

use crate::secret::Secret32;
use crate::{DecodeError, WriterId};
use ed25519_dalek::Signer;

/// Length of a signature in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// What is signed; no signature over one kind of record counts for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningContext(&'static str);

/// A repository's config, by its root.
pub const CONFIG: SigningContext = SigningContext("holotype 2026 v1 config\0");
/// A writer's enrolment, by the root.
pub const ENROLMENT: SigningContext = SigningContext("holotype 2026 v1 enrolment\0");
/// A writer's certificate, by the root.
pub const WRITER: SigningContext = SigningContext("holotype 2026 v1 writer\0");
/// A pack's footer, by its writer.
pub const FOOTER: SigningContext = SigningContext("holotype 2026 v1 footer\0");
/// An image, by its writer.
pub const IMAGE: SigningContext = SigningContext("holotype 2026 v1 image\0");
/// A lease object, by its holder.
pub const LEASE: SigningContext = SigningContext("holotype 2026 v1 lease\0");
/// A restore's receipt, by who restored.
pub const RECEIPT: SigningContext = SigningContext("holotype 2026 v1 receipt\0");
/// A grant of an image to a machine, by the repository's root.
pub const GRANT: SigningContext = SigningContext("holotype 2026 v1 grant\0");
/// A server's word that it has received an image.
pub const RECEIVED: SigningContext = SigningContext("holotype 2026 v1 received\0");

/// A machine's wish to enrol, by its key.
pub const MACHINE_ENROLMENT: SigningContext = SigningContext("holotype machine enrolment v1\0");
/// A machine's claim to be one of an organisation's, by its key.
pub const MACHINE_CLAIM: SigningContext = SigningContext("holotype machine claim v1\0");
/// A machine's wish for a session, by its key.
pub const MACHINE_SESSION: SigningContext = SigningContext("holotype machine session v1\0");

/// A signing key.
#[derive(Clone)]
pub struct Signing(ed25519_dalek::SigningKey);

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signing({:?})", self.writer())
    }
}

impl Signing {
    /// From its 32-byte seed.
    pub fn from_seed(seed: &Secret32) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed.expose()))
    }

    /// The public half: the writer's name.
    pub fn writer(&self) -> WriterId {
        WriterId(self.0.verifying_key().to_bytes())
    }

    /// Signs `message` in `context`.
    pub fn sign(&self, context: SigningContext, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(&[context.0.as_bytes(), message].concat()).to_bytes()
    }
}

/// # Errors
/// `NotAuthentic` about `what` where `writer` did not sign `message` in `context`.
pub fn verify(
    what: &'static str,
    writer: &WriterId,
    context: SigningContext,
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<(), DecodeError> {
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    ed25519_dalek::VerifyingKey::from_bytes(writer.as_bytes())
        .and_then(|key| key.verify_strict(&[context.0.as_bytes(), message].concat(), &signature))
        .map_err(|_| DecodeError::NotAuthentic { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signer_s_message_in_its_context_counts() {
        let signing = Signing::from_seed(&Secret32::new([1; 32]));
        let other = Signing::from_seed(&Secret32::new([2; 32]));
        let signature = signing.sign(IMAGE, b"message");
        let check = |writer: &WriterId, context, message: &[u8]| verify("test", writer, context, message, &signature);
        assert!(check(&signing.writer(), IMAGE, b"message").is_ok());
        assert!(check(&signing.writer(), FOOTER, b"message").is_err());
        assert!(check(&signing.writer(), IMAGE, b"massage").is_err());
        assert!(check(&other.writer(), IMAGE, b"message").is_err());
        assert!(check(&WriterId([0; 32]), IMAGE, b"message").is_err());
    }
}
