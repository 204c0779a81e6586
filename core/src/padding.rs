//! Zero blocks and file tails.
//!
//! A filesystem gives a file whole blocks and pads the last one with zeros. A block that is not
//! zero and ends in zeros therefore usually ends a file, and the next one begins another: a place
//! to cut that stays where it is when the same file lies elsewhere on another disk.

/// The block that is looked at, in bytes: the usual allocation unit of today's filesystems.
pub const BLOCK_BYTES: usize = 4096;

/// A block whose last bytes, this many, are zero is padded.
pub const TAIL_BYTES: usize = 32;

/// What a block looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Every byte is zero.
    Zero,
    /// Not all zero, but the last [`TAIL_BYTES`] are.
    Padded,
    /// Anything else.
    Full,
}

/// Whether every byte is zero. Compares 64 bytes a step, which compilers turn into vector code.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (wide, rest) = bytes.as_chunks::<64>();
    let zero_wide = |group: &[u8; 64]| {
        let mut any = [0u64; 8];
        for (lane, word) in any.iter_mut().zip(group.as_chunks::<8>().0) {
            *lane = u64::from_ne_bytes(*word);
        }
        any.iter().fold(0, |or, lane| or | lane) == 0
    };
    wide.iter().all(zero_wide) && rest.iter().all(|byte| *byte == 0)
}

/// Looks at one block of at most [`BLOCK_BYTES`]; the last block of a disk may be shorter.
pub fn classify(block: &[u8]) -> Block {
    let tail_start = block.len().saturating_sub(TAIL_BYTES);
    if !is_zero(&block[tail_start..]) {
        Block::Full
    } else if is_zero(&block[..tail_start]) {
        Block::Zero
    } else {
        Block::Padded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn kinds_of_blocks() {
        let mut block = vec![0; BLOCK_BYTES];
        assert_eq!(classify(&block), Block::Zero);
        block[0] = 1;
        assert_eq!(classify(&block), Block::Padded);
        block[BLOCK_BYTES - TAIL_BYTES - 1] = 1;
        assert_eq!(classify(&block), Block::Padded);
        block[BLOCK_BYTES - TAIL_BYTES] = 1;
        assert_eq!(classify(&block), Block::Full);
        assert_eq!(classify(&[0; 7]), Block::Zero);
        assert_eq!(classify(&[0, 0, 1]), Block::Full);
        assert_eq!(classify(&[]), Block::Zero);
    }

    proptest! {
        #[test]
        fn wide_compare_agrees_with_bytes(length in 0usize..300, set in proptest::option::of((0usize..300, 1u8..))) {
            let mut bytes = vec![0u8; length];
            if let Some((at, value)) = set && at < length {
                bytes[at] = value;
            }
            prop_assert_eq!(is_zero(&bytes), bytes.iter().all(|b| *b == 0));
        }
    }
}
