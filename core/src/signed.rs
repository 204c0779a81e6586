//! Signed records: the bytes of a record and a signature over them, in an object.

use crate::header::ObjectKind;
use crate::signature::{self, SIGNATURE_BYTES, Signing, SigningContext};
use crate::{DecodeError, WriterId, codec};
use bincode::{Decode, Encode};

#[derive(Encode, Decode)]
struct SignedRecord {
    record: Vec<u8>,
    signature: [u8; SIGNATURE_BYTES],
}

/// The object of a record that `signing` signs.
pub fn encode<T: Encode>(kind: &ObjectKind, context: SigningContext, record: &T, signing: &Signing) -> Vec<u8> {
    let record = codec::encode(record);
    let signature = signing.sign(context, &record);
    kind.encode(&SignedRecord { record, signature })
}

/// Reads an object and checks its signature by the signer that the record names.
///
/// # Errors
/// Damaged, not authentic or unsupported.
pub fn decode<T: Decode<()>>(
    kind: &ObjectKind,
    context: SigningContext,
    bytes: &[u8],
    signer: impl Fn(&T) -> WriterId,
) -> Result<T, DecodeError> {
    let signed: SignedRecord = kind.decode(bytes)?;
    let record: T = codec::decode(kind.name, &signed.record)?;
    signature::verify(kind.name, &signer(&record), context, &signed.record, &signed.signature)?;
    Ok(record)
}
