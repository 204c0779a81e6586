//! A client that dies, or is told to stop, at any moment.
//!
//! One scenario is cut at each of its calls of the store, in each way in which a call can be cut.
//! What was reported before must hold afterwards, for those who live on and after power loss.

mod common;

use common::*;
use holotype_repo::core::ImageId;
use holotype_repo::core::key_slot::Role;
use holotype_repo::disk::{FaultDisk, MemoryDisk};
use holotype_repo::job::Event;
use holotype_repo::store::fault::{Call, Cut, FaultPlan, FaultStore, Operation};
use holotype_repo::store::{Folder, ObjectKey};
use holotype_repo::{
    CancelToken, Credentials, Error, ErrorKind, Job, NewKey, Repository, RestoreOptions, Result, Store, VerifyOptions,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SECOND_KEY: [u8; 32] = [8; 32];

fn disk_a() -> Vec<u8> {
    disk(1, 1_400_000)
}

fn disk_a_changed() -> Vec<u8> {
    let mut data = disk_a();
    data[700_000..760_000].copy_from_slice(&noise(2, 60_000));
    data
}

/// With a filesystem, so that its image has free runs; what is in its files is known in part.
fn disk_b() -> Vec<u8> {
    let mut data = mapped_disk(3, 600_000);
    fat_remove(&mut data, "file 0");
    fat_write(&mut data, "known", &disk_a()[250_000..350_000]);
    assert!(free_runs(&data).bytes() > 100_000);
    data
}

/// What the client was told before it died.
#[derive(Default)]
struct Reported {
    init: bool,
    images: Vec<(ImageId, Vec<u8>)>,
    /// `Some(true)` from the moment it was added, `None` from the moment its removal began.
    second_key: Option<bool>,
    removed: bool,
    done: bool,
}

/// Everything that a client does in its life.
fn live(store: &Arc<FaultStore>, told: &mut Reported) -> Result<()> {
    let repository = Repository::init(Arc::clone(store), &init_options())?;
    told.init = true;
    for (name, data) in [("a", disk_a()), ("a", disk_a_changed())] {
        told.images.push((back_up(&repository, name, &data)?, data));
    }
    let new = NewKey::new(Role::Full, "second", Credentials::key_file(SECOND_KEY));
    let slot = repository.add_key(&new)?;
    told.second_key = Some(true);
    told.images.push((back_up(&repository, "b", &disk_b())?, disk_b()));
    let (image, data) = &told.images[0];
    assert!(same_used(&restore(&repository, *image, data.len())?, data));
    told.second_key = None;
    repository.remove_key(&slot)?;
    told.removed = true;
    told.done = true;
    Ok(())
}

/// What must hold of a store whose promises held.
fn check(store: FaultStore, told: &Reported, place: &str) {
    let store = Arc::new(store);
    let repository = match Repository::open(Arc::clone(&store), &credentials()) {
        Ok(repository) => repository,
        Err(error) => {
            assert!(!told.init, "{place}: {error}");
            assert_eq!(error.kind(), ErrorKind::NotFound, "{place}: {error}");
            Repository::init(Arc::clone(&store), &init_options()).unwrap_or_else(|error| panic!("{place}: {error}"))
        }
    };
    let listed = image_ids(&repository);
    for (image, data) in &told.images {
        assert!(listed.contains(image), "{place}: image {} is gone", image.short());
        assert!(
            same_used(&restore(&repository, *image, data.len()).unwrap(), data),
            "{place}: image {}",
            image.short()
        );
    }
    // At the most, the one image that was under way is there besides.
    assert!(listed.len() <= told.images.len() + 1, "{place}");
    let second = Repository::open(Arc::clone(&store), &Credentials::key_file(SECOND_KEY));
    if told.second_key == Some(true) {
        assert!(second.is_ok(), "{place}: the second key is gone");
    } else if told.removed {
        assert!(second.is_err(), "{place}: the second key still opens");
    }
    let report = repository.verify(&VerifyOptions::read_everything(), &Job::new()).unwrap();
    assert_eq!(report.findings(), [], "{place}");
    let mut data = disk_a_changed();
    data[100..200].fill(7);
    let image = back_up(&repository, "a", &data).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(restore(&open(Arc::clone(&store)), image, data.len()).unwrap() == data, "{place}");
    assert_clean(&repository, listed.len() + 1);
}

/// Lives until the cut at call `number`; `None` where the life ended before it.
fn cut_at(number: u64, cut: Cut) -> Option<(Arc<FaultStore>, Reported)> {
    let store = Arc::new(FaultStore::with_plan(FaultPlan::new().cut(number, cut)));
    let mut told = Reported::default();
    let outcome = live(&store, &mut told);
    if !store.is_crashed() {
        outcome.unwrap();
        return None;
    }
    // Nothing in the life goes on after the cut but what ends a lease or is a mere hint.
    assert!(outcome.is_ok() == told.done);
    Some((store, told))
}

fn calls_of_a_life() -> u64 {
    let store = Arc::new(FaultStore::new());
    live(&store, &mut Reported::default()).unwrap();
    let calls = store.calls();
    assert_eq!(
        calls.iter().filter(|call| call.folder == Folder::Images && call.operation == Operation::Put).count(),
        3
    );
    calls.len() as u64
}

fn every_cut(cut: Cut) {
    // Threads race, so a life has a few calls more or less: go on until none is reached.
    let calls = calls_of_a_life() + 10;
    assert!(calls > 80, "{calls}");
    let reached = AtomicU64::new(0);
    on_two_threads(calls as usize, |number| {
        let Some((store, told)) = cut_at(number as u64, cut) else { return };
        reached.fetch_add(1, Ordering::Relaxed);
        check(store.reopen(), &told, &format!("power lost in call {number}, {cut:?}"));
        check(store.another_client(), &told, &format!("died in call {number}, {cut:?}"));
    });
    assert!(reached.into_inner() >= calls - 20);
}

#[test]
fn cut_before_each_call() {
    every_cut(Cut::Before);
}

#[test]
fn cut_after_each_call() {
    every_cut(Cut::After);
}

#[test]
fn each_put_cut_in_the_middle() {
    every_cut(Cut::TornPut);
}

#[test]
fn each_rename_lost() {
    every_cut(Cut::LostRename);
}

/// A store that shows half an object under its name breaks its promise. What was published before
/// holds even so, and a verify names the half object.
#[test]
fn torn_objects_are_found_and_hurt_nobody_else() {
    let calls = calls_of_a_life() + 10;
    on_two_threads(calls as usize, |number| {
        let Some((store, told)) = cut_at(number as u64, Cut::TornVisible { bytes: 100 }) else { return };
        let torn = store.calls().pop().filter(|call| call.operation == Operation::Put).and_then(|call| call.key);
        let store = Arc::new(store.reopen());
        let repository = match Repository::open(Arc::clone(&store), &credentials()) {
            Ok(repository) => repository,
            Err(error) => {
                assert!(!told.init, "call {number}: {error}");
                return;
            }
        };
        let listed = image_ids(&repository);
        for (image, data) in &told.images {
            assert!(listed.contains(image), "call {number}");
            assert!(same_used(&restore(&repository, *image, data.len()).unwrap(), data), "call {number}");
        }
        let report = repository.verify(&VerifyOptions::read_everything(), &Job::new()).unwrap();
        match torn.map(|key| key.to_string()) {
            Some(torn) => {
                assert!(!report.findings().is_empty(), "call {number}: {torn} is torn, and nothing was found");
                for finding in report.findings() {
                    assert!(finding.object.starts_with(&torn), "call {number}: {finding} and not {torn}");
                    assert!(finding.images.is_empty(), "call {number}: {finding}");
                }
            }
            None => assert_eq!(report.findings(), [], "call {number}"),
        }
        let image = back_up(&repository, "a", &disk_a_changed()).unwrap();
        assert_restores(&open(store), image, &disk_a_changed());
    });
}

#[test]
fn a_restore_whose_target_fails_says_so() {
    let repository = init(holotype_repo::store::MemoryStore::new());
    let data = disk(4, 3_000_000);
    let image = back_up(&repository, "a", &data).unwrap();
    let run = |target: &FaultDisk<MemoryDisk>| {
        repository.restore(image, target, &RestoreOptions::default(), &Job::new()).map_err(|error| error.kind())
    };
    for space in [0, 1, 500_000, 2_000_000] {
        let target = FaultDisk::new(MemoryDisk::new(vec![0; data.len()])).full_after(space);
        assert_eq!(run(&target).unwrap_err(), ErrorKind::NoSpace, "{space} bytes of space");
    }
    // Bytes of data, and bytes of zeros.
    for place in [0, 60_000, 1_234_567, data.len() as u64 - 1] {
        let target = FaultDisk::new(MemoryDisk::new(vec![9; data.len()])).unwritable(place..place + 1);
        assert_eq!(run(&target).unwrap_err(), ErrorKind::Io, "byte {place}");
    }
    let target = FaultDisk::new(MemoryDisk::new(vec![9; data.len()]));
    run(&target).unwrap();
    assert!(target.into_inner().into_bytes() == data);
}

/// The token is pulled at each call of the store in turn.
#[test]
fn cancelled_at_any_call_a_backup_leaves_a_valid_repository() {
    let base = Arc::new(FaultStore::new());
    let first = disk_a();
    let image = back_up(&init(Arc::clone(&base)), "a", &first).unwrap();
    let data = disk(5, 2_600_000);
    let mut cancelled = 0;
    for number in 0.. {
        let store = Arc::new(base.reopen());
        let repository = open(Arc::clone(&store));
        let token = CancelToken::new();
        let pulled = token.clone();
        store.arm(FaultPlan::new().on_call(move |call| {
            if call.number == number {
                pulled.cancel();
            }
        }));
        let outcome =
            repository.backup(&MemoryDisk::new(data.clone()), &options("b"), &Job::new().cancelled_by(token.clone()));
        let mut images = vec![(image, first.clone())];
        match outcome {
            Ok(report) => images.push((report.image.unwrap(), data.clone())),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Cancelled, "call {number}: {error}");
                cancelled += 1;
            }
        }
        assert_eq!(store.list(Folder::Leases).unwrap(), [], "call {number}: the lease stayed");
        check(store.reopen(), &Reported { init: true, images, ..Reported::default() }, &format!("call {number}"));
        if !token.is_cancelled() {
            break;
        }
    }
    assert!(cancelled > 10, "{cancelled}");
}

/// The token is pulled at each event in turn.
#[test]
fn cancelled_at_any_event_nothing_is_half_done() {
    let store = Arc::new(holotype_repo::store::MemoryStore::new());
    let repository = init(Arc::clone(&store));
    let data = disk(6, 20 << 20);
    let pulled_at = |number: u64| {
        let token = CancelToken::new();
        let (events, pulled) = (AtomicU64::new(0), token.clone());
        let job = Job::new().cancelled_by(token.clone()).on_event(move |event| {
            if matches!(event, Event::Advanced { .. } | Event::Stage { .. })
                && events.fetch_add(1, Ordering::Relaxed) == number
            {
                pulled.cancel();
            }
        });
        (job, token)
    };
    let mut cancelled = 0;
    for number in 0..3 {
        let (job, token) = pulled_at(number);
        let outcome = repository.backup(&MemoryDisk::new(data.clone()), &options("a"), &job);
        assert!(token.is_cancelled());
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::Cancelled);
            cancelled += 1;
        }
        assert_eq!(image_ids(&repository).len(), number as usize + 1 - cancelled);
    }
    assert!(cancelled >= 2);
    let image = back_up(&repository, "a", &data).unwrap();
    for number in [0, 1, 5, 20] {
        let (job, token) = pulled_at(number);
        let target = MemoryDisk::new(vec![0; data.len()]);
        let outcome = repository.restore(image, &target, &RestoreOptions::default(), &job);
        assert!(token.is_cancelled());
        assert_eq!(outcome.map_err(|error: Error| error.kind()).unwrap_err(), ErrorKind::Cancelled, "event {number}");
        let (job, _) = pulled_at(number);
        let outcome = repository.restore(
            image,
            &holotype_repo::os::StdoutTarget::new(Collected::default()),
            &RestoreOptions::default(),
            &job,
        );
        // A stream has fewer events than that.
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::Cancelled, "event {number}");
        } else {
            assert!(number > 1, "event {number}");
        }
        let (job, _) = pulled_at(0);
        let outcome = repository.verify(&VerifyOptions::read_everything(), &job);
        assert_eq!(outcome.map(|_| ()).unwrap_err().kind(), ErrorKind::Cancelled);
    }
    assert_eq!(store.list(Folder::Leases).unwrap(), []);
    assert_restores(&repository, image, &data);
}

/// An interrupted backup, run again, stores nothing twice that was durable already, but for what
/// was on its way into packs: at most a twentieth.
#[test]
fn what_is_durable_is_not_stored_again() {
    let data = disk(7, 40 << 20);
    let source = MemoryDisk::new(data.clone());
    let whole = Arc::new(FaultStore::new());
    init(Arc::clone(&whole)).backup(&source, &options("a"), &Job::new()).unwrap();
    let (whole_bytes, puts) = (folder_bytes(&*whole, Folder::Packs), objects(&*whole, Folder::Packs).len() as u64);
    assert!(puts > 50, "{puts} packs");
    let put_calls: Vec<u64> = whole.calls().iter().filter(|call| is_pack_put(call)).map(|call| call.number).collect();
    for (share, crash) in [(10, true), (35, false), (60, true), (90, false), (99, true)] {
        let store = Arc::new(FaultStore::new());
        let repository = init(Arc::clone(&store));
        let wanted = puts * share / 100;
        let token = CancelToken::new();
        if crash {
            let calls_of_init = store.calls().len() as u64;
            store.arm(FaultPlan::new().cut(put_calls[wanted as usize] - calls_of_init, Cut::Before));
        } else {
            let (seen, stop) = (AtomicU64::new(0), token.clone());
            store.arm(FaultPlan::new().on_call(move |call| {
                if is_pack_put(call) && seen.fetch_add(1, Ordering::Relaxed) == wanted {
                    stop.cancel();
                }
            }));
        }
        let outcome = repository.backup(&source, &options("a"), &Job::new().cancelled_by(token));
        let expected = if crash { ErrorKind::Io } else { ErrorKind::Cancelled };
        assert_eq!(outcome.map(|_| ()).unwrap_err().kind(), expected);
        let survivor = Arc::new(if crash { store.reopen() } else { store.another_client() });
        let before = objects(&*survivor, Folder::Packs);
        let durable: u64 = before.values().map(|bytes| bytes.len() as u64).sum();
        // How frames fall into packs differs a little between runs: threads take turns.
        let packs = before.len() as u64;
        assert!(packs + 5 >= wanted && packs <= puts + puts / 5, "{packs} of {wanted} packs");
        let again = open(Arc::clone(&survivor));
        let image = back_up(&again, "a", &data).unwrap();
        let total = folder_bytes(&*survivor, Folder::Packs);
        let twice = total.saturating_sub(whole_bytes);
        assert!(twice * 20 <= durable, "after {share} %: {twice} bytes twice of {durable} durable ones");
        for (name, bytes) in before {
            let key = ObjectKey::new(Folder::Packs, name).unwrap();
            assert!(survivor.get(&key).unwrap() == bytes, "a durable pack was changed");
        }
        assert_restores(&again, image, &data);
        assert_clean(&again, 1);
    }
}

fn is_pack_put(call: &Call) -> bool {
    call.operation == Operation::Put && call.folder == Folder::Packs
}
