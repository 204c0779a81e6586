//! Sealing to a public key: X25519 (RFC 7748) with a fresh key pair, BLAKE3 key derivation,
//! XChaCha20-Poly1305.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 32 | public half of the fresh key pair |
//! | 32 | n + 16 | sealed plaintext and tag |
//!
//! The derived key is used once, so the nonce is all zeros.

use crate::DecodeError;
use crate::WriterId;
use crate::seal::{self, NONCE_BYTES};
use crate::secret::Secret32;
use crate::subkey;
use bincode::{Decode, Encode};
use x25519_dalek::{PublicKey as DalekPublic, StaticSecret};
use zeroize::Zeroizing;

/// Bytes that an envelope adds to its plaintext.
pub const ENVELOPE_OVERHEAD_BYTES: usize = 32 + seal::TAG_BYTES;

/// The public key that envelopes are sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct EnvelopePublicKey(pub [u8; 32]);

/// The private key that opens envelopes.
#[derive(Debug, Clone, Encode, Decode)]
pub struct EnvelopePrivateKey(pub Secret32);

impl EnvelopePrivateKey {
    /// The private key of who signs with this seed: the scalar of its Ed25519 key (RFC 8032, section 5.1.5), which X25519
    /// takes on the curve's other form.
    pub fn of_signing_seed(seed: &Secret32) -> Self {
        let scalar = Zeroizing::new(ed25519_dalek::SigningKey::from_bytes(seed.expose()).to_scalar_bytes());
        Self(Secret32::new(*scalar))
    }

    fn dalek(&self) -> StaticSecret {
        StaticSecret::from(*self.0.expose())
    }

    /// The public half.
    pub fn public(&self) -> EnvelopePublicKey {
        EnvelopePublicKey(DalekPublic::from(&self.dalek()).to_bytes())
    }

    /// Opens an envelope that was sealed to the public half with the same associated data.
    ///
    /// # Errors
    /// Damaged where it is too short, not authentic where it does not open.
    pub fn open(
        &self,
        what: &'static str,
        associated_data: &[u8],
        envelope: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecodeError> {
        let (fresh_public, sealed) =
            envelope.split_first_chunk::<32>().ok_or_else(|| DecodeError::damaged(what, "it is too short"))?;
        let key = shared_key(&self.dalek(), fresh_public, fresh_public, &self.public())
            .ok_or(DecodeError::NotAuthentic { what })?;
        let mut plaintext = Zeroizing::new(sealed.to_vec());
        seal::open_in_place(what, &key, &[0; NONCE_BYTES], associated_data, &mut plaintext)?;
        Ok(plaintext)
    }
}

impl EnvelopePublicKey {
    /// The public key of a signer, by the map between the two forms of the curve (RFC 7748, section 4.1): so a machine
    /// that is known by its signing key can be sent secrets. `None` where it is no usable key.
    pub fn of_signer(signer: &WriterId) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(signer.as_bytes()).ok().filter(|key| !key.is_weak())?;
        Some(Self(key.to_montgomery().to_bytes()))
    }

    /// Seals `plaintext`; `fresh` is 32 random bytes, used for nothing else. `None` only where this
    /// is no usable public key.
    pub fn seal(&self, fresh: &Secret32, associated_data: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
        let secret = StaticSecret::from(*fresh.expose());
        let fresh_public = DalekPublic::from(&secret).to_bytes();
        let key = shared_key(&secret, &self.0, &fresh_public, self)?;
        let mut envelope = fresh_public.to_vec();
        let mut sealed = plaintext.to_vec();
        seal::seal_in_place(&key, &[0; NONCE_BYTES], associated_data, &mut sealed);
        envelope.append(&mut sealed);
        Some(envelope)
    }
}

fn shared_key(
    secret: &StaticSecret,
    their_public: &[u8; 32],
    fresh_public: &[u8; 32],
    recipient: &EnvelopePublicKey,
) -> Option<Secret32> {
    let shared = secret.diffie_hellman(&DalekPublic::from(*their_public));
    if !shared.was_contributory() {
        return None;
    }
    let material = Zeroizing::new([&shared.as_bytes()[..], fresh_public, &recipient.0].concat());
    Some(subkey::derive(subkey::ENVELOPE, &material))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_the_recipient_alone() {
        let private = EnvelopePrivateKey(Secret32::new([5; 32]));
        let other = EnvelopePrivateKey(Secret32::new([6; 32]));
        let envelope = private.public().seal(&Secret32::new([9; 32]), b"data", b"secret").unwrap();
        assert_eq!(envelope.len(), 6 + ENVELOPE_OVERHEAD_BYTES);
        assert_eq!(private.open("test", b"data", &envelope).unwrap().as_slice(), b"secret");
        assert!(other.open("test", b"data", &envelope).is_err());
        assert!(private.open("test", b"other", &envelope).is_err());
        for at in 0..envelope.len() {
            let mut changed = envelope.clone();
            changed[at] ^= 1;
            assert!(private.open("test", b"data", &changed).is_err(), "byte {at}");
            assert!(private.open("test", b"data", &envelope[..at]).is_err(), "first {at} bytes");
        }
    }

    #[test]
    fn a_signer_opens_what_is_sealed_to_its_name() {
        let seed = Secret32::new([5; 32]);
        let signer = crate::signature::Signing::from_seed(&seed).writer();
        let (private, public) =
            (EnvelopePrivateKey::of_signing_seed(&seed), EnvelopePublicKey::of_signer(&signer).unwrap());
        assert_eq!(private.public(), public);
        let envelope = public.seal(&Secret32::new([9; 32]), b"data", b"secret").unwrap();
        assert_eq!(private.open("test", b"data", &envelope).unwrap().as_slice(), b"secret");
        // The neutral point, and a value that is no point.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert!(EnvelopePublicKey::of_signer(&WriterId(neutral)).is_none());
        assert!(EnvelopePublicKey::of_signer(&WriterId([2; 32])).is_none());
    }

    #[test]
    fn low_order_points_are_refused() {
        assert!(EnvelopePublicKey([0; 32]).seal(&Secret32::new([9; 32]), b"", b"").is_none());
        let private = EnvelopePrivateKey(Secret32::new([5; 32]));
        assert!(private.open("test", b"", &[0; 64]).is_err());
    }
}
