use super::*;
use crate::store::conformance::conformance;
use std::time::{Duration, Instant};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(Folder::Images, name).unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn without_faults_it_keeps_the_promises_of_a_store() {
    conformance(&|| Box::new(FaultStore::new()));
}

/// The cut, what other clients see of the object, what is there after power loss.
type PutCut = (Cut, Option<&'static [u8]>, Option<&'static [u8]>);

const PUT_CUTS: [PutCut; 5] = [
    (Cut::Before, None, None),
    (Cut::After, Some(b"abcd"), Some(b"abcd")),
    (Cut::TornPut, None, None),
    (Cut::TornVisible { bytes: 3 }, Some(b"abc"), Some(b"abc")),
    (Cut::LostRename, Some(b"abcd"), None),
];

#[test]
fn a_put_is_cut_in_every_mode() {
    for (cut, for_others, after_power_loss) in PUT_CUTS {
        let store = FaultStore::with_plan(FaultPlan::new().cut(1, cut));
        store.put(&key("earlier"), &[b"x"]).unwrap();
        let error = store.put(&key("a"), &[b"ab", b"cd"]).unwrap_err();
        assert!(error.to_string().contains("crashed"), "{error}");
        assert!(store.is_crashed());
        assert_eq!(kind(store.get(&key("earlier"))), ErrorKind::Io, "dead for every later call");
        assert_eq!(store.calls().len(), 2, "calls of the dead are not counted");
        let seen = |store: &FaultStore| store.get(&key("a")).ok();
        assert_eq!(seen(&store.another_client()).as_deref(), for_others, "{cut:?}");
        assert_eq!(seen(&store.reopen()).as_deref(), after_power_loss, "{cut:?}");
        assert_eq!(store.reopen().get(&key("earlier")).unwrap(), b"x");
        assert_eq!(store.leftovers(), usize::from(cut == Cut::TornPut));
    }
}

#[test]
fn another_client_makes_a_lost_rename_durable() {
    let store = FaultStore::with_plan(FaultPlan::new().cut(0, Cut::LostRename));
    store.put(&key("a"), &[b"abcd"]).unwrap_err();
    assert_eq!(store.another_client().put(&key("a"), &[b"abcd"]).unwrap(), Put::AlreadyPresent);
    assert_eq!(store.reopen().get(&key("a")).unwrap(), b"abcd");
}

#[test]
fn a_deletion_is_cut_in_every_mode() {
    let gone_for_others_and_after_power_loss = [
        (Cut::Before, false, false),
        (Cut::After, true, true),
        (Cut::TornPut, false, false),
        (Cut::TornVisible { bytes: 0 }, false, false),
        (Cut::LostRename, true, false),
    ];
    for (cut, for_others, after_power_loss) in gone_for_others_and_after_power_loss {
        let store = FaultStore::with_plan(FaultPlan::new().cut(1, cut));
        store.put(&key("a"), &[b"x"]).unwrap();
        store.delete(&key("a")).unwrap_err();
        assert_eq!(store.another_client().get(&key("a")).is_err(), for_others, "{cut:?}");
        assert_eq!(store.reopen().get(&key("a")).is_err(), after_power_loss, "{cut:?}");
    }
}

#[test]
fn a_reopened_store_is_on_its_own() {
    let store = FaultStore::new();
    let copy = store.reopen();
    copy.put(&key("a"), &[b"x"]).unwrap();
    assert_eq!(kind(store.get(&key("a"))), ErrorKind::NotFound);
}

#[test]
fn injected_errors_have_their_kinds_and_change_nothing() {
    let store = FaultStore::new();
    store.put(&key("a"), &[b"x"]).unwrap();

    store.arm(FaultPlan::new().full_from(1));
    store.put(&key("b"), &[b"x"]).unwrap();
    assert_eq!(kind(store.put(&key("c"), &[b"x"])), ErrorKind::NoSpace);
    assert_eq!(store.get(&key("a")).unwrap(), b"x");
    store.delete(&key("b")).unwrap();

    store.arm(FaultPlan::new().unreadable(key("a")));
    assert_eq!(kind(store.get(&key("a"))), ErrorKind::Io);
    assert_eq!(kind(store.get_range(&key("a"), 0..1)), ErrorKind::Io);
    assert_eq!(store.size(&key("a")).unwrap(), 1);

    for refusal in [ErrorKind::PermissionDenied, ErrorKind::NoSpace] {
        store.arm(FaultPlan::new().read_only(refusal));
        assert_eq!(kind(store.put(&key("d"), &[b"x"])), refusal);
        assert_eq!(kind(store.delete(&key("a"))), refusal);
        assert_eq!(store.get(&key("a")).unwrap(), b"x");
    }

    store.arm(FaultPlan::new().fail(0, ErrorKind::Io));
    assert_eq!(kind(store.put(&key("d"), &[b"x"])), ErrorKind::Io);
    assert!(!store.is_crashed());
    assert_eq!(store.put(&key("d"), &[b"x"]).unwrap(), Put::Stored);
}

#[test]
fn hooks_act_between_two_calls() {
    let store = FaultStore::new();
    let pruner = store.another_client();
    store.arm(FaultPlan::new().on_call(move |call| {
        if (call.operation, call.folder) == (Operation::List, Folder::Tombstones) {
            let tombstone = ObjectKey::new(Folder::Tombstones, "pack").unwrap();
            pruner.put(&tombstone, &[b""]).unwrap();
        }
    }));
    assert_eq!(store.list(Folder::Images).unwrap(), []);
    assert_eq!(store.list(Folder::Tombstones).unwrap().len(), 1);
    let calls = store.calls();
    assert_eq!(calls[0], Call { number: 0, operation: Operation::List, folder: Folder::Images, key: None });
    assert_eq!((calls[1].number, calls[1].folder), (1, Folder::Tombstones));
}

#[test]
fn latency_is_added() {
    let store = FaultStore::with_plan(FaultPlan::new().latency(|_| Duration::from_millis(20)));
    let begin = Instant::now();
    store.list(Folder::Images).unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(20));
}

#[test]
fn damage_shows_and_lasts() {
    let store = FaultStore::new();
    store.put(&key("a"), &[b"abc"]).unwrap();
    store.damage(&key("a"), |bytes| bytes[1] ^= 1).unwrap();
    assert_eq!(store.reopen().get(&key("a")).unwrap(), b"acc");
    assert_eq!(kind(store.damage(&key("b"), |_| {})), ErrorKind::NotFound);
    assert_eq!(store.objects(), [(key("a"), b"acc".to_vec())]);
}
