//! Room in the repository: looked at before a backup and while it runs.

mod common;

use common::{assert_clean, back_up, init, noise, options};
use holotype_repo::disk::MemoryDisk;
use holotype_repo::store::fault::{FaultPlan, FaultStore, Operation};
use holotype_repo::{BackupReport, Error, ErrorKind, Event, Job, Repository, Result};
use std::sync::{Arc, Mutex};

const MIB: u64 = 1 << 20;

/// A repository whose store will tell of `room` bytes from now on, and of calls from now on.
fn with_room(before: &[&[u8]], room: u64) -> (Arc<FaultStore>, Repository) {
    let store = Arc::new(FaultStore::new());
    let repository = init(Arc::clone(&store));
    for disk in before {
        back_up(&repository, "before", disk).unwrap();
    }
    store.arm(FaultPlan::new().room(room));
    (store, repository)
}

fn run(repository: &Repository, data: &[u8]) -> (Result<BackupReport>, Vec<String>) {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&warnings);
    let job = Job::new().on_event(move |event| {
        if let Event::Warning(text) = event {
            heard.lock().unwrap().push(text);
        }
    });
    let result = repository.backup(&MemoryDisk::new(data.to_vec()), &options("before"), &job);
    let warnings = warnings.lock().unwrap().clone();
    (result, warnings)
}

#[track_caller]
fn assert_no_space(error: &Error, parts: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_first_backup_without_room_is_refused_before_anything_is_stored() {
    let data = noise(1, 32 << 20);
    let (store, repository) = with_room(&[], 24 * MIB);
    let error = run(&repository, &data).0.unwrap_err();
    assert_no_space(&error, &["about 33889976 bytes", "25165824 bytes are free", "free space there"]);
    assert!(store.calls().iter().all(|call| call.operation != Operation::Put), "something was stored");
    store.arm(FaultPlan::new().room(64 * MIB));
    assert_eq!(run(&repository, &data).1, Vec::<String>::new());
}

#[test]
fn zeros_and_what_compresses_need_no_room() {
    let mut data = b"text ".repeat(8 << 20);
    data[10 << 20..].fill(0);
    let (_, repository) = with_room(&[], 18 * MIB);
    let (report, warnings) = run(&repository, &data);
    assert!(report.unwrap().image.is_some() && warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_small_disk_needs_a_small_room() {
    let (_, repository) = with_room(&[], 3 * MIB);
    run(&repository, &noise(1, MIB as usize)).0.unwrap();
    let (_, repository) = with_room(&[], MIB);
    assert_no_space(&run(&repository, &noise(1, MIB as usize)).0.unwrap_err(), &[]);
}

#[test]
fn where_images_are_it_warns_and_stops_when_no_pack_has_room() {
    let data = noise(1, 32 << 20);
    let (_, repository) = with_room(&[&data], 20 * MIB);
    let (report, warnings) = run(&repository, &data);
    assert!(warnings.len() == 1 && warnings[0].contains("up to 33889976 bytes"), "{warnings:?}");
    assert_eq!(report.unwrap().warnings, warnings);

    let (store, repository) = with_room(&[&data], 20 * MIB);
    let error = run(&repository, &noise(2, 32 << 20)).0.unwrap_err();
    assert_no_space(&error, &["the next pack", "free space there"]);
    let stored: u64 = store.objects().iter().map(|(_, bytes)| bytes.len() as u64).sum();
    assert!((50 * MIB..52 * MIB).contains(&stored), "{stored} bytes: it stops as late as it can, and no later");
    store.arm(FaultPlan::new());
    assert_clean(&repository, 1);
    let (_, repository) = with_room(&[&data], 10 * MIB);
    assert_no_space(&run(&repository, &data).0.unwrap_err(), &["10485760 bytes are free"]);
}
