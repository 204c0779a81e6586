//! Packs: index segments, footers, frames and the envelopes of their keys.

use crate::forge;
use crate::input::{Input, part};
use holotype_core::DecodeError;
use holotype_core::codec;
use holotype_core::compress::{Compression, Compressor, Decompressor};
use holotype_core::frame::{self, FRAME_HEADER_BYTES, FrameKind, FrameOrigin, OpenedFrame, PackKey};
use holotype_core::frame::{MAX_FRAME_CHUNKS, MAX_FRAME_PLAINTEXT_BYTES};
use holotype_core::secret::Secret32;
use holotype_core::{seal, signature, subkey};
use holotype_repo::index::MAX_FRAMES;
use holotype_repo::index::segment::{IndexSegment, SEGMENT, SegmentPack};
use holotype_repo::index::{ChunkIndex, MemoryIndex, PackContents};
use holotype_repo::pack::{EncodedFooter, PackFooter};

const FOOTER_WRITER_OFFSET: usize = 16 + 4;
const ORIGIN: FrameOrigin = FrameOrigin { salt: [8; 32], number: 3, key_epoch: 1 };

fn pack_secret() -> Secret32 {
    Secret32::new([0x5A; 32])
}

/// What was decoded must be something that an index takes in: else one pack keeps all from opening.
fn index_takes(packs: &[PackContents]) {
    MemoryIndex::new().insert(packs, &[]).expect("an index takes in what a decoder lets through");
}

/// As an object; then a row of footer records, each signed by the harness.
pub fn index_segment(data: &[u8]) {
    if let Ok(packs) = IndexSegment::decode(data, &forge::REPOSITORY) {
        index_takes(&packs);
    }
    let mut input = Input::new(data);
    let mut packs = Vec::new();
    while !input.is_empty() && packs.len() < 8 {
        let off_by = u64::from(input.u8() % 8 / 7);
        let record = forge::splice(input.part(), FOOTER_WRITER_OFFSET, forge::root().writer().as_bytes());
        let footer = forge::footer(&record);
        let frames_bytes = footer.decode(&forge::REPOSITORY).map_or(0, |footer| footer.frames_bytes());
        packs.push(SegmentPack { pack_bytes: frames_bytes + footer.0.len() as u64 + off_by, footer });
    }
    let segment = IndexSegment { repository: forge::REPOSITORY, supersedes: vec![], packs, extensions: vec![] };
    if let Ok(packs) = IndexSegment::decode(&SEGMENT.encode(&segment), &forge::REPOSITORY) {
        assert_eq!(packs.len(), segment.packs.len());
        index_takes(&packs);
    }
}

pub fn index_segment_seeds() -> Vec<Vec<u8>> {
    let (_, data) = forge::chunk_pack();
    let record = codec::encode(&data.record);
    vec![forge::segment(&[&data]), [&[0][..], &part(&record), &[0], &part(&record)].concat()]
}

/// As a footer with its trailer; then as a record under a right signature.
pub fn pack_footer(data: &[u8]) {
    check_footer(&EncodedFooter(data.to_vec()));
    check_footer(&forge::footer(&forge::splice(data, FOOTER_WRITER_OFFSET, forge::root().writer().as_bytes())));
}

fn check_footer(encoded: &EncodedFooter) {
    let Ok(footer) = encoded.decode(&forge::REPOSITORY) else { return };
    let record = &encoded.0[..encoded.0.len() - 16 - signature::SIGNATURE_BYTES];
    assert_eq!(codec::encode(&footer), record, "a second form of the same record");
    let offsets = footer.frame_offsets();
    assert_eq!(offsets.len(), footer.frames.len());
    assert!(offsets.is_sorted() && offsets.last().is_some_and(|last| *last < footer.frames_bytes()));
    assert!(footer.frames.len() <= MAX_FRAMES, "more frames than an index takes in");
}

pub fn pack_footer_seeds() -> Vec<Vec<u8>> {
    let (_, data) = forge::chunk_pack();
    let (_, meta) = forge::node_pack(&[forge::leaf(&[(None, 4096)])]);
    let record = |footer: &PackFooter| codec::encode(footer);
    assert_eq!(record(&data.record)[FOOTER_WRITER_OFFSET..][..32], forge::root().writer().0);
    vec![data.footer.0.clone(), record(&data.record), record(&meta.record)]
}

fn check_opened(opened: &Result<OpenedFrame, DecodeError>) {
    let Ok(frame) = opened else { return };
    assert!((1..=MAX_FRAME_CHUNKS).contains(&frame.len()) && frame.chunk_bytes() <= MAX_FRAME_PLAINTEXT_BYTES);
    let chunk = |slot: usize| frame.chunk(slot as u32).expect("a slot below its number of chunks");
    let sum: usize = (0..frame.len()).map(|slot| chunk(slot).len()).sum();
    assert_eq!(sum, frame.chunk_bytes());
    let all = frame.chunks(0, frame.len() as u32 - 1).expect("from the first to the last");
    assert_eq!(all.len(), sum);
    assert!(frame.chunk(frame.len() as u32).is_none());
    assert!(frame.len() < 2 || frame.chunks(1, 0).is_none_or(<[u8]>::is_empty));
}

fn open(mut bytes: Vec<u8>, kind: FrameKind) -> Result<OpenedFrame, DecodeError> {
    let key = PackKey::new(&pack_secret());
    OpenedFrame::open(&mut bytes, kind, &forge::REPOSITORY, &key, &ORIGIN, &mut Decompressor::default())
}

/// Seals `payload` behind a frame header, which need not be a right one.
fn seal_frame(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = header.to_vec();
    bytes.resize(FRAME_HEADER_BYTES, 0);
    let mut data = [0; 64];
    data[..16].copy_from_slice(forge::REPOSITORY.as_bytes());
    data[16..24].copy_from_slice(&bytes[..8]);
    data[24..56].copy_from_slice(&ORIGIN.salt);
    data[56..60].copy_from_slice(&ORIGIN.number.to_le_bytes());
    data[60..].copy_from_slice(&ORIGIN.key_epoch.to_le_bytes());
    let mut nonce = [0; 24];
    nonce.copy_from_slice(&bytes[12..]);
    let key = subkey::derive(subkey::FRAME_SEAL, pack_secret().expose());
    bytes.extend_from_slice(payload);
    seal::seal_tail_in_place(&key, &nonce, &data, &mut bytes, FRAME_HEADER_BYTES);
    bytes
}

fn header(sealed_bytes: usize) -> Vec<u8> {
    [&b"HFrm\x01\x01\x01\x00"[..], &(sealed_bytes as u32).to_le_bytes(), &[0x4E; 24]].concat()
}

/// As a frame; then as a header before a sound payload, sealed by the harness.
pub fn frame(data: &[u8]) {
    for kind in [FrameKind::Chunks, FrameKind::References, FrameKind::Layouts] {
        check_opened(&open(data.to_vec(), kind));
    }
    let (start, payload) = data.split_at(data.len().min(FRAME_HEADER_BYTES));
    check_opened(&open(seal_frame(start, payload), FrameKind::Chunks));
}

pub fn frame_seeds() -> Vec<Vec<u8>> {
    let payload = payload(0, &plaintext(&[b"abc", b"de"]));
    let sealed = seal_frame(&header(payload.len() + seal::TAG_BYTES), &payload);
    assert!(open(sealed.clone(), FrameKind::Chunks).is_ok(), "the harness seals as a frame is sealed");
    vec![sealed, [header(payload.len() + seal::TAG_BYTES), payload].concat()]
}

/// Past the seal: as a payload; as a plaintext that is stored; as one that is compressed by zstd.
pub fn frame_payload(data: &[u8]) {
    check_opened(&frame::decode_opened(data));
    let sealed = seal_frame(&header(data.len() + seal::TAG_BYTES), data);
    assert_eq!(open(sealed, FrameKind::Chunks).is_ok(), frame::decode_opened(data).is_ok());
    check_opened(&frame::decode_opened(&payload(0, data)));
    let mut compressor = Compressor::new(Compression::Zstd(1));
    let (method, body) = compressor.compress(data);
    let compressed = [&[method as u8, 0, 0, 0][..], &(data.len() as u32).to_le_bytes(), body].concat();
    let opened = frame::decode_opened(&compressed);
    assert_eq!(opened.is_ok(), frame::decode_opened(&payload(0, data)).is_ok());
    check_opened(&opened);
}

fn plaintext(chunks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = (chunks.len() as u32).to_le_bytes().to_vec();
    bytes.extend(chunks.iter().flat_map(|chunk| (chunk.len() as u32).to_le_bytes()));
    bytes.extend_from_slice(&chunks.concat());
    bytes
}

fn payload(method: u8, body: &[u8]) -> Vec<u8> {
    [&[method, 0, 0, 0][..], &(body.len() as u32).to_le_bytes(), body].concat()
}

pub fn frame_payload_seeds() -> Vec<Vec<u8>> {
    let plain = plaintext(&[&b"compressible ".repeat(100), b"", b"x"]);
    let mut compressor = Compressor::new(Compression::Zstd(3));
    let (method, body) = compressor.compress(&plain);
    let zstd = [&[method as u8, 0, 0, 0][..], &(plain.len() as u32).to_le_bytes(), body].concat();
    vec![zstd, payload(0, &plaintext(&[b"abc", b"de"])), plain]
}

/// As an envelope; then as a plaintext that must come back.
pub fn envelope(data: &[u8]) {
    let private = forge::secrets().content;
    let _ = private.open("envelope", b"data", data);
    let sealed = private.public().seal(&Secret32::new([6; 32]), b"data", data).expect("a usable public key");
    assert_eq!(*private.open("envelope", b"data", &sealed).expect("sealed just now"), data);
    assert!(private.open("envelope", b"other", &sealed).is_err());
    let Some(changed) = data.first().map(|byte| usize::from(*byte) % sealed.len()) else { return };
    let mut sealed = sealed;
    sealed[changed] ^= 1;
    // The top bit of an X25519 key is not looked at, and the lowest one is.
    assert!(private.open("envelope", b"data", &sealed).is_err());
}

pub fn envelope_seeds() -> Vec<Vec<u8>> {
    let sealed = forge::secrets().content.public().seal(&Secret32::new([6; 32]), b"data", &[1; 32]);
    vec![sealed.expect("a usable public key"), b"plaintext".to_vec(), vec![0; 64]]
}
