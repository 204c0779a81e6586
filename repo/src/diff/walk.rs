//! Two manifests side by side.

use super::report::{DiffRange, DifferenceKind};
use crate::error::Result;
use crate::job::Job;
use crate::manifest::{Extent, LeafExtent, LeafPlace};
use holotype_core::ChunkId;
use std::collections::VecDeque;

/// What a range of a disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// This chunk, whose first byte lies at `start` of the disk.
    Chunk {
        id: ChunkId,
        start: u64,
    },
    Zero,
    /// Nobody uses it, or the disk has ended before.
    Free,
    Unreadable,
}

impl Content {
    fn of(extent: &LeafExtent, start: u64) -> Self {
        match *extent {
            LeafExtent::Chunk { id, .. } => Self::Chunk { id, start },
            // A reference without its id stands in no leaf that was read.
            LeafExtent::Other(Extent::Free { .. }) => Self::Free,
            LeafExtent::Other(Extent::Unreadable { .. } | Extent::Chunk { .. }) => Self::Unreadable,
            LeafExtent::Other(Extent::Zero { .. }) => Self::Zero,
        }
    }

    /// How `other` in this one's place differs. What was unreadable twice is taken for equal.
    fn difference(self, other: Self) -> Option<DifferenceKind> {
        match (self, other) {
            (a, b) if a == b => None,
            (Self::Free, _) => Some(DifferenceKind::BecameUsed),
            (_, Self::Free) => Some(DifferenceKind::BecameFree),
            _ => Some(DifferenceKind::Changed),
        }
    }
}

/// How a leaf's extents are had.
type ReadLeaf<'a> = &'a mut dyn FnMut(&LeafPlace) -> Result<Vec<LeafExtent>>;

/// One of the two, from its start to its end.
struct Cursor<'a> {
    leaves: &'a [LeafPlace],
    /// The rest of the leaf that was opened last: length and content of each range.
    opened: VecDeque<(u64, Content)>,
}

impl<'a> Cursor<'a> {
    /// The next leaf, where the cursor stands before one.
    fn before(&self) -> Option<&'a LeafPlace> {
        self.leaves.first().filter(|_| self.opened.is_empty())
    }

    fn skip_leaf(&mut self) {
        self.leaves = self.leaves.get(1..).unwrap_or_default();
    }

    /// What stands here, and for how many bytes; `None` at the end.
    fn here(&mut self, read: ReadLeaf<'_>) -> Result<Option<(u64, Content)>> {
        while self.opened.is_empty() {
            let Some(leaf) = self.before() else { return Ok(None) };
            let mut at = leaf.offset;
            for extent in read(leaf)? {
                let bytes = extent.bytes();
                if bytes > 0 {
                    self.opened.push_back((bytes, Content::of(&extent, at)));
                }
                at += bytes;
            }
            self.skip_leaf();
        }
        Ok(self.opened.front().copied())
    }

    /// Goes on by `bytes`, no more than what stands here.
    fn advance(&mut self, bytes: u64) {
        if let Some((rest, _)) = self.opened.front_mut() {
            *rest -= bytes;
            if *rest == 0 {
                self.opened.pop_front();
            }
        }
    }
}

/// A walk over both at once.
pub(super) struct Walk<'a> {
    first: Cursor<'a>,
    second: Cursor<'a>,
}

impl<'a> Walk<'a> {
    /// Over leaves in the order of the disk, without gaps from byte 0 on.
    pub fn new(first: &'a [LeafPlace], second: &'a [LeafPlace]) -> Self {
        let cursor = |leaves| Cursor { leaves, opened: VecDeque::new() };
        Self { first: cursor(first), second: cursor(second) }
    }

    /// Gives every range that differs to `found`, in order; neighbours may be of one kind.
    pub fn run(
        mut self,
        read_first: ReadLeaf<'_>,
        read_second: ReadLeaf<'_>,
        found: &mut dyn FnMut(DiffRange),
        job: &Job,
    ) -> Result<()> {
        let mut at = 0;
        loop {
            job.check()?;
            if let (Some(first), Some(second)) = (self.first.before(), self.second.before())
                && first == second
            {
                self.first.skip_leaf();
                self.second.skip_leaf();
                at += first.bytes;
                job.advance(first.bytes);
                continue;
            }
            let (bytes, kind) = match (self.first.here(read_first)?, self.second.here(read_second)?) {
                (None, None) => return Ok(()),
                (Some((bytes, first)), None) => (bytes, first.difference(Content::Free)),
                (None, Some((bytes, second))) => (bytes, Content::Free.difference(second)),
                (Some((one, first)), Some((other, second))) => (one.min(other), first.difference(second)),
            };
            if let Some(kind) = kind {
                found(DiffRange { offset_bytes: at, bytes, kind });
            }
            self.first.advance(bytes);
            self.second.advance(bytes);
            at += bytes;
            job.advance(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holotype_core::NodeId;
    use proptest::prelude::*;
    use std::cell::Cell;

    /// A disk of leaves, each of extents; a leaf's name says what is in it.
    fn places(disk: &[Vec<LeafExtent>]) -> Vec<LeafPlace> {
        let mut offset = 0;
        let place = |leaf: &Vec<LeafExtent>| {
            let bytes = leaf.iter().map(LeafExtent::bytes).sum();
            let node = NodeId(*blake3::hash(format!("{leaf:?}").as_bytes()).as_bytes());
            offset += bytes;
            LeafPlace { offset: offset - bytes, bytes, node }
        };
        disk.iter().map(place).collect()
    }

    fn diff(first: &[Vec<LeafExtent>], second: &[Vec<LeafExtent>]) -> (Vec<DiffRange>, usize) {
        let (first_places, second_places) = (places(first), places(second));
        let opened = Cell::new(0);
        let read = |disk: &[Vec<LeafExtent>], places: &[LeafPlace], place: &LeafPlace| {
            opened.set(opened.get() + 1);
            Ok(disk[places.iter().position(|other| other == place).unwrap()].clone())
        };
        let mut found = Vec::new();
        Walk::new(&first_places, &second_places)
            .run(
                &mut |place| read(first, &first_places, place),
                &mut |place| read(second, &second_places, place),
                &mut |range| found.push(range),
                &Job::new(),
            )
            .unwrap();
        (found, opened.get())
    }

    fn chunk(id: u8, bytes: u32) -> LeafExtent {
        LeafExtent::Chunk { id: ChunkId([id; 32]), bytes }
    }

    fn zero(bytes: u64) -> LeafExtent {
        LeafExtent::Other(Extent::Zero { bytes })
    }

    fn free(bytes: u64) -> LeafExtent {
        LeafExtent::Other(Extent::Free { bytes })
    }

    fn range(offset_bytes: u64, bytes: u64, kind: DifferenceKind) -> DiffRange {
        DiffRange { offset_bytes, bytes, kind }
    }

    #[test]
    fn equal_leaves_are_not_opened_and_equal_ranges_need_not_be_cut_alike() {
        let disk = [vec![chunk(1, 10), zero(5)], vec![chunk(2, 10)]];
        assert_eq!(diff(&disk, &disk), (vec![], 0));
        let other = [vec![chunk(1, 10)], vec![zero(2), zero(3), chunk(2, 10)]];
        assert_eq!(diff(&disk, &other).0, []);
        let shifted = [vec![zero(5), chunk(1, 10)], vec![chunk(2, 10)]];
        let (found, opened) = diff(&disk, &shifted);
        assert_eq!(opened, 2, "the second leaves are one");
        assert_eq!(found.iter().map(|range| range.bytes).sum::<u64>(), 15);
    }

    #[test]
    fn kinds_and_ends() {
        use DifferenceKind::{BecameFree, BecameUsed, Changed};
        let unreadable = LeafExtent::Other(Extent::Unreadable { bytes: 4 });
        let first = [vec![chunk(1, 4), free(4), free(4), unreadable, zero(4), zero(4)]];
        let second = [vec![chunk(2, 4), zero(4), free(4), unreadable, free(4)]];
        let found = diff(&first, &second).0;
        let expected =
            [range(0, 4, Changed), range(4, 4, BecameUsed), range(16, 4, BecameFree), range(20, 4, BecameFree)];
        assert_eq!(found, expected);
        let back: Vec<_> = diff(&second, &first).0.iter().map(|range| range.kind).collect();
        assert_eq!(back, [Changed, BecameFree, BecameUsed, BecameUsed]);
        assert_eq!(diff(&[vec![]], &[vec![free(9)]]).0, [], "what is free needs no place");
    }

    fn any_disk() -> impl Strategy<Value = Vec<Vec<LeafExtent>>> {
        let extent = prop_oneof![
            (1u8..4, 1u32..5).prop_map(|(id, bytes)| chunk(id, bytes)),
            (0u64..6).prop_map(zero),
            (0u64..6).prop_map(free),
        ];
        proptest::collection::vec(proptest::collection::vec(extent, 0..5), 0..5)
    }

    /// Each byte: which content, and for chunks where in it.
    fn bytes_of(disk: &[Vec<LeafExtent>]) -> Vec<(Option<u8>, u64, bool)> {
        let of = |extent: &LeafExtent| -> Vec<(Option<u8>, u64, bool)> {
            (0..extent.bytes())
                .map(|at| match extent {
                    LeafExtent::Chunk { id, .. } => (Some(id.0[0]), at, false),
                    LeafExtent::Other(other) => (None, 0, matches!(other, Extent::Free { .. })),
                })
                .collect()
        };
        disk.iter().flatten().flat_map(of).collect()
    }

    proptest! {
        #[test]
        fn ranges_are_those_of_a_byte_loop(first in any_disk(), second in any_disk()) {
            let found = diff(&first, &second).0;
            let mut kinds = std::collections::BTreeMap::new();
            for range in &found {
                for at in range.offset_bytes..range.offset_bytes + range.bytes {
                    prop_assert!(kinds.insert(at as usize, range.kind).is_none());
                }
            }
            let (first, second) = (bytes_of(&first), bytes_of(&second));
            let past = (None, 0, true);
            for at in 0..first.len().max(second.len()) {
                let (a, b) = (first.get(at).unwrap_or(&past), second.get(at).unwrap_or(&past));
                let expected = match (a.2, b.2) {
                    (true, true) => None,
                    (true, false) => Some(DifferenceKind::BecameUsed),
                    (false, true) => Some(DifferenceKind::BecameFree),
                    (false, false) => (a != b).then_some(DifferenceKind::Changed),
                };
                prop_assert_eq!(kinds.get(&at).copied(), expected, "byte {}", at);
            }
        }
    }
}
