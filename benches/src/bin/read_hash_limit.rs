//! The machine's limit for a restore in place that finds everything right already.
//!
//! `read_hash_limit [--json] FILE`: all cores read what the disk's filesystems use, 1 MiB at a time from the page cache, and
//! hash it in pieces of the length that chunks have. No less can be done to know that a target is right.

use holotype_benches::allocated::{allocated, cut, read_exact};
use holotype_core::extent::Extent;
use holotype_core::identity::IdentityKeys;
use holotype_core::secret::Secret32;
use holotype_repo::disk::Source;
use holotype_repo::os;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const READ_BYTES: u64 = 1 << 20;
const PIECE_BYTES: usize = 25 << 10;
const RUNS: usize = 5;

/// Reads and hashes all of it once, and gives the seconds.
fn read_and_hash(source: &dyn Source, parts: &[Extent], threads: usize) -> Fallible<f64> {
    let identity = IdentityKeys::new(&Secret32::new([1; 32]));
    let next = AtomicUsize::new(0);
    let work = || -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES as usize];
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let data = &mut buffer[..part.len() as usize];
            read_exact(source, part.offset(), data)?;
            data.chunks(PIECE_BYTES).for_each(|piece| _ = std::hint::black_box(identity.chunk_id(piece)));
        }
        Ok(())
    };
    let started = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })?;
    Ok(started.elapsed().as_secs_f64())
}

fn main() -> Fallible<()> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let json = arguments.first().is_some_and(|first| first == "--json");
    arguments.drain(..usize::from(json));
    let [path] = &arguments[..] else { return Err("usage: read_hash_limit [--json] FILE".into()) };
    let source = os::open_source(Path::new(path))?;
    let used = allocated(&*source, false)?;
    let parts = cut(&used, READ_BYTES);
    let bytes: u64 = parts.iter().map(Extent::len).sum();
    let threads = std::thread::available_parallelism()?.get();
    read_and_hash(&*source, &parts, threads)?; // The page cache is warm after this.
    let mut seconds = (0..RUNS).map(|_| read_and_hash(&*source, &parts, threads)).collect::<Fallible<Vec<f64>>>()?;
    seconds.sort_by(f64::total_cmp);
    let median = seconds[RUNS / 2];
    if json {
        println!(
            "{}",
            serde_json::json!({ "bytes": bytes, "seconds": median, "all_seconds": seconds, "threads": threads })
        );
        return Ok(());
    }
    println!(
        "{:.0} MB in {} ranges read and hashed by {threads} threads: {median:.2} s, median of {RUNS} ({:.2}–{:.2}); {:.0} MB/s",
        bytes as f64 / 1e6,
        used.len(),
        seconds[0],
        seconds[RUNS - 1],
        bytes as f64 / 1e6 / median
    );
    Ok(())
}
