//! Locators: stores that know themselves which pack holds a chunk, so that nobody has to read the
//! whole index to ask for a few; and the bytes in which they are asked over a network.
//!
//! A question is ids, 32 bytes each, at most [`MAX_LOCATE_IDS`]. The answer:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic `HOLOLOC1` |
//! | 8 | how many packs the index knows |
//! | 4 | p: packs that follow |
//! | 4 | n: places that follow, one for each id, in the order of the question |
//! | 73 p | packs: id (32), 1 data or 2 nodes (1), writer (32), length of the object (8) |
//! | 12 n | places: number of the pack here, from 0, or `ffffffff` for "nowhere" (4); frame (4); slot (4) |
//!
//! Numbers are little-endian. An answer is a hint: nobody leans on a pack but by its own signed
//! footer, and a chunk is checked against its id when it is read.

use super::{Folder, ObjectKey};
use crate::error::Result;
use holotype_core::{ChunkId, DecodeError, PackId, WriterId};
use std::collections::HashMap;

/// Ids in one question, at most.
pub const MAX_LOCATE_IDS: usize = 32_768;
/// Length of an id in a question.
pub const ID_BYTES: usize = 32;

const MAGIC: [u8; 8] = *b"HOLOLOC1";
const HEAD_BYTES: usize = 24;
const PACK_BYTES: usize = 73;
const PLACE_BYTES: usize = 12;
const NOWHERE: u32 = u32::MAX;
const QUESTION: &str = "question for chunks";
const ANSWER: &str = "answer about chunks";

/// Longest answer.
pub const MAX_ANSWER_BYTES: usize = HEAD_BYTES + MAX_LOCATE_IDS * (PACK_BYTES + PLACE_BYTES);

/// A pack that an answer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocatedPack {
    /// Where it lies: `packs` or `meta`.
    pub folder: Folder,
    /// Its name.
    pub pack: PackId,
    /// Who is said to have signed it.
    pub writer: WriterId,
    /// Length of the object.
    pub bytes: u64,
}

/// A place in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the pack in the answer.
    pub pack: u32,
    /// Number of the frame in the pack.
    pub frame: u32,
    /// Number of the chunk in the frame.
    pub slot: u32,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Located {
    /// How many packs the index knows: with 0, nothing need be asked.
    pub indexed_packs: u64,
    /// The packs that are named.
    pub packs: Vec<LocatedPack>,
    /// For each id, in order.
    pub places: Vec<Option<Place>>,
}

impl Located {
    /// An answer, made of the pack and place of each id.
    pub fn new(indexed_packs: u64, found: impl IntoIterator<Item = Option<(LocatedPack, u32, u32)>>) -> Self {
        let mut numbers: HashMap<PackId, u32> = HashMap::new();
        let mut packs = Vec::new();
        let places = found.into_iter().map(|place| {
            place.map(|(pack, frame, slot)| {
                let pack = *numbers.entry(pack.pack).or_insert_with(|| {
                    packs.push(pack);
                    packs.len() as u32 - 1
                });
                Place { pack, frame, slot }
            })
        });
        let places = places.collect();
        Self { indexed_packs, packs, places }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let length = HEAD_BYTES + self.packs.len() * PACK_BYTES + self.places.len() * PLACE_BYTES;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.indexed_packs.to_le_bytes());
        bytes.extend_from_slice(&(self.packs.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.places.len() as u32).to_le_bytes());
        for pack in &self.packs {
            bytes.extend_from_slice(pack.pack.as_bytes());
            bytes.push(if pack.folder == Folder::Meta { 2 } else { 1 });
            bytes.extend_from_slice(&pack.writer.0);
            bytes.extend_from_slice(&pack.bytes.to_le_bytes());
        }
        for place in &self.places {
            let place = place.unwrap_or(Place { pack: NOWHERE, frame: 0, slot: 0 });
            for number in [place.pack, place.frame, place.slot] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads an answer to a question of `ids` ids.
    ///
    /// # Errors
    /// `Damaged` where it is none, or one to another question.
    pub fn decode(bytes: &[u8], ids: usize) -> Result<Self, DecodeError> {
        let damaged = |why: &str| DecodeError::damaged(ANSWER, why.to_owned());
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or_else(|| damaged("it is too short"))?;
        let mut head = Fields(head);
        if head.take::<8>() != MAGIC {
            return Err(damaged("it does not begin as one"));
        }
        let indexed_packs = u64::from_le_bytes(head.take());
        let packs = u32::from_le_bytes(head.take()) as usize;
        let places = u32::from_le_bytes(head.take()) as usize;
        if places != ids || packs > places {
            return Err(damaged("it is one to another question"));
        }
        // Both are at most the ids that were asked for, so neither product overflows.
        if rest.len() != packs * PACK_BYTES + places * PLACE_BYTES {
            return Err(damaged("its length is not what it says"));
        }
        let (pack_bytes, place_bytes) = rest.split_at(packs * PACK_BYTES);
        let pack = |record: &[u8]| {
            let mut fields = Fields(record);
            let pack = PackId(fields.take());
            let folder = match fields.take::<1>() {
                [1] => Folder::Packs,
                [2] => Folder::Meta,
                _ => return Err(damaged("a pack is of no kind")),
            };
            Ok(LocatedPack { folder, pack, writer: WriterId(fields.take()), bytes: u64::from_le_bytes(fields.take()) })
        };
        let place = |record: &[u8]| {
            let mut fields = Fields(record);
            let [pack, frame, slot] = [(); 3].map(|()| u32::from_le_bytes(fields.take()));
            match pack {
                NOWHERE if (frame, slot) == (0, 0) => Ok(None),
                pack if (pack as usize) < packs => Ok(Some(Place { pack, frame, slot })),
                _ => Err(damaged("a place is in no pack")),
            }
        };
        let packs_read = pack_bytes.chunks_exact(PACK_BYTES).map(pack).collect::<Result<_, _>>()?;
        let places = place_bytes.chunks_exact(PLACE_BYTES).map(place).collect::<Result<_, _>>()?;
        Ok(Self { indexed_packs, packs: packs_read, places })
    }
}

/// The fields of a record whose length is known.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk::<N>().expect("records have all their fields");
        self.0 = rest;
        *field
    }
}

/// A question's bytes.
pub fn encode_question(ids: &[ChunkId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.0).collect()
}

/// Reads a question.
///
/// # Errors
/// `Damaged` where it has parts of an id, or too many.
pub fn decode_question(bytes: &[u8]) -> Result<Vec<ChunkId>, DecodeError> {
    let (ids, rest) = bytes.as_chunks::<ID_BYTES>();
    if !rest.is_empty() || ids.len() > MAX_LOCATE_IDS {
        return Err(DecodeError::damaged(
            QUESTION,
            format!("{} bytes are not up to {MAX_LOCATE_IDS} ids", bytes.len()),
        ));
    }
    Ok(ids.iter().map(|id| ChunkId(*id)).collect())
}

/// A store that can be asked where chunks lie.
pub trait Locator: Send + Sync {
    /// Where each id lies, of any number of ids.
    ///
    /// # Errors
    /// Where it could not be asked, or its answer is none.
    fn locate(&self, ids: &[ChunkId]) -> Result<Located>;

    /// The footer of a pack, unchecked, and the length of the whole object: one round trip.
    ///
    /// # Errors
    /// `NotFound`, and where it could not be asked.
    fn pack_footer(&self, key: &ObjectKey) -> Result<(Vec<u8>, u64)>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located() -> Located {
        let pack = |n: u8, folder| LocatedPack { folder, pack: PackId([n; 32]), writer: WriterId([7; 32]), bytes: 9 };
        let (data, meta) = (pack(1, Folder::Packs), pack(2, Folder::Meta));
        Located::new(5, [Some((data, 1, 2)), None, Some((meta, 3, 4)), Some((data, 0, 0))])
    }

    #[test]
    fn golden_answer() {
        let bytes = located().encode();
        let pack = |n: u8, kind: u8| [&[n; 32][..], &[kind], &[7; 32], &[9, 0, 0, 0, 0, 0, 0, 0]].concat();
        let golden = [
            &b"HOLOLOC1"[..],
            &[5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0],
            &pack(1, 1),
            &pack(2, 2),
            &[0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0],
            &[255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0],
            &[0; 12],
        ]
        .concat();
        assert_eq!(bytes, golden);
        assert_eq!(Located::decode(&bytes, 4).unwrap(), located());
        assert_eq!(located().packs.len(), 2, "each pack once");
    }

    #[test]
    fn other_answers_are_refused() {
        let bytes = located().encode();
        for length in 0..bytes.len() {
            assert!(Located::decode(&bytes[..length], 4).is_err());
        }
        assert!(Located::decode(&[&bytes[..], &[0]].concat(), 4).is_err());
        assert!(Located::decode(&bytes, 3).is_err(), "to another question");
        let changed = |at: usize, to: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = to;
            Located::decode(&bytes, 4)
        };
        assert!(changed(0, b'h').is_err());
        assert!(changed(16, 255).is_err(), "more packs than bytes");
        assert!(changed(24 + 32, 3).is_err(), "a pack of no kind");
        assert!(changed(24 + 2 * 73, 2).is_err(), "a place in no pack");
    }

    #[test]
    fn questions_are_whole_ids() {
        let ids = [ChunkId([1; 32]), ChunkId([2; 32])];
        assert_eq!(decode_question(&encode_question(&ids)).unwrap(), ids);
        assert_eq!(decode_question(&[]).unwrap(), []);
        assert!(decode_question(&[0; 33]).is_err());
        assert!(decode_question(&vec![0; (MAX_LOCATE_IDS + 1) * 32]).is_err());
        assert!(decode_question(&vec![0; MAX_LOCATE_IDS * 32]).is_ok());
    }
}
