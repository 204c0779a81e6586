//! File records of the master file table (MFT), their attributes and data runs.

use super::Boot;
use crate::extent::Extent;
use crate::volume::bytes::{le_u16, le_u32, le_u64};
use crate::volume::{Unmapped, VolumeReader};
use std::collections::BTreeSet;

/// Attribute types.
pub(super) const ATTRIBUTE_LIST: u32 = 0x20;
pub(super) const VOLUME_NAME: u32 = 0x60;
pub(super) const VOLUME_INFORMATION: u32 = 0x70;
pub(super) const DATA: u32 = 0x80;
pub(super) const INDEX_ROOT: u32 = 0x90;
pub(super) const INDEX_ALLOCATION: u32 = 0xA0;
pub(super) const BITMAP: u32 = 0xB0;
pub(super) const REPARSE_POINT: u32 = 0xC0;

/// Records guard each 512 bytes, whatever the sector size.
const GUARDED_BYTES: usize = 512;

/// Largest attribute list, in bytes: Windows' limit.
const MAX_LIST_BYTES: u64 = 256 << 10;

/// Most data runs of one file: more than an attribute list of the largest size leads to in practice.
const MAX_FILE_RUNS: usize = 2 << 20;

fn broken(what: &str) -> Unmapped {
    Unmapped::inconsistent(format!("{what} is broken"))
}

/// Undoes the update sequence of a record or an index block: the last two bytes of each 512 hold the
/// sequence number, and the array after the header what belongs there.
pub(super) fn fix_up(bytes: &mut [u8], magic: &[u8; 4], what: &str) -> Result<(), Unmapped> {
    let (Some(array_at), Some(count)) = (le_u16(bytes, 4), le_u16(bytes, 6)) else { return Err(broken(what)) };
    let (array_at, count) = (usize::from(array_at), usize::from(count));
    let groups = bytes.len() / GUARDED_BYTES;
    let inside = array_at.is_multiple_of(2) && array_at >= 8 && array_at + count * 2 <= GUARDED_BYTES.min(bytes.len());
    if !bytes.starts_with(magic) || !inside || count != groups + 1 {
        return Err(broken(what));
    }
    let saved = bytes[array_at..array_at + count * 2].to_vec();
    let (number, saved) = saved.split_at(2);
    for (group, saved) in bytes.chunks_exact_mut(GUARDED_BYTES).zip(saved.chunks_exact(2)) {
        let guard = &mut group[GUARDED_BYTES - 2..];
        if guard != number && !cfg!(fuzzing) {
            return Err(Unmapped::inconsistent(format!("{what} was written in part only")));
        }
        guard.copy_from_slice(saved);
    }
    Ok(())
}

/// A row of clusters of an attribute; without a place it is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// First cluster within the attribute.
    pub vcn: u64,
    /// First cluster on the volume.
    pub lcn: Option<u64>,
    pub clusters: u64,
}

/// Decodes mapping pairs that stand for the clusters from `lowest` to `highest` of an attribute, on
/// a volume of `volume_clusters`. `highest` is one less than `lowest` where there are none.
pub(super) fn decode_runs(pairs: &[u8], lowest: u64, highest: u64, volume_clusters: u64) -> Result<Vec<Run>, Unmapped> {
    let wrong = || Unmapped::inconsistent("a list of data runs is broken");
    let signed = |bytes: &[u8]| {
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xFF } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        i64::from_le_bytes(wide)
    };
    let mut runs = Vec::new();
    let (mut at, mut vcn, mut last_lcn) = (0, lowest, 0i64);
    loop {
        let header = *pairs.get(at).ok_or_else(wrong)?;
        if header == 0 {
            break;
        }
        let (length_bytes, delta_bytes) = (usize::from(header & 0xF), usize::from(header >> 4));
        let length = pairs.get(at + 1..at + 1 + length_bytes).ok_or_else(wrong)?;
        let delta = pairs.get(at + 1 + length_bytes..at + 1 + length_bytes + delta_bytes).ok_or_else(wrong)?;
        if !(1..=8).contains(&length_bytes) || delta_bytes > 8 {
            return Err(wrong());
        }
        at += 1 + length_bytes + delta_bytes;
        let clusters = u64::try_from(signed(length)).ok().filter(|clusters| *clusters > 0).ok_or_else(wrong)?;
        let lcn = if delta.is_empty() {
            None
        } else {
            last_lcn = last_lcn.checked_add(signed(delta)).ok_or_else(wrong)?;
            let lcn = u64::try_from(last_lcn).map_err(|_| wrong())?;
            let inside = lcn.checked_add(clusters).is_some_and(|end| end <= volume_clusters);
            Some(lcn).filter(|_| inside).map(Some).ok_or_else(wrong)?
        };
        runs.push(Run { vcn, lcn, clusters });
        vcn = vcn.checked_add(clusters).filter(|vcn| *vcn <= i64::MAX as u64).ok_or_else(wrong)?;
    }
    if highest.wrapping_add(1) != vcn {
        return Err(wrong());
    }
    Ok(runs)
}

/// The content of a non-resident attribute.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// In order of `vcn`, without gaps.
    pub runs: Vec<Run>,
    pub data_bytes: u64,
    /// What is beyond reads as zeros.
    pub initialized_bytes: u64,
}

impl Stream {
    /// First cluster after its last.
    fn end(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.vcn + run.clusters)
    }

    /// Reads from where the runs lead. Holes and what is not initialised are zeros.
    pub fn read(&self, volume: &VolumeReader<'_>, boot: &Boot, offset: u64, length: u64) -> Result<Vec<u8>, Unmapped> {
        let end = offset.checked_add(length).filter(|end| *end <= self.data_bytes);
        let end = end.ok_or_else(|| Unmapped::inconsistent("a system file is shorter than it has to be"))?;
        let mut bytes = vec![0; length as usize];
        let mut at = offset;
        while at < end.min(self.initialized_bytes) {
            let vcn = at / boot.cluster_bytes;
            let index = self.runs.partition_point(|run| run.vcn + run.clusters <= vcn);
            let run = self.runs.get(index).ok_or_else(|| broken("a list of data runs"))?;
            let run_offset = at - run.vcn * boot.cluster_bytes;
            // A run's length may be anything where it is a hole.
            let in_run = run.clusters.saturating_mul(boot.cluster_bytes) - run_offset;
            let part = in_run.min(end.min(self.initialized_bytes) - at);
            if let Some(lcn) = run.lcn {
                let target = &mut bytes[(at - offset) as usize..(at - offset + part) as usize];
                volume.read_into(lcn * boot.cluster_bytes + run_offset, target)?;
            }
            at += part;
        }
        Ok(bytes)
    }

    /// The places of its runs, in bytes.
    pub fn extents(&self, boot: &Boot) -> impl Iterator<Item = Extent> {
        let cluster_bytes = boot.cluster_bytes;
        self.runs.iter().filter_map(move |run| Extent::new(run.lcn? * cluster_bytes, run.clusters * cluster_bytes))
    }

    /// Whether it has no hole.
    pub fn is_whole(&self) -> bool {
        self.runs.iter().all(|run| run.lcn.is_some())
    }
}

/// What an attribute holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Resident(Vec<u8>),
    Stream(Stream),
}

/// An attribute, or a part of one: a large one has parts in several records.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub kind: u32,
    /// UTF-16.
    pub name: Vec<u16>,
    /// Compressed, encrypted, sparse.
    pub flags: u16,
    pub content: Content,
    lowest_vcn: u64,
}

impl Attribute {
    fn parse(bytes: &[u8], boot: &Boot) -> Option<Result<Self, Unmapped>> {
        let kind = le_u32(bytes, 0)?;
        let name_at = usize::from(le_u16(bytes, 10)?);
        let name = bytes.get(name_at..name_at + 2 * usize::from(bytes[9]))?;
        let name = name.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        let flags = le_u16(bytes, 12)?;
        if bytes[8] == 0 {
            let (length, at) = (le_u32(bytes, 16)? as usize, usize::from(le_u16(bytes, 20)?));
            let value = bytes.get(at..at.checked_add(length)?)?;
            return Some(Ok(Self { kind, name, flags, content: Content::Resident(value.to_vec()), lowest_vcn: 0 }));
        }
        let (lowest_vcn, highest_vcn) = (le_u64(bytes, 16)?, le_u64(bytes, 24)?);
        let pairs = bytes.get(usize::from(le_u16(bytes, 32)?).max(64)..)?;
        // The sizes are those of the whole attribute, and only in its first part.
        let first = lowest_vcn == 0;
        let (data_bytes, initialized_bytes) = (le_u64(bytes, 48)?, le_u64(bytes, 56)?);
        if lowest_vcn > i64::MAX as u64 || (first && initialized_bytes > data_bytes) {
            return None;
        }
        let stream = |runs| Stream { runs, data_bytes, initialized_bytes };
        Some(decode_runs(pairs, lowest_vcn, highest_vcn, boot.clusters).map(|runs| Self {
            kind,
            name,
            flags,
            content: Content::Stream(stream(runs)),
            lowest_vcn,
        }))
    }
}

/// One record of the MFT.
#[derive(Debug)]
struct Record {
    sequence: u16,
    links: u16,
    flags: u16,
    /// The record that this one extends, 0 where it stands for itself.
    base: u64,
    attributes: Vec<Attribute>,
}

impl Record {
    fn parse(mut bytes: Vec<u8>, number: u64, boot: &Boot) -> Result<Self, Unmapped> {
        let what = format!("MFT record {number}");
        fix_up(&mut bytes, b"FILE", &what)?;
        Self::fields(&bytes, number, boot).unwrap_or_else(|| Err(broken(&what)))
    }

    fn fields(bytes: &[u8], number: u64, boot: &Boot) -> Option<Result<Self, Unmapped>> {
        let (array_at, first_attribute) = (le_u16(bytes, 4)?, usize::from(le_u16(bytes, 20)?));
        let (used, allocated) = (le_u32(bytes, 24)? as usize, le_u32(bytes, 28)? as usize);
        // From NTFS 3.1 on a record has its number, before the update sequence.
        let numbered = array_at < 48 || u64::from(le_u32(bytes, 44)?) == number & 0xFFFF_FFFF;
        if allocated != bytes.len() || used > allocated || !first_attribute.is_multiple_of(8) || !numbered {
            return None;
        }
        let mut record = Self {
            sequence: le_u16(bytes, 16)?,
            links: le_u16(bytes, 18)?,
            flags: le_u16(bytes, 22)?,
            base: le_u64(bytes, 32)?,
            attributes: Vec::new(),
        };
        let mut at = first_attribute;
        loop {
            let rest = bytes.get(at..used)?;
            if le_u32(rest, 0)? == u32::MAX {
                return Some(Ok(record));
            }
            let length = le_u32(rest, 4)? as usize;
            if length < 24 || !length.is_multiple_of(8) {
                return None;
            }
            match Attribute::parse(rest.get(..length)?, boot)? {
                Ok(attribute) => record.attributes.push(attribute),
                Err(unmapped) => return Some(Err(unmapped)),
            }
            at += length;
        }
    }

    fn in_use(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// A reference to a record: 48 bits of number, 16 bits of sequence number.
pub(super) fn reference(value: u64) -> (u64, u16) {
    (value & 0xFFFF_FFFF_FFFF, (value >> 48) as u16)
}

/// A file: its record, and the records that extend it.
#[derive(Debug)]
pub(super) struct File {
    pub sequence: u16,
    /// Names that lead to it.
    pub links: u16,
    pub is_directory: bool,
    pub attributes: Vec<Attribute>,
}

impl File {
    /// The attribute of this type and name.
    pub fn attribute(&self, kind: u32, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.kind == kind && name.encode_utf16().eq(attribute.name.iter().copied()))
    }

    /// The content of a system file: non-resident, and as it lies on the disk.
    pub fn plain_stream(&self, kind: u32, name: &str, what: &str) -> Result<&Stream, Unmapped> {
        match self.attribute(kind, name) {
            Some(Attribute { content: Content::Stream(stream), flags: 0, .. }) if stream.is_whole() => Ok(stream),
            _ => Err(Unmapped::inconsistent(format!("{what} is not as it has to be"))),
        }
    }

    /// The value of a resident attribute.
    pub fn value(&self, kind: u32, name: &str) -> Option<&[u8]> {
        match &self.attribute(kind, name)?.content {
            Content::Resident(value) => Some(value),
            Content::Stream(_) => None,
        }
    }

    pub fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.attributes.iter().filter_map(|attribute| match &attribute.content {
            Content::Stream(stream) => Some(stream),
            Content::Resident(_) => None,
        })
    }
}

/// The master file table.
pub(super) struct Mft<'a> {
    pub volume: &'a VolumeReader<'a>,
    pub boot: &'a Boot,
    stream: Stream,
}

impl<'a> Mft<'a> {
    /// Finds the table by its first record, which is a record of it.
    pub fn open(volume: &'a VolumeReader<'a>, boot: &'a Boot) -> Result<Self, Unmapped> {
        let bytes = volume.read(boot.mft_lcn * boot.cluster_bytes, boot.record_bytes)?;
        let mut record = Record::parse(bytes, 0, boot)?;
        let own = |attribute: &Attribute| attribute.kind == DATA && attribute.name.is_empty();
        let first = record.attributes.iter().position(own).map(|index| record.attributes.swap_remove(index));
        let stream = match first {
            Some(Attribute { content: Content::Stream(stream), flags: 0, lowest_vcn: 0, .. }) => stream,
            _ => return Err(broken("the MFT's own record")),
        };
        let mut mft = Self { volume, boot, stream };
        // Where it is in many pieces, each part's record lies in the parts before.
        for (number, lowest_vcn) in mft.list(&record)?.iter().filter(|entry| entry.is_mft_part()).map(ListEntry::place)
        {
            if lowest_vcn == 0 {
                continue;
            }
            let mut part = mft.record(number)?;
            let place =
                part.attributes.iter().position(|attribute| own(attribute) && attribute.lowest_vcn == lowest_vcn);
            match place.map(|index| part.attributes.swap_remove(index).content) {
                Some(Content::Stream(stream))
                    if lowest_vcn == mft.stream.end() && part.base & 0xFFFF_FFFF_FFFF == 0 =>
                {
                    mft.stream.runs.extend(stream.runs);
                }
                _ => return Err(broken("the list of the MFT's parts")),
            }
            if mft.stream.runs.len() > MAX_FILE_RUNS {
                return Err(Unmapped::inconsistent("the MFT is in too many pieces"));
            }
        }
        if !mft.stream.is_whole() || boot.mft_lcn != mft.stream.runs.first().and_then(|run| run.lcn).unwrap_or(0) {
            return Err(broken("the MFT's own record"));
        }
        Ok(mft)
    }

    /// A record's bytes as they are on the disk.
    pub fn bytes(&self, number: u64) -> Result<Vec<u8>, Unmapped> {
        let offset =
            number.checked_mul(self.boot.record_bytes).ok_or_else(|| broken("a reference to an MFT record"))?;
        self.stream.read(self.volume, self.boot, offset, self.boot.record_bytes)
    }

    fn record(&self, number: u64) -> Result<Record, Unmapped> {
        let record = Record::parse(self.bytes(number)?, number, self.boot)?;
        if !record.in_use() {
            return Err(Unmapped::inconsistent(format!("MFT record {number} is referred to and not in use")));
        }
        Ok(record)
    }

    /// Whether a record is in use and no part of another file; one that was never written is not.
    pub fn is_file(&self, number: u64) -> Result<bool, Unmapped> {
        let bytes = self.bytes(number)?;
        if !bytes.starts_with(b"FILE") {
            return Ok(false);
        }
        let record = Record::parse(bytes, number, self.boot)?;
        Ok(record.in_use() && record.base == 0)
    }

    /// The entries of a record's attribute list, none where it has none.
    fn list(&self, record: &Record) -> Result<Vec<ListEntry>, Unmapped> {
        let Some(attribute) = record.attributes.iter().find(|attribute| attribute.kind == ATTRIBUTE_LIST) else {
            return Ok(Vec::new());
        };
        let bytes = match &attribute.content {
            Content::Resident(value) => value.clone(),
            Content::Stream(stream) if stream.data_bytes <= MAX_LIST_BYTES && attribute.flags == 0 => {
                stream.read(self.volume, self.boot, 0, stream.data_bytes)?
            }
            Content::Stream(_) => return Err(broken("an attribute list")),
        };
        ListEntry::parse_all(&bytes).ok_or_else(|| broken("an attribute list"))
    }

    /// The file of this record with all that its attribute list names.
    pub fn file(&self, number: u64) -> Result<File, Unmapped> {
        let base = self.record(number)?;
        if base.base != 0 {
            return Err(Unmapped::inconsistent(format!("MFT record {number} is a part of another file")));
        }
        let others: BTreeSet<u64> = self.list(&base)?.iter().map(|entry| entry.reference).collect();
        let mut attributes = base.attributes;
        let mut runs: usize = attributes.iter().map(run_count).sum();
        for (other, sequence) in others.into_iter().map(reference).filter(|(other, _)| *other != number) {
            let part = self.record(other)?;
            if part.sequence != sequence || part.base != number | u64::from(base.sequence) << 48 {
                return Err(Unmapped::inconsistent(format!("MFT record {other} does not belong to record {number}")));
            }
            runs += part.attributes.iter().map(run_count).sum::<usize>();
            if runs > MAX_FILE_RUNS {
                return Err(Unmapped::inconsistent("a system file is in too many pieces"));
            }
            attributes.extend(part.attributes);
        }
        Ok(File {
            sequence: base.sequence,
            links: base.links,
            is_directory: base.flags & 2 != 0,
            attributes: joined(attributes)?,
        })
    }
}

fn run_count(attribute: &Attribute) -> usize {
    match &attribute.content {
        Content::Resident(_) => 0,
        Content::Stream(stream) => stream.runs.len(),
    }
}

/// Puts the parts of each attribute together.
fn joined(mut parts: Vec<Attribute>) -> Result<Vec<Attribute>, Unmapped> {
    parts.sort_by(|a, b| (a.kind, &a.name, a.lowest_vcn).cmp(&(b.kind, &b.name, b.lowest_vcn)));
    let mut whole: Vec<Attribute> = Vec::with_capacity(parts.len());
    for part in parts {
        let Content::Stream(stream) = &part.content else {
            whole.push(part);
            continue;
        };
        if part.lowest_vcn == 0 {
            whole.push(part);
            continue;
        }
        match whole.last_mut() {
            Some(Attribute { kind, name, content: Content::Stream(so_far), .. })
                if *kind == part.kind && *name == part.name && so_far.end() == part.lowest_vcn =>
            {
                so_far.runs.extend_from_slice(&stream.runs);
            }
            _ => return Err(broken("a list of an attribute's parts")),
        }
    }
    let twice = |pair: &[Attribute; 2]| {
        let [a, b] = pair;
        matches!(b.content, Content::Stream(_)) && a.kind == b.kind && a.name == b.name
    };
    if whole.array_windows().any(twice) {
        return Err(Unmapped::inconsistent("a file has the same attribute twice"));
    }
    Ok(whole)
}

/// One entry of an attribute list.
#[derive(Debug, PartialEq, Eq)]
struct ListEntry {
    kind: u32,
    named: bool,
    lowest_vcn: u64,
    reference: u64,
}

impl ListEntry {
    fn parse_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let mut entries = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = usize::from(le_u16(rest, 4)?);
            if length < 26 {
                return None;
            }
            entries.push(Self {
                kind: le_u32(rest, 0)?,
                named: *rest.get(6)? != 0,
                lowest_vcn: le_u64(rest, 8)?,
                reference: le_u64(rest, 16)?,
            });
            rest = rest.get(length..)?;
        }
        Some(entries)
    }

    fn is_mft_part(&self) -> bool {
        self.kind == DATA && !self.named
    }

    fn place(&self) -> (u64, u64) {
        (reference(self.reference).0, self.lowest_vcn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(vcn: u64, lcn: Option<u64>, clusters: u64) -> Run {
        Run { vcn, lcn, clusters }
    }

    #[test]
    fn runs() {
        // 0x30 clusters at 0x20; 5 at 0x60 before that... and a hole of 16.
        let pairs = [0x11, 0x30, 0x60, 0x21, 0x10, 0x00, 0x01, 0x01, 0x10, 0x11, 0x05, 0xE0, 0];
        let expected =
            [run(0, Some(0x60), 0x30), run(0x30, Some(0x160), 0x10), run(0x40, None, 0x10), run(0x50, Some(0x140), 5)];
        assert_eq!(decode_runs(&pairs, 0, 0x54, 0x1000).unwrap(), expected);
        assert!(decode_runs(&pairs, 0, 0x53, 0x1000).is_err(), "more than it should have");
        assert!(decode_runs(&pairs, 0, 0x54, 0x144).is_err(), "beyond the volume");
        assert!(decode_runs(&pairs[..12], 0, 0x54, 0x1000).is_err(), "without an end");
        assert_eq!(decode_runs(&[0], 0, u64::MAX, 10).unwrap(), []);
        assert_eq!(decode_runs(&[0x11, 1, 2, 0], 7, 7, 10).unwrap(), [run(7, Some(2), 1)]);
    }

    #[test]
    fn hostile_runs() {
        let bad: [&[u8]; 8] = [
            &[],
            &[0x11, 1, 0xFF, 0],
            &[0x11, 0xFF, 1, 0],
            &[0x11, 0, 1, 0],
            &[0x10, 1, 0],
            &[0x19, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0],
            &[0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1, 0],
            &[0x81, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0],
        ];
        for pairs in bad {
            assert!(decode_runs(pairs, 0, 0, 1000).is_err(), "{pairs:x?}");
        }
    }

    #[test]
    fn fixups() {
        let mut bytes = vec![0; 1024];
        bytes[..8].copy_from_slice(b"FILE\x30\x00\x03\x00");
        bytes[48..54].copy_from_slice(&[7, 0, 1, 2, 3, 4]);
        bytes[510] = 7;
        assert!(fix_up(&mut bytes.clone(), b"FILE", "it").is_err(), "the second guard");
        bytes[1022] = 7;
        assert!(fix_up(&mut bytes.clone(), b"INDX", "it").is_err());
        fix_up(&mut bytes, b"FILE", "it").unwrap();
        assert_eq!((&bytes[510..512], &bytes[1022..]), (&[1, 2][..], &[3, 4][..]));
        for patch in [(4, 0xFF), (4, 0x31), (5, 2), (6, 2), (7, 1)] {
            let mut bytes = bytes.clone();
            bytes[patch.0] = patch.1;
            assert!(fix_up(&mut bytes, b"FILE", "it").is_err());
        }
    }

    #[test]
    fn lists() {
        let mut bytes = vec![0; 64];
        bytes[..5].copy_from_slice(&[0x80, 0, 0, 0, 32]);
        bytes[8] = 9;
        bytes[16] = 24;
        bytes[32..37].copy_from_slice(&[0xB0, 0, 0, 0, 32]);
        let entries = ListEntry::parse_all(&bytes).unwrap();
        assert_eq!(entries[0], ListEntry { kind: DATA, named: false, lowest_vcn: 9, reference: 24 });
        assert_eq!(entries.len(), 2);
        bytes[36] = 0;
        assert_eq!(ListEntry::parse_all(&bytes), None);
        bytes[36] = 33;
        assert_eq!(ListEntry::parse_all(&bytes), None);
    }
}
