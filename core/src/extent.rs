//! Ranges of bytes on a disk, with checked arithmetic.

use std::fmt;
use std::ops::Range;

/// A range of bytes on a disk. Its end never overflows `u64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    offset_bytes: u64,
    length_bytes: u64,
}

impl Extent {
    /// The range of `length_bytes` from `offset_bytes`, or `None` where its end would overflow.
    pub fn new(offset_bytes: u64, length_bytes: u64) -> Option<Self> {
        offset_bytes.checked_add(length_bytes)?;
        Some(Self { offset_bytes, length_bytes })
    }

    /// The range from `start_bytes` to before `end_bytes`, or `None` where they are out of order.
    pub fn between(start_bytes: u64, end_bytes: u64) -> Option<Self> {
        Some(Self { offset_bytes: start_bytes, length_bytes: end_bytes.checked_sub(start_bytes)? })
    }

    /// First byte.
    pub fn offset(&self) -> u64 {
        self.offset_bytes
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.length_bytes
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.length_bytes == 0
    }

    /// First byte after it.
    pub fn end(&self) -> u64 {
        self.offset_bytes + self.length_bytes
    }

    /// As a range.
    pub fn range(&self) -> Range<u64> {
        self.offset_bytes..self.end()
    }

    /// Whether `other` lies wholly inside.
    pub fn contains(&self, other: &Extent) -> bool {
        self.offset_bytes <= other.offset_bytes && other.end() <= self.end()
    }

    /// The bytes that both have, if any.
    pub fn intersection(&self, other: &Extent) -> Option<Extent> {
        let start = self.offset_bytes.max(other.offset_bytes);
        let end = self.end().min(other.end());
        Extent::between(start, end).filter(|common| !common.is_empty())
    }

    /// The part before `at_bytes` and the part from it on. `None` where `at_bytes` is not inside.
    pub fn split_at(&self, at_bytes: u64) -> Option<(Extent, Extent)> {
        Some((Extent::between(self.offset_bytes, at_bytes)?, Extent::between(at_bytes, self.end())?))
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}..{}", self.offset(), self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn overflow_is_refused() {
        assert_eq!(Extent::new(u64::MAX, 1), None);
        assert_eq!(Extent::new(u64::MAX, 0).map(|e| e.end()), Some(u64::MAX));
        assert_eq!(Extent::between(5, 4), None);
    }

    proptest! {
        #[test]
        fn split_parts_join_again(offset in 0u64..1000, length in 0u64..1000, at in 0u64..2500) {
            let whole = Extent::new(offset, length).unwrap();
            match whole.split_at(at) {
                Some((left, right)) => {
                    prop_assert_eq!(left.len() + right.len(), length);
                    prop_assert_eq!(left.end(), right.offset());
                    prop_assert!(whole.contains(&left) && whole.contains(&right));
                    prop_assert_eq!(left.intersection(&right), None);
                }
                None => prop_assert!(at < offset || at > offset + length),
            }
        }
    }
}
