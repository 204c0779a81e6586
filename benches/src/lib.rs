//! Shared parts of the benchmarks: data like that of real disks, what a disk has in use, and this process's peak memory.

pub mod allocated;
pub mod generated;
pub mod stages;

/// The most memory that this process has had, in MiB, as Linux counts it.
pub fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
