//! A blocked Bloom filter: one cache line per key.
//!
//! Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters" (2007). Ids are keyed
//! hashes, so their own bytes serve as the hash values.

use holotype_core::ChunkId;

/// Bits of the filter per key that it is made for.
const BITS_PER_KEY: u64 = 16;
/// Bits set per key; 9 bits of the id each.
const PROBES: u32 = 8;
const BLOCK_BITS: u64 = 512;

/// Says of an id that it was surely not added, or that it may have been.
///
/// The stored form is its blocks one after the other, each of eight little-endian 64-bit words.
/// Id bytes 8–15 (little-endian) choose the block by multiply-shift, bytes 16–24 the bits in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    blocks: Vec<[u64; 8]>,
}

impl Filter {
    /// Length of one stored block.
    pub const BLOCK_BYTES: usize = 64;

    /// An empty filter for about `keys` ids.
    pub fn for_keys(keys: u64) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(BLOCK_BITS).max(1);
        Self { blocks: vec![[0; 8]; usize::try_from(blocks).unwrap_or(usize::MAX)] }
    }

    fn place(&self, id: &ChunkId) -> usize {
        let hash = word(id, 8);
        ((u128::from(hash) * self.blocks.len() as u128) >> 64) as usize
    }

    /// Adds an id.
    pub fn add(&mut self, id: &ChunkId) {
        let place = self.place(id);
        let block = &mut self.blocks[place];
        for bit in probes(id) {
            block[bit >> 6] |= 1 << (bit & 63);
        }
    }

    /// `false` only where the id was not added.
    pub fn may_contain(&self, id: &ChunkId) -> bool {
        let block = &self.blocks[self.place(id)];
        probes(id).all(|bit| block[bit >> 6] & (1 << (bit & 63)) != 0)
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The stored form, in parts of at most `part_blocks` blocks.
    pub fn parts(&self, part_blocks: usize) -> impl Iterator<Item = Vec<u8>> {
        self.blocks
            .chunks(part_blocks)
            .map(|blocks| blocks.as_flattened().iter().flat_map(|w| w.to_le_bytes()).collect())
    }

    /// Reads stored parts, whole blocks each; `None` where there are none or a block is cut.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut blocks = Vec::new();
        for part in parts {
            let (words, rest) = part.as_chunks::<8>();
            let (whole, cut) = words.as_chunks::<8>();
            if !rest.is_empty() || !cut.is_empty() {
                return None;
            }
            blocks.extend(whole.iter().map(|words| words.map(u64::from_le_bytes)));
        }
        (!blocks.is_empty()).then_some(Self { blocks })
    }
}

fn word(id: &ChunkId, at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.0[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// Bits of the block, 0–511: seven from one word, the eighth from the byte after it and the word's last bit.
fn probes(id: &ChunkId) -> impl Iterator<Item = usize> {
    let low = word(id, 16);
    let all = u128::from(low) | u128::from(id.0[24]) << 64;
    (0..PROBES).map(move |probe| (all >> (probe * 9)) as usize & 511)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ChunkId {
        ChunkId(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    #[test]
    fn no_false_negatives_and_at_most_half_a_percent_false_positives() {
        let mut filter = Filter::for_keys(100_000);
        assert!((0..1000).all(|n| !filter.may_contain(&id(n))), "an empty filter holds nothing");
        (0..100_000).for_each(|n| filter.add(&id(n)));
        assert!((0..100_000).all(|n| filter.may_contain(&id(n))));
        let wrong = (100_000..300_000).filter(|&n| filter.may_contain(&id(n))).count();
        assert!(wrong <= 1000, "{wrong} of 200,000 unknown ids passed");
        assert!(filter.blocks() * Filter::BLOCK_BYTES <= 200_064);
    }

    #[test]
    fn stored_form_round_trips_and_cut_parts_are_refused() {
        let mut filter = Filter::for_keys(1000);
        (0..1000).for_each(|n| filter.add(&id(n)));
        let parts: Vec<_> = filter.parts(10).collect();
        assert_eq!(parts[0].len(), 640);
        assert_eq!(Filter::from_parts(parts.iter().map(Vec::as_slice)).unwrap(), filter);
        assert!(Filter::from_parts([&parts[0][..100]]).is_none());
        assert!(Filter::from_parts([&parts[0][..72]]).is_none());
        assert!(Filter::from_parts([]).is_none());
    }

    #[test]
    fn golden_bits() {
        let mut id = [0; 32];
        id[16] = 3;
        id[24] = 0b1000_0000;
        let mut filter = Filter::for_keys(1);
        filter.add(&ChunkId(id));
        let mut golden = [0; 64];
        golden[0] = 0b1001;
        golden[32] = 1;
        assert_eq!(filter.parts(1).next().unwrap(), golden);
    }
}
