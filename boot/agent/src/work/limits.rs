//! What a job may use of a small machine's memory.
//!
//! A backup holds a region of about 8 MiB for each thread and four more, and three packs; a restore holds frames and
//! the references of a window. With these bounds both stay below 192 MiB for any disk, the 64 MiB that a password's
//! derivation takes once included.

/// Packs are closed at this many bytes.
pub const MOST_PACK_BYTES: u64 = 16 << 20;
/// Threads, where there is memory.
const MOST_THREADS: usize = 8;
/// Below so much memory one thread works, in KiB.
const SMALL_KIB: u64 = 640 << 10;
/// Below so much memory four threads work, in KiB.
const MIDDLE_KIB: u64 = 2 << 20;

/// Threads of a job on this machine.
pub fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory_kib = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_kib(&text));
    threads_for(cores, memory_kib)
}

fn threads_for(cores: usize, memory_kib: Option<u64>) -> usize {
    let most = match memory_kib {
        Some(..SMALL_KIB) => 1,
        Some(SMALL_KIB..MIDDLE_KIB) => 4,
        _ => MOST_THREADS,
    };
    cores.clamp(1, most)
}

/// `MemTotal` of /proc/meminfo (proc_meminfo(5)).
fn total_kib(meminfo: &str) -> Option<u64> {
    meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_machines_get_few_threads() {
        assert_eq!(total_kib("MemFree: 1 kB\nMemTotal:       380000 kB\n"), Some(380_000));
        assert_eq!([threads_for(16, Some(380_000)), threads_for(16, Some(1 << 20))], [1, 4]);
        assert_eq!([threads_for(16, None), threads_for(2, Some(u64::MAX))], [8, 2]);
    }
}
