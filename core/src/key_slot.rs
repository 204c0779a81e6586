//! Key slots: what a role may have, sealed under a password, a key file, or both.

use crate::envelope::{EnvelopePrivateKey, EnvelopePublicKey};
use crate::header::ObjectKind;
use crate::kdf::KdfParameters;
use crate::seal::{self, NONCE_BYTES};
use crate::secret::{Secret32, SecretBytes};
use crate::signature::{self, SIGNATURE_BYTES, Signing};
use crate::{DecodeError, RepositoryId, SlotId, WriterId, codec, subkey};
use bincode::{Decode, Encode};
use zeroize::Zeroizing;

/// The object `keys/SLOT`.
pub const KEY_SLOT: ObjectKind = ObjectKind { code: *b"keys", version: 1, name: "key slot" };

/// Least length of a key file in bytes: it stands for a password that nobody can guess.
pub const MIN_KEY_FILE_BYTES: usize = 32;

/// What a key may do. The number is part of the format; numbers that are not known here belong to
/// slots that this program lists and leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Full,
    /// Add images and deduplicate; open nothing.
    Writer,
    /// Restore one image. No slot holds it: its keys come in a grant.
    Grant,
    /// A role of a newer program; 3 is reserved for maintenance.
    Other(u16),
}

impl Role {
    /// The number in the format.
    pub fn number(self) -> u16 {
        match self {
            Role::Full => 1,
            Role::Writer => 2,
            Role::Grant => 4,
            Role::Other(number) => number,
        }
    }

    /// From the number in the format.
    pub fn from_number(number: u16) -> Self {
        match number {
            1 => Role::Full,
            2 => Role::Writer,
            4 => Role::Grant,
            other => Role::Other(other),
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Role::Full => f.write_str("full"),
            Role::Writer => f.write_str("writer"),
            Role::Grant => f.write_str("grant"),
            Role::Other(number) => write!(f, "role {number}"),
        }
    }
}

/// Something that a newer program put into a record. Kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Extension {
    /// What it is.
    pub tag: u32,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What a full key holds.
#[derive(Debug, Clone, Encode, Decode)]
pub struct FullSecrets {
    /// From which chunk and node ids are keyed.
    pub id_secret: Secret32,
    /// Opens chunks and layouts.
    pub content: EnvelopePrivateKey,
    /// Opens reference sets.
    pub reference: EnvelopePrivateKey,
    /// Seed of the repository's root signing key.
    pub root_seed: Secret32,
}

/// What a writer's key holds: nothing that opens anything.
#[derive(Debug, Clone, Encode, Decode)]
pub struct WriterSecrets {
    /// From which chunk and node ids are keyed.
    pub id_secret: Secret32,
    /// Seed of its own signing key.
    pub signing_seed: Secret32,
    /// Who signs the config: the config's public keys are believed on this word alone.
    pub root: WriterId,
    /// Which keys chunks and layouts are sealed to.
    pub content: EnvelopePublicKey,
    /// Which keys reference sets are sealed to.
    pub reference: EnvelopePublicKey,
    /// The root's word that this writer is one; it goes into every image that it writes.
    pub certificate: Certificate,
}

/// The root's signature over repository and writer. Images carry it, so that what an enrolled writer
/// stored stays valid when its key slot is gone, and nobody else's images count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Certificate(pub [u8; SIGNATURE_BYTES]);

impl Certificate {
    /// Certifies a writer.
    pub fn sign(root: &Signing, repository: &RepositoryId, writer: &WriterId) -> Self {
        Self(root.sign(signature::WRITER, &codec::encode(&(*repository, *writer))))
    }

    /// # Errors
    /// `NotAuthentic` where `root` did not certify this writer.
    pub fn verify(&self, root: &WriterId, repository: &RepositoryId, writer: &WriterId) -> Result<(), DecodeError> {
        let message = codec::encode(&(*repository, *writer));
        signature::verify("writer certificate", root, signature::WRITER, &message, &self.0)
    }
}

/// The secrets of a slot.
#[derive(Debug, Clone, Encode, Decode)]
pub enum SlotSecrets {
    /// Of the full role.
    Full(FullSecrets),
    /// Of the writer role.
    Writer(WriterSecrets),
}

impl SlotSecrets {
    /// The role that these secrets are of.
    pub fn role(&self) -> Role {
        match self {
            SlotSecrets::Full(_) => Role::Full,
            SlotSecrets::Writer(_) => Role::Writer,
        }
    }

    /// From which chunk and node ids are keyed.
    pub fn id_secret(&self) -> &Secret32 {
        match self {
            SlotSecrets::Full(secrets) => &secrets.id_secret,
            SlotSecrets::Writer(secrets) => &secrets.id_secret,
        }
    }

    /// The key that signs what this key's holder writes.
    pub fn signing(&self) -> Signing {
        Signing::from_seed(match self {
            SlotSecrets::Full(secrets) => &secrets.root_seed,
            SlotSecrets::Writer(secrets) => &secrets.signing_seed,
        })
    }

    /// Who signs the config.
    pub fn root(&self) -> WriterId {
        match self {
            SlotSecrets::Full(secrets) => Signing::from_seed(&secrets.root_seed).writer(),
            SlotSecrets::Writer(secrets) => secrets.root,
        }
    }
}

/// What a person has in hand to open a slot.
#[derive(Debug, Clone, Default)]
pub struct Factors {
    /// The password, if one is given.
    pub password: Option<SecretBytes>,
    /// The key file's bytes, if one is given.
    pub key_file: Option<SecretBytes>,
}

/// How a slot's key comes from its factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Protection {
    /// Password only.
    Password(KdfParameters),
    /// Password and key file together.
    PasswordAndKeyFile(KdfParameters),
    /// Key file only. It is random, so no slow derivation is needed.
    KeyFile([u8; 32]),
}

impl Protection {
    /// The sealing key, or `None` where the factors are not those that it wants.
    fn sealing_key(&self, factors: &Factors) -> Result<Option<Secret32>, DecodeError> {
        let password = factors.password.as_ref().map(SecretBytes::expose);
        let key_file = factors.key_file.as_ref().map(SecretBytes::expose);
        let input = |password: &[u8], key_file: &[u8]| {
            let length = (password.len() as u64).to_le_bytes();
            Zeroizing::new([&length[..], password, key_file].concat())
        };
        let slow = |parameters: &KdfParameters, input: Zeroizing<Vec<u8>>| {
            Ok(Some(subkey::derive(subkey::KEY_SLOT, parameters.derive(&input)?.expose())))
        };
        match (self, password, key_file) {
            (Protection::Password(parameters), Some(password), _) => slow(parameters, input(password, &[])),
            (Protection::PasswordAndKeyFile(parameters), Some(password), Some(key_file)) => {
                slow(parameters, input(password, key_file))
            }
            (Protection::KeyFile(salt), _, Some(key_file)) if key_file.len() >= MIN_KEY_FILE_BYTES => {
                Ok(Some(subkey::derive(subkey::KEY_SLOT, &input(salt, key_file))))
            }
            _ => Ok(None),
        }
    }
}

/// What stands in clear in a key slot, and is bound to its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SlotHeader {
    /// Its name.
    pub slot: SlotId,
    /// Whose slot it is.
    pub repository: RepositoryId,
    /// The role's number.
    pub role: u16,
    /// A name for people.
    pub label: String,
    /// When it was made, in seconds since 1970 by the maker's clock.
    pub created_unix_seconds: i64,
    /// Which key epoch its secrets are of.
    pub key_epoch: u32,
    /// Under which name its holder signs.
    pub writer: WriterId,
    /// What opens it.
    pub protection: Protection,
    /// Room for newer programs.
    pub extensions: Vec<Extension>,
}

/// A key slot as it is stored.
#[derive(Debug, Clone, Encode, Decode)]
pub struct KeySlot {
    /// What stands in clear.
    pub header: SlotHeader,
    /// The root's signature over the header and the BLAKE3 of the sealed secrets: this writer is
    /// enrolled, and the slot is as it was made.
    pub enrolment: [u8; SIGNATURE_BYTES],
    /// [`SlotSecrets`], sealed; the header is associated data.
    pub sealed_secrets: Vec<u8>,
}

impl KeySlot {
    /// Seals `secrets` into a slot. `None` where `factors` are not those that the header wants.
    ///
    /// # Errors
    /// Derivation parameters out of bounds.
    pub fn seal(
        header: SlotHeader,
        secrets: &SlotSecrets,
        root: &Signing,
        nonce: [u8; NONCE_BYTES],
        factors: &Factors,
    ) -> Result<Option<Self>, DecodeError> {
        let Some(key) = header.protection.sealing_key(factors)? else { return Ok(None) };
        let mut sealed = codec::encode(secrets);
        seal::seal_in_place(&key, &nonce, &codec::encode(&header), &mut sealed);
        let sealed_secrets = [&nonce[..], &sealed].concat();
        let enrolment = root.sign(signature::ENROLMENT, &enrolment_message(&header, &sealed_secrets));
        Ok(Some(Self { header, enrolment, sealed_secrets }))
    }

    /// Opens the slot: `None` where the factors are not those that it wants or do not open it.
    ///
    /// # Errors
    /// Damaged or unsupported slots.
    pub fn open(&self, factors: &Factors) -> Result<Option<SlotSecrets>, DecodeError> {
        const WHAT: &str = "key slot";
        let Some(key) = self.header.protection.sealing_key(factors)? else { return Ok(None) };
        let (nonce, sealed) = self
            .sealed_secrets
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or_else(|| DecodeError::damaged(WHAT, "its secrets are too short"))?;
        let mut secrets = Zeroizing::new(sealed.to_vec());
        if seal::open_in_place(WHAT, &key, nonce, &codec::encode(&self.header), &mut secrets).is_err() {
            return Ok(None);
        }
        let secrets: SlotSecrets = codec::decode(WHAT, &secrets)?;
        self.verify_enrolment(&secrets.root())?;
        let fits = secrets.role().number() == self.header.role && secrets.signing().writer() == self.header.writer;
        if !fits {
            return Err(DecodeError::damaged(WHAT, "its secrets are of another role or writer"));
        }
        Ok(Some(secrets))
    }

    /// # Errors
    /// `NotAuthentic` where `root` did not enrol this writer, or where any byte of the slot is
    /// another one: damage shows without the slot's password.
    pub fn verify_enrolment(&self, root: &WriterId) -> Result<(), DecodeError> {
        let message = enrolment_message(&self.header, &self.sealed_secrets);
        signature::verify("key slot", root, signature::ENROLMENT, &message, &self.enrolment)
    }
}

fn enrolment_message(header: &SlotHeader, sealed_secrets: &[u8]) -> Vec<u8> {
    [codec::encode(header), blake3::hash(sealed_secrets).as_bytes().to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> SlotSecrets {
        SlotSecrets::Full(FullSecrets {
            id_secret: Secret32::new([1; 32]),
            content: EnvelopePrivateKey(Secret32::new([2; 32])),
            reference: EnvelopePrivateKey(Secret32::new([3; 32])),
            root_seed: Secret32::new([4; 32]),
        })
    }

    fn factors(password: Option<&str>, key_file: Option<&[u8]>) -> Factors {
        Factors {
            password: password.map(|text| SecretBytes::new(text.into())),
            key_file: key_file.map(|bytes| SecretBytes::new(bytes.into())),
        }
    }

    fn slot(protection: Protection, factors: &Factors) -> Option<KeySlot> {
        let header = SlotHeader {
            slot: SlotId([5; 16]),
            repository: RepositoryId([6; 16]),
            role: Role::Full.number(),
            label: "test".into(),
            created_unix_seconds: 7,
            key_epoch: 1,
            writer: secrets().signing().writer(),
            protection,
            extensions: vec![],
        };
        KeySlot::seal(header, &secrets(), &secrets().signing(), [8; NONCE_BYTES], factors).unwrap()
    }

    #[test]
    fn each_protection_wants_its_factors() {
        let kdf = KdfParameters::floor([9; 32]);
        let file: &[u8] = &[10; 32];
        let cases = [
            (Protection::Password(kdf), Some("password"), None),
            (Protection::PasswordAndKeyFile(kdf), Some("password"), Some(file)),
            (Protection::KeyFile([9; 32]), None, Some(file)),
        ];
        for (protection, password, key_file) in cases {
            let sealed = slot(protection, &factors(password, key_file)).unwrap();
            assert!(sealed.open(&factors(password, key_file)).unwrap().is_some(), "{protection:?}");
            assert!(sealed.open(&factors(None, None)).unwrap().is_none());
            if password.is_some() {
                assert!(sealed.open(&factors(Some("other"), key_file)).unwrap().is_none());
            }
            if key_file.is_some() {
                assert!(sealed.open(&factors(password, None)).unwrap().is_none());
                assert!(sealed.open(&factors(password, Some(&[11; 32]))).unwrap().is_none());
            }
        }
        assert!(slot(Protection::KeyFile([9; 32]), &factors(None, Some(&[1; 31]))).is_none());
    }

    #[test]
    fn a_certificate_is_for_one_writer_of_one_repository() {
        let (root, writer) = (secrets().signing(), WriterId([1; 32]));
        let certificate = Certificate::sign(&root, &RepositoryId([6; 16]), &writer);
        let check = |repository, writer| certificate.verify(&root.writer(), &RepositoryId(repository), &writer);
        check([6; 16], writer).unwrap();
        assert!(check([7; 16], writer).is_err());
        assert!(check([6; 16], WriterId([2; 32])).is_err());
        assert!(certificate.verify(&writer, &RepositoryId([6; 16]), &writer).is_err());
    }

    #[test]
    fn the_header_cannot_be_changed() {
        let opening = factors(None, Some(&[10; 32]));
        let mut sealed = slot(Protection::KeyFile([9; 32]), &opening).unwrap();
        sealed.verify_enrolment(&secrets().root()).unwrap();
        sealed.header.role = Role::Writer.number();
        assert!(sealed.open(&opening).unwrap().is_none());
        assert!(sealed.verify_enrolment(&secrets().root()).is_err());
    }
}
