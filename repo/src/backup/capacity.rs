//! Capacity: whether what is to be stored has room in the repository.
//!
//! Before: what will be stored is estimated from a sample of what will be read. Where the repository
//! holds packs already, nobody knows how much of it is stored, so the estimate is the most that it can
//! be. While it runs: before each pack.

use super::bad_sectors::is_medium_error;
use super::plan::BackupPlan;
use crate::disk::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Job;
use crate::repository::Repository;
use crate::store::{Folder, Store};
use holotype_core::compress::{Compression, Compressor};
use holotype_core::extent::Extent;
use holotype_core::padding::{BLOCK_BYTES, is_zero};
use holotype_core::volume::FreeRuns;

/// Places that are looked at, at most: about a second of a disk that seeks.
const MAX_SAMPLES: u64 = 128;
/// Bytes at each place.
const SAMPLE_BYTES: u64 = 64 << 10;
/// What is stored besides content: names, manifest, footers; one byte for this many.
const METADATA_SHARE: u64 = 100;
/// Left free beside a pack that is put, in bytes: for what ends a backup, or cleans up after it.
const RESERVE_BYTES: u64 = 1 << 20;
/// Left free beside the first pack, in bytes, before anything is read.
const START_RESERVE_BYTES: u64 = 16 << 20;

/// # Errors
/// `NoSpace` where a pack of `pack_bytes` and a reserve have no room.
pub(super) fn check_room(store: &dyn Store, pack_bytes: u64) -> Result<()> {
    match store.free_bytes()? {
        Some(free_bytes) if free_bytes < pack_bytes.saturating_add(RESERVE_BYTES) => {
            Err(no_space(store, &format!("the next pack has {pack_bytes} bytes"), free_bytes))
        }
        _ => Ok(()),
    }
}

/// Looks whether there will be room; gives a warning where there may be none.
///
/// # Errors
/// `NoSpace` where there is certainly not enough; what the source says; `Cancelled`.
pub(super) fn check_before(
    repository: &Repository,
    source: &dyn Source,
    plan: &BackupPlan,
    job: &Job,
) -> Result<Option<String>> {
    // A stream does not tell its length: what runs is checked then.
    let (false, Some(source_bytes), true) = (plan.dry_run, source.geometry().bytes, source.can_reread()) else {
        return Ok(None);
    };
    let store = repository.store();
    let Some(free_bytes) = store.free_bytes()? else { return Ok(None) };
    let free = &plan.survey.free;
    let to_read = source_bytes.saturating_sub(free.bytes());
    if with_metadata(to_read).saturating_add(START_RESERVE_BYTES) <= free_bytes {
        return Ok(None);
    }
    let estimate = sample(source, free, source_bytes, plan.compression, job)?.of(to_read);
    let first_pack = repository.config().pack_bytes.saturating_add(START_RESERVE_BYTES);
    if free_bytes < first_pack.min(estimate.least.saturating_add(RESERVE_BYTES)) {
        return Err(no_space(store, &format!("about {} bytes are to be stored", estimate.likely), free_bytes));
    }
    if free_bytes >= estimate.likely {
        return Ok(None);
    }
    let likely = estimate.likely;
    let place = store.describe();
    // Packs without an image are what an interrupted backup left, and will be found again.
    let is_new = store.list(Folder::Images)?.is_empty() && store.list(Folder::Packs)?.is_empty();
    if is_new && free_bytes < estimate.least {
        return Err(no_space(store, &format!("about {likely} bytes are to be stored"), free_bytes));
    }
    let what = match is_new {
        true => format!("about {likely} bytes are to be stored"),
        false => format!("up to {likely} bytes are to be stored, less what is there already"),
    };
    Ok(Some(format!("{place}: {what}, and {free_bytes} bytes are free")))
}

fn no_space(store: &dyn Store, what: &str, free_bytes: u64) -> Error {
    Error::new(ErrorKind::NoSpace, store.describe(), format!("{what}, and {free_bytes} bytes are free there"))
        .advise("free space there, or take a larger repository, and run it again")
}

fn with_metadata(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / METADATA_SHARE)
}

/// How many bytes will be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Estimate {
    likely: u64,
    /// Less than this is not to be expected: two standard errors of the sample below.
    least: u64,
}

/// What a sample was: bytes that were read, and what they compress to, for each place.
#[derive(Debug, Default)]
struct Sample(Vec<(u64, u64)>);

impl Sample {
    /// What `bytes` of the same kind compress to, names and footers included.
    fn of(&self, bytes: u64) -> Estimate {
        let read: u64 = self.0.iter().map(|(read, _)| read).sum();
        if read == 0 {
            // Nothing could be read, so nothing is known.
            return Estimate { likely: with_metadata(bytes), least: 0 };
        }
        let stored: u64 = self.0.iter().map(|(_, stored)| stored).sum();
        let ratio = stored as f64 / read as f64;
        let deviation = |(read, stored): &(u64, u64)| (*stored as f64 - ratio * *read as f64).powi(2);
        let squares: f64 = self.0.iter().map(deviation).sum();
        // Where all of it was looked at, nothing is left to chance.
        let error = if read >= bytes { 0.0 } else { squares.sqrt() / read as f64 };
        let share = |ratio: f64| with_metadata((bytes as f64 * ratio.max(0.0)) as u64);
        Estimate { likely: share(ratio), least: share(ratio - 2.0 * error) }
    }
}

/// Looks at places that are spread evenly over what will be read. Zeros count nothing; where the
/// medium fails, the place is left out.
fn sample(
    source: &dyn Source,
    free: &FreeRuns,
    source_bytes: u64,
    compression: Compression,
    job: &Job,
) -> Result<Sample> {
    let mut compressor = Compressor::new(match compression {
        Compression::None => Compression::None,
        Compression::Zstd(_) => Compression::Zstd(1),
    });
    let mut buffer = vec![0; SAMPLE_BYTES as usize];
    let mut sample = Sample::default();
    for place in places(free, source_bytes) {
        job.check()?;
        // At most SAMPLE_BYTES.
        let wanted = &mut buffer[..place.len() as usize];
        let mut filled = 0;
        while filled < wanted.len() {
            match source.read_at(place.offset() + filled as u64, &mut wanted[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if is_medium_error(&error) => {
                    filled = 0;
                    break;
                }
                Err(error) => {
                    let action = format!("read at byte {}", place.offset());
                    return Err(Error::io(source.identity().path, &action, error));
                }
            }
        }
        if filled > 0 {
            let content: Vec<u8> =
                wanted[..filled].chunks(BLOCK_BYTES).filter(|it| !is_zero(it)).flatten().copied().collect();
            sample.0.push((filled as u64, compressor.compress(&content).1.len() as u64));
        }
    }
    Ok(sample)
}

/// At most [`MAX_SAMPLES`] places of at most [`SAMPLE_BYTES`], none in a free run.
fn places(free: &FreeRuns, source_bytes: u64) -> Vec<Extent> {
    let to_read = source_bytes.saturating_sub(free.bytes());
    let count = to_read.div_ceil(SAMPLE_BYTES).min(MAX_SAMPLES);
    let step = to_read.checked_div(count).unwrap_or(0).next_multiple_of(BLOCK_BYTES as u64).max(SAMPLE_BYTES);
    let mut places = Vec::new();
    // Where the next place lies, counted in what will be read, and how much of that went by.
    let (mut next, mut passed, mut start) = (0, 0, 0);
    let ends = free.iter().map(|run| (run.offset(), run.end())).chain([(source_bytes, source_bytes)]);
    for (end, after) in ends {
        let length = end.saturating_sub(start);
        while next < passed + length {
            let offset = start + next - passed;
            places.extend(Extent::new(offset, (end - offset).min(SAMPLE_BYTES)));
            next += step;
        }
        passed += length;
        start = after;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    fn free(runs: &[(u64, u64)], end: u64) -> FreeRuns {
        let mut builder = FreeRuns::builder(end);
        runs.iter().for_each(|(offset, bytes)| builder.push(*offset, *bytes).unwrap());
        builder.finish()
    }

    #[test]
    fn places_are_spread_over_what_is_read() {
        let runs = free(&[(0, 1 << 20), (600 << 20, 300 << 20)], 1 << 30);
        let places = places(&runs, 1 << 30);
        assert!((100..=MAX_SAMPLES as usize).contains(&places.len()), "{}", places.len());
        assert!(places.windows(2).all(|pair| pair[0].end() <= pair[1].offset()));
        assert!(places.iter().all(|place| !place.is_empty() && runs.within(*place).next().is_none()));
        assert!(places.iter().any(|place| place.offset() > 900 << 20));
        let whole: u64 = super::places(&FreeRuns::none(), 100_000).iter().map(Extent::len).sum();
        assert_eq!(whole, 100_000, "a small disk is looked at whole");
        assert_eq!(super::places(&FreeRuns::none(), 0), []);
    }

    #[test]
    fn zeros_and_what_compresses_count_less() {
        let bytes = 32 << 20;
        let estimate = |data: Vec<u8>, compression| {
            let source = MemoryDisk::new(data);
            let free = FreeRuns::none();
            sample(&source, &free, bytes, compression, &Job::new()).unwrap().of(bytes)
        };
        let mut noise = vec![0; bytes as usize];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let whole = Estimate { likely: with_metadata(bytes), least: with_metadata(bytes) };
        assert_eq!(estimate(noise.clone(), Compression::default()), whole);
        assert_eq!(estimate(vec![0; bytes as usize], Compression::None), Estimate { likely: 0, least: 0 });
        assert!(estimate(b"text ".repeat(bytes as usize / 5 + 1), Compression::default()).likely < bytes / 20);
        noise[8 << 20..].fill(0);
        let quarter = estimate(noise, Compression::default());
        assert!(quarter.least < bytes / 4 && quarter.likely.abs_diff(bytes / 4) < 1 << 20, "{quarter:?}");
    }
}
