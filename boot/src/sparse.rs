//! Content of a medium: large, mostly empty, and made in memory.

use crate::error::Result;
use crate::new_file::{write_all, write_failed};
use crate::watch::Watch;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

/// Bytes of a medium. What no piece covers is zero.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sparse {
    bytes: u64,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Sparse {
    /// Nothing but zeros.
    pub fn new(bytes: u64) -> Self {
        Self { bytes, pieces: Vec::new() }
    }

    /// How long it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts a piece in, over what was there before.
    pub fn put(&mut self, offset_bytes: u64, piece: Vec<u8>) {
        self.bytes = self.bytes.max(offset_bytes + piece.len() as u64);
        self.pieces.push((offset_bytes, piece));
    }

    /// Puts all of another in.
    pub fn put_all(&mut self, offset_bytes: u64, other: Sparse) {
        self.bytes = self.bytes.max(offset_bytes + other.bytes);
        self.pieces.extend(other.pieces.into_iter().map(|(at, piece)| (at + offset_bytes, piece)));
    }

    /// The pieces, in the order they were put in.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pieces.iter().map(|(at, piece)| (*at, piece.as_slice()))
    }

    /// A hash of everything that was put in.
    pub fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.bytes.to_le_bytes());
        for (at, piece) in self.pieces() {
            hasher.update(&at.to_le_bytes()).update(&(piece.len() as u64).to_le_bytes()).update(piece);
        }
        hasher.finalize()
    }

    /// All bytes; for small ones.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.bytes).unwrap_or(usize::MAX)];
        for (at, piece) in self.pieces() {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            bytes[at..at + piece.len()].copy_from_slice(piece);
        }
        bytes
    }

    /// Writes it into an empty file that is to be `path`; zeros become holes.
    pub(crate) fn write_into(&self, file: &mut File, path: &Path, watch: &dyn Watch) -> Result<()> {
        let failed = |error: std::io::Error| write_failed(path, &error);
        file.set_len(self.bytes).map_err(failed)?;
        for (at, piece) in self.pieces() {
            file.seek(SeekFrom::Start(at)).map_err(failed)?;
            write_all(file, piece, path, watch)?;
        }
        Ok(())
    }
}
