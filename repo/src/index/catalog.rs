//! The catalog in sled's default tree: the manifest of runs, the packs and the segments taken in.
//!
//! | key | value |
//! |---|---|
//! | `m` | checksum (8 bytes of BLAKE3), then the [`Manifest`] |
//! | `p` number | a pack: [`PackRecord`] |
//! | `s` number | a segment: its id |
//! | `r` number | empty: the pack of that number was removed |
//!
//! Numbers are big-endian, 32 bits. Packs and segments are append-only lists. The manifest holds
//! their lengths and digests, so what it names is all there and nothing else counts.

use super::guard::GuardedTree;
use super::packs::PackTable;
use super::page::PAGE_ENTRIES;
use super::{IndexedPack, PackKind};
use crate::error::{DecodeContext, Error, ErrorKind, Result};
use bincode::{Decode, Encode};
use holotype_core::{PackId, SegmentId, WriterId, codec};
use std::collections::HashSet;

/// Format of everything in the database; raised by every change.
pub(super) const FORMAT: u32 = 1;

const MANIFEST_KEY: &[u8] = b"m";
const SUM_BYTES: usize = 8;

/// What is visible. It is written last.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Manifest {
    pub format: u32,
    pub page_entries: u32,
    /// No run has or had this number or a higher one.
    pub next_run: u64,
    pub packs: ListHead,
    pub segments: ListHead,
    /// Oldest first.
    pub runs: Vec<RunRecord>,
}

/// A run of sorted pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct RunRecord {
    pub number: u64,
    /// Random; bound into the checksums of the run's values.
    pub seed: u64,
    pub entries: u64,
    pub filter_blocks: u32,
}

/// Length and digest of an append-only list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct ListHead {
    pub count: u32,
    pub digest: [u8; 16],
}

impl ListHead {
    /// The head after `record` was appended.
    pub fn append(self, record: &[u8]) -> Result<Self> {
        let full = || Error::new(ErrorKind::Unsupported, "index", "a list is full").advise("rebuild the index");
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.digest).update(&self.count.to_le_bytes()).update(record);
        let mut digest = [0; 16];
        digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Ok(Self { count: self.count.checked_add(1).ok_or_else(full)?, digest })
    }
}

/// A pack as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct PackRecord {
    pack: PackId,
    kind: PackKind,
    writer: WriterId,
    bytes: u64,
}

impl From<IndexedPack> for PackRecord {
    fn from(pack: IndexedPack) -> Self {
        Self { pack: pack.pack, kind: pack.kind, writer: pack.writer, bytes: pack.bytes }
    }
}

impl From<PackRecord> for IndexedPack {
    fn from(pack: PackRecord) -> Self {
        Self { pack: pack.pack, kind: pack.kind, writer: pack.writer, bytes: pack.bytes }
    }
}

impl Manifest {
    /// Of an index that holds nothing.
    pub fn empty() -> Self {
        Self {
            format: FORMAT,
            page_entries: PAGE_ENTRIES as u32,
            next_run: 0,
            packs: ListHead::default(),
            segments: ListHead::default(),
            runs: Vec::new(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let record = codec::encode(self);
        [&blake3::hash(&record).as_bytes()[..SUM_BYTES], &record].concat()
    }

    fn from_bytes(subject: &str, bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::new(ErrorKind::Damaged, subject, "the manifest of runs is damaged");
        let (sum, record) = bytes.split_at_checked(SUM_BYTES).ok_or_else(damaged)?;
        if blake3::hash(record).as_bytes()[..SUM_BYTES] != *sum {
            return Err(damaged());
        }
        let manifest: Self = codec::decode("manifest of runs", record).about(subject)?;
        if (manifest.format, manifest.page_entries) != (FORMAT, PAGE_ENTRIES as u32) {
            return Err(Error::new(ErrorKind::Unsupported, subject, "the index has another format"));
        }
        Ok(manifest)
    }
}

#[cfg(feature = "testing")]
impl Manifest {
    /// Everything past the checksum.
    pub fn decode_for_fuzzing(record: &[u8]) -> Result<Self> {
        Self::from_bytes("planted index", &[&blake3::hash(record).as_bytes()[..SUM_BYTES], record].concat())
    }
}

#[derive(Debug, Clone, Copy)]
enum List {
    Packs = b'p' as isize,
    Segments = b's' as isize,
    Removed = b'r' as isize,
}

fn key(list: List, number: u32) -> [u8; 5] {
    let number = number.to_be_bytes();
    [list as u8, number[0], number[1], number[2], number[3]]
}

/// The default tree.
pub(super) struct Catalog {
    pub tree: GuardedTree,
}

impl Catalog {
    /// The manifest, `None` in a new database.
    pub fn manifest(&self) -> Result<Option<Manifest>> {
        let value = self.tree.get(MANIFEST_KEY)?;
        value.map(|bytes| Manifest::from_bytes(&self.tree.guard.subject, &bytes)).transpose()
    }

    pub fn put_manifest(&self, manifest: &Manifest) -> Result<()> {
        self.tree.call(|tree| tree.insert(MANIFEST_KEY, manifest.to_bytes())).map(drop)
    }

    /// Appends a pack; it counts once the manifest has the new head.
    pub fn append_pack(&self, head: ListHead, pack: IndexedPack) -> Result<ListHead> {
        self.append(List::Packs, head, &codec::encode(&PackRecord::from(pack)))
    }

    /// Appends a segment; it counts once the manifest has the new head.
    pub fn append_segment(&self, head: ListHead, segment: &SegmentId) -> Result<ListHead> {
        self.append(List::Segments, head, segment.as_bytes())
    }

    fn append(&self, list: List, head: ListHead, record: &[u8]) -> Result<ListHead> {
        self.tree.call(|tree| {
            // A removed mark that a lost write left behind must not hit the new pack.
            if matches!(list, List::Packs) {
                tree.remove(key(List::Removed, head.count))?;
            }
            tree.insert(key(list, head.count), record)
        })?;
        head.append(record)
    }

    /// Marks a pack as removed.
    pub fn mark_removed(&self, number: u32) -> Result<()> {
        self.tree.call(|tree| tree.insert(key(List::Removed, number), &[][..])).map(drop)
    }

    /// The packs that the manifest names.
    pub fn packs(&self, head: ListHead) -> Result<PackTable> {
        let mut table = PackTable::default();
        for record in self.records(List::Packs, head)? {
            let pack: PackRecord = codec::decode("pack record", &record).about(&self.tree.guard.subject)?;
            table.push(pack.into())?;
        }
        for (key, _) in self.scan(List::Removed)? {
            if let Ok([_, number @ ..]) = <[u8; 5]>::try_from(&*key) {
                table.remove(u32::from_be_bytes(number));
            }
        }
        Ok(table)
    }

    /// The segments that the manifest names.
    pub fn segments(&self, head: ListHead) -> Result<HashSet<SegmentId>> {
        let records = self.records(List::Segments, head)?;
        let ids = records.iter().map(|record| <[u8; 32]>::try_from(&**record).map(SegmentId));
        ids.collect::<Result<_, _>>().map_err(|_| self.tree.guard.damaged("a segment id has another length"))
    }

    fn scan(&self, list: List) -> Result<Vec<(sled::IVec, sled::IVec)>> {
        self.tree.call(|tree| tree.scan_prefix([list as u8]).collect())
    }

    /// The records of a list, compared with its head. Those after it are leftovers: passed over
    /// here, written over later.
    fn records(&self, list: List, head: ListHead) -> Result<Vec<sled::IVec>> {
        let mut records = Vec::new();
        let mut seen = ListHead::default();
        for (found, record) in self.scan(list)? {
            if seen.count == head.count || *found != key(list, seen.count) {
                break;
            }
            seen = seen.append(&record)?;
            records.push(record);
        }
        if seen == head {
            Ok(records)
        } else {
            Err(self.tree.guard.damaged(format!("the list of {list:?} is damaged")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let head = ListHead { count: 2, digest: [9; 16] };
        let run = RunRecord { number: 3, seed: 4, entries: 5, filter_blocks: 6 };
        Manifest { next_run: 7, packs: head, segments: ListHead::default(), runs: vec![run], ..Manifest::empty() }
    }

    #[test]
    fn golden_manifest() {
        let bytes = manifest().to_bytes();
        let record = [
            &[1, 0, 0, 0, 128, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0][..],
            &[9; 16],
            &[0; 20],
            &[1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0],
            &[5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0],
        ]
        .concat();
        assert_eq!(bytes[SUM_BYTES..], record);
        assert_eq!(bytes[..SUM_BYTES], blake3::hash(&record).as_bytes()[..SUM_BYTES]);
        assert_eq!(Manifest::from_bytes("index", &bytes).unwrap(), manifest());
    }

    #[test]
    fn hurt_and_other_manifests_are_refused() {
        let bytes = manifest().to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut hurt = bytes.clone();
            hurt[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Manifest::from_bytes("index", &hurt).unwrap_err().kind(), ErrorKind::Damaged);
        }
        (0..bytes.len()).for_each(|length| assert!(Manifest::from_bytes("index", &bytes[..length]).is_err()));
        let newer = Manifest { format: FORMAT + 1, ..manifest() }.to_bytes();
        assert_eq!(Manifest::from_bytes("index", &newer).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn list_digests_depend_on_order() {
        let of = |records: [&[u8]; 2]| ListHead::default().append(records[0]).unwrap().append(records[1]).unwrap();
        assert_ne!(of([b"a", b"b"]), of([b"b", b"a"]));
        assert_eq!(of([b"a", b"b"]).count, 2);
    }
}
