//! The index in the cache is disposable: damaged, deleted, in use elsewhere, it changes no answer.

mod common;

use common::*;
use holotype_repo::core::ImageId;
use holotype_repo::store::fault::{FaultPlan, FaultStore};
use holotype_repo::store::{Folder, MemoryStore};
use holotype_repo::{ErrorKind, Repository, Store};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata, Subscriber, span};

/// Keeps the warnings of one thread.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("holotype")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// What `act` gives, and what it warned of.
fn warned<T>(act: impl FnOnce() -> T) -> (T, Vec<String>) {
    let warnings = Warnings::default();
    let result = tracing::subscriber::with_default(warnings.clone(), act);
    let warnings = std::mem::take(&mut *warnings.0.lock().unwrap());
    (result, warnings)
}

fn first_disk() -> Vec<u8> {
    disk(1, 3 << 20)
}

fn next_disk() -> Vec<u8> {
    let mut data = first_disk();
    data[..30_000].copy_from_slice(&noise(2, 30_000));
    data
}

fn open_cached<S: Store + 'static>(store: &Arc<S>, cache: &Path) -> Repository {
    Repository::open_shared(Arc::clone(store) as Arc<dyn Store>, &credentials(), Some(cache)).unwrap()
}

/// A copy of a store, so that each case begins alike.
fn copy_of(store: &MemoryStore) -> Arc<MemoryStore> {
    let copy = MemoryStore::new();
    for folder in Folder::ALL {
        for info in store.list(folder).unwrap() {
            copy.put(&info.key, &[&store.get(&info.key).unwrap()]).unwrap();
        }
    }
    Arc::new(copy)
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A repository with one image, and its cache.
fn prepared() -> (Arc<MemoryStore>, tempfile::TempDir, ImageId) {
    let store = Arc::new(MemoryStore::new());
    let cache = tempfile::tempdir().unwrap();
    drop(init(Arc::clone(&store)));
    let repository = open_cached(&store, cache.path());
    let image = back_up(&repository, "disk", &first_disk()).unwrap();
    drop(repository);
    // Once more, so that a file that sled writes when it is closed is there.
    open_cached(&store, cache.path()).stats().unwrap();
    assert!(files(cache.path()).iter().any(|file| file.ends_with("index/db")));
    (store, cache, image)
}

/// Backs up and restores with this cache; gives the number of new chunks and the warnings.
fn work(store: &Arc<MemoryStore>, cache: &Path, image: ImageId, place: &str) -> (u64, Vec<String>) {
    let (new_chunks, warnings) = warned(|| {
        let repository = open_cached(store, cache);
        let source = holotype_repo::disk::MemoryDisk::new(next_disk());
        let report = repository.backup(&source, &options("disk"), &Default::default());
        let report = report.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert!(restore(&repository, image, first_disk().len()).unwrap() == first_disk(), "{place}");
        assert!(restore(&repository, report.image.unwrap(), next_disk().len()).unwrap() == next_disk(), "{place}");
        assert_clean(&repository, 2);
        report.new_chunks
    });
    // And again with what is in the cache now.
    let repository = open_cached(store, cache);
    assert_eq!(image_ids(&repository).len(), 2, "{place}");
    assert!(restore(&repository, image, first_disk().len()).unwrap() == first_disk(), "{place}");
    (new_chunks, warnings)
}

#[test]
fn damaged_files_change_no_answer() {
    let (store, cache, image) = prepared();
    let sound = tempfile::tempdir().unwrap();
    copy_dir(cache.path(), sound.path());
    let (expected, warnings) = work(&copy_of(&store), sound.path(), image, "sound");
    assert!(expected > 0 && expected < 10, "{expected}");
    assert_eq!(warnings, Vec::<String>::new());

    type Harm = fn(&mut Vec<u8>);
    let harms: [(&str, Harm); 6] = [
        ("emptied", Vec::clear),
        ("halved", |bytes| bytes.truncate(bytes.len() / 2)),
        ("flipped at the front", |bytes| bytes.iter_mut().take(40).for_each(|byte| *byte ^= 0x55)),
        ("flipped in the middle", |bytes| {
            let middle = bytes.len() / 3;
            bytes.iter_mut().skip(middle).take(4000).for_each(|byte| *byte ^= 0x55);
        }),
        ("zeroed", |bytes| bytes.fill(0)),
        ("longer", |bytes| bytes.extend([0xFF; 5000])),
    ];
    let mut not_usable = 0;
    for file in files(cache.path()) {
        let relative = file.strip_prefix(cache.path()).unwrap();
        for (what, harm) in &harms {
            let place = format!("{} {what}", relative.display());
            let copy = tempfile::tempdir().unwrap();
            copy_dir(cache.path(), copy.path());
            let target = copy.path().join(relative);
            let mut bytes = fs::read(&target).unwrap();
            harm(&mut bytes);
            fs::write(&target, bytes).unwrap();
            let (new_chunks, warnings) = work(&copy_of(&store), copy.path(), image, &place);
            assert_eq!(new_chunks, expected, "{place}: it found other chunks");
            let told = warnings.iter().any(|warning| warning.contains("not usable"));
            not_usable += u32::from(told);
            if relative.ends_with("format") && *what != "longer" || relative.ends_with("db") && *what == "emptied" {
                assert!(told, "{place}: {warnings:?}");
            }
        }
        let copy = tempfile::tempdir().unwrap();
        copy_dir(cache.path(), copy.path());
        fs::remove_file(copy.path().join(relative)).unwrap();
        let place = format!("{} deleted", relative.display());
        assert_eq!(work(&copy_of(&store), copy.path(), image, &place).0, expected, "{place}");
    }
    assert!(not_usable >= 6, "{not_usable}");
}

#[test]
fn a_cache_that_is_gone_or_cannot_be_made_is_done_without() {
    let (store, cache, image) = prepared();
    fs::remove_dir_all(cache.path()).unwrap();
    let (found, warnings) = work(&copy_of(&store), cache.path(), image, "gone");
    assert!(found < 10 && warnings.is_empty(), "{warnings:?}");
    assert!(files(cache.path()).iter().any(|file| file.ends_with("index/db")), "it was built anew");
    // Where the cache should be stands a file.
    let file = tempfile::NamedTempFile::new().unwrap();
    let (same, warnings) = work(&copy_of(&store), file.path(), image, "a file");
    assert_eq!(same, found);
    assert!(warnings.iter().any(|warning| warning.contains("doing without")), "{warnings:?}");
    // It is removed under an open repository.
    let cache = tempfile::tempdir().unwrap();
    let store = copy_of(&store);
    let repository = open_cached(&store, cache.path());
    repository.stats().unwrap();
    fs::remove_dir_all(cache.path()).unwrap();
    let image = back_up(&repository, "disk", &next_disk()).unwrap();
    assert_restores(&repository, image, &next_disk());
    drop(repository);
    assert_restores(&open_cached(&store, cache.path()), image, &next_disk());
}

#[test]
fn two_at_once_with_one_cache() {
    let (store, cache, image) = prepared();
    let first = open_cached(&store, cache.path());
    first.stats().unwrap();
    let second = open_cached(&store, cache.path());
    let (_, warnings) = warned(|| second.stats().unwrap());
    assert!(warnings.iter().any(|warning| warning.contains("in use by another process")), "{warnings:?}");
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| back_up(&first, "one", &next_disk()).unwrap());
        let two = scope.spawn(|| back_up(&second, "two", &first_disk()).unwrap());
        (one.join().unwrap(), two.join().unwrap())
    });
    for repository in [&first, &second] {
        assert_restores(repository, one, &next_disk());
        assert_restores(repository, two, &first_disk());
        assert_restores(repository, image, &first_disk());
        assert_clean(repository, 3);
    }
    drop((first, second));
    let (again, warnings) = warned(|| {
        let again = open_cached(&store, cache.path());
        again.stats().unwrap();
        again
    });
    assert_eq!(warnings, Vec::<String>::new(), "nobody holds it any more");
    assert_clean(&again, 3);
}

/// What went from the store since is not located, though the index knows it.
#[test]
fn packs_that_went_are_forgotten() {
    let (store, cache, _) = prepared();
    for folder in [Folder::Packs, Folder::Meta, Folder::Index, Folder::Images] {
        for info in store.list(folder).unwrap() {
            store.delete(&info.key).unwrap();
        }
    }
    let repository = open_cached(&store, cache.path());
    let image = back_up(&repository, "disk", &first_disk()).unwrap();
    assert_restores(&repository, image, &first_disk());
    assert_clean(&repository, 1);
}

/// A store that fails is no reason to throw the index away.
#[test]
fn a_failing_store_does_not_cost_the_index() {
    let store = Arc::new(FaultStore::new());
    let cache = tempfile::tempdir().unwrap();
    drop(init(Arc::clone(&store)));
    let repository = open_cached(&store, cache.path());
    back_up(&repository, "disk", &first_disk()).unwrap();
    let mut failed = 0;
    for number in 0..30 {
        store.arm(FaultPlan::new());
        // Only one image is kept, so that each backup makes the same calls.
        for info in store.list(Folder::Images).unwrap().iter().skip(1) {
            store.delete(&info.key).unwrap();
        }
        store.arm(FaultPlan::new().fail(number, ErrorKind::Io));
        let (outcome, warnings) = warned(|| back_up(&repository, "disk", &next_disk()));
        failed += u32::from(outcome.is_err());
        assert!(!warnings.iter().any(|warning| warning.contains("not usable")), "call {number}: {warnings:?}");
    }
    assert!(failed > 3, "{failed}");
    let aside = fs::read_dir(cache.path().join(repository.id().to_string())).unwrap();
    let aside: Vec<_> = aside.map(|entry| entry.unwrap().file_name()).collect();
    assert!(aside.iter().all(|name| !name.to_string_lossy().contains("damaged")), "{aside:?}");
    store.arm(FaultPlan::new());
    let images = image_ids(&repository).len();
    assert_clean(&repository, images);
}
