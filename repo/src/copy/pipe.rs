//! A pipe between a restore and a backup: what one writes in disk order, the other reads.

use crate::disk::{Content, Geometry, Source, SourceIdentity, Target, WriteOrder};
use crate::error::Result;
use crate::image::OpenedImage;
use crossbeam_channel::{Receiver, Sender, bounded};
use holotype_core::ImageId;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Pieces on their way. A piece has at most a window's run of chunks, some megabytes.
const PIECES: usize = 4;
/// Longest piece, so that what is on its way is bounded.
const MAX_PIECE_BYTES: usize = 1 << 20;
/// A medium error, as a disk gives it.
const EIO: i32 = 5;

#[derive(Debug)]
enum Piece {
    Data(Vec<u8>),
    Zeros(u64),
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Data(data) => data.len() as u64,
            Self::Zeros(bytes) => *bytes,
        }
    }
}

/// Both ends, for an image of this geometry.
pub(super) fn pipe(image: &OpenedImage) -> (PipeTarget, PipeSource) {
    let (sender, receiver) = bounded(PIECES);
    let source = PipeSource {
        image: image.id,
        geometry: image.detail.geometry(image.summary.source_bytes),
        identity: image.detail.source(),
        unreadable: image.detail.unreadable.clone(),
        state: Mutex::new(State { receiver: Some(receiver), piece: Piece::Zeros(0), taken: 0, position: 0 }),
    };
    (PipeTarget { sender, nobody_reads: AtomicBool::new(false) }, source)
}

/// What the restore writes to.
#[derive(Debug)]
pub(super) struct PipeTarget {
    sender: Sender<Piece>,
    nobody_reads: AtomicBool,
}

impl PipeTarget {
    /// Whether the other end was gone.
    pub fn nobody_reads(&self) -> bool {
        self.nobody_reads.load(Ordering::Relaxed)
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        self.sender.send(piece).map_err(|_| {
            self.nobody_reads.store(true, Ordering::Relaxed);
            io::ErrorKind::BrokenPipe.into()
        })
    }
}

impl Target for PipeTarget {
    fn order(&self) -> WriteOrder {
        WriteOrder::Ascending
    }
    fn prepare(&self, _: u64, _: Content) -> Result<()> {
        Ok(())
    }
    fn write_at(&self, _: u64, data: &[u8]) -> io::Result<()> {
        data.chunks(MAX_PIECE_BYTES).try_for_each(|part| self.send(Piece::Data(part.to_vec())))
    }
    fn write_zeros(&self, _: u64, length_bytes: u64) -> io::Result<()> {
        self.send(Piece::Zeros(length_bytes))
    }
    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
    fn describe(&self) -> String {
        "the copy".into()
    }
}

#[derive(Debug)]
struct State {
    receiver: Option<Receiver<Piece>>,
    piece: Piece,
    /// How much of the piece is behind `position`.
    taken: u64,
    position: u64,
}

impl State {
    /// Goes on to `offset`, and gives how many bytes of the piece are left there; 0 at the end.
    fn seek(&mut self, offset: u64) -> io::Result<u64> {
        if offset < self.position {
            return Err(io::Error::other("a copy is read in one direction"));
        }
        loop {
            let left = self.piece.len() - self.taken;
            let skip = (offset - self.position).min(left);
            self.taken += skip;
            self.position += skip;
            if left > skip {
                return Ok(left - skip);
            }
            let Some(piece) = self.receiver.as_ref().and_then(|receiver| receiver.recv().ok()) else { return Ok(0) };
            (self.piece, self.taken) = (piece, 0);
        }
    }
}

/// What the backup reads from.
#[derive(Debug)]
pub(super) struct PipeSource {
    image: ImageId,
    geometry: Geometry,
    identity: SourceIdentity,
    /// Ranges that the image has no content of, in order.
    unreadable: Vec<(u64, u64)>,
    state: Mutex<State>,
}

impl PipeSource {
    /// Nothing is read any more: who writes is told.
    pub fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).receiver = None;
    }
}

impl Source for PipeSource {
    fn geometry(&self) -> Geometry {
        self.geometry
    }
    fn identity(&self) -> SourceIdentity {
        self.identity.clone()
    }
    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let next_bad = self.unreadable.partition_point(|(offset, bytes)| offset + bytes <= offset_bytes);
        let readable = match self.unreadable.get(next_bad) {
            Some((offset, _)) if *offset <= offset_bytes => return Err(io::Error::from_raw_os_error(EIO)),
            Some((offset, _)) => offset - offset_bytes,
            None => u64::MAX,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left = state.seek(offset_bytes)?;
        let bytes = left.min(readable).min(buffer.len() as u64) as usize;
        let taken = state.taken as usize;
        match &state.piece {
            Piece::Data(data) => buffer[..bytes].copy_from_slice(&data[taken..taken + bytes]),
            Piece::Zeros(_) => buffer[..bytes].fill(0),
        }
        state.taken += bytes as u64;
        state.position += bytes as u64;
        Ok(bytes)
    }
    fn can_reread(&self) -> bool {
        false
    }
    fn change_mark(&self) -> Option<String> {
        Some(self.image.to_string())
    }
}
