//! Disks with a filesystem, whose free bytes are not in an image: made in memory, as FAT.

mod common;

use common::*;
use holotype_repo::core::extent::Extent;
use holotype_repo::disk::{Content, Geometry, MemoryDisk, Source, SourceIdentity, Target, TargetInfo, WriteOrder};
use holotype_repo::store::MemoryStore;
use holotype_repo::{
    BackupOptions, ErrorKind, FreePolicy, Job, ParentChoice, RestoreOptions, RestoreScope, Result, WriteMode,
};
use proptest::prelude::*;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens to a FAT volume.
#[derive(Debug, Clone)]
enum Step {
    Write { bytes: usize },
    Remove { number: usize },
    Rewrite { number: usize, bytes: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop_oneof![0usize..3000, 3000usize..60_000, 60_000usize..250_000];
    prop_oneof![
        4 => bytes().prop_map(|bytes| Step::Write { bytes }),
        2 => any::<usize>().prop_map(|number| Step::Remove { number }),
        1 => (any::<usize>(), bytes()).prop_map(|(number, bytes)| Step::Rewrite { number, bytes }),
    ]
}

/// Does steps as far as there is room.
fn take(volume: &mut [u8], steps: &[Step], names: &mut Vec<String>, seed: u64) {
    for (at, step) in (0u64..).zip(steps) {
        let content = |bytes| noise(seed * 1000 + at, bytes);
        match *step {
            Step::Write { bytes } => {
                let name = format!("file {seed} {at}");
                if fat_room(volume) > bytes + 50_000 {
                    fat_write(volume, &name, &content(bytes));
                    names.push(name);
                }
            }
            Step::Remove { number } if !names.is_empty() => {
                fat_remove(volume, &names.swap_remove(number % names.len()));
            }
            Step::Rewrite { number, bytes } if !names.is_empty() && fat_room(volume) > bytes + 50_000 => {
                fat_write(volume, &names[number % names.len()], &content(bytes));
            }
            _ => {}
        }
    }
}

fn round_trip(bytes: usize, first: &[Step], second: &[Step], threads: usize) {
    let mut disk = fat_volume(bytes, 1);
    let mut names = Vec::new();
    take(&mut disk, first, &mut names, 1);
    let before = disk.clone();
    take(&mut disk, second, &mut names, 2);
    let repository = init(MemoryStore::new());
    let options = BackupOptions { parent: ParentChoice::Newest, threads: Some(threads), ..options("fat") };
    for data in [&before, &disk] {
        let report = repository.backup(&MemoryDisk::new(data.clone()), &options, &Job::new()).unwrap();
        let free = free_runs(data);
        assert_eq!(report.free_bytes, free.bytes());
        assert_eq!(report.read_bytes, data.len() as u64 - free.bytes());
        assert_eq!(report.data_bytes + report.zero_bytes + report.free_bytes, data.len() as u64);
        let image = report.image.unwrap();
        assert_restores_used(&repository, image, data);

        // What is free stays what it was, or becomes zeros.
        for (policy, byte) in [(FreePolicy::Keep, 0xEE), (FreePolicy::Zero, 0)] {
            for mode in [WriteMode::Everything, WriteMode::Delta] {
                let target = MemoryDisk::new(vec![0xEE; data.len()]);
                let options = RestoreOptions { free: Some(policy), mode, verify: true, ..RestoreOptions::default() };
                let report = repository.restore(image, &target, &options, &Job::new()).unwrap();
                assert_eq!(report.free_bytes, free.bytes());
                let again = repository.restore(image, &target, &RestoreOptions::default(), &Job::new()).unwrap();
                assert_eq!((again.written_bytes, again.content_hash), (0, report.content_hash));
                let back = target.into_bytes();
                assert!(same_used(&back, data));
                for run in free.iter() {
                    let there = &back[run.offset() as usize..run.end() as usize];
                    assert!(there.iter().all(|it| *it == byte), "{policy:?} {mode:?} {run}");
                }
            }
        }
    }
    assert_clean(&repository, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fat_volume_comes_back(
        kib in 600usize..3000,
        first in prop::collection::vec(step(), 1..12),
        second in prop::collection::vec(step(), 0..6),
        threads in 1usize..4,
    ) {
        round_trip(kib << 10, &first, &second, threads);
    }
}

/// A disk, one of whose bytes is another than it should be when it is read after it was written.
struct Forgetful {
    disk: MemoryDisk,
    at: u64,
    writes: AtomicU64,
}

impl Target for Forgetful {
    fn order(&self) -> WriteOrder {
        WriteOrder::Any
    }
    fn info(&self) -> TargetInfo {
        self.disk.info()
    }
    fn prepare(&self, target_bytes: u64, content: Content) -> Result<()> {
        self.disk.prepare(target_bytes, content)
    }
    fn read_back(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.disk.read_back(offset_bytes, buffer)?;
        if let Some(byte) = self.at.checked_sub(offset_bytes).and_then(|at| buffer[..read].get_mut(at as usize)) {
            *byte ^= 1;
        }
        Ok(read)
    }
    fn write_at(&self, offset_bytes: u64, data: &[u8]) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.disk.write_at(offset_bytes, data)
    }
    fn write_zeros(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        self.disk.write_zeros(offset_bytes, length_bytes)
    }
    fn finish(&self) -> io::Result<()> {
        self.disk.finish()
    }
    fn describe(&self) -> String {
        self.disk.describe()
    }
}

#[test]
fn a_byte_that_reads_back_as_another_is_told() {
    let repository = init(MemoryStore::new());
    let data = mapped_disk(3, 1_500_000);
    let image = back_up(&repository, "fat", &data).unwrap();
    let free = free_runs(&data);
    let is_free = |at: u64| free.within(Extent::new(at, 1).unwrap()).next().is_some();
    let places = (0..data.len() as u64).step_by(9_973).chain([0, data.len() as u64 - 1]);
    let mut told = [0, 0];
    for at in places {
        for mode in [WriteMode::Everything, WriteMode::Delta] {
            let disk = MemoryDisk::new(vec![0xEE; data.len()]);
            let target = Forgetful { disk, at, writes: AtomicU64::new(0) };
            let options = RestoreOptions { mode, verify: true, threads: Some(2), ..RestoreOptions::default() };
            let restored = repository.restore(image, &target, &options, &Job::new());
            assert!(target.writes.load(Ordering::Relaxed) > 0);
            told[usize::from(is_free(at))] += 1;
            match is_free(at) {
                true => assert!(restored.unwrap().verified, "byte {at} is nobody's"),
                false => {
                    let error = restored.map(|_| ()).expect_err(&format!("byte {at} is another"));
                    assert_eq!(error.kind(), ErrorKind::Io);
                    assert!(error.to_string().contains("reads back as another one"), "{error}");
                }
            }
            // Without reading back, nobody looks.
            let options = RestoreOptions { mode, ..RestoreOptions::default() };
            repository.restore(image, &target, &options, &Job::new()).unwrap();
        }
    }
    assert!(told.iter().all(|times| *times > 10), "{told:?}");
}

/// A disk whose allocation changes after so many reads, without a mark that tells of changes.
struct Changing {
    disk: MemoryDisk,
    next: Vec<u8>,
    after_reads: u64,
    reads: AtomicU64,
}

impl Source for Changing {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }
    fn identity(&self) -> SourceIdentity {
        self.disk.identity()
    }
    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reads.fetch_add(1, Ordering::Relaxed) == self.after_reads {
            self.disk.bytes_mut().copy_from_slice(&self.next);
        }
        self.disk.read_at(offset_bytes, buffer)
    }
}

#[test]
fn a_file_that_comes_meanwhile_is_told_of() {
    let data = mapped_disk(4, 1_500_000);
    let mut next = data.clone();
    fat_write(&mut next, "new", &noise(9, 50_000));
    let back_up = |after_reads: u64| {
        let repository = init(MemoryStore::new());
        let disk = MemoryDisk::new(data.clone());
        let source = Changing { disk, next: next.clone(), after_reads, reads: AtomicU64::new(0) };
        let report = repository.backup(&source, &options("fat"), &Job::new()).unwrap();
        if !report.changed {
            // Then it is the one or the other.
            let now = if report.free_bytes == free_runs(&data).bytes() { &data } else { &next };
            assert_restores_used(&repository, report.image.unwrap(), now);
        }
        assert_eq!(report.is_complete(), !report.changed);
        (report.changed, source.reads.into_inner())
    };
    let (changed, reads) = back_up(u64::MAX);
    assert!(!changed);
    let told = (0..reads).filter(|after| back_up(*after).0).count() as u64;
    assert!(told > reads / 4, "{told} of {reads}");
}

#[test]
fn one_volume_of_a_whole_disk_is_none() {
    let repository = init(MemoryStore::new());
    let data = mapped_disk(5, 700_000);
    let image = back_up(&repository, "fat", &data).unwrap();
    let options = RestoreOptions { scope: RestoreScope::Volume(1), ..RestoreOptions::default() };
    let error = repository.restore(image, &MemoryDisk::new(data), &options, &Job::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
