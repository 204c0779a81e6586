//! Hexadecimal digits, lower case.

/// Bytes as digits, two each.
pub fn text(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The `N` bytes of `2 N` digits; `None` for anything else, upper case too.
pub fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        assert_eq!(text(&[0x0a, 0xff, 0x10]), "0aff10");
        assert_eq!(bytes::<3>("0aff10"), Some([0x0a, 0xff, 0x10]));
        for bad in ["", "0aff1", "0aff100", "0aFf10", "+aff10", "0aff1\u{e9}", "0affg0"] {
            assert_eq!(bytes::<3>(bad), None, "{bad}");
        }
    }
}
