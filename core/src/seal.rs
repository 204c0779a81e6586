//! Sealing: XChaCha20-Poly1305 in place.

use crate::DecodeError;
use crate::secret::Secret32;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};

/// Length of a nonce in bytes.
pub const NONCE_BYTES: usize = 24;
/// Length of the tag that sealing appends, in bytes.
pub const TAG_BYTES: usize = 16;

fn cipher(key: &Secret32) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(*key.expose()))
}

/// Seals `buffer` from `from` on and appends the tag. The bytes before stay as they are.
///
/// # Panics
/// Where `from` is after the buffer's end.
pub fn seal_tail_in_place(
    key: &Secret32,
    nonce: &[u8; NONCE_BYTES],
    associated_data: &[u8],
    buffer: &mut Vec<u8>,
    from: usize,
) {
    let tag = cipher(key)
        .encrypt_inout_detached(&XNonce::from(*nonce), associated_data, (&mut buffer[from..]).into())
        .expect("only plaintexts over 256 GiB cannot be sealed");
    buffer.extend_from_slice(&tag);
}

/// Seals all of `buffer` and appends the tag.
pub fn seal_in_place(key: &Secret32, nonce: &[u8; NONCE_BYTES], associated_data: &[u8], buffer: &mut Vec<u8>) {
    seal_tail_in_place(key, nonce, associated_data, buffer, 0);
}

/// Opens `buffer` in place and takes the tag off.
///
/// # Errors
/// `NotAuthentic` about `what`; the buffer's content is then unspecified.
pub fn open_in_place(
    what: &'static str,
    key: &Secret32,
    nonce: &[u8; NONCE_BYTES],
    associated_data: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let length = open_slice_in_place(what, key, nonce, associated_data, buffer)?.len();
    buffer.truncate(length);
    Ok(())
}

/// Opens `sealed` in place and gives the part of it that is now plaintext.
///
/// # Errors
/// `NotAuthentic` about `what`; the slice's content is then unspecified.
pub fn open_slice_in_place<'a>(
    what: &'static str,
    key: &Secret32,
    nonce: &[u8; NONCE_BYTES],
    associated_data: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], DecodeError> {
    let not_authentic = DecodeError::NotAuthentic { what };
    let Some(length) = sealed.len().checked_sub(TAG_BYTES) else { return Err(not_authentic) };
    let (body, tag) = sealed.split_at_mut(length);
    let Ok(tag) = Tag::try_from(&*tag) else { return Err(not_authentic) };
    cipher(key)
        .decrypt_inout_detached(&XNonce::from(*nonce), associated_data, (&mut *body).into(), &tag)
        .map_err(|_| not_authentic)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_change_noticed() {
        let key = Secret32::new([1; 32]);
        let nonce = [2; NONCE_BYTES];
        let mut sealed = b"plaintext".to_vec();
        seal_in_place(&key, &nonce, b"data", &mut sealed);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 0x80;
            assert!(open_in_place("test", &key, &nonce, b"data", &mut changed).is_err());
        }
        let mut opened = sealed.clone();
        open_in_place("test", &key, &nonce, b"data", &mut opened).unwrap();
        assert_eq!(opened, b"plaintext");
        assert!(open_in_place("test", &key, &nonce, b"", &mut sealed.clone()).is_err());
        assert!(open_in_place("test", &key, &nonce, b"data", &mut vec![0; 15]).is_err());
    }
}
