//! Compressed files, by the end of their name.

use std::io::{self, Read};

/// A reader of what is in a file of this name; the bytes themselves where the name tells no compression known here.
/// Gives the name without that end, too.
pub fn decompressor<'a>(name: &'a str, reader: impl Read + 'a) -> io::Result<(&'a str, Box<dyn Read + 'a>)> {
    if let Some(inner) = name.strip_suffix(".xz") {
        return Ok((inner, Box::new(lzma_rust2::XzReader::new(reader, true))));
    }
    if let Some(inner) = name.strip_suffix(".zst") {
        return Ok((inner, Box::new(zstd::Decoder::new(reader)?)));
    }
    Ok((name, Box::new(reader)))
}
