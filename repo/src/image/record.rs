//! The image object.
//!
//! In clear stands only what keeps the store in order: writer, sequence number, previous image,
//! lease. Three envelopes follow: the manifest's root for who keeps house (reference key), a
//! summary and the detail for who restores (content key). With an image password, the detail is
//! sealed a second time under it.

use crate::disk::{Geometry, SourceIdentity};
use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::keys::Keyring;
use crate::random;
use bincode::{Decode, Encode};
use holotype_core::header::ObjectKind;
use holotype_core::kdf::KdfParameters;
use holotype_core::key_slot::{Certificate, Extension};
use holotype_core::layout::DiskLayout;
use holotype_core::seal::{self, NONCE_BYTES};
use holotype_core::secret::Secret32;
use holotype_core::signature::{self, Signing};
use holotype_core::signed;
use holotype_core::{DecodeError, ImageId, LeaseId, NodeId, RepositoryId, WriterId, codec, subkey};
use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

/// The objects `images/IMAGE`.
pub const IMAGE: ObjectKind = ObjectKind { code: *b"imag", version: 1, name: "image" };

/// Longest name of an image in bytes.
const MAX_NAME_BYTES: usize = 255;

/// Whether `name` is of the form `[A-Za-z0-9._/-]+`, at most 255 bytes.
pub fn valid_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._/-".contains(&c);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

/// Whether key and value can be a tag: a key like a name, a value without control characters.
pub fn valid_tag(key: &str, value: &str) -> bool {
    valid_name(key) && value.len() <= 1024 && !value.chars().any(char::is_control)
}

/// What stands in clear, signed by the writer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct ImageRecord {
    /// Whose repository.
    pub repository: RepositoryId,
    /// Who wrote it.
    pub writer: WriterId,
    /// The root's word that the writer is enrolled; absent where the root itself wrote it.
    pub certificate: Option<Certificate>,
    /// Number of this image among its writer's, from 1. Writers at work at once may give it twice.
    pub sequence: u64,
    /// The newest image that the writer knew of its own.
    pub previous: Option<ImageId>,
    /// The lease it was published under: revoked means not published.
    pub lease: LeaseId,
    /// Which of the repository's keys the envelopes are sealed to.
    pub key_epoch: u32,
    /// The manifest's root, sealed to the reference key.
    pub sealed_root: Vec<u8>,
    /// `ImageSummary`, sealed to the content key.
    pub sealed_summary: Vec<u8>,
    /// `ImageDetail`, or `ProtectedDetail` where there is an image password, sealed to the
    /// content key.
    pub sealed_detail: Vec<u8>,
    /// Room for newer programs.
    pub extensions: Vec<Extension>,
}

/// What a listing shows.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ImageSummary {
    pub name: String,
    pub time_seconds: i64,
    pub time_nanoseconds: i32,
    pub source_bytes: u64,
    pub protected: bool,
    pub tags: Vec<(String, String)>,
}

/// Everything else.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ImageDetail {
    pub root: NodeId,
    /// Under which the layouts are sealed and node ids keyed, where there is an image password.
    pub image_secret: Option<[u8; 32]>,
    pub logical_sector_bytes: u32,
    pub physical_sector_bytes: u32,
    pub source_path: String,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub bus: Option<String>,
    pub host: Option<String>,
    pub data_bytes: u64,
    pub zero_bytes: u64,
    pub free_bytes: u64,
    pub unreadable: Vec<(u64, u64)>,
    pub chunks: u64,
    pub raw: bool,
    pub parent: Option<ImageId>,
    pub warnings: Vec<String>,
    pub program: String,
    pub extensions: Vec<Extension>,
}

/// A detail under an image password.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ProtectedDetail {
    pub kdf: KdfParameters,
    pub nonce: [u8; NONCE_BYTES],
    pub sealed: Vec<u8>,
}

/// The key from an image password.
pub(crate) struct ImagePassword {
    kdf: KdfParameters,
    key: Secret32,
}

impl ImagePassword {
    pub fn new(password: &[u8], fast_derivation: bool) -> Result<Self> {
        let salt = random::bytes()?;
        let kdf = if fast_derivation { KdfParameters::floor(salt) } else { KdfParameters::new(salt) };
        Self::derive(kdf, password)
    }

    fn derive(kdf: KdfParameters, password: &[u8]) -> Result<Self> {
        let slow = kdf.derive(password).about("image password")?;
        Ok(Self { kdf, key: subkey::derive(subkey::IMAGE_PASSWORD, slow.expose()) })
    }
}

fn envelope_data(repository: &RepositoryId, part: &str) -> Vec<u8> {
    codec::encode(&(*repository, part.to_owned()))
}

const ROOT_PART: &str = "image root";
const SUMMARY_PART: &str = "image summary";
const DETAIL_PART: &str = "image detail";

impl ImageRecord {
    /// Seals an image's parts. Sequence, previous and lease are the caller's.
    pub(crate) fn seal(
        keyring: &Keyring,
        (sequence, previous, lease): (u64, Option<ImageId>, LeaseId),
        summary: &ImageSummary,
        detail: &ImageDetail,
        password: Option<&ImagePassword>,
    ) -> Result<Self> {
        let repository = keyring.repository();
        let seal = |public: holotype_core::envelope::EnvelopePublicKey, part: &str, plaintext: &[u8]| {
            public
                .seal(&random::secret()?, &envelope_data(&repository, part), plaintext)
                .ok_or_else(|| Error::new(ErrorKind::Damaged, "config", "its public key is none"))
        };
        let mut detail_bytes = Zeroizing::new(codec::encode(detail));
        if let Some(password) = password {
            let nonce = random::bytes()?;
            let mut sealed = detail_bytes.to_vec();
            seal::seal_in_place(&password.key, &nonce, repository.as_bytes(), &mut sealed);
            *detail_bytes = codec::encode(&ProtectedDetail { kdf: password.kdf, nonce, sealed });
        }
        Ok(Self {
            repository,
            writer: keyring.writer(),
            certificate: keyring.certificate(),
            sequence,
            previous,
            lease,
            key_epoch: keyring.key_epoch(),
            sealed_root: seal(keyring.reference_public(), ROOT_PART, detail.root.as_bytes())?,
            sealed_summary: seal(keyring.content_public(), SUMMARY_PART, &codec::encode(summary))?,
            sealed_detail: seal(keyring.content_public(), DETAIL_PART, &detail_bytes)?,
            extensions: Vec::new(),
        })
    }

    /// The object's bytes, signed, and its name.
    #[doc(hidden)] // public for tests that forge
    pub fn encode(&self, signing: &Signing) -> (ImageId, Vec<u8>) {
        let object = signed::encode(&IMAGE, signature::IMAGE, self, signing);
        (ImageId(*blake3::hash(&object).as_bytes()), object)
    }

    /// Reads an image object and checks its signature.
    ///
    /// # Errors
    /// Damaged, not authentic or unsupported.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let record: ImageRecord =
            signed::decode(&IMAGE, signature::IMAGE, bytes, |record: &ImageRecord| record.writer)?;
        Ok(record)
    }

    /// # Errors
    /// `NotAuthentic` where the writer is neither the root nor one that the root certified: public
    /// keys stand in clear in the store, so that anyone could seal an image to them.
    pub(crate) fn check_writer(&self, root: &WriterId) -> Result<(), DecodeError> {
        match &self.certificate {
            _ if self.writer == *root => Ok(()),
            Some(certificate) => certificate.verify(root, &self.repository, &self.writer),
            None => Err(DecodeError::NotAuthentic { what: "writer certificate" }),
        }
    }

    pub(crate) fn open_summary(&self, keyring: &Keyring) -> Result<ImageSummary> {
        let plaintext = self.open(keyring, SUMMARY_PART, &self.sealed_summary)?;
        codec::decode(IMAGE.name, &plaintext).about("image summary")
    }

    pub(crate) fn open_root(&self, keyring: &Keyring) -> Result<NodeId> {
        let private = keyring
            .reference_private()
            .ok_or_else(|| Error::new(ErrorKind::NotAllowed, "image", "this key may not see references"))?;
        let data = envelope_data(&self.repository, ROOT_PART);
        let plaintext = private.open(IMAGE.name, &data, &self.sealed_root).about("image root")?;
        let root = plaintext.as_slice().try_into().map_err(|_| DecodeError::damaged(IMAGE.name, "its root is none"));
        Ok(NodeId(root.about("image root")?))
    }

    fn open(&self, keyring: &Keyring, part: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let private = keyring.content_private().ok_or_else(|| {
            Error::new(ErrorKind::NotAllowed, "image", "a writer key may add images and open none")
                .advise("use a full key")
        })?;
        private.open(IMAGE.name, &envelope_data(&self.repository, part), sealed).about(part)
    }

    pub(crate) fn open_detail(
        &self,
        keyring: &Keyring,
        protected: bool,
        password: Option<&[u8]>,
    ) -> Result<ImageDetail> {
        let plaintext = self.open(keyring, DETAIL_PART, &self.sealed_detail)?;
        if !protected {
            return codec::decode(IMAGE.name, &plaintext).about(DETAIL_PART);
        }
        let wrong = |why: &str| Error::new(ErrorKind::WrongPassword, "image", why);
        let password = password
            .ok_or_else(|| wrong("it has a password of its own").advise("give it with --image-password-file"))?;
        let detail: ProtectedDetail = codec::decode(IMAGE.name, &plaintext).about(DETAIL_PART)?;
        let key = ImagePassword::derive(detail.kdf, password)?.key;
        let mut opened = Zeroizing::new(detail.sealed);
        seal::open_in_place(IMAGE.name, &key, &detail.nonce, self.repository.as_bytes(), &mut opened)
            .map_err(|_| wrong("its own password is another one"))?;
        codec::decode(IMAGE.name, &opened).about(DETAIL_PART)
    }
}

impl ImageDetail {
    /// Size and sectors of the disk, of this length.
    pub fn geometry(&self, source_bytes: u64) -> Geometry {
        Geometry {
            bytes: Some(source_bytes),
            logical_sector_bytes: self.logical_sector_bytes,
            physical_sector_bytes: self.physical_sector_bytes,
        }
    }

    /// What was known of the disk.
    pub fn source(&self) -> SourceIdentity {
        SourceIdentity {
            path: self.source_path.clone(),
            model: self.model.clone(),
            serial: self.serial.clone(),
            bus: self.bus.clone(),
            host: self.host.clone(),
            mounted_read_write_at: Vec::new(),
        }
    }
}

/// An image whose parts were opened.
#[derive(Debug, Clone)]
pub(crate) struct OpenedImage {
    pub id: ImageId,
    pub summary: ImageSummary,
    pub detail: ImageDetail,
    pub record: ImageRecord,
}

impl OpenedImage {
    pub fn image_secret(&self) -> Option<Secret32> {
        self.detail.image_secret.map(Secret32::new)
    }
}

/// An image as callers see it.
#[derive(Debug, Clone, Serialize)]
pub struct Image {
    /// Its id.
    pub image: ImageId,
    /// Its name; several images may have it.
    pub name: String,
    /// When the backup began, by the writer's clock.
    pub time: Timestamp,
    /// Length of the disk in bytes.
    pub source_bytes: u64,
    /// Tags.
    pub tags: std::collections::BTreeMap<String, String>,
    /// Whether it has a password of its own.
    pub protected: bool,
    /// Who wrote it.
    pub writer: WriterId,
    /// What only the opened image tells.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// What only an opened image tells.
#[derive(Debug, Clone, Serialize)]
pub struct Detail {
    /// Size and sectors of the source.
    pub geometry: Geometry,
    /// What was known of the source.
    pub source: SourceIdentity,
    /// Bytes in chunks.
    pub data_bytes: u64,
    /// Bytes in zero runs.
    pub zero_bytes: u64,
    /// Bytes not in use by any filesystem.
    pub free_bytes: u64,
    /// Bytes that could not be read.
    pub unreadable_bytes: u64,
    /// Ranges that could not be read, as offset and length in bytes.
    pub unreadable: Vec<(u64, u64)>,
    /// References to chunks.
    pub chunks: u64,
    /// Whether every sector was kept, without allocation maps.
    pub raw: bool,
    /// The image that it was compared with.
    pub parent: Option<ImageId>,
    /// What the backup warned of.
    pub warnings: Vec<String>,
    /// Name and version of the program that made it.
    pub program: String,
    /// Partition table and volumes; absent in images of the first programs, and of streams.
    pub layout: Option<DiskLayout>,
}

impl ImageSummary {
    pub fn time(&self) -> Timestamp {
        Timestamp::new(self.time_seconds, self.time_nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Image {
    pub(crate) fn new(
        image: ImageId,
        record: &ImageRecord,
        summary: &ImageSummary,
        detail: Option<&ImageDetail>,
    ) -> Self {
        Self {
            image,
            name: summary.name.clone(),
            time: summary.time(),
            source_bytes: summary.source_bytes,
            tags: summary.tags.iter().cloned().collect(),
            protected: summary.protected,
            writer: record.writer,
            detail: detail.map(|detail| Detail {
                geometry: detail.geometry(summary.source_bytes),
                source: detail.source(),
                data_bytes: detail.data_bytes,
                zero_bytes: detail.zero_bytes,
                free_bytes: detail.free_bytes,
                unreadable_bytes: detail.unreadable.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes)),
                unreadable: detail.unreadable.clone(),
                chunks: detail.chunks,
                raw: detail.raw,
                parent: detail.parent,
                warnings: detail.warnings.clone(),
                program: detail.program.clone(),
                layout: super::layout::from_extensions(&detail.extensions).unwrap_or_default(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags() {
        for good in ["a", "lab-3/pc-07", "A.b_c", &"x".repeat(255)] {
            assert!(valid_name(good), "{good}");
        }
        for bad in ["", "a b", "a@b", "é", "a\n", &"x".repeat(256)] {
            assert!(!valid_name(bad), "{bad}");
        }
        assert!(valid_tag("room", "3 left"));
        assert!(!valid_tag("", "x") && !valid_tag("room", "a\nb"));
    }
    #[test]
    fn unreadable_ranges_of_any_length_are_summed() {
        let detail = ImageDetail {
            root: NodeId([1; 32]),
            image_secret: None,
            logical_sector_bytes: 512,
            physical_sector_bytes: 512,
            source_path: String::new(),
            model: None,
            serial: None,
            bus: None,
            host: None,
            data_bytes: 0,
            zero_bytes: 0,
            free_bytes: 0,
            unreadable: vec![(0, u64::MAX), (0, 2)],
            chunks: 0,
            raw: true,
            parent: None,
            warnings: Vec::new(),
            program: String::new(),
            extensions: Vec::new(),
        };
        let summary = ImageSummary {
            name: "a".into(),
            time_seconds: i64::MAX,
            time_nanoseconds: -1,
            source_bytes: 0,
            protected: false,
            tags: Vec::new(),
        };
        let record = ImageRecord {
            repository: RepositoryId([2; 16]),
            writer: WriterId([3; 32]),
            certificate: None,
            sequence: 1,
            previous: None,
            lease: LeaseId([4; 16]),
            key_epoch: 1,
            sealed_root: Vec::new(),
            sealed_summary: Vec::new(),
            sealed_detail: Vec::new(),
            extensions: Vec::new(),
        };
        let image = Image::new(ImageId([5; 32]), &record, &summary, Some(&detail));
        assert_eq!(image.detail.unwrap().unreadable_bytes, u64::MAX);
        assert_eq!(image.time, Timestamp::UNIX_EPOCH);
    }
}
