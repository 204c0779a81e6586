//! The publish protocol: writers, a pruner and readers that act in the worst order.
//!
//! The pruner is played by calls of the store: what it does first and last in docs/LOCKING.md.

mod common;

use common::*;
use holotype_repo::core::{ImageId, LeaseId};
use holotype_repo::disk::MemoryDisk;
use holotype_repo::image::ImageRecord;
use holotype_repo::lease;
use holotype_repo::os::StdinSource;
use holotype_repo::store::fault::{Call, FaultPlan, FaultStore, Operation};
use holotype_repo::store::{Folder, ObjectKey};
use holotype_repo::{BackupReport, ErrorKind, Job, Repository, Result, Store, VerifyOptions};
use std::io::Cursor;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

fn old_disk() -> Vec<u8> {
    disk(1, 5 << 20)
}

/// Shares most with [`old_disk`].
fn new_disk() -> Vec<u8> {
    let mut data = old_disk();
    data[..40_000].copy_from_slice(&noise(2, 40_000));
    data.extend(noise(3, 1 << 20));
    data
}

/// A repository with one image of [`old_disk`].
fn with_old_image() -> (Arc<FaultStore>, ImageId) {
    let store = Arc::new(FaultStore::new());
    let image = back_up(&init(Arc::clone(&store)), "old", &old_disk()).unwrap();
    assert!(objects(&*store, Folder::Packs).len() > 3);
    (store, image)
}

/// Leases whose heartbeats are there and that nobody revoked.
fn live_leases(store: &dyn Store) -> Vec<LeaseId> {
    let names: Vec<String> = objects(store, Folder::Leases).into_keys().collect();
    let ids = names.iter().filter_map(|name| name.split_once('-')?.0.parse().ok());
    ids.filter(|id: &LeaseId| !names.contains(&format!("{id}-revoked"))).collect()
}

fn revoke_all(store: &dyn Store) {
    live_leases(store).iter().for_each(|id| lease::revoke(store, id).unwrap());
}

fn mark(store: &dyn Store, folder: Folder) {
    for name in objects(store, folder).into_keys() {
        store.put(&ObjectKey::new(Folder::Tombstones, name).unwrap(), &[b"marked"]).unwrap();
    }
}

fn unmark(store: &dyn Store) {
    empty(store, Folder::Tombstones);
}

fn empty(store: &dyn Store, folder: Folder) {
    for info in store.list(folder).unwrap() {
        store.delete(&info.key).unwrap();
    }
}

/// The old image goes, and all that only it needs: every pack there is.
fn prune_all(store: &dyn Store) {
    empty(store, Folder::Images);
    empty(store, Folder::Index);
    empty(store, Folder::Packs);
    empty(store, Folder::Meta);
}

/// Runs `act` once, as another client, in the first call of a backup that `moment` chooses.
fn once(
    store: &Arc<FaultStore>,
    moment: impl Fn(&Call) -> bool + Send + Sync + 'static,
    act: impl Fn(&FaultStore) + Send + Sync + 'static,
) -> Arc<AtomicBool> {
    let other = store.another_client();
    let acted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&acted);
    store.arm(FaultPlan::new().on_call(move |call| {
        if moment(call) && !flag.swap(true, Ordering::SeqCst) {
            act(&other);
        }
    }));
    acted
}

/// Moments between the look-ups and the fence's last look.
const MOMENTS: [(&str, Operation, Folder); 5] = [
    ("before the first new pack", Operation::Put, Folder::Packs),
    ("before the first node pack", Operation::Put, Folder::Meta),
    ("before the index segment", Operation::Put, Folder::Index),
    ("before the image", Operation::Put, Folder::Images),
    ("after the image", Operation::List, Folder::Tombstones),
];

fn at(operation: Operation, folder: Folder, nth: u64) -> impl Fn(&Call) -> bool + Send + Sync {
    let seen = AtomicU64::new(0);
    move |call| call.operation == operation && call.folder == folder && seen.fetch_add(1, Ordering::SeqCst) == nth
}

/// Which listing of tombstones is the fence's: one comes before the look-ups.
fn nth_of(folder: Folder) -> u64 {
    u64::from(folder == Folder::Tombstones)
}

fn back_up_new(repository: &Repository) -> Result<BackupReport> {
    repository.backup(&MemoryDisk::new(new_disk()), &options("new"), &Job::new())
}

/// What holds after each schedule.
fn assert_published(store: &Arc<FaultStore>, image: ImageId, images: usize) {
    let fresh = open(store.another_client());
    assert!(image_ids(&fresh).contains(&image));
    assert_restores(&fresh, image, &new_disk());
    assert_clean(&fresh, images);
    assert_eq!(live_leases(&**store), [], "a lease stayed");
}

#[test]
fn the_lease_stands_before_the_first_look_up_and_until_the_fence() {
    let (store, _) = with_old_image();
    let repository = open(Arc::clone(&store));
    store.arm(FaultPlan::new());
    let report = back_up_new(&repository).unwrap();
    assert!(report.new_bytes < (2 << 20), "it leans on the old image's packs: {report:?}");
    let calls = store.calls();
    let first = |chosen: &dyn Fn(&Call) -> bool| calls.iter().position(chosen).unwrap();
    let last = |chosen: &dyn Fn(&Call) -> bool| calls.iter().rposition(chosen).unwrap();
    let is = |operation, folder| move |call: &Call| call.operation == operation && call.folder == folder;
    let lease = first(&is(Operation::Put, Folder::Leases));
    let look_up = first(&|call| matches!(call.folder, Folder::Packs | Folder::Meta | Folder::Index));
    assert!(lease < look_up);
    let image = first(&is(Operation::Put, Folder::Images));
    // Packs, nodes and the segment are durable before the image; so is the root in the lease.
    for folder in [Folder::Packs, Folder::Meta, Folder::Index, Folder::Leases] {
        assert!(last(&is(Operation::Put, folder)) < image, "{folder:?}");
    }
    assert!(first(&is(Operation::Put, Folder::Index)) > last(&is(Operation::Put, Folder::Packs)));
    // The fence looks at all three after the image stands, and the lease ends after that.
    let end = last(&is(Operation::Delete, Folder::Leases));
    for folder in [Folder::Tombstones, Folder::Packs, Folder::Leases] {
        assert!((image..end).contains(&last(&is(Operation::List, folder))), "{folder:?}");
    }
    assert_eq!(objects(&*store, Folder::Leases).len(), 0);
    assert_published(&store, report.image.unwrap(), 2);
}

/// (a) The writer sleeps while its lease is revoked, and everything that it leaned on is deleted.
#[test]
fn asleep_while_all_is_pruned_it_stores_anew() {
    for (moment, operation, folder) in MOMENTS {
        let (store, _) = with_old_image();
        let repository = open(Arc::clone(&store));
        let acted = once(&store, at(operation, folder, nth_of(folder)), |other| {
            revoke_all(other);
            mark(other, Folder::Packs);
            mark(other, Folder::Meta);
            prune_all(other);
            unmark(other);
        });
        let report = back_up_new(&repository).unwrap_or_else(|error| panic!("{moment}: {error}"));
        assert!(acted.load(Ordering::SeqCst), "{moment}");
        assert_published(&store, report.image.unwrap(), 1);
    }
}

/// (b) The lease is revoked, and nothing else happens yet.
#[test]
fn a_revoked_lease_publishes_nothing() {
    for (moment, operation, folder) in MOMENTS {
        let (store, old) = with_old_image();
        let repository = open(Arc::clone(&store));
        let acted = once(&store, at(operation, folder, nth_of(folder)), |other| revoke_all(other));
        let report = back_up_new(&repository).unwrap_or_else(|error| panic!("{moment}: {error}"));
        assert!(acted.load(Ordering::SeqCst), "{moment}");
        assert_published(&store, report.image.unwrap(), 2);
        assert_restores(&repository, old, &old_disk());
        // Two image objects were written, one for each lease, and one of them is none.
        assert_eq!(objects(&*store, Folder::Images).len(), 3, "{moment}");
        assert_eq!(objects(&*store, Folder::Leases).len(), 1, "{moment}: the revocation");
    }
}

/// (c) Packs are marked, or gone, between look-up and publish, and the lease stands.
#[test]
fn marked_or_missing_packs_are_not_leaned_on() {
    for (moment, operation, folder) in MOMENTS {
        for delete in [false, true] {
            let (store, old) = with_old_image();
            let old_packs = objects(&*store, Folder::Packs);
            let old_nodes = objects(&*store, Folder::Meta);
            let repository = open(Arc::clone(&store));
            let acted = once(&store, at(operation, folder, nth_of(folder)), move |other| {
                if delete {
                    prune_all(other);
                } else {
                    old_packs.keys().chain(old_nodes.keys()).for_each(|name| {
                        other.put(&ObjectKey::new(Folder::Tombstones, name.as_str()).unwrap(), &[b"marked"]).unwrap();
                    });
                }
            });
            let place = format!("{moment}, deleted: {delete}");
            let report = back_up_new(&repository).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert!(acted.load(Ordering::SeqCst), "{place}");
            if !delete {
                // Now the pruner deletes what it marked.
                assert_restores(&repository, old, &old_disk());
                store.delete(&ObjectKey::of(Folder::Images, old)).unwrap();
                empty(&*store, Folder::Index);
                for name in objects(&*store, Folder::Tombstones).into_keys() {
                    for folder in [Folder::Packs, Folder::Meta] {
                        store.delete(&ObjectKey::new(folder, name.as_str()).unwrap()).unwrap();
                    }
                }
                unmark(&*store);
            }
            assert_published(&store, report.image.unwrap(), 1);
        }
    }
}

/// The same, while another thread looks at the store through the same repository object, so that
/// the object itself has learnt that the packs are gone.
#[test]
fn packs_that_the_catalog_forgot_are_missed_too() {
    let (store, _) = with_old_image();
    let repository = Arc::new(open(Arc::clone(&store)));
    let same: Arc<OnceLock<Arc<Repository>>> = Arc::default();
    same.set(Arc::clone(&repository)).unwrap();
    let acted = once(&store, at(Operation::Put, Folder::Images, 0), move |other| {
        prune_all(other);
        let _ = same.get().unwrap().verify(&VerifyOptions::structure(), &Job::new()).unwrap();
    });
    let report = back_up_new(&repository).unwrap();
    assert!(acted.load(Ordering::SeqCst));
    assert_published(&store, report.image.unwrap(), 1);
}

/// A mark that stands already costs no second attempt: a stream could not make one.
#[test]
fn marks_that_stand_are_seen_before_anything_is_leaned_on() {
    let (store, _) = with_old_image();
    mark(&*store, Folder::Packs);
    mark(&*store, Folder::Meta);
    let repository = open(Arc::clone(&store));
    let source = StdinSource::new(Cursor::new(new_disk()));
    let report = repository.backup(&source, &options("new"), &Job::new()).unwrap();
    assert!(report.new_bytes > (4 << 20), "{report:?}");
    prune_but(&store, report.image.unwrap());
    assert_published(&store, report.image.unwrap(), 1);
}

/// Deletes what is marked, and every image but `kept`.
fn prune_but(store: &FaultStore, kept: ImageId) {
    for name in objects(store, Folder::Images).into_keys().filter(|name| *name != kept.to_string()) {
        store.delete(&ObjectKey::new(Folder::Images, name).unwrap()).unwrap();
    }
    empty(store, Folder::Index);
    for name in objects(store, Folder::Tombstones).into_keys() {
        for folder in [Folder::Packs, Folder::Meta] {
            store.delete(&ObjectKey::new(folder, name.as_str()).unwrap()).unwrap();
        }
    }
    unmark(store);
}

/// (d) Two writers store the same chunks at once.
#[test]
fn two_writers_at_once() {
    for round in 0..4 {
        let store = Arc::new(FaultStore::new());
        drop(init(Arc::clone(&store)));
        let images: Vec<ImageId> = std::thread::scope(|scope| {
            let write = |_| {
                let client = store.another_client();
                scope.spawn(move || back_up_new(&open(client)).unwrap().image.unwrap())
            };
            let writers: Vec<_> = (0..2 + round % 2).map(write).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        for image in &images {
            assert_published(&store, *image, images.len());
        }
        // One repository object, used by two threads.
        let repository = open(Arc::clone(&store));
        std::thread::scope(|scope| {
            let write = |_| scope.spawn(|| back_up(&repository, "old", &old_disk()).unwrap());
            let writers: Vec<_> = (0..2).map(write).collect();
            for writer in writers {
                assert_restores(&repository, writer.join().unwrap(), &old_disk());
            }
        });
        assert_clean(&repository, images.len() + 2);
    }
}

/// (e) Whoever lists while others publish sees images that restore, and no errors.
#[test]
fn listed_while_others_publish() {
    let (store, old) = with_old_image();
    let done = AtomicBool::new(false);
    let (listings, most) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let repository = open(store.another_client());
            for _ in 0..6 {
                back_up_new(&repository).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        let (mut listings, mut most) = (0, 1);
        while !done.load(Ordering::SeqCst) {
            let repository = open(store.another_client());
            let images = image_ids(&repository);
            assert!(images.contains(&old) && images.len() >= most);
            (listings, most) = (listings + 1, images.len());
            for image in images {
                let expected = if image == old { old_disk() } else { new_disk() };
                assert!(restore(&repository, image, expected.len()).unwrap() == expected);
            }
        }
        (listings, most)
    });
    assert!(listings > 1 && most <= 7, "{listings} {most}");
    assert_clean(&open(Arc::clone(&store)), 7);
}

/// (e) A reader that stands between its two listings while the image is taken back.
#[test]
fn an_image_that_is_taken_back_while_it_is_listed_is_not_shown() {
    let (store, old) = with_old_image();
    let image = back_up_new(&open(Arc::clone(&store))).unwrap().image.unwrap();
    let record = ImageRecord::decode(&store.get(&ObjectKey::of(Folder::Images, image)).unwrap()).unwrap();
    let reader = open(Arc::clone(&store));
    let acted = once(&store, at(Operation::List, Folder::Leases, 0), move |other| {
        lease::revoke(other, &record.lease).unwrap();
    });
    assert_eq!(image_ids(&reader), [old]);
    assert!(acted.load(Ordering::SeqCst));
}

/// (f) An image under a revoked lease is neither listed nor restored nor a parent.
#[test]
fn an_image_under_a_revoked_lease_is_none() {
    let (store, _) = with_old_image();
    let repository = open(Arc::clone(&store));
    let first = back_up_new(&repository).unwrap().image.unwrap();
    let second = back_up_new(&repository).unwrap();
    assert_eq!(second.parent, Some(first));
    let second = second.image.unwrap();
    let record = ImageRecord::decode(&store.get(&ObjectKey::of(Folder::Images, second)).unwrap()).unwrap();
    lease::revoke(&*store, &record.lease).unwrap();
    for repository in [&repository, &open(Arc::clone(&store))] {
        assert!(!image_ids(repository).contains(&second));
        assert_eq!(restore(repository, second, new_disk().len()).unwrap_err().kind(), ErrorKind::NoSuchImage);
        assert_eq!(repository.show(second, None).unwrap_err().kind(), ErrorKind::NoSuchImage);
        assert_eq!(repository.show(first, None).unwrap().image, first);
    }
    let third = back_up_new(&repository).unwrap();
    assert_eq!(third.parent, Some(first));
    assert_published(&store, third.image.unwrap(), 3);
}

/// (g) A stream cannot be read again: it ends with an error, and nothing is visible.
#[test]
fn a_stream_that_loses_its_ground_publishes_nothing() {
    for (moment, operation, folder) in MOMENTS {
        for revoked in [false, true] {
            let (store, old) = with_old_image();
            let repository = open(Arc::clone(&store));
            let acted = once(&store, at(operation, folder, nth_of(folder)), move |other| match revoked {
                true => revoke_all(other),
                false => mark(other, Folder::Packs),
            });
            let source = StdinSource::new(Cursor::new(new_disk()));
            let error = repository.backup(&source, &options("new"), &Job::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Fenced, "{moment}: {error}");
            assert!(acted.load(Ordering::SeqCst), "{moment}");
            unmark(&*store);
            let fresh = open(store.another_client());
            assert_eq!(image_ids(&fresh), [old], "{moment}");
            assert_restores(&fresh, old, &old_disk());
            assert_clean(&fresh, 1);
            assert_eq!(live_leases(&*store), [], "{moment}");
            // It is run again, and what was stored is not stored twice.
            let source = StdinSource::new(Cursor::new(new_disk()));
            let report = repository.backup(&source, &options("new"), &Job::new()).unwrap();
            assert_eq!(report.new_chunks, 0, "{moment}");
            assert_published(&store, report.image.unwrap(), 2);
        }
    }
}

/// A pruner that revokes every lease at once: the backup gives up and says so.
#[test]
fn revoked_again_and_again_it_gives_up() {
    let (store, old) = with_old_image();
    let repository = open(Arc::clone(&store));
    let other = store.another_client();
    store.arm(FaultPlan::new().on_call(move |call| {
        if (call.operation, call.folder) == (Operation::Put, Folder::Images) {
            revoke_all(&other);
        }
    }));
    let error = back_up_new(&repository).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    store.arm(FaultPlan::new());
    assert_eq!(image_ids(&repository), [old]);
    assert_clean(&repository, 1);
}
