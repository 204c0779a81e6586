//! Frames: the unit of compression and sealing. A frame holds many chunks (or manifest nodes).
//!
//! Outside:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `HFrm` |
//! | 4 | 1 | frame version, 1 |
//! | 5 | 1 | cipher, 1 = XChaCha20-Poly1305 |
//! | 6 | 1 | kind: 1 chunks, 2 references, 3 layouts |
//! | 7 | 1 | reserved, 0 |
//! | 8 | 4 | length of the sealed part with its tag |
//! | 12 | 24 | nonce |
//! | 36 | n | sealed part |
//!
//! Sealed part, opened:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | compression: 0 stored, 1 zstd |
//! | 1 | 3 | reserved, 0 |
//! | 4 | 4 | length of the plaintext |
//! | 8 | n | body |
//!
//! Plaintext, decompressed: u32 count of chunks, their u32 lengths, their bytes. All integers are
//! little-endian.
//!
//! Associated data: repository id, bytes 0..8 of the frame, origin salt, origin number, key epoch.
//! The pack's name is not in it, so a frame can be moved to another pack by someone who cannot
//! open it. The nonce is BLAKE3, keyed from the pack's key, of origin and sealed content: a resumed
//! virtual machine that repeats its random numbers cannot repeat a nonce over other data.

use crate::compress::{Compressor, Decompressor, Method};
use crate::seal::{self, NONCE_BYTES, TAG_BYTES};
use crate::secret::Secret32;
use crate::subkey;
use crate::{ChunkId, DecodeError, RepositoryId};
use std::ops::Range;

/// Length of what stands before the sealed part.
pub const FRAME_HEADER_BYTES: usize = 36;
/// A frame is closed when its chunks have this many bytes.
pub const FRAME_TARGET_BYTES: usize = 512 << 10;
/// Largest plaintext of a frame; greater claims are refused before anything is allocated.
pub const MAX_FRAME_PLAINTEXT_BYTES: usize = 8 << 20;
/// A frame holds at most this many chunks.
pub const MAX_FRAME_CHUNKS: usize = 1024;

const MAGIC: [u8; 4] = *b"HFrm";
const VERSION: u8 = 1;
const CIPHER: u8 = 1;
const PREFIX_BYTES: usize = 8;
/// Room before the chunks' bytes, so that count and lengths can be put before them without a move.
const TABLE_ROOM_BYTES: usize = 4 + 4 * MAX_FRAME_CHUNKS;
const WHAT: &str = "frame";

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Chunks of disks.
    Chunks = 1,
    /// Reference sets of manifest nodes.
    References = 2,
    /// Layouts of manifest nodes.
    Layouts = 3,
}

/// Where a frame was first written. It stays when the frame moves to another pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameOrigin {
    /// Salt of that pack.
    pub salt: [u8; 32],
    /// Number of the frame in that pack.
    pub number: u32,
    /// Which of the repository's keys the pack key is sealed to.
    pub key_epoch: u32,
}

/// The keys of one pack, from its random secret.
#[derive(Debug, Clone)]
pub struct PackKey {
    seal: Secret32,
    nonce: Secret32,
}

impl PackKey {
    /// From the pack's secret.
    pub fn new(pack_secret: &Secret32) -> Self {
        Self {
            seal: subkey::derive(subkey::FRAME_SEAL, pack_secret.expose()),
            nonce: subkey::derive(subkey::FRAME_NONCE, pack_secret.expose()),
        }
    }
}

fn associated_data(repository: &RepositoryId, header: &[u8; 8], origin: &FrameOrigin) -> [u8; 64] {
    let mut data = [0; 64];
    data[..16].copy_from_slice(repository.as_bytes());
    data[16..24].copy_from_slice(header);
    data[24..56].copy_from_slice(&origin.salt);
    data[56..60].copy_from_slice(&origin.number.to_le_bytes());
    data[60..].copy_from_slice(&origin.key_epoch.to_le_bytes());
    data
}

/// Collects chunks for one frame after another.
#[derive(Debug)]
pub struct FrameBuilder {
    kind: FrameKind,
    buffer: Vec<u8>,
    lengths: Vec<u32>,
    ids: Vec<ChunkId>,
}

/// A collected frame, compressed, that waits for its place in a pack to be sealed.
#[derive(Debug)]
pub struct CompressedFrame {
    kind: FrameKind,
    bytes: Vec<u8>,
    /// The ids of its chunks, in slot order.
    pub ids: Vec<ChunkId>,
    /// Bytes of the chunks, without the table.
    pub chunk_bytes: u64,
}

impl FrameBuilder {
    /// An empty builder of frames of this kind.
    pub fn new(kind: FrameKind) -> Self {
        Self { kind, buffer: vec![0; TABLE_ROOM_BYTES], lengths: Vec::new(), ids: Vec::new() }
    }

    /// Whether there is no chunk in it.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether it should be taken now.
    pub fn is_full(&self) -> bool {
        self.buffer.len() - TABLE_ROOM_BYTES >= FRAME_TARGET_BYTES || self.ids.len() >= MAX_FRAME_CHUNKS
    }

    /// Adds a chunk. The caller takes the frame when it is full.
    ///
    /// # Panics
    /// Where the frame would go over [`MAX_FRAME_PLAINTEXT_BYTES`] or [`MAX_FRAME_CHUNKS`].
    pub fn push(&mut self, id: ChunkId, chunk: &[u8]) {
        assert!(self.ids.len() < MAX_FRAME_CHUNKS && self.buffer.len() + chunk.len() <= MAX_FRAME_PLAINTEXT_BYTES);
        self.buffer.extend_from_slice(chunk);
        self.lengths.push(chunk.len() as u32);
        self.ids.push(id);
    }

    /// Compresses what was collected, and is empty again. `None` where there is nothing.
    pub fn take(&mut self, compressor: &mut Compressor) -> Option<CompressedFrame> {
        if self.is_empty() {
            return None;
        }
        let table_start = TABLE_ROOM_BYTES - 4 - 4 * self.lengths.len();
        self.buffer[table_start..table_start + 4].copy_from_slice(&(self.lengths.len() as u32).to_le_bytes());
        for (place, length) in self.buffer[table_start + 4..].as_chunks_mut::<4>().0.iter_mut().zip(&self.lengths) {
            *place = length.to_le_bytes();
        }
        let plaintext = &self.buffer[table_start..];
        let (method, body) = compressor.compress(plaintext);
        let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES + PREFIX_BYTES + body.len() + TAG_BYTES);
        bytes.resize(FRAME_HEADER_BYTES, 0);
        bytes.extend_from_slice(&[method as u8, 0, 0, 0]);
        bytes.extend_from_slice(&(plaintext.len() as u32).to_le_bytes());
        bytes.extend_from_slice(body);
        let chunk_bytes = (self.buffer.len() - TABLE_ROOM_BYTES) as u64;
        self.buffer.truncate(TABLE_ROOM_BYTES);
        self.lengths.clear();
        Some(CompressedFrame { kind: self.kind, bytes, ids: std::mem::take(&mut self.ids), chunk_bytes })
    }
}

impl CompressedFrame {
    /// Seals the frame for its origin. The bytes are ready for a pack.
    pub fn seal(mut self, repository: &RepositoryId, key: &PackKey, origin: &FrameOrigin) -> SealedFrame {
        let payload = &self.bytes[FRAME_HEADER_BYTES..];
        let sealed_bytes = (payload.len() + TAG_BYTES) as u32;
        let mut hasher = blake3::Hasher::new_keyed(key.nonce.expose());
        hasher.update(&origin.salt).update(&origin.number.to_le_bytes()).update(payload);
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&hasher.finalize().as_bytes()[..NONCE_BYTES]);
        let start = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION, CIPHER, self.kind as u8, 0];
        self.bytes[..8].copy_from_slice(&start);
        self.bytes[8..12].copy_from_slice(&sealed_bytes.to_le_bytes());
        self.bytes[12..FRAME_HEADER_BYTES].copy_from_slice(&nonce);
        let data = associated_data(repository, &start, origin);
        seal::seal_tail_in_place(&key.seal, &nonce, &data, &mut self.bytes, FRAME_HEADER_BYTES);
        SealedFrame { bytes: self.bytes, ids: self.ids, chunk_bytes: self.chunk_bytes }
    }

    /// Length that the sealed frame will have.
    pub fn sealed_len(&self) -> usize {
        self.bytes.len() + TAG_BYTES
    }
}

/// A frame as a pack holds it.
#[derive(Debug)]
pub struct SealedFrame {
    /// Header and sealed part.
    pub bytes: Vec<u8>,
    /// The ids of its chunks, in slot order.
    pub ids: Vec<ChunkId>,
    /// Bytes of the chunks, without the table.
    pub chunk_bytes: u64,
}

/// An opened frame.
#[derive(Debug, Default)]
pub struct OpenedFrame {
    plaintext: Vec<u8>,
    chunks: Vec<Range<u32>>,
}

impl OpenedFrame {
    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether it has no chunk.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Length of all chunks together, in bytes.
    pub fn chunk_bytes(&self) -> usize {
        self.chunks.last().map_or(0, |last| last.end as usize - self.chunks[0].start as usize)
    }

    /// The chunk of this slot.
    pub fn chunk(&self, slot: u32) -> Option<&[u8]> {
        let range = self.chunks.get(slot as usize)?;
        self.plaintext.get(range.start as usize..range.end as usize)
    }

    /// The chunks of these slots, which lie one after another.
    pub fn chunks(&self, first_slot: u32, last_slot: u32) -> Option<&[u8]> {
        let (first, last) = (self.chunks.get(first_slot as usize)?, self.chunks.get(last_slot as usize)?);
        self.plaintext.get(first.start as usize..last.end as usize)
    }

    /// Opens the frame in `bytes`, which is sealed for this origin; `bytes` is used up.
    ///
    /// # Errors
    /// Damaged, not authentic or unsupported; nothing is allocated on the word of an unauthentic
    /// length.
    pub fn open(
        bytes: &mut [u8],
        kind: FrameKind,
        repository: &RepositoryId,
        key: &PackKey,
        origin: &FrameOrigin,
        decompressor: &mut Decompressor,
    ) -> Result<Self, DecodeError> {
        let (header, sealed) = bytes
            .split_at_mut_checked(FRAME_HEADER_BYTES)
            .ok_or_else(|| DecodeError::damaged(WHAT, "it is shorter than its header"))?;
        check_header(header, kind, sealed.len())?;
        let (mut start, mut nonce) = ([0; 8], [0; NONCE_BYTES]);
        start.copy_from_slice(&header[..8]);
        nonce.copy_from_slice(&header[12..]);
        let data = associated_data(repository, &start, origin);
        let payload = seal::open_slice_in_place(WHAT, &key.seal, &nonce, &data, sealed)?;
        let mut plaintext = Vec::new();
        decode_payload(payload, decompressor, &mut plaintext)?;
        let chunks = decode_table(&plaintext)?;
        Ok(Self { plaintext, chunks })
    }
}

fn check_header(header: &[u8], kind: FrameKind, sealed_bytes: usize) -> Result<(), DecodeError> {
    if header[..4] != MAGIC {
        return Err(DecodeError::damaged(WHAT, "its first bytes are not those of a frame"));
    }
    if header[4] != VERSION || header[5] != CIPHER {
        let why = format!("frame version {}, cipher {}", header[4], header[5]);
        return Err(DecodeError::unsupported(WHAT, why));
    }
    let claimed = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if header[6] != kind as u8 || header[7] != 0 || claimed as usize != sealed_bytes {
        return Err(DecodeError::damaged(WHAT, "its header does not fit its place"));
    }
    Ok(())
}

fn decode_payload(payload: &[u8], decompressor: &mut Decompressor, plaintext: &mut Vec<u8>) -> Result<(), DecodeError> {
    let (prefix, body) = payload
        .split_first_chunk::<PREFIX_BYTES>()
        .ok_or_else(|| DecodeError::damaged(WHAT, "its content is too short"))?;
    let plaintext_bytes = u32::from_le_bytes([prefix[4], prefix[5], prefix[6], prefix[7]]) as usize;
    if prefix[1..4] != [0; 3] || plaintext_bytes > MAX_FRAME_PLAINTEXT_BYTES {
        return Err(DecodeError::damaged(WHAT, format!("it claims {plaintext_bytes} bytes of plaintext")));
    }
    decompressor.decompress(Method::from_number(prefix[0])?, body, plaintext_bytes, plaintext)
}

fn decode_table(plaintext: &[u8]) -> Result<Vec<Range<u32>>, DecodeError> {
    let damaged = || DecodeError::damaged(WHAT, "its table does not fit its plaintext");
    let (count, rest) = plaintext.split_first_chunk::<4>().ok_or_else(damaged)?;
    let count = u32::from_le_bytes(*count) as usize;
    if count == 0 || count > MAX_FRAME_CHUNKS {
        return Err(damaged());
    }
    let table = rest.get(..count * 4).ok_or_else(damaged)?;
    let mut at = (4 + table.len()) as u32;
    let mut chunks = Vec::with_capacity(count);
    for length in table.as_chunks::<4>().0 {
        let end = at.checked_add(u32::from_le_bytes(*length)).ok_or_else(damaged)?;
        chunks.push(at..end);
        at = end;
    }
    if at as usize != plaintext.len() {
        return Err(damaged());
    }
    Ok(chunks)
}

/// What a fuzzer that has sealed its own bytes reaches: everything past authentication.
///
/// # Errors
/// Those of [`OpenedFrame::open`].
#[doc(hidden)]
pub fn decode_opened(payload: &[u8]) -> Result<OpenedFrame, DecodeError> {
    let mut plaintext = Vec::new();
    decode_payload(payload, &mut Decompressor::default(), &mut plaintext)?;
    let chunks = decode_table(&plaintext)?;
    Ok(OpenedFrame { plaintext, chunks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Compression;

    const REPOSITORY: RepositoryId = RepositoryId([3; 16]);
    const ORIGIN: FrameOrigin = FrameOrigin { salt: [4; 32], number: 5, key_epoch: 6 };

    fn key() -> PackKey {
        PackKey::new(&Secret32::new([7; 32]))
    }

    fn sealed(chunks: &[&[u8]], compression: Compression) -> SealedFrame {
        let mut builder = FrameBuilder::new(FrameKind::Chunks);
        for (at, chunk) in chunks.iter().enumerate() {
            builder.push(ChunkId([at as u8; 32]), chunk);
        }
        let frame = builder.take(&mut Compressor::new(compression)).unwrap();
        assert!(builder.is_empty());
        frame.seal(&REPOSITORY, &key(), &ORIGIN)
    }

    fn open(bytes: &[u8], origin: &FrameOrigin) -> Result<OpenedFrame, DecodeError> {
        let mut bytes = bytes.to_vec();
        let mut decompressor = Decompressor::default();
        OpenedFrame::open(&mut bytes, FrameKind::Chunks, &REPOSITORY, &key(), origin, &mut decompressor)
    }

    #[test]
    fn chunks_come_back_by_slot() {
        for compression in [Compression::None, Compression::Zstd(3)] {
            let frame = sealed(&[b"first", b"", &[8; 100_000]], compression);
            assert_eq!(frame.chunk_bytes, 100_005);
            let opened = open(&frame.bytes, &ORIGIN).unwrap();
            assert_eq!(opened.len(), 3);
            assert_eq!(opened.chunk(0), Some(&b"first"[..]));
            assert_eq!(opened.chunk(1), Some(&b""[..]));
            assert_eq!(opened.chunk(2), Some(&[8; 100_000][..]));
            assert_eq!(opened.chunk(3), None);
        }
    }

    #[test]
    fn golden_bytes() {
        let frame = sealed(&[b"golden"], Compression::None);
        let text: String = frame.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            text,
            "4846726d01010100260000006ccef56378c4552e88365168fd6e9b1e6cc29b74c03eb4e3bcfd01a18c1a56151412c5ec0b98d53a16aa2323ab3541fdd074d2eb897cb593118372d3e6a4"
        );
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let frame = sealed(&[b"first", b"second"], Compression::None);
        for at in 0..frame.bytes.len() {
            let mut changed = frame.bytes.clone();
            changed[at] ^= 1;
            assert!(open(&changed, &ORIGIN).is_err(), "byte {at}");
            assert!(open(&frame.bytes[..at], &ORIGIN).is_err(), "first {at} bytes");
        }
    }

    #[test]
    fn bound_to_its_origin_and_not_to_a_pack() {
        let frame = sealed(&[b"first"], Compression::None);
        assert!(open(&frame.bytes, &FrameOrigin { number: 6, ..ORIGIN }).is_err());
        assert!(open(&frame.bytes, &FrameOrigin { key_epoch: 7, ..ORIGIN }).is_err());
        assert!(open(&frame.bytes, &FrameOrigin { salt: [0; 32], ..ORIGIN }).is_err());
    }

    #[test]
    fn other_content_has_another_nonce() {
        let (one, other) = (sealed(&[b"a"], Compression::None), sealed(&[b"b"], Compression::None));
        assert_ne!(one.bytes[12..36], other.bytes[12..36]);
    }

    #[test]
    fn lying_tables_are_refused() {
        let table = |bytes: &[u8]| {
            let mut payload = vec![0, 0, 0, 0];
            payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            payload.extend_from_slice(bytes);
            decode_opened(&payload)
        };
        assert!(table(&[1, 0, 0, 0, 1, 0, 0, 0, 9]).is_ok());
        assert!(table(&[0, 0, 0, 0]).is_err());
        assert!(table(&[1, 0, 0, 0, 2, 0, 0, 0, 9]).is_err());
        assert!(table(&[2, 0, 0, 0, 1, 0, 0, 0, 9]).is_err());
        assert!(table(&[255, 255, 255, 255, 1, 0, 0, 0]).is_err());
        assert!(table(&[2, 0, 0, 0, 255, 255, 255, 255, 2, 0, 0, 0, 9]).is_err());
        assert!(decode_opened(&[0, 0, 0, 0, 255, 255, 255, 255]).is_err());
    }
}
