//! Damage of each kind in each kind of object: found, named, and never restored as if it were right.

mod common;

use common::*;
use holotype_repo::core::ImageId;
use holotype_repo::core::key_slot::Role;
use holotype_repo::store::fault::{FaultPlan, FaultStore};
use holotype_repo::store::{Folder, MemoryStore, ObjectKey};
use holotype_repo::{Credentials, Error, ErrorKind, Finding, Job, NewKey, Repository, Result, Store, VerifyOptions};
use std::collections::BTreeMap;
use std::sync::Arc;

const HARMS: [Harm; 7] =
    [Harm::Delete, Harm::KeepNone, Harm::KeepHalf, Harm::LoseOne, Harm::FlipFirst, Harm::FlipMiddle, Harm::FlipLast];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Delete,
    KeepNone,
    KeepHalf,
    LoseOne,
    FlipFirst,
    FlipMiddle,
    FlipLast,
}

impl Harm {
    fn apply(self, store: &FaultStore, key: &ObjectKey) {
        if self == Harm::Delete {
            return store.delete(key).unwrap();
        }
        let change = |bytes: &mut Vec<u8>| match self {
            Harm::KeepNone => bytes.clear(),
            Harm::KeepHalf => bytes.truncate(bytes.len() / 2),
            Harm::LoseOne => drop(bytes.pop()),
            Harm::FlipFirst => bytes[0] ^= 1,
            Harm::FlipMiddle => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
            _ => *bytes.last_mut().unwrap() ^= 0x80,
        };
        store.damage(key, change).unwrap();
    }
}

/// A repository with two images that share nothing, one with free runs; a writer's key and a lease of somebody who
/// is at work.
struct Sound {
    store: FaultStore,
    images: [(ImageId, Vec<u8>); 2],
    /// Which object was written for which image, by what came with it.
    of_image: [Vec<String>; 2],
    first_slot: String,
}

fn names(store: &FaultStore) -> Vec<String> {
    store.objects().into_iter().map(|(key, _)| key.to_string()).collect()
}

fn sound() -> Sound {
    let store = Arc::new(FaultStore::new());
    let repository = init(Arc::clone(&store));
    let first_slot = ObjectKey::of(Folder::Keys, repository.keyring().slot().unwrap()).to_string();
    let new = NewKey::new(Role::Writer, "pc", Credentials::key_file([9; 32]));
    repository.add_key(&NewKey { fast_derivation: true, ..new }).unwrap();
    let mut images = Vec::new();
    let mut of_image = Vec::new();
    for (name, data) in [("one", disk(1, 1_500_000)), ("two", mapped_disk(2, 1_500_000))] {
        let before = names(&store);
        images.push((back_up(&repository, name, &data).unwrap(), data));
        of_image.push(names(&store).into_iter().filter(|name| !before.contains(name)).collect());
    }
    // A lease that stands: that of a backup whose client died before its image.
    let client = Arc::new(store.another_client());
    let dying = open(Arc::clone(&client));
    let of_leases = client.calls().len() as u64;
    assert!(of_leases < 20);
    client.arm(FaultPlan::new().cut(6, holotype_repo::store::fault::Cut::Before));
    assert!(back_up(&dying, "three", &[1; 10]).is_err());
    let store = store.reopen();
    assert_eq!(objects(&store, Folder::Leases).len(), 1);
    assert_clean(&open(store.reopen()), 2);
    Sound { store, images: images.try_into().unwrap(), of_image: of_image.try_into().unwrap(), first_slot }
}

fn verify(store: FaultStore) -> Result<Vec<Finding>> {
    let repository = Repository::open(store, &credentials())?;
    Ok(repository.verify(&VerifyOptions::read_everything(), &Job::new())?.findings().to_vec())
}

/// Restores both ways; what comes back must be right.
fn outcome(store: FaultStore, image: ImageId, data: &[u8], place: &str) -> Result<()> {
    let repository = Repository::open(store, &credentials())?;
    let written = restore(&repository, image, data.len());
    let streamed = restore_stream(&repository, image);
    if let Ok(written) = &written {
        assert!(same_used(written, data), "{place}: wrong bytes were restored");
    }
    if let Ok(streamed) = &streamed {
        assert!(same_used(streamed, data), "{place}: wrong bytes were streamed");
    }
    assert_eq!(written.is_ok(), streamed.is_ok(), "{place}");
    written.map(|_| ())
}

#[test]
fn damage_is_found_and_named() {
    let sound = sound();
    let keys: Vec<ObjectKey> = sound.store.objects().into_iter().map(|(key, _)| key).collect();
    let mut seen = BTreeMap::new();
    let cases: Vec<(&ObjectKey, Harm)> =
        keys.iter().flat_map(|key| HARMS.iter().map(move |harm| (key, *harm))).collect();
    cases.iter().for_each(|(key, _)| *seen.entry(key.folder().name()).or_insert(0) += 1);
    assert_eq!(
        seen.keys().copied().collect::<Vec<_>>(),
        ["config", "images", "index", "keys", "leases", "meta", "packs"]
    );
    on_two_threads(cases.len(), |number| {
        let (key, harm) = cases[number];
        one_case(&sound, key, harm);
    });
}

fn one_case(sound: &Sound, key: &ObjectKey, harm: Harm) {
    let place = format!("{key}, {harm:?}");
    let hurt = || {
        let store = sound.store.reopen();
        harm.apply(&store, key);
        store
    };
    let needed_by: Vec<ImageId> = match key.folder() {
        Folder::Packs | Folder::Meta | Folder::Images => (sound.images.iter().zip(&sound.of_image))
            .filter(|(_, objects)| objects.contains(&key.to_string()))
            .map(|((image, _), _)| *image)
            .collect(),
        _ => Vec::new(),
    };
    if key.folder() == Folder::Config || key.to_string() == sound.first_slot {
        let error: Error = verify(hurt()).unwrap_err();
        let kinds = match (key.folder(), harm) {
            (Folder::Config, Harm::Delete) => vec![ErrorKind::NotFound],
            (Folder::Config, _) => vec![ErrorKind::Damaged, ErrorKind::Unsupported],
            // Another slot is there, and only the damaged one would open.
            _ => vec![ErrorKind::WrongPassword, ErrorKind::Damaged],
        };
        assert!(kinds.contains(&error.kind()), "{place}: {error}");
        return;
    }
    let findings = verify(hurt()).unwrap_or_else(|error| panic!("{place}: {error}"));
    let of_object: Vec<&Finding> =
        findings.iter().filter(|finding| finding.object.starts_with(&key.to_string())).collect();
    match (key.folder(), harm) {
        // What may rightly go is no damage: nobody can tell. Packs have their own footers.
        (Folder::Keys | Folder::Leases | Folder::Index | Folder::Images, Harm::Delete) => {
            assert_eq!(findings, [], "{place}");
        }
        (Folder::Keys | Folder::Leases | Folder::Index, _) => {
            assert_eq!((of_object.len(), findings.len()), (1, 1), "{place}: {findings:?}");
            assert!(of_object[0].images.is_empty(), "{place}: {findings:?}");
        }
        // Which image it was cannot be read any more, but it is its name.
        (Folder::Images, _) => assert_eq!((of_object.len(), findings.len()), (1, 1), "{place}: {findings:?}"),
        _ => {
            assert!(!of_object.is_empty(), "{place}: {findings:?}");
            assert_eq!(needed_by.len(), 1, "{place}");
            for finding in &findings {
                assert!(finding.object.starts_with(&key.to_string()), "{place}: {finding}");
                assert_eq!(finding.images.iter().copied().collect::<Vec<_>>(), needed_by, "{place}: {finding}");
            }
        }
    }
    for (image, data) in &sound.images {
        let outcome = outcome(hurt(), *image, data, &place);
        if needed_by.contains(image) {
            let error = outcome.expect_err(&place);
            assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NoSuchImage), "{place}: {error}");
        } else {
            outcome.unwrap_or_else(|error| panic!("{place}: {error}"));
        }
    }
}

/// Where a pack cannot be read any more, the next backup of the same disk stores it anew, and that
/// image is sound although the old pack still stands there.
#[test]
fn the_next_backup_does_not_lean_on_a_damaged_pack() {
    let sound = sound();
    let packs: Vec<ObjectKey> = sound
        .store
        .objects()
        .into_iter()
        .map(|(key, _)| key)
        .filter(|key| matches!(key.folder(), Folder::Packs | Folder::Meta))
        .filter(|key| sound.of_image[0].contains(&key.to_string()))
        .collect();
    assert!(packs.len() > 2);
    for key in &packs {
        for harm in [Harm::Delete, Harm::KeepNone, Harm::KeepHalf, Harm::FlipLast] {
            let place = format!("{key}, {harm:?}");
            let store = Arc::new(sound.store.reopen());
            harm.apply(&store, key);
            let (_, data) = &sound.images[0];
            let image =
                back_up(&open(Arc::clone(&store)), "one", data).unwrap_or_else(|error| panic!("{place}: {error}"));
            outcome(store.another_client(), image, data, &place).unwrap_or_else(|error| panic!("{place}: {error}"));
            for finding in verify(store.another_client()).unwrap() {
                assert!(!finding.images.contains(&image), "{place}: {finding}");
            }
        }
    }
}

/// An object that the store cannot read is as good as damaged; nothing hangs or panics.
#[test]
fn unreadable_objects_end_a_restore_with_an_error() {
    let sound = sound();
    for name in &sound.of_image[0] {
        let (key, _) = sound.store.objects().into_iter().find(|(key, _)| key.to_string() == *name).unwrap();
        let store = sound.store.reopen();
        store.arm(FaultPlan::new().unreadable(key.clone()));
        let (image, data) = &sound.images[0];
        let outcome = outcome(store, *image, data, name);
        match key.folder() {
            Folder::Index => outcome.unwrap(),
            _ => assert!(outcome.is_err(), "{name}"),
        }
    }
}

fn small() -> (MemoryStore, ImageId, Vec<u8>) {
    let store = Arc::new(MemoryStore::new());
    let repository = init(Arc::clone(&store));
    let mut data = noise(1, 9000);
    data.extend([0; 8192]);
    data.extend([b'x'; 10_000]);
    data.extend(noise(2, 3000));
    let image = back_up(&repository, "small", &data).unwrap();
    drop(repository);
    (Arc::into_inner(store).unwrap(), image, data)
}

/// Every byte of a repository is looked at by somebody: each is changed once.
#[test]
fn any_changed_byte_is_noticed() {
    let (store, image, data) = small();
    let all: Vec<(ObjectKey, Vec<u8>)> = Folder::ALL
        .into_iter()
        .flat_map(|folder| store.list(folder).unwrap())
        .map(|info| (info.key.clone(), store.get(&info.key).unwrap()))
        .collect();
    let copy = |changed: Option<(usize, usize)>| {
        let copy = MemoryStore::new();
        for (number, (key, bytes)) in all.iter().enumerate() {
            let mut bytes = bytes.clone();
            if let Some((_, at)) = changed.filter(|(object, _)| *object == number) {
                bytes[at] ^= 1 << (at % 8);
            }
            copy.put(key, &[&bytes]).unwrap();
        }
        copy
    };
    let sound = open(copy(None));
    assert_clean(&sound, 1);
    assert_restores(&sound, image, &data);
    let places: Vec<(usize, usize)> =
        all.iter().enumerate().flat_map(|(number, (_, bytes))| (0..bytes.len()).map(move |at| (number, at))).collect();
    assert!((10_000..40_000).contains(&places.len()), "{} bytes", places.len());
    on_two_threads(places.len(), |number| {
        let (object, at) = places[number];
        let place = format!("{} byte {at}", all[object].0);
        let Ok(repository) = Repository::open(copy(Some((object, at))), &credentials()) else { return };
        let report = repository.verify(&VerifyOptions::read_everything(), &Job::new());
        let report = report.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert!(!report.findings().is_empty(), "{place}: nobody noticed");
        let key = all[object].0.to_string();
        assert!(report.findings().iter().all(|finding| finding.object.starts_with(&key)), "{place}: {report:?}");
        match restore(&repository, image, data.len()) {
            Ok(back) => {
                assert!(back == data, "{place}: wrong bytes were restored");
                assert_eq!(all[object].0.folder(), Folder::Index, "{place}");
            }
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Unsupported | ErrorKind::NoSuchImage),
                "{place}: {error}"
            ),
        }
    });
}
