//! The promises of [`Store`], as tests that every implementation runs.

use super::{Folder, ObjectInfo, ObjectKey, Put, Store};
use crate::error::{ErrorKind, Result};
use std::collections::BTreeSet;
use std::sync::Barrier;

type Make<'a> = &'a dyn Fn() -> Box<dyn Store>;

const CONCURRENT_WRITERS: usize = 8;
const LARGE_OBJECT_BYTES: usize = 20 << 20;
const MANY_OBJECTS: usize = 2000;

/// Tests every promise; `make` gives a new, empty store each time. A store that cannot remove
/// anything (for writers) cannot run it.
///
/// # Panics
/// Where a promise is broken.
pub fn conformance(make: Make<'_>) {
    objects_come_back(&*make());
    ranges_are_exact(&*make());
    puts_compare_and_never_overwrite(&*make());
    what_is_missing_is_not_found(&*make());
    deletion_removes_only_its_object(&*make());
    folders_are_apart(&*make());
    listings_are_complete(&*make());
    large_objects_come_back(&*make());
    concurrent_puts_of_the_same_bytes_agree(&*make());
    one_of_concurrent_puts_of_different_bytes_wins(&*make());
    room_is_told_or_not_known(&*make());
    uploads_become_objects(&*make());
    assert!(!make().describe().is_empty());
}

fn key(folder: Folder, name: &str) -> ObjectKey {
    ObjectKey::new(folder, name).expect("a valid name")
}

fn assert_error<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, key: &ObjectKey) {
    let error = result.expect_err("must fail");
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.subject().contains(key.name()), "the error does not name {key}: {error}");
}

/// Bytes that differ from place to place and from seed to seed.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for word in noise.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
    }
    noise
}

fn objects_come_back(store: &dyn Store) {
    type Case<'a> = (&'a str, &'a [&'a [u8]], &'a [u8]);
    let cases: [Case<'_>; 5] = [
        ("one-part", &[b"abc"], b"abc"),
        ("parts", &[b"abc", b"", b"d", b"ef"], b"abcdef"),
        ("no-parts", &[], b""),
        ("empty", &[b"", b""], b""),
        ("zeros", &[&[0; 5000]], &[0; 5000]),
    ];
    for folder in Folder::ALL {
        for (name, parts, whole) in cases {
            let key = key(folder, name);
            assert_eq!(store.put(&key, parts).unwrap(), Put::Stored, "{key}");
            assert_eq!(store.get(&key).unwrap(), whole, "{key}");
            assert_eq!(store.size(&key).unwrap(), whole.len() as u64, "{key}");
        }
    }
    for name in ["a", "-", "0", &"z".repeat(128)] {
        let key = key(Folder::Packs, name);
        store.put(&key, &[name.as_bytes()]).unwrap();
        assert_eq!(store.get(&key).unwrap(), name.as_bytes());
    }
}

fn ranges_are_exact(store: &dyn Store) {
    let key = key(Folder::Packs, "ranges");
    let bytes = noise(10_000, 1);
    store.put(&key, &[&bytes[..3000], &bytes[3000..]]).unwrap();
    for range in [0..0, 0..1, 2999..3001, 0..10_000, 9_999..10_000, 10_000..10_000, 4096..8192] {
        let expected = &bytes[range.start as usize..range.end as usize];
        assert_eq!(store.get_range(&key, range.clone()).unwrap(), expected, "{range:?}");
    }
    #[expect(clippy::reversed_empty_ranges, reason = "a hostile footer may ask for one")]
    let outside = [0..10_001, 10_000..10_001, 10_001..10_001, 20_000..20_010, 0..u64::MAX, u64::MAX..u64::MAX, 5..4];
    for range in outside {
        assert_error(store.get_range(&key, range), ErrorKind::Damaged, &key);
    }
}

fn puts_compare_and_never_overwrite(store: &dyn Store) {
    let key = key(Folder::Packs, "same");
    let bytes = noise(3 << 20, 2);
    assert_eq!(store.put(&key, &[&bytes]).unwrap(), Put::Stored);
    assert_eq!(store.put(&key, &[&bytes]).unwrap(), Put::AlreadyPresent);
    let (head, tail) = bytes.split_at(1_234_567);
    assert_eq!(store.put(&key, &[head, b"", tail]).unwrap(), Put::AlreadyPresent, "parts do not matter");

    let mut last_differs = bytes.clone();
    *last_differs.last_mut().expect("not empty") ^= 1;
    let mut first_differs = bytes.clone();
    first_differs[0] ^= 1;
    let mut longer = bytes.clone();
    longer.push(0);
    for other in [&last_differs[..], &first_differs, &longer, head, b""] {
        assert_error(store.put(&key, &[other]), ErrorKind::AlreadyExists, &key);
        assert!(store.get(&key).unwrap() == bytes, "the old bytes stay");
    }
    assert_eq!(store.list(Folder::Packs).unwrap(), [ObjectInfo { key, bytes: bytes.len() as u64 }]);
}

fn what_is_missing_is_not_found(store: &dyn Store) {
    for folder in [Folder::Packs, Folder::Images] {
        let key = key(folder, "missing");
        assert_error(store.get(&key), ErrorKind::NotFound, &key);
        assert_error(store.get_range(&key, 0..0), ErrorKind::NotFound, &key);
        assert_error(store.get_range(&key, 0..10), ErrorKind::NotFound, &key);
        assert_error(store.size(&key), ErrorKind::NotFound, &key);
        store.delete(&key).expect("deleting what is not there is no error");
    }
}

fn deletion_removes_only_its_object(store: &dyn Store) {
    for folder in [Folder::Packs, Folder::Leases] {
        let (going, staying) = (key(folder, "going"), key(folder, "going-not"));
        store.put(&going, &[b"1"]).unwrap();
        store.put(&staying, &[b"2"]).unwrap();
        store.delete(&going).unwrap();
        assert_error(store.get(&going), ErrorKind::NotFound, &going);
        assert_eq!(store.get(&staying).unwrap(), b"2");
        assert_eq!(store.list(folder).unwrap(), [ObjectInfo { key: staying, bytes: 1 }]);
        store.delete(&going).expect("a second time");
        assert_eq!(store.put(&going, &[b"3"]).unwrap(), Put::Stored, "the name is free again");
        assert_eq!(store.get(&going).unwrap(), b"3");
    }
}

fn folders_are_apart(store: &dyn Store) {
    for folder in Folder::ALL {
        assert_eq!(store.list(folder).unwrap(), [], "a new store is empty");
        store.put(&key(folder, "name"), &[folder.name().as_bytes()]).unwrap();
    }
    for folder in Folder::ALL {
        assert_eq!(store.get(&key(folder, "name")).unwrap(), folder.name().as_bytes());
        assert_eq!(store.list(folder).unwrap().len(), 1);
    }
    store.delete(&key(Folder::Packs, "name")).unwrap();
    assert_eq!(store.list(Folder::Packs).unwrap(), []);
    assert_eq!(store.list(Folder::Meta).unwrap().len(), 1);
}

fn listings_are_complete(store: &dyn Store) {
    let objects: BTreeSet<(String, u64)> =
        (0..MANY_OBJECTS).map(|number| (format!("{:04x}", number * 31), number as u64 % 7)).collect();
    for (name, bytes) in &objects {
        store.put(&key(Folder::Packs, name), &[&vec![1; *bytes as usize]]).unwrap();
    }
    let listing = store.list(Folder::Packs).unwrap();
    assert_eq!(listing.len(), MANY_OBJECTS, "each object once");
    assert!(listing.iter().all(|object| object.key.folder() == Folder::Packs));
    let listed: BTreeSet<_> = listing.into_iter().map(|object| (object.key.name().to_owned(), object.bytes)).collect();
    assert_eq!(listed, objects);
}

fn large_objects_come_back(store: &dyn Store) {
    let key = key(Folder::Packs, "large");
    let bytes = noise(LARGE_OBJECT_BYTES, 3);
    let parts: Vec<&[u8]> = bytes.chunks(777_777).collect();
    assert_eq!(store.put(&key, &parts).unwrap(), Put::Stored);
    assert!(store.get(&key).unwrap() == bytes);
    let end = LARGE_OBJECT_BYTES as u64;
    assert!(store.get_range(&key, end - 5_000_001..end).unwrap() == bytes[LARGE_OBJECT_BYTES - 5_000_001..]);
}

fn room_is_told_or_not_known(store: &dyn Store) {
    let object = noise(4 << 20, 4);
    let Some(free_bytes) = store.free_bytes().unwrap() else { return };
    // Others may write there meanwhile, so no more than this can be said.
    assert!(free_bytes > object.len() as u64, "no room for a test: {free_bytes} bytes");
    store.put(&key(Folder::Packs, "room"), &[&object]).unwrap();
    assert!(store.free_bytes().unwrap().is_some(), "what is known stays known");
}

fn uploads_become_objects(store: &dyn Store) {
    let key = key(Folder::Packs, "uploaded");
    let bytes = noise(9 << 20, 5);
    let total_bytes = bytes.len() as u64;
    let upload = |bytes: &[u8], tag: &str| {
        let mut upload = store.upload(&key, bytes.len() as u64, tag)?;
        let received = upload.received_bytes() as usize;
        bytes[received..].chunks(333_333).try_for_each(|piece| upload.write(piece))?;
        upload.commit()
    };
    let mut broken = store.upload(&key, total_bytes, "first").unwrap();
    broken.write(&bytes[..5 << 20]).unwrap();
    drop(broken);
    assert_error(store.size(&key), ErrorKind::NotFound, &key);
    assert_eq!(store.list(Folder::Packs).unwrap(), [], "what is on its way is not listed");
    let received = store.received_bytes("first").unwrap();
    assert!(received <= 5 << 20);
    let mut again = store.upload(&key, total_bytes, "first").unwrap();
    let kept = again.received_bytes() as usize;
    let mut replayed = Vec::new();
    again
        .replay(&mut |piece| {
            replayed.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
    assert!(replayed == bytes[..kept]);
    again.write(&bytes[kept..]).unwrap();
    assert_eq!(again.commit().unwrap(), Put::Stored);
    assert!(store.get(&key).unwrap() == bytes);
    assert_eq!(store.confirm(&key).unwrap(), total_bytes);
    assert_eq!(upload(&bytes, "second").unwrap(), Put::AlreadyPresent);
    assert_error(upload(&noise(9 << 20, 6), "third"), ErrorKind::AlreadyExists, &key);
    assert!(store.get(&key).unwrap() == bytes, "the old bytes stay");
    let mut long = store.upload(&key, 10, "fourth").unwrap();
    assert_error(long.write(&[0; 11]), ErrorKind::InvalidInput, &key);
    long.discard();
    let short = store.upload(&key, 10, "fifth").unwrap();
    assert_error(short.commit(), ErrorKind::InvalidInput, &key);
    store.upload(&key, 10, "fifth").unwrap().discard();
}

/// Puts `bytes(writer)` from every writer at once.
fn put_at_once(store: &dyn Store, key: &ObjectKey, bytes: impl Fn(u64) -> Vec<u8> + Sync) -> Vec<Result<Put>> {
    let barrier = Barrier::new(CONCURRENT_WRITERS);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..CONCURRENT_WRITERS as u64)
            .map(|writer| {
                let (barrier, bytes) = (&barrier, &bytes);
                scope.spawn(move || {
                    let bytes = bytes(writer);
                    barrier.wait();
                    store.put(key, &[&bytes])
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("a put does not panic")).collect()
    })
}

fn concurrent_puts_of_the_same_bytes_agree(store: &dyn Store) {
    for round in 0..20 {
        let key = key(Folder::Packs, &format!("race-{round}"));
        let bytes = noise(100_000, round);
        let puts = put_at_once(store, &key, |_| bytes.clone());
        let puts: Vec<Put> = puts.into_iter().map(|put| put.expect("the same bytes are no conflict")).collect();
        assert_eq!(puts.iter().filter(|put| **put == Put::Stored).count(), 1, "one stored it: {puts:?}");
        assert!(store.get(&key).unwrap() == bytes);
    }
    assert_eq!(store.list(Folder::Packs).unwrap().len(), 20);
}

fn one_of_concurrent_puts_of_different_bytes_wins(store: &dyn Store) {
    for round in 0..20 {
        let key = key(Folder::Index, &format!("conflict-{round}"));
        let puts = put_at_once(store, &key, |writer| noise(100_000, writer));
        let (won, lost): (Vec<_>, Vec<_>) = puts.into_iter().enumerate().partition(|(_, put)| put.is_ok());
        assert_eq!(won.len(), 1, "one writer wins: {won:?}");
        for (_, put) in lost {
            assert_error(put, ErrorKind::AlreadyExists, &key);
        }
        assert!(store.get(&key).unwrap() == noise(100_000, won[0].0 as u64), "the winner's bytes stand");
    }
}
