//! Survey: what is on the source, before it is read; and whether it stayed so.

use crate::disk::{Source, SourceBytes};
use holotype_core::layout::{self, Survey, SurveyOptions};
use holotype_core::volume::{MapOptions, ReadAt};
use std::io;
use std::sync::{Mutex, PoisonError};

/// Partition table, volumes and free runs of a source. A stream has none of them.
pub(super) fn survey(source: &dyn Source, map: MapOptions, raw: bool) -> Survey {
    if !source.can_reread() || source.geometry().bytes.is_none() {
        return Survey::default();
    }
    let options = SurveyOptions { map, raw, in_use: source.in_use() };
    layout::survey(&Metadata::of(source), source.geometry().logical_sector_bytes, &options)
}

/// How a source was at one time.
pub(super) enum Snapshot {
    /// The source tells.
    Mark(String),
    /// A hash of what the survey reads: partition table, superblocks, bitmaps.
    Metadata([u8; 32]),
    /// Nothing can be told (a stream).
    None,
}

impl Snapshot {
    /// To be taken before anything else is read.
    pub fn of(source: &dyn Source, map: MapOptions) -> Self {
        if let Some(mark) = source.change_mark() {
            return Self::Mark(mark);
        }
        if !source.can_reread() || source.geometry().bytes.is_none() {
            return Self::None;
        }
        let metadata = Metadata::of(source);
        layout::survey(
            &metadata,
            source.geometry().logical_sector_bytes,
            &SurveyOptions { map, ..SurveyOptions::default() },
        );
        Self::Metadata(metadata.hash())
    }

    /// Whether the source is another one now.
    pub fn has_changed(&self, source: &dyn Source, map: MapOptions) -> bool {
        match (self, Self::of(source, map)) {
            (Self::Mark(before), Self::Mark(now)) => *before != now,
            (Self::Metadata(before), Self::Metadata(now)) => *before != now,
            (Self::None, Self::None) => false,
            _ => true,
        }
    }
}

/// A source as the survey reads it.
struct Metadata<'a> {
    source: SourceBytes<'a>,
    hasher: Mutex<blake3::Hasher>,
}

impl<'a> Metadata<'a> {
    fn of(source: &'a dyn Source) -> Self {
        Self { source: SourceBytes(source), hasher: Mutex::default() }
    }

    fn hash(&self) -> [u8; 32] {
        *self.hasher.lock().unwrap_or_else(PoisonError::into_inner).finalize().as_bytes()
    }
}

impl ReadAt for Metadata<'_> {
    fn bytes(&self) -> u64 {
        self.source.bytes()
    }

    fn read_exact_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.source.read_exact_at(offset_bytes, buffer)?;
        self.hasher.lock().unwrap_or_else(PoisonError::into_inner).update(&offset_bytes.to_le_bytes()).update(buffer);
        Ok(())
    }
}
