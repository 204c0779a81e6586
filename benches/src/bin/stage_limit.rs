//! How near a first backup comes to the machine's limit.
//!
//! `stage_limit [--raw] DISK [SCRATCH]` measures each stage alone on one core over the disk's own
//! bytes, then backs the disk up into fresh repositories, three times, and compares: limit =
//! Σ (stage bytes ÷ single-core rate) ÷ cores. What no filesystem uses is not read, nor does it
//! count, but with `--raw`.

use holotype_benches::allocated::{allocated, batches, read_exact};
use holotype_benches::stages::{NamedChunk, Stages};
use holotype_core::compress::Compression;
use holotype_repo::store::LocalStore;
use holotype_repo::{BackupOptions, BackupReport, Credentials, InitOptions, Job, Repository, os};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const PART_BYTES: usize = 8 << 20;
/// One part in so many is measured: a sample over the whole disk that takes less time.
const SAMPLED: usize = 4;
const RUNS: usize = 3;

/// Bytes and seconds of one stage.
#[derive(Default, Clone, Copy)]
struct Timed {
    bytes: u64,
    seconds: f64,
}

impl Timed {
    fn add<T>(&mut self, bytes: usize, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.seconds += started.elapsed().as_secs_f64();
        self.bytes += bytes as u64;
        result
    }

    fn rate(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }
}

#[derive(Default)]
struct Rates {
    read: Timed,
    scan: Timed,
    chunk: Timed,
    name: Timed,
    compress: Timed,
    seal: Timed,
    pack: Timed,
    write: Timed,
}

fn measure(disk: &Path, raw: bool, scratch: &Path) -> Fallible<Rates> {
    let stages = Stages::default();
    let mut rates = Rates::default();
    let source = os::open_source(disk)?;
    let mut buffer = vec![0; PART_BYTES];
    let mut hasher = blake3::Hasher::new();
    let mut written = File::create(scratch.join("written"))?;
    let parts = batches(&allocated(&*source, raw)?, PART_BYTES as u64);
    for extents in parts.iter().step_by(SAMPLED) {
        let mut length = 0;
        for extent in extents {
            let room = &mut buffer[length..][..extent.len() as usize];
            rates.read.add(room.len(), || read_exact(&*source, extent.offset(), room))?;
            length += extent.len() as usize;
        }
        let part = &buffer[..length];
        let segments = rates.scan.add(length, || stages.scan(part));
        let data: usize = segments.iter().map(|range| range.len()).sum();
        let chunks = rates.chunk.add(data, || stages.chunk(part, &segments));
        let chunks: Vec<NamedChunk> = rates.name.add(data, || stages.name(part, chunks));
        let frames = rates.compress.add(data, || stages.compress(part, &chunks, Compression::default()));
        let sealed_bytes = frames.iter().map(|frame| frame.sealed_len()).sum();
        let frames = rates.seal.add(sealed_bytes, || stages.seal(frames));
        rates.pack.add(sealed_bytes, || frames.iter().for_each(|frame| _ = hasher.update(&frame.bytes)));
        rates.write.add(sealed_bytes, || frames.iter().try_for_each(|frame| written.write_all(&frame.bytes)))?;
    }
    rates.write.add(0, || written.sync_all())?;
    Ok(rates)
}

fn back_up(disk: &Path, raw: bool, scratch: &Path) -> Fallible<BackupReport> {
    let root = scratch.join("repository");
    let _ = std::fs::remove_dir_all(&root);
    let options = InitOptions::new(Credentials::password("password"));
    let cache = scratch.join("cache");
    let repository = Repository::init_shared(std::sync::Arc::new(LocalStore::create(&root)?), &options, Some(&cache))?;
    let options = BackupOptions { raw, ..BackupOptions::named("disk") };
    let report = repository.backup(&*os::open_source(disk)?, &options, &Job::new())?;
    std::fs::remove_dir_all(&root)?;
    Ok(report)
}

fn main() -> Fallible<()> {
    let mut arguments = std::env::args_os().skip(1).peekable();
    let raw = arguments.next_if(|first| first == "--raw").is_some();
    let disk = arguments.next().ok_or("usage: stage_limit [--raw] DISK [SCRATCH]")?;
    let disk = Path::new(&disk);
    let scratch = match arguments.next() {
        Some(path) => tempfile::tempdir_in(path)?,
        None => tempfile::tempdir()?,
    };
    std::io::copy(&mut File::open(disk)?, &mut std::io::sink())?;
    let rates = measure(disk, raw, scratch.path())?;
    let mut reports = Vec::new();
    for _ in 0..RUNS {
        reports.push(back_up(disk, raw, scratch.path())?);
    }
    reports.sort_by(|a, b| a.elapsed_seconds.total_cmp(&b.elapsed_seconds));
    let median = &reports[RUNS / 2];
    let cores = std::thread::available_parallelism()?.get() as f64;
    let stages = [
        ("read from the page cache", rates.read, median.read_bytes),
        ("zero and padding detection", rates.scan, median.read_bytes),
        ("FastCDC", rates.chunk, median.data_bytes),
        ("keyed BLAKE3", rates.name, median.data_bytes),
        ("zstd 3 over frames", rates.compress, median.new_bytes),
        ("nonce and XChaCha20-Poly1305", rates.seal, median.stored_bytes),
        ("BLAKE3 of packs", rates.pack, median.stored_bytes),
        ("write and sync", rates.write, median.stored_bytes),
    ];
    println!("| stage | MB/s, one core | MB | core seconds |\n|---|---|---|---|");
    let mut core_seconds = 0.0;
    for (name, timed, bytes) in stages {
        let seconds = bytes as f64 / timed.rate();
        core_seconds += seconds;
        println!("| {name} | {:.0} | {:.0} | {seconds:.2} |", timed.rate() / 1e6, bytes as f64 / 1e6);
    }
    let limit = core_seconds / cores;
    println!("\nlimit on {cores} cores: {limit:.2} s; first backup, median of {RUNS}: {:.2} s", median.elapsed_seconds);
    println!("limit ÷ first backup: {:.2} (goal ≥ 0.75)", limit / median.elapsed_seconds);
    Ok(())
}
