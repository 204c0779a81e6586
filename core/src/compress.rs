//! Compression of a frame's plaintext: zstd, or stored where that gains nothing.

use crate::DecodeError;
use zstd::bulk;
use zstd::zstd_safe::{CParameter, Strategy};

/// How the body of a frame is compressed. The number is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Stored = 0,
    /// One zstd frame (RFC 8878).
    Zstd = 1,
}

impl Method {
    /// # Errors
    /// Unsupported where the number is of no method known.
    pub fn from_number(number: u8) -> Result<Self, DecodeError> {
        match number {
            0 => Ok(Method::Stored),
            1 => Ok(Method::Zstd),
            other => Err(DecodeError::unsupported("frame", format!("compression method {other}"))),
        }
    }
}

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// zstd with this level, 1 to 19.
    Zstd(u8),
}

impl Default for Compression {
    fn default() -> Self {
        Compression::Zstd(2)
    }
}

/// What is set otherwise than the level has it, for the two levels that are used most: smaller tables
/// stay in the processor's cache.
fn adjustments(level: u8) -> &'static [CParameter] {
    match level {
        // Shorter matches are found besides: nearly as small as level 3, a quarter faster (docs/adr/0009).
        2 => &[CParameter::Strategy(Strategy::ZSTD_fast), CParameter::HashLog(15), CParameter::MinMatch(5)],
        // 5 % faster, 0.4 % larger (docs/adr/0005).
        3 => &[CParameter::HashLog(16), CParameter::ChainLog(15)],
        _ => &[],
    }
}

/// Compresses frames, one after another.
pub struct Compressor {
    zstd: Option<bulk::Compressor<'static>>,
    /// Kept at its largest length, so that it is not filled with zeros for each frame.
    scratch: Vec<u8>,
}

impl Compressor {
    /// A compressor; levels outside of 1 to 19 are taken to the nearest.
    pub fn new(compression: Compression) -> Self {
        let zstd = match compression {
            Compression::None => None,
            Compression::Zstd(level) => {
                let level = level.clamp(1, 19);
                let mut zstd = bulk::Compressor::new(level.into()).expect("zstd knows the levels 1 to 19");
                for parameter in adjustments(level) {
                    zstd.set_parameter(*parameter).expect("zstd knows these values");
                }
                Some(zstd)
            }
        };
        Self { zstd, scratch: Vec::new() }
    }

    /// The body that stands for `plaintext`: compressed where that saves at least one byte in 32,
    /// else as it is.
    pub fn compress<'a>(&'a mut self, plaintext: &'a [u8]) -> (Method, &'a [u8]) {
        if let Some(zstd) = &mut self.zstd {
            let worth_it = plaintext.len() - plaintext.len() / 32;
            if self.scratch.len() < worth_it {
                self.scratch.resize(worth_it, 0);
            }
            // zstd fails where the result does not fit: then it is not worth it.
            if let Ok(length) = zstd.compress_to_buffer(plaintext, &mut self.scratch[..worth_it]) {
                return (Method::Zstd, &self.scratch[..length]);
            }
        }
        (Method::Stored, plaintext)
    }
}

/// Decompresses frames, one after another.
pub struct Decompressor(bulk::Decompressor<'static>);

impl Default for Decompressor {
    fn default() -> Self {
        Self(bulk::Decompressor::new().expect("a decompression context can be made"))
    }
}

impl Decompressor {
    /// Puts the plaintext of exactly `plaintext_bytes` into `output`, replacing what it holds. The
    /// caller has bounded that length.
    ///
    /// # Errors
    /// Damaged where the body is not such a plaintext.
    pub fn decompress(
        &mut self,
        method: Method,
        body: &[u8],
        plaintext_bytes: usize,
        output: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        output.clear();
        let length = match method {
            Method::Stored => {
                output.extend_from_slice(&body[..body.len().min(plaintext_bytes + 1)]);
                output.len()
            }
            Method::Zstd => {
                output.resize(plaintext_bytes, 0);
                self.0
                    .decompress_to_buffer(body, &mut output[..])
                    .map_err(|error| DecodeError::damaged("frame", format!("zstd: {error}")))?
            }
        };
        if length != plaintext_bytes {
            return Err(DecodeError::damaged("frame", format!("{length} bytes in place of {plaintext_bytes}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(plaintext: &[u8], compression: Compression) -> (Method, usize) {
        let mut compressor = Compressor::new(compression);
        let (method, body) = compressor.compress(plaintext);
        let mut output = vec![1, 2, 3];
        Decompressor::default().decompress(method, body, plaintext.len(), &mut output).unwrap();
        assert_eq!(output, plaintext);
        (method, body.len())
    }

    #[test]
    fn compressible_and_not() {
        let text = b"one word and one word and ".repeat(1000);
        let (method, length) = round_trip(&text, Compression::Zstd(3));
        assert!(method == Method::Zstd && length < text.len() / 50);
        assert_eq!(round_trip(&text, Compression::None), (Method::Stored, text.len()));
        let noise: Vec<u8> = blake3::hash(b"x").as_bytes().to_vec();
        assert_eq!(round_trip(&noise, Compression::Zstd(19)), (Method::Stored, 32));
        round_trip(b"", Compression::Zstd(3));
    }

    #[test]
    fn other_lengths_are_refused() {
        let mut compressor = Compressor::new(Compression::Zstd(3));
        let (method, body) = compressor.compress(&[7; 1000]);
        let mut output = Vec::new();
        let mut decompressor = Decompressor::default();
        assert!(decompressor.decompress(method, body, 999, &mut output).is_err());
        assert!(decompressor.decompress(method, body, 1001, &mut output).is_err());
        assert!(decompressor.decompress(Method::Stored, body, body.len() - 1, &mut output).is_err());
        assert!(decompressor.decompress(Method::Zstd, b"garbage", 5, &mut output).is_err());
    }
}
