//! Measures both indexes: `cargo run --release --example index_figures -- [sled|memory] [million chunks]`.
//!
//! Packs of 2,500 chunks, inserted sixteen at a time, each batch with one segment; then the index
//! is opened again and asked. Without an argument it measures each in a process of its own, since
//! the peak of memory is the process's. Prints a row of a markdown table.

use holotype_core::{ChunkId, PackId, SegmentId, WriterId};
use holotype_repo::index::{
    ChunkIndex, DEFAULT_CACHE_BYTES, MemoryIndex, OpenIndex, PackContents, PackKind, SledIndex,
};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

const PACK_CHUNKS: u64 = 2500;
const FRAME_CHUNKS: u64 = 20;
const INSERT_PACKS: u64 = 16;
const ASKED: u64 = 1_000_000;
const ASKED_AT_ONCE: u64 = 4096;

/// SplitMix64 as a hash: cheap, so that making ids is not what is measured.
fn random(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn id(number: u64) -> [u8; 32] {
    let mut id = [0; 32];
    for (word, part) in (1..).zip(id.chunks_exact_mut(8)) {
        part.copy_from_slice(&random(number * 4 + word).to_le_bytes());
    }
    id
}

fn pack(number: u64) -> PackContents {
    let frame = |frame: u64| {
        let first = number * PACK_CHUNKS + frame * FRAME_CHUNKS;
        (first..first + FRAME_CHUNKS).map(|chunk| ChunkId(id(chunk))).collect()
    };
    PackContents {
        pack: PackId(id(u64::MAX / 8 + number)),
        kind: PackKind::Data,
        writer: WriterId([1; 32]),
        bytes: 64 << 20,
        frames: (0..PACK_CHUNKS / FRAME_CHUNKS).map(frame).collect(),
    }
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn open(path: &Path) -> Result<SledIndex, Box<dyn Error>> {
    match SledIndex::open(path, DEFAULT_CACHE_BYTES)? {
        OpenIndex::Opened(index) => Ok(index),
        OpenIndex::Locked => Err("locked".into()),
        OpenIndex::Unusable { why } => Err(why.into()),
    }
}

fn put(index: &dyn ChunkIndex, chunks: u64) -> Result<f64, Box<dyn Error>> {
    let begin = Instant::now();
    for first in (0..chunks / PACK_CHUNKS).step_by(INSERT_PACKS as usize) {
        let packs: Vec<_> = (first..(first + INSERT_PACKS).min(chunks / PACK_CHUNKS)).map(pack).collect();
        index.insert(&packs, &[SegmentId(id(u64::MAX / 16 + first))])?;
    }
    index.flush()?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Seconds of misses, of hits one by one, and of hits many at once.
fn ask(index: &dyn ChunkIndex, chunks: u64) -> Result<[f64; 3], Box<dyn Error>> {
    let begin = Instant::now();
    for number in 0..ASKED {
        if index.locate(&[ChunkId(id(chunks + number))])?[0].is_some() {
            return Err("located an unknown chunk".into());
        }
    }
    let misses = begin.elapsed().as_secs_f64();

    let begin = Instant::now();
    for number in 0..ASKED {
        if index.locate(&[ChunkId(id(random(number) % chunks))])?[0].is_none() {
            return Err("lost a chunk".into());
        }
    }
    let single = begin.elapsed().as_secs_f64();

    let begin = Instant::now();
    for first in (0..ASKED).step_by(ASKED_AT_ONCE as usize) {
        let ids: Vec<_> = (first..first + ASKED_AT_ONCE).map(|n| ChunkId(id(random(n) % chunks))).collect();
        if index.locate(&ids)?.iter().any(Option::is_none) {
            return Err("lost a chunk".into());
        }
    }
    Ok([misses, single, begin.elapsed().as_secs_f64()])
}

fn directory_bytes(path: &Path) -> std::io::Result<u64> {
    std::fs::read_dir(path)?.try_fold(0, |sum, entry| {
        let entry = entry?;
        let bytes = if entry.file_type()?.is_dir() { directory_bytes(&entry.path())? } else { entry.metadata()?.len() };
        Ok(sum + bytes)
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chunks = arguments.get(1).map_or(Ok(5), |text| text.parse::<u64>())? * 1_000_000;
    match arguments.first().map(String::as_str) {
        Some("memory") => {
            let index = MemoryIndex::new();
            let put_seconds = put(&index, chunks)?;
            let (put_peak, runs) = (peak_mib(), index.stats()?.runs);
            let [misses, single, batch] = ask(&index, chunks)?;
            println!(
                "| memory | {put_seconds:.1} | – | {runs} | {put_peak} | – | {misses:.2} | {single:.2} | {batch:.2} | {} |",
                peak_mib()
            );
        }
        Some("sled") => {
            let directory = tempfile::tempdir_in("target").or_else(|_| tempfile::tempdir())?;
            let path = directory.path().join("index");
            let index = open(&path)?;
            let put_seconds = put(&index, chunks)?;
            let (put_peak, runs) = (peak_mib(), index.stats()?.runs);
            drop(index);
            let key_bytes = directory_bytes(&path)? as f64 / chunks as f64;
            let begin = Instant::now();
            let index = open(&path)?;
            let reopen = begin.elapsed().as_secs_f64();
            let [misses, single, batch] = ask(&index, chunks)?;
            println!(
                "| sled | {put_seconds:.1} | {key_bytes:.0} | {runs} | {put_peak} | {reopen:.2} | {misses:.2} | {single:.2} | {batch:.2} | {} |",
                peak_mib()
            );
        }
        _ => {
            println!(
                "| index of {chunks} | put, s | bytes a key on disk | runs | peak after put, MiB | reopen, s | 1 M misses, s | 1 M hits one by one, s | 1 M hits in {ASKED_AT_ONCE}s, s | peak, MiB |"
            );
            println!("|---|---|---|---|---|---|---|---|---|---|");
            for kind in ["sled", "memory"] {
                let million = (chunks / 1_000_000).to_string();
                std::process::Command::new(std::env::current_exe()?).args([kind, &million]).status()?;
            }
        }
    }
    Ok(())
}
