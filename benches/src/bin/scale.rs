//! Large repositories and large disks.
//!
//! `scale new-data [SCRATCH]`: 1 GiB of new data into a repository of 5 M chunks, against an empty one.
//! `scale big-disk [SCRATCH]`: a generated disk of 256 GiB into a repository of 5 M chunks, peak memory.

use holotype_benches::generated::GeneratedDisk;
use holotype_benches::peak_memory_mib;
use holotype_repo::store::LocalStore;
use holotype_repo::testing::fill_with_chunks;
use holotype_repo::{BackupOptions, BackupReport, Credentials, InitOptions, Job, Repository};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const PACKS: usize = 2000;
const CHUNKS_PER_PACK: usize = 2500;
const RUNS: usize = 3;

fn credentials() -> Credentials {
    Credentials::password("password")
}

fn make(root: &Path, packs: usize) -> Fallible<()> {
    let store = Arc::new(LocalStore::create(root)?);
    let cache = root.with_extension("cache");
    let repository = Repository::init_shared(store, &InitOptions::new(credentials()), Some(&cache))?;
    fill_with_chunks(&repository, packs, CHUNKS_PER_PACK)?;
    Ok(())
}

fn open(root: &Path) -> Fallible<Repository> {
    Ok(Repository::open_cached(LocalStore::open(root)?, &credentials(), &root.with_extension("cache"))?)
}

/// Opens the repository anew, as a command would, and backs up.
fn back_up(root: &Path, disk: &GeneratedDisk, name: &str) -> Fallible<(f64, BackupReport)> {
    let started = Instant::now();
    let report = open(root)?.backup(disk, &BackupOptions::named(name), &Job::new())?;
    Ok((started.elapsed().as_secs_f64(), report))
}

fn new_data(scratch: &Path) -> Fallible<()> {
    let (empty, large) = (scratch.join("empty"), scratch.join("large"));
    make(&large, PACKS)?;
    make(&empty, 0)?;
    let (mut on_empty, mut on_large) = (Vec::new(), Vec::new());
    for run in 0..RUNS as u64 {
        // 56 of 64 tiles are new: 1.14 GiB of disk hold 1 GiB of new data.
        let disk = GeneratedDisk { bytes: (1 << 30) / 56 * 64, unique: 56, seed: run + 1 };
        for (root, times) in [(&empty, &mut on_empty), (&large, &mut on_large)] {
            let (seconds, report) = back_up(root, &disk, &format!("run-{run}"))?;
            assert_eq!(report.new_bytes, report.data_bytes, "all of it is new");
            println!("{}: {seconds:.2} s for {} new bytes", root.display(), report.new_bytes);
            times.push(seconds);
        }
    }
    on_empty.sort_by(f64::total_cmp);
    on_large.sort_by(f64::total_cmp);
    let (empty, large) = (on_empty[RUNS / 2], on_large[RUNS / 2]);
    println!(
        "\n| | median of {RUNS}, s |\n|---|---|\n| empty repository | {empty:.2} |\n| {} chunks | {large:.2} |",
        PACKS * CHUNKS_PER_PACK
    );
    println!("\nratio {:.2} (goal ≤ 1.25); peak memory {} MiB", large / empty, peak_memory_mib().unwrap_or(0));
    Ok(())
}

fn big_disk(scratch: &Path) -> Fallible<()> {
    let root = scratch.join("large");
    make(&root, PACKS)?;
    println!("peak memory after filling: {} MiB", peak_memory_mib().unwrap_or(0));
    let disk = GeneratedDisk { bytes: 256 << 30, unique: 1, seed: 9 };
    for run in 1..=2 {
        let (seconds, report) = back_up(&root, &disk, "big")?;
        println!(
            "backup {run} of {} GiB: {seconds:.0} s, {} chunks, {} new, {} MiB stored; peak memory {} MiB (goal ≤ 600)",
            report.source_bytes >> 30,
            report.chunks,
            report.new_chunks,
            report.stored_bytes >> 20,
            peak_memory_mib().unwrap_or(0)
        );
    }
    Ok(())
}

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let scratch = match arguments.next() {
        Some(path) => tempfile::tempdir_in(path)?,
        None => tempfile::tempdir()?,
    };
    match mode.as_str() {
        "new-data" => new_data(scratch.path()),
        "big-disk" => big_disk(scratch.path()),
        _ => Err("usage: scale new-data|big-disk [SCRATCH]".into()),
    }
}
