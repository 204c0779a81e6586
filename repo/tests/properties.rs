//! Any disk comes back as it was, by any way, and the counters add up.

mod common;

use common::{assert_clean, assert_restores, init, noise};
use holotype_repo::disk::MemoryDisk;
use holotype_repo::store::MemoryStore;
use holotype_repo::{BackupOptions, BackupReport, Job, ParentChoice};
use proptest::prelude::*;

/// A stretch of a disk.
#[derive(Debug, Clone)]
enum Stretch {
    Noise {
        seed: u64,
        bytes: usize,
    },
    Text {
        seed: u64,
        bytes: usize,
    },
    Zeros {
        bytes: usize,
    },
    /// A file in whole blocks: its end is padded with zeros.
    Padded {
        seed: u64,
        bytes: usize,
        block_bytes: usize,
    },
    /// A copy of what stands at this permille of the disk so far.
    Copy {
        permille: usize,
        bytes: usize,
    },
}

fn stretch() -> impl Strategy<Value = Stretch> {
    let bytes = || prop_oneof![4 => 1usize..10_000, 2 => 10_000usize..200_000, 1 => 200_000usize..1_500_000];
    prop_oneof![
        3 => (any::<u64>(), bytes()).prop_map(|(seed, bytes)| Stretch::Noise { seed, bytes }),
        2 => (any::<u64>(), bytes()).prop_map(|(seed, bytes)| Stretch::Text { seed, bytes }),
        3 => prop_oneof![bytes(), Just(4096), Just(65_536)].prop_map(|bytes| Stretch::Zeros { bytes }),
        3 => (any::<u64>(), bytes(), prop::sample::select(vec![512, 4096]))
            .prop_map(|(seed, bytes, block_bytes)| Stretch::Padded { seed, bytes, block_bytes }),
        2 => (0usize..1000, bytes()).prop_map(|(permille, bytes)| Stretch::Copy { permille, bytes }),
    ]
}

fn lay_out(stretches: &[Stretch]) -> Vec<u8> {
    let mut disk: Vec<u8> = Vec::new();
    for stretch in stretches {
        match *stretch {
            Stretch::Noise { seed, bytes } => disk.extend(noise(seed, bytes)),
            Stretch::Text { seed, bytes } => disk.extend(noise(seed, bytes).iter().map(|byte| b'a' + byte % 4)),
            Stretch::Zeros { bytes } => disk.resize(disk.len() + bytes, 0),
            Stretch::Padded { seed, bytes, block_bytes } => {
                disk.resize(disk.len().next_multiple_of(block_bytes), 0);
                disk.extend(noise(seed, bytes));
                disk.resize(disk.len().next_multiple_of(block_bytes), 0);
            }
            Stretch::Copy { permille, bytes } => {
                let from = disk.len() * permille / 1000;
                let bytes = bytes.min(disk.len() - from);
                disk.extend_from_within(from..from + bytes);
            }
        }
    }
    disk
}

/// What happens to a disk between two backups.
#[derive(Debug, Clone)]
enum Change {
    Overwrite { permille: usize, seed: u64, bytes: usize },
    Zero { permille: usize, bytes: usize },
    Insert { permille: usize, seed: u64, bytes: usize },
    Cut { permille: usize },
}

fn change() -> impl Strategy<Value = Change> {
    let place = || 0usize..1001;
    prop_oneof![
        (place(), any::<u64>(), 1usize..100_000).prop_map(|(permille, seed, bytes)| Change::Overwrite {
            permille,
            seed,
            bytes
        }),
        (place(), 1usize..100_000).prop_map(|(permille, bytes)| Change::Zero { permille, bytes }),
        (place(), any::<u64>(), 1usize..5000).prop_map(|(permille, seed, bytes)| Change::Insert {
            permille,
            seed,
            bytes
        }),
        place().prop_map(|permille| Change::Cut { permille }),
    ]
}

fn apply(disk: &mut Vec<u8>, change: &Change) {
    let place = |permille: usize| disk.len() * permille / 1000;
    match *change {
        Change::Overwrite { permille, seed, bytes } => {
            let at = place(permille);
            let end = (at + bytes).min(disk.len());
            disk[at..end].copy_from_slice(&noise(seed, end - at));
        }
        Change::Zero { permille, bytes } => {
            let at = place(permille);
            let end = (at + bytes).min(disk.len());
            disk[at..end].fill(0);
        }
        Change::Insert { permille, seed, bytes } => {
            let at = place(permille);
            disk.splice(at..at, noise(seed, bytes));
        }
        Change::Cut { permille } => disk.truncate(place(permille)),
    }
}

/// What must be true of every report.
fn check_counters(report: &BackupReport, disk: &[u8]) {
    assert_eq!(report.source_bytes, disk.len() as u64);
    assert_eq!(report.read_bytes, disk.len() as u64);
    let sum = report.data_bytes + report.zero_bytes + report.free_bytes + report.unreadable_bytes;
    assert_eq!(sum, report.source_bytes, "{report:?}");
    assert_eq!((report.free_bytes, report.unreadable_bytes), (0, 0));
    assert!(report.new_chunks <= report.chunks && report.new_bytes <= report.data_bytes, "{report:?}");
    let zeros = disk.iter().filter(|byte| **byte == 0).count() as u64;
    assert!(report.zero_bytes <= zeros, "{} bytes of zeros, {report:?}", zeros);
}

fn round_trip(stretches: &[Stretch], changes: &[Change], sectors: u32, with_parent: bool, threads: usize) {
    let first = lay_out(stretches);
    let mut second = first.clone();
    changes.iter().for_each(|change| apply(&mut second, change));
    let repository = init(MemoryStore::new());
    let parent = if with_parent { ParentChoice::Newest } else { ParentChoice::None };
    let options = BackupOptions { parent, threads: Some(threads), ..BackupOptions::named("disk") };
    let back_up = |data: &[u8]| {
        let source = MemoryDisk::new(data.to_vec()).with_sectors(sectors, 4096);
        repository.backup(&source, &options, &Job::new()).unwrap()
    };
    let before = back_up(&first);
    check_counters(&before, &first);
    let after = back_up(&second);
    check_counters(&after, &second);
    assert_eq!(after.parent, before.image.filter(|_| with_parent));
    let again = back_up(&second);
    assert_eq!((again.new_chunks, again.new_bytes), (0, 0), "the same disk brings nothing new");
    assert_eq!((again.data_bytes, again.zero_bytes), (after.data_bytes, after.zero_bytes));
    for (report, data) in [(&before, &first), (&after, &second), (&again, &second)] {
        assert_restores(&repository, report.image.unwrap(), data);
    }
    let image = repository.show(after.image.unwrap(), None).unwrap();
    let detail = image.detail.unwrap();
    assert_eq!(detail.geometry.logical_sector_bytes, sectors);
    assert_eq!(detail.geometry.bytes, Some(second.len() as u64));
    assert_eq!((detail.data_bytes, detail.zero_bytes), (after.data_bytes, after.zero_bytes));
    assert_clean(&repository, 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_disk_comes_back(
        stretches in prop::collection::vec(stretch(), 0..12),
        changes in prop::collection::vec(change(), 0..4),
        sectors in prop::sample::select(vec![512u32, 4096]),
        with_parent in any::<bool>(),
        threads in 1usize..4,
    ) {
        round_trip(&stretches, &changes, sectors, with_parent, threads);
    }
}

#[test]
fn the_smallest_disks_come_back() {
    for bytes in [0, 1, 2, 511, 512, 513, 4095, 4096, 4097] {
        for sectors in [512, 4096] {
            round_trip(&[Stretch::Noise { seed: 3, bytes }], &[], sectors, true, 1);
            round_trip(&[Stretch::Zeros { bytes }], &[], sectors, true, 1);
        }
    }
}

/// Regions are worked on apart: what crosses their borders must not be cut otherwise, nor lost.
#[test]
fn disks_around_the_borders_of_regions_come_back() {
    const REGION: usize = 8 << 20;
    for bytes in [REGION - 1, REGION, REGION + 1, 2 * REGION, 2 * REGION + 4095] {
        let stretches = [
            Stretch::Zeros { bytes: 1 << 20 },
            Stretch::Noise { seed: bytes as u64, bytes: bytes - (1 << 20) - 10_000 },
            Stretch::Zeros { bytes: 10_000 },
        ];
        let changes = [Change::Insert { permille: 100, seed: 1, bytes: 1 }];
        round_trip(&stretches, &changes, 512, true, 3);
    }
    round_trip(&[Stretch::Zeros { bytes: 3 * REGION + 5 }], &[Change::Cut { permille: 700 }], 4096, true, 2);
}
