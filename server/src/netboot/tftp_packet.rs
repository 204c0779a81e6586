//! TFTP's packets (RFC 1350; options: RFC 2347, 2348, 2349, 7440). Own code: it is small, and what exists serves a
//! directory and nothing that is made on request.
//!
//! | opcode (u16, big-endian) | what follows |
//! |---|---|
//! | 1 read, 2 write | name, zero byte, mode, zero byte, then options: name, zero byte, value, zero byte |
//! | 3 data | block (u16), bytes: fewer than a block's size end the transfer |
//! | 4 acknowledgement | block (u16) |
//! | 5 error | code (u16), text, zero byte |
//! | 6 options agreed | options as above |

/// Longest request.
pub const MAX_REQUEST_BYTES: usize = 512;
/// Bytes of a block where nothing else is agreed.
const DEFAULT_BLOCK_BYTES: u16 = 512;
/// Largest block that is agreed to: with all headers it fits an Ethernet frame, because many boot ROMs cannot put
/// fragments together.
const MAX_BLOCK_BYTES: u16 = 1468;
/// Largest window that is agreed to, in blocks.
const MAX_WINDOW_BLOCKS: u16 = 32;
/// Longest wait before a packet is sent again that is agreed to.
const MAX_TIMEOUT_SECONDS: u8 = 10;

/// Error codes of RFC 1350 and 2347.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// See the text.
    Other = 0,
    /// File not found.
    NotFound = 1,
    /// Access violation.
    Forbidden = 2,
    /// Illegal operation.
    Illegal = 4,
}

/// What a client wants to read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The file.
    pub name: String,
    /// Bytes of a block.
    pub block_bytes: u16,
    /// Blocks that are sent before one is acknowledged.
    pub window_blocks: u16,
    /// Seconds before a packet is sent again.
    pub timeout_seconds: u8,
    /// Whether it asked for the size.
    pub wants_size: bool,
    agreed: Vec<&'static str>,
}

impl Request {
    /// Reads a first packet. `Ok(None)`: it is no request at all, and is not answered.
    ///
    /// # Errors
    /// What to answer to a request that is not served.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, (ErrorCode, &'static str)> {
        let rest = match bytes {
            [0, 1, rest @ ..] => rest,
            [0, 2, ..] => return Err((ErrorCode::Forbidden, "nothing can be written here")),
            _ => return Ok(None),
        };
        let illegal = (ErrorCode::Illegal, "the request makes no sense");
        let text = std::str::from_utf8(rest).ok().and_then(|text| text.strip_suffix('\0')).ok_or(illegal)?;
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(illegal);
        }
        let mut fields = text.split('\0');
        let (Some(name), Some(mode)) = (fields.next(), fields.next()) else { return Err(illegal) };
        if !mode.eq_ignore_ascii_case("octet") {
            return Err((ErrorCode::Illegal, "only the mode octet is served"));
        }
        let mut request = Self {
            name: name.to_owned(),
            block_bytes: DEFAULT_BLOCK_BYTES,
            window_blocks: 1,
            timeout_seconds: 1,
            wants_size: false,
            agreed: Vec::new(),
        };
        while let (Some(option), Some(value)) = (fields.next(), fields.next()) {
            request.agree(&option.to_ascii_lowercase(), value);
        }
        Ok(Some(request))
    }

    /// An option that is unknown, or whose value makes no sense, is left out of the answer (RFC 2347).
    fn agree(&mut self, option: &str, value: &str) {
        let Ok(number) = value.parse::<u64>() else { return };
        let agreed = match option {
            "blksize" if (8..=65464).contains(&number) => {
                self.block_bytes = number.min(MAX_BLOCK_BYTES.into()) as u16;
                "blksize"
            }
            "windowsize" if (1..=65535).contains(&number) => {
                self.window_blocks = number.min(MAX_WINDOW_BLOCKS.into()) as u16;
                "windowsize"
            }
            // The value has to be sent back as it is.
            "timeout" if (1..=u64::from(MAX_TIMEOUT_SECONDS)).contains(&number) => {
                self.timeout_seconds = number as u8;
                "timeout"
            }
            "tsize" => {
                self.wants_size = true;
                "tsize"
            }
            _ => return,
        };
        if !self.agreed.contains(&agreed) {
            self.agreed.push(agreed);
        }
    }

    /// The answer that agrees to options; `None` where there were none.
    pub fn agreement(&self, length: u64) -> Option<Vec<u8>> {
        (!self.agreed.is_empty()).then(|| {
            let mut bytes = vec![0, 6];
            for option in &self.agreed {
                let value = match *option {
                    "blksize" => u64::from(self.block_bytes),
                    "windowsize" => u64::from(self.window_blocks),
                    "timeout" => u64::from(self.timeout_seconds),
                    _ => length,
                };
                bytes.extend(format!("{option}\0{value}\0").bytes());
            }
            bytes
        })
    }
}

/// What a client answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It has everything up to this block.
    Acknowledged(u16),
    /// It wants no more.
    Error(u16),
}

impl Reply {
    /// Reads it; `None` where it is neither.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |high: u8, low: u8| u16::from_be_bytes([high, low]);
        match *bytes {
            [0, 4, high, low, ..] => Some(Self::Acknowledged(number(high, low))),
            [0, 5, high, low, ..] => Some(Self::Error(number(high, low))),
            _ => None,
        }
    }
}

/// A data packet.
pub fn data(block: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + content.len());
    bytes.extend([0, 3]);
    bytes.extend(block.to_be_bytes());
    bytes.extend(content);
    bytes
}

/// An error packet.
pub fn error(code: ErrorCode, text: &str) -> Vec<u8> {
    let mut bytes = vec![0, 5, 0, code as u8];
    bytes.extend(text.bytes());
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_and_agreements() {
        let plain = Request::decode(b"\0\x01boot.ipxe\0octet\0").unwrap().unwrap();
        assert_eq!((&plain.name[..], plain.block_bytes, plain.window_blocks), ("boot.ipxe", 512, 1));
        assert_eq!(plain.agreement(7), None);
        let asked = b"\0\x01a\0OCTET\0tsize\x000\0BLKSIZE\x008192\0windowsize\x0064\0timeout\x003\0other\x001\0";
        let request = Request::decode(asked).unwrap().unwrap();
        assert_eq!((request.block_bytes, request.window_blocks, request.timeout_seconds), (1468, 32, 3));
        let wanted = b"\0\x06tsize\x0077\0blksize\x001468\0windowsize\x0032\0timeout\x003\0";
        assert_eq!(request.agreement(77).unwrap(), wanted);
        // What makes no sense is as if it was not there.
        let odd = b"\0\x01a\0octet\0blksize\x007\0windowsize\x000\0timeout\x00200\0tsize\0x\0blksize\0";
        assert_eq!(Request::decode(odd).unwrap().unwrap().agreement(1), None);
    }

    #[test]
    fn what_is_not_served_is_refused() {
        let code = |bytes: &[u8]| Request::decode(bytes).unwrap_err().0;
        assert_eq!(code(b"\0\x02a\0octet\0"), ErrorCode::Forbidden);
        assert_eq!(code(b"\0\x01a\0netascii\0"), ErrorCode::Illegal);
        assert_eq!(code(b"\0\x01a\0octet"), ErrorCode::Illegal);
        assert_eq!(code(b"\0\x01a\0"), ErrorCode::Illegal);
        assert_eq!(code(&[b"\0\x01", &[b'a'; 600][..], b"\0octet\0"].concat()), ErrorCode::Illegal);
        assert_eq!(code(b"\0\x01\xff\xfe\0octet\0"), ErrorCode::Illegal);
        assert_eq!(Request::decode(b"\0\x04\0\0"), Ok(None));
        assert_eq!(Request::decode(b""), Ok(None));
    }

    #[test]
    fn packets_have_these_bytes() {
        assert_eq!(data(0x0102, b"xy"), b"\0\x03\x01\x02xy");
        assert_eq!(error(ErrorCode::NotFound, "no"), b"\0\x05\0\x01no\0");
        assert_eq!(Reply::decode(b"\0\x04\xff\xfe"), Some(Reply::Acknowledged(0xfffe)));
        assert_eq!(Reply::decode(b"\0\x05\0\x08full\0"), Some(Reply::Error(8)));
        assert_eq!(Reply::decode(b"\0\x04\xff"), None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), read in any::<bool>()) {
            if read && bytes.len() > 2 {
                bytes[..2].copy_from_slice(&[0, 1]);
            }
            if let Ok(Some(request)) = Request::decode(&bytes) {
                prop_assert!(request.block_bytes <= 1468 && request.window_blocks <= 32);
                prop_assert!(request.agreement(u64::MAX).is_none_or(|bytes| bytes.len() < 200));
            }
            let _ = Reply::decode(&bytes);
        }
    }
}
