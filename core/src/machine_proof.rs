//! What a machine signs to prove to a server that it holds its key.
//!
//! Enrolment, in the context [`MACHINE_ENROLMENT`](crate::signature::MACHINE_ENROLMENT): the code as
//! [`normal_code`] writes it, then the public key (32 bytes).
//!
//! Claim (enrolment without a code, which an operator approves), in the context
//! [`MACHINE_CLAIM`](crate::signature::MACHINE_CLAIM): the organisation's name as text, then the public key (32 bytes).
//!
//! Session, in the context [`MACHINE_SESSION`](crate::signature::MACHINE_SESSION): the machine's id (32
//! hexadecimal digits, as text), the machine's time in milliseconds since 1970 (8 bytes, little-endian),
//! the nonce (16 random bytes).

use crate::WriterId;

/// Length of a nonce in bytes.
pub const NONCE_BYTES: usize = 16;
/// Characters of an enrolment code without its dashes: 120 bits in Crockford's base32.
pub const CODE_CHARACTERS: usize = 24;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// A longer text with dashes and spaces is no code.
const MAX_TYPED_BYTES: usize = 100;

/// An enrolment code of random bytes, in groups of four characters.
pub fn code_text(random: &[u8; CODE_CHARACTERS * 5 / 8]) -> String {
    let mut text = String::with_capacity(CODE_CHARACTERS + CODE_CHARACTERS / 4);
    for (group, bytes) in random.chunks(5).enumerate() {
        let bits = bytes.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            if place % 4 == 3 && (group > 0 || place < 7) {
                text.push('-');
            }
            text.push(ALPHABET[(bits >> (5 * place) & 31) as usize].into());
        }
    }
    text
}

/// A code as it was typed, in its one form: upper case, without dashes and spaces, O read as 0, I and
/// L as 1. `None` where it is no code.
pub fn normal_code(typed: &str) -> Option<String> {
    if typed.len() > MAX_TYPED_BYTES {
        return None;
    }
    let typed = typed.bytes().filter(|byte| !matches!(byte, b'-' | b' '));
    let normal = typed.map(|byte| match byte.to_ascii_uppercase() {
        b'O' => Some('0'),
        b'I' | b'L' => Some('1'),
        byte if ALPHABET.contains(&byte) => Some(char::from(byte)),
        _ => None,
    });
    normal.collect::<Option<String>>().filter(|code| code.len() == CODE_CHARACTERS)
}

/// What is signed to enrol. `code` is what [`normal_code`] gives.
pub fn enrolment_message(code: &str, public_key: &WriterId) -> Vec<u8> {
    [code.as_bytes(), public_key.as_bytes()].concat()
}

/// What is signed to claim.
pub fn claim_message(organisation: &str, public_key: &WriterId) -> Vec<u8> {
    [organisation.as_bytes(), public_key.as_bytes()].concat()
}

/// What a person compares of a public key, on the machine's screen and on the operator's: 60 bits of its BLAKE3, as
/// three groups of four characters.
pub fn fingerprint(public_key: &WriterId) -> String {
    let hash = blake3::hash(public_key.as_bytes());
    let bits = hash.as_bytes()[..8].iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let character = |place: u32| char::from(ALPHABET[(bits >> (59 - 5 * place) & 31) as usize]);
    let group = |group: u32| (4 * group..4 * group + 4).map(character).collect::<String>();
    [group(0), group(1), group(2)].join("-")
}

/// What is signed for a session.
pub fn session_message(machine: &str, at_ms: i64, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    [machine.as_bytes(), &at_ms.to_le_bytes(), nonce].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_they_are_typed() {
        let code = code_text(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 255]);
        assert_eq!(code, "000G-40R4-0M30-E209-185G-R3FZ");
        let normal = normal_code(&code).unwrap();
        assert_eq!(normal, "000G40R40M30E209185GR3FZ");
        assert_eq!(normal_code(" oO0g 4 0r4-0m30-e209-i85g-r3fz").as_deref(), Some(normal.as_str()));
        assert_eq!(normal_code(&code[1..]), None);
        assert_eq!(normal_code(&code.replace('Z', "U")), None);
        assert_eq!(normal_code(&code.replace('Z', "é")), None);
        assert_eq!(normal_code(&format!("{code}{}", "-".repeat(100))), None);
    }

    #[test]
    fn fingerprints_are_short_and_differ() {
        let fingerprint = fingerprint(&WriterId([9; 32]));
        assert_eq!(fingerprint, "FA31-QBAS-6ZFG");
        assert_ne!(fingerprint, super::fingerprint(&WriterId([8; 32])));
    }

    #[test]
    fn messages_are_what_they_are_documented_to_be() {
        let message = session_message("m", 0x0102, &[7; NONCE_BYTES]);
        assert_eq!(message, [&b"m\x02\x01\0\0\0\0\0\0"[..], &[7; 16]].concat());
        assert_eq!(claim_message("o", &WriterId([9; 32])), [&b"o"[..], &[9; 32]].concat());
        assert_eq!(enrolment_message("C", &WriterId([9; 32])), [&b"C"[..], &[9; 32]].concat());
    }
}
