//! Pins: which certificate a server must show.

use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "sha256:";

/// SHA-256 of a certificate (DER): the server's own, or that of the authority that signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServerPin(pub [u8; 32]);

impl ServerPin {
    /// The pin of a certificate.
    pub fn of(certificate_der: &[u8]) -> Self {
        let digest = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let digest = digest.tls13().expect("it is a suite of TLS 1.3").common.hash_provider.hash(certificate_der);
        let mut pin = [0; 32];
        pin.copy_from_slice(digest.as_ref());
        Self(pin)
    }
}

impl fmt::Display for ServerPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ServerPin {
    type Err = String;

    /// `sha256:` and 64 hexadecimal digits; colons between bytes and upper case are fine too.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || "a pin is `sha256:` and 64 hexadecimal digits, as `holotype server fingerprint` prints it";
        let digits = text.trim().strip_prefix(PREFIX).ok_or_else(refuse)?.replace(':', "");
        let mut pin = [0; 32];
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refuse().to_owned());
        }
        for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| refuse())?;
        }
        Ok(Self(pin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_as_they_are_written() {
        let pin = ServerPin::of(b"abc");
        // FIPS 180-2, appendix B.1.
        assert_eq!(pin.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!(pin.to_string().replace("ba78", "BA:78").parse(), Ok(pin));
        for bad in ["", "sha256:", "md5:00", "sha256:zz", &pin.to_string()[..70], &"sha256:é".repeat(8)] {
            assert!(bad.parse::<ServerPin>().is_err(), "{bad}");
        }
    }
}
