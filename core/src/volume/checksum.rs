//! The checksum that several filesystems share.

use crc::{Algorithm, CRC_32_ISCSI, Crc, Table};

/// CRC-32C without the inversion at its end, as Linux' `crc32c()` computes it.
const CRC32C_RAW: Algorithm<u32> = Algorithm { xorout: 0, ..CRC_32_ISCSI };
static RAW: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC32C_RAW);

/// CRC-32C of `parts` one after the other, begun with `seed`, without the inversion at its end.
pub(super) fn crc32c_raw(seed: u32, parts: &[&[u8]]) -> u32 {
    // The crate takes the initial value in the bit order before reflection.
    let mut digest = RAW.digest_with_initial(seed.reverse_bits());
    for part in parts {
        digest.update(part);
    }
    digest.finalize()
}

/// The usual CRC-32C (iSCSI) of `parts` one after the other.
pub(super) fn crc32c(parts: &[&[u8]]) -> u32 {
    !crc32c_raw(!0, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_value() {
        assert_eq!(crc32c(&[b"1234", b"56789"]), 0xE306_9283);
        let first = crc32c_raw(!0, &[b"1234"]);
        assert_eq!(!crc32c_raw(first, &[b"56789"]), 0xE306_9283);
    }
}
