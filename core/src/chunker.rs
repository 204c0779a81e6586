//! Content-defined chunking inside segments: FastCDC, the 2020 version of the algorithm
//! (Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
//! Systems", IEEE TPDS 31/9).

use crate::DecodeError;
use bincode::{Decode, Encode};
use fastcdc::v2020::{Normalization, cut, select_masks};

/// Chunk sizes of a repository; part of its config, because other sizes do not deduplicate
/// against these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ChunkerSettings {
    /// Which algorithm: 1 is FastCDC 2020 with normalization 1 and the
    /// published gear table, where a rest no longer than the average is left whole.
    pub version: u16,
    /// No chunk but a segment's last is shorter, in bytes.
    pub minimum_bytes: u32,
    /// Wanted mean inside long segments, in bytes.
    pub average_bytes: u32,
    /// No chunk is longer, in bytes.
    pub maximum_bytes: u32,
}

impl Default for ChunkerSettings {
    fn default() -> Self {
        Self { version: 1, minimum_bytes: 32 << 10, average_bytes: 64 << 10, maximum_bytes: 256 << 10 }
    }
}

impl ChunkerSettings {
    /// Largest chunk that any settings may give, in bytes.
    pub const LARGEST_MAXIMUM_BYTES: u32 = 1 << 20;

    /// # Errors
    /// Unsupported version; sizes that are odd, out of order or outside of 256 bytes to 1 MiB.
    pub fn check(&self) -> Result<(), DecodeError> {
        const WHAT: &str = "chunker settings";
        if self.version != 1 {
            return Err(DecodeError::unsupported(WHAT, format!("chunker version {}", self.version)));
        }
        let sizes = [self.minimum_bytes, self.average_bytes, self.maximum_bytes];
        let even = sizes.iter().all(|size| size % 2 == 0);
        let ordered = sizes.is_sorted() && sizes[0] >= 64 && sizes[1] >= 256 && sizes[2] >= 1024;
        if !even || !ordered || self.maximum_bytes > Self::LARGEST_MAXIMUM_BYTES {
            return Err(DecodeError::damaged(WHAT, format!("impossible sizes {sizes:?}")));
        }
        Ok(())
    }
}

/// Finds cut points.
#[derive(Debug, Clone)]
pub struct Chunker {
    minimum: usize,
    average: usize,
    maximum: usize,
    mask_short: u64,
    mask_long: u64,
}

impl Chunker {
    /// # Errors
    /// Those of [`ChunkerSettings::check`].
    pub fn new(settings: &ChunkerSettings) -> Result<Self, DecodeError> {
        settings.check()?;
        let average = settings.average_bytes as usize;
        let (mask_short, mask_long) = select_masks(average, Normalization::Level1);
        Ok(Self {
            minimum: settings.minimum_bytes as usize,
            average,
            maximum: settings.maximum_bytes as usize,
            mask_short,
            mask_long,
        })
    }

    /// Length of the first chunk of `rest`, which goes on to its segment's end. 0 only for nothing.
    ///
    /// What is no longer than the average is one chunk: it is mostly a whole small file or the end
    /// of one, and cutting it gains nothing.
    pub fn first_chunk_bytes(&self, rest: &[u8]) -> usize {
        if rest.len() <= self.average {
            return rest.len();
        }
        let (_, length) = cut(
            rest,
            self.minimum,
            self.average,
            self.maximum,
            self.mask_short,
            self.mask_long,
            self.mask_short << 1,
            self.mask_long << 1,
        );
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn agrees_with_the_crates_own_iterator() {
        let data = noise(2 << 20);
        let settings = ChunkerSettings::default();
        let chunker = Chunker::new(&settings).unwrap();
        let mut at = 0;
        let mut ours = Vec::new();
        while at < data.len() {
            at += chunker.first_chunk_bytes(&data[at..]);
            ours.push(at);
        }
        let theirs: Vec<usize> = fastcdc::v2020::FastCDC::new(
            &data,
            settings.minimum_bytes as usize,
            settings.average_bytes as usize,
            settings.maximum_bytes as usize,
        )
        .map(|chunk| chunk.offset + chunk.length)
        .collect();
        // Up to the last average, which is not cut.
        let common = theirs.iter().take_while(|end| data.len() - **end > settings.average_bytes as usize).count();
        assert_eq!(ours[..=common], theirs[..=common]);
        assert_eq!(ours.last(), Some(&data.len()));
        // Pinned: other cut points would end deduplication against existing repositories.
        assert_eq!(&ours[..4], &[125811, 203956, 305622, 389571]);
    }

    #[test]
    fn impossible_settings_are_refused() {
        let good = ChunkerSettings::default();
        assert!(Chunker::new(&good).is_ok());
        for bad in [
            ChunkerSettings { version: 2, ..good },
            ChunkerSettings { minimum_bytes: 0, ..good },
            ChunkerSettings { average_bytes: 16 << 10, ..good },
            ChunkerSettings { maximum_bytes: 1 << 30, ..good },
            ChunkerSettings { minimum_bytes: (32 << 10) + 1, ..good },
        ] {
            assert!(Chunker::new(&bad).is_err(), "{bad:?}");
        }
    }
}
