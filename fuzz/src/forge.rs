//! A repository's keys, and everything that they can sign and seal: what a hostile writer has.
//!
//! Written from docs/FORMAT.md's layouts rather than with the repository's own writers, and without
//! random numbers, so that an input means the same in every process.

use holotype_core::chunker::ChunkerSettings;
use holotype_core::compress::{Compression, Compressor};
use holotype_core::envelope::{EnvelopePrivateKey, EnvelopePublicKey};
use holotype_core::frame::{FrameBuilder, FrameKind, FrameOrigin, PackKey};
use holotype_core::header::ObjectKind;
use holotype_core::identity::IdentityKeys;
use holotype_core::key_slot::{Factors, FullSecrets, KEY_SLOT, KeySlot, Protection, Role, SlotHeader, SlotSecrets};
use holotype_core::secret::{Secret32, SecretBytes};
use holotype_core::signature::{self, Signing, SigningContext};
use holotype_core::{ChunkId, ImageId, LeaseId, NodeId, PackId, RepositoryId, SlotId, codec};
use holotype_repo::image::{IMAGE, ImageRecord};
use holotype_repo::index::PackKind;
use holotype_repo::index::segment::{IndexSegment, SEGMENT, SegmentPack};
use holotype_repo::pack::{EncodedFooter, FrameEntry, OriginEntry, PackFooter, SealedTo};
use holotype_repo::repository::{CONFIG, RepositoryConfig, Trust};
use holotype_repo::store::{Folder, MemoryStore, ObjectKey, Store};
use holotype_repo::{Credentials, Repository};

/// The repository.
pub const REPOSITORY: RepositoryId = RepositoryId([0x11; 16]);
/// The key file of its only slot.
pub const KEY_FILE: [u8; 32] = [0x77; 32];
/// The salt of that slot.
pub const SLOT_SALT: [u8; 32] = [9; 32];
const SLOT: SlotId = SlotId([0x22; 16]);
const EPOCH: u32 = 1;
const FRESH: Secret32Bytes = [0x3C; 32];
type Secret32Bytes = [u8; 32];

/// An object and its place.
pub type Object = (ObjectKey, Vec<u8>);

/// The full secrets.
pub fn secrets() -> FullSecrets {
    FullSecrets {
        id_secret: Secret32::new([1; 32]),
        content: EnvelopePrivateKey(Secret32::new([2; 32])),
        reference: EnvelopePrivateKey(Secret32::new([3; 32])),
        root_seed: Secret32::new([4; 32]),
    }
}

/// The root's signing key, which is the full key's.
pub fn root() -> Signing {
    Signing::from_seed(&secrets().root_seed)
}

/// How chunks and nodes are named.
pub fn identity() -> IdentityKeys {
    IdentityKeys::new(&secrets().id_secret)
}

/// The key file as a slot wants it.
pub fn factors() -> Factors {
    Factors { password: None, key_file: Some(SecretBytes::new(KEY_FILE.to_vec())) }
}

/// A signed object with this record: true for config, lease and image.
pub fn signed(kind: &ObjectKind, context: SigningContext, record: Vec<u8>) -> Vec<u8> {
    let signature = root().sign(context, &record);
    kind.encode(&(record, signature))
}

/// `record` with these bytes at `offset`, where it is long enough.
pub fn splice(record: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut record = record.to_vec();
    if let Some(place) = record.get_mut(offset..offset + bytes.len()) {
        place.copy_from_slice(bytes);
    }
    record
}

/// The config.
pub fn config() -> RepositoryConfig {
    RepositoryConfig {
        repository: REPOSITORY,
        required_features: 0,
        optional_features: 0,
        lowest_writer_protocol: 1,
        chunker: ChunkerSettings { version: 1, minimum_bytes: 256, average_bytes: 1024, maximum_bytes: 4096 },
        pack_bytes: 64 << 10,
        trust: Trust::FullKeysOnly,
        key_epoch: EPOCH,
        content: secrets().content.public(),
        reference: secrets().reference.public(),
        root: root().writer(),
        extensions: Vec::new(),
    }
}

/// The slot's header.
pub fn slot_header() -> SlotHeader {
    SlotHeader {
        slot: SLOT,
        repository: REPOSITORY,
        role: Role::Full.number(),
        label: "first".into(),
        created_unix_seconds: 1_700_000_000,
        key_epoch: EPOCH,
        writer: root().writer(),
        protection: Protection::KeyFile(SLOT_SALT),
        extensions: Vec::new(),
    }
}

/// The key slot.
pub fn key_slot() -> KeySlot {
    KeySlot::seal(slot_header(), &SlotSecrets::Full(secrets()), &root(), [5; 24], &factors())
        .expect("a key file needs no derivation")
        .expect("the key file is there")
}

fn envelope(public: &EnvelopePublicKey, data: &[u8], plaintext: &[u8]) -> Vec<u8> {
    public.seal(&Secret32::new(FRESH), data, plaintext).expect("a usable public key")
}

fn origin(sealed_to: SealedTo) -> (OriginEntry, PackKey) {
    let (salt, private) = match sealed_to {
        SealedTo::Content => ([0xC0; 32], secrets().content),
        SealedTo::Reference => ([0xEF; 32], secrets().reference),
    };
    let secret = Secret32::new([0xAB; 32]);
    let data = codec::encode(&(REPOSITORY, salt, EPOCH));
    let sealed_key = envelope(&private.public(), &data, secret.expose());
    (OriginEntry { salt, key_epoch: EPOCH, sealed_to, sealed_key }, PackKey::new(&secret))
}

/// A footer that signs this record, whatever it is.
pub fn footer(record: &[u8]) -> EncodedFooter {
    let mut bytes = record.to_vec();
    bytes.extend_from_slice(&root().sign(signature::FOOTER, record));
    bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[1, 0, 0, 0]);
    bytes.extend_from_slice(b"HOLOPACK");
    EncodedFooter(bytes)
}

/// A pack.
pub struct Pack {
    /// Its name.
    pub id: PackId,
    /// Its place and bytes.
    pub object: Object,
    /// Its footer.
    pub footer: EncodedFooter,
    /// Its footer's record.
    pub record: PackFooter,
}

/// Chunks with their ids.
pub type NamedChunks = Vec<(ChunkId, Vec<u8>)>;
/// A node's references and layout, as they are stored.
pub type Parts = (Vec<u8>, Vec<u8>);

/// A pack of these frames.
pub fn pack(kind: PackKind, frames: &[(FrameKind, NamedChunks)]) -> Pack {
    let origins = [origin(SealedTo::Content), origin(SealedTo::Reference)];
    let (mut bytes, mut entries) = (Vec::new(), Vec::new());
    let mut compressor = Compressor::new(Compression::Zstd(1));
    for (number, (frame_kind, chunks)) in (0u32..).zip(frames) {
        let origin = usize::from(*frame_kind == FrameKind::References);
        let mut builder = FrameBuilder::new(*frame_kind);
        chunks.iter().for_each(|(id, chunk)| builder.push(*id, chunk));
        let frame = builder.take(&mut compressor).expect("frames are not empty");
        let (entry, key) = &origins[origin];
        let place = FrameOrigin { salt: entry.salt, number, key_epoch: EPOCH };
        let sealed = frame.seal(&REPOSITORY, key, &place);
        entries.push(FrameEntry {
            bytes: sealed.bytes.len() as u32,
            kind: *frame_kind as u8,
            origin: origin as u32,
            number,
            ids: if *frame_kind == FrameKind::Layouts { Vec::new() } else { sealed.ids },
        });
        bytes.extend_from_slice(&sealed.bytes);
    }
    let record = PackFooter {
        repository: REPOSITORY,
        kind,
        writer: root().writer(),
        frames_hash: *blake3::hash(&bytes).as_bytes(),
        origins: origins.into_iter().map(|(entry, _)| entry).collect(),
        frames: entries,
        extensions: Vec::new(),
    };
    let footer = footer(&codec::encode(&record));
    bytes.extend_from_slice(&footer.0);
    let id = footer.pack_id();
    let folder = if kind == PackKind::Data { Folder::Packs } else { Folder::Meta };
    Pack { id, object: (ObjectKey::of(folder, id), bytes), footer, record }
}

/// The segment over these packs.
pub fn segment(packs: &[&Pack]) -> Vec<u8> {
    let packs = packs
        .iter()
        .map(|pack| SegmentPack { pack_bytes: pack.object.1.len() as u64, footer: pack.footer.clone() })
        .collect();
    SEGMENT.encode(&IndexSegment { repository: REPOSITORY, supersedes: vec![], packs, extensions: vec![] })
}

/// An image's record whose envelopes hold these parts, whatever they are.
pub fn image_record(root_part: &[u8], summary: &[u8], detail: &[u8]) -> ImageRecord {
    let data = |part: &str| codec::encode(&(REPOSITORY, part.to_owned()));
    let (content, reference) = (secrets().content.public(), secrets().reference.public());
    ImageRecord {
        repository: REPOSITORY,
        writer: root().writer(),
        certificate: None,
        sequence: 1,
        previous: None,
        lease: LeaseId([0x33; 16]),
        key_epoch: EPOCH,
        sealed_root: envelope(&reference, &data("image root"), root_part),
        sealed_summary: envelope(&content, &data("image summary"), summary),
        sealed_detail: envelope(&content, &data("image detail"), detail),
        extensions: Vec::new(),
    }
}

/// An image's object with these parts.
pub fn image(root_part: &[u8], summary: &[u8], detail: &[u8]) -> (ImageId, Object) {
    let record = codec::encode(&image_record(root_part, summary, detail));
    let bytes = signed(&IMAGE, signature::IMAGE, record);
    let id = ImageId(*blake3::hash(&bytes).as_bytes());
    (id, (ObjectKey::of(Folder::Images, id), bytes))
}

/// The summary of an image of `source_bytes`.
pub fn summary(source_bytes: u64) -> Vec<u8> {
    let tags = vec![("room".to_owned(), "3".to_owned())];
    codec::encode(&("disk".to_owned(), 1_700_000_000i64, 5i32, source_bytes, false, tags))
}

/// The detail of an image with this manifest and these unreadable ranges.
pub fn detail(root: &NodeId, unreadable: &[(u64, u64)]) -> Vec<u8> {
    let none = None::<String>;
    let origin = (*root, None::<[u8; 32]>, 512u32, 512u32, "memory".to_owned(), none.clone(), none.clone());
    let figures = (none.clone(), none, 1u64, 2u64, 3u64, unreadable.to_vec(), 6u64, true);
    let rest = (None::<ImageId>, vec!["a warning".to_owned()], "holotype 0".to_owned(), Vec::<(u32, Vec<u8>)>::new());
    codec::encode(&(origin, figures, rest))
}

/// References and layout of a leaf of these chunks and zero runs (`None`, length).
pub fn leaf(extents: &[(Option<ChunkId>, u64)]) -> (Vec<u8>, Vec<u8>) {
    let mut ids: Vec<[u8; 32]> = extents.iter().filter_map(|(id, _)| id.map(|id| id.0)).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut layout = (extents.len() as u64).to_le_bytes().to_vec();
    for (id, bytes) in extents {
        match id {
            Some(id) => {
                let reference = ids.binary_search(&id.0).expect("it is one of them") as u32;
                layout.extend(codec::encode(&(0u32, reference, *bytes as u32)));
            }
            None => layout.extend(codec::encode(&(1u32, *bytes))),
        }
    }
    (codec::encode(&(false, ids)), layout)
}

/// References and layout of an inner node.
pub fn inner(children: &[(NodeId, u64)]) -> (Vec<u8>, Vec<u8>) {
    let mut ids: Vec<[u8; 32]> = children.iter().map(|(id, _)| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let child = |(id, bytes): &(NodeId, u64)| (ids.binary_search(&id.0).expect("it is one of them") as u32, *bytes);
    let layout: Vec<(u32, u64)> = children.iter().map(child).collect();
    (codec::encode(&(true, &ids)), codec::encode(&layout))
}

/// A pack of these nodes, and their names.
pub fn node_pack(nodes: &[Parts]) -> (Vec<NodeId>, Pack) {
    let identity = identity();
    let ids: Vec<NodeId> = nodes.iter().map(|(references, layout)| identity.node_id(references, layout)).collect();
    let part = |take: fn(&Parts) -> &Vec<u8>| {
        nodes.iter().zip(&ids).map(|(node, id)| (ChunkId(id.0), take(node).clone())).collect::<Vec<_>>()
    };
    let frames = [(FrameKind::References, part(|node| &node.0)), (FrameKind::Layouts, part(|node| &node.1))];
    let pack = pack(PackKind::Meta, &frames);
    (ids, pack)
}

/// A small disk: its chunks one after another, with zeros between.
pub fn chunks() -> Vec<Vec<u8>> {
    let text = |word: &str, times| word.repeat(times).into_bytes();
    let mut noise = Vec::new();
    for number in 0u8..24 {
        noise.extend_from_slice(blake3::hash(&[number]).as_bytes());
    }
    vec![text("one chunk ", 70), text("another ", 40), noise, vec![0xA5; 1]]
}

/// Everything that every open needs: config and key slot.
pub fn base_objects() -> Vec<Object> {
    let config = signed(&CONFIG, signature::CONFIG, codec::encode(&config()));
    vec![(ObjectKey::config(), config), (ObjectKey::of(Folder::Keys, SLOT), KEY_SLOT.encode(&key_slot()))]
}

/// The pack of [`chunks`], in two frames, and their names.
pub fn chunk_pack() -> (Vec<ChunkId>, Pack) {
    let identity = identity();
    let named: Vec<_> = chunks().into_iter().map(|chunk| (identity.chunk_id(&chunk), chunk)).collect();
    let ids = named.iter().map(|(id, _)| *id).collect();
    let frames = [(FrameKind::Chunks, named[..2].to_vec()), (FrameKind::Chunks, named[2..].to_vec())];
    (ids, pack(PackKind::Data, &frames))
}

/// A whole repository of one image.
pub struct Sound {
    /// Its objects.
    pub objects: Vec<Object>,
    /// The image.
    pub image: ImageId,
    /// Its manifest's root.
    pub root: NodeId,
    /// What the image's disk holds.
    pub disk: Vec<u8>,
}

/// A repository without damage: two leaves under an inner node.
pub fn sound() -> Sound {
    let (ids, data) = chunk_pack();
    let chunks = chunks();
    let length = |at: usize| chunks[at].len() as u64;
    let zeros = 4096u64;
    let first = leaf(&[(Some(ids[0]), length(0)), (None, zeros), (Some(ids[1]), length(1))]);
    let second = leaf(&[(Some(ids[2]), length(2)), (Some(ids[0]), length(0)), (Some(ids[3]), length(3))]);
    let (first_bytes, second_bytes) = (length(0) + zeros + length(1), length(2) + length(0) + length(3));
    let identity = identity();
    let name = |node: &Parts| identity.node_id(&node.0, &node.1);
    let top = inner(&[(name(&first), first_bytes), (name(&second), second_bytes)]);
    let (nodes, meta) = node_pack(&[first, second, top]);
    let source_bytes = first_bytes + second_bytes;
    let (image, image_object) = image(&nodes[2].0, &summary(source_bytes), &detail(&nodes[2], &[]));
    let segment = segment(&[&data, &meta]);
    let segment_key = ObjectKey::of(Folder::Index, PackId(*blake3::hash(&segment).as_bytes()));
    let mut objects = base_objects();
    objects.extend([data.object, meta.object, (segment_key, segment), image_object]);
    let zeros = vec![0; zeros as usize];
    let disk = [&chunks[0], &zeros, &chunks[1], &chunks[2], &chunks[0], &chunks[3]].map(Vec::as_slice).concat();
    Sound { objects, image, root: nodes[2], disk }
}

/// Opens a repository of these objects.
///
/// # Errors
/// Those of [`Repository::open`].
pub fn open(objects: &[Object]) -> holotype_repo::Result<Repository> {
    let store = MemoryStore::new();
    for (key, bytes) in objects {
        store.put(key, &[bytes])?;
    }
    Repository::open(store, &Credentials::key_file(KEY_FILE))
}
