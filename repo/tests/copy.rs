//! Copies of images from one repository into another.

mod common;

use common::*;
use holotype_repo::core::ImageId;
use holotype_repo::core::secret::SecretBytes;
use holotype_repo::disk::{FaultDisk, MemoryDisk, Source};
use holotype_repo::store::{Folder, MemoryStore};
use holotype_repo::{
    BackupOptions, BackupReport, CancelToken, CopyOptions, CopyOutcome, Error, ErrorKind, Event, Image, InitOptions,
    Job, ParentChoice, Repository, RestoreOptions, Store, VerifyOptions,
};
use std::sync::Arc;

fn other() -> (Arc<MemoryStore>, Repository) {
    let store = Arc::new(MemoryStore::new());
    let options = InitOptions { pack_bytes: 200 << 10, ..init_options() };
    (Arc::clone(&store), Repository::init(store, &options).unwrap())
}

fn backed_up(repository: &Repository, source: &dyn Source, options: &BackupOptions) -> BackupReport {
    repository.backup(source, options, &Job::new()).unwrap()
}

fn copied(from: &Repository, image: ImageId, to: &Repository, options: &CopyOptions) -> BackupReport {
    match from.copy_image(image, to, options, &Job::new()).unwrap() {
        CopyOutcome::Copied(report) => *report,
        CopyOutcome::AlreadyThere(image) => panic!("{image} is there"),
    }
}

/// What a copy keeps of an image.
fn kept(image: &Image) -> String {
    let mut value = serde_json::to_value(image).unwrap();
    for own in ["image", "writer", "parent", "chunks"] {
        value.as_object_mut().unwrap().remove(own);
    }
    value.to_string()
}

#[test]
fn a_copy_is_the_same_image_under_other_keys() {
    let (from, (_, to)) = (init(MemoryStore::new()), other());
    let data = mapped_disk(1, 6_000_000);
    let options = BackupOptions { tags: vec![("room".into(), "3".into())], ..options("lab/pc-07") };
    let original = backed_up(&from, &MemoryDisk::new(data.clone()), &options).image.unwrap();
    let report = copied(&from, original, &to, &CopyOptions::default());
    let copy = report.image.unwrap();
    assert_ne!(copy, original);
    let (shown, original_shown) = (to.show(copy, None).unwrap(), from.show(original, None).unwrap());
    assert_eq!(kept(&shown), kept(&original_shown));
    assert!(shown.detail.unwrap().free_bytes > 1_000_000);
    // Onto other content: free runs keep it, so they are free in the copy too.
    let target = MemoryDisk::new(noise(99, data.len()));
    to.restore(copy, &target, &RestoreOptions::default(), &Job::new()).unwrap();
    let back = target.into_bytes();
    assert!(same_used(&back, &data));
    let free = free_runs(&data);
    let first = free.iter().next().unwrap();
    let range = first.offset() as usize..first.end() as usize;
    assert_eq!(back[range.clone()], noise(99, data.len())[range]);
    assert!(to.verify(&VerifyOptions::read_everything(), &Job::new()).unwrap().findings().is_empty());
}

#[test]
fn what_is_there_is_not_stored_again() {
    let (from, (_, to)) = (init(MemoryStore::new()), other());
    let mut data = disk(1, 3_000_000);
    let first = backed_up(&from, &MemoryDisk::new(data.clone()), &options("pc")).image.unwrap();
    data[1_000_000..1_050_000].copy_from_slice(&noise(7, 50_000));
    let second = backed_up(&from, &MemoryDisk::new(data.clone()), &options("pc")).image.unwrap();
    let whole = copied(&from, first, &to, &CopyOptions::default());
    let more = copied(&from, second, &to, &CopyOptions::default());
    assert!(more.new_bytes < whole.new_bytes / 5, "{} of {}", more.new_bytes, whole.new_bytes);
    assert_eq!(more.parent, whole.image);
    let again = from.copy_image(second, &to, &CopyOptions::default(), &Job::new()).unwrap();
    assert!(matches!(again, CopyOutcome::AlreadyThere(image) if Some(image) == more.image));
    let renamed = CopyOptions { name: Some("elsewhere".into()), ..CopyOptions::default() };
    assert_eq!(copied(&from, second, &to, &renamed).name, "elsewhere");
    let same = from.copy_image(second, &from, &CopyOptions::default(), &Job::new()).unwrap_err();
    assert_eq!(same.kind(), ErrorKind::InvalidInput);
}

#[test]
fn unreadable_ranges_stay_unreadable() {
    let (from, (_, to)) = (init(MemoryStore::new()), other());
    let data = disk(5, 2_000_000);
    let bad = FaultDisk::new(MemoryDisk::new(data.clone()))
        .unreadable(100 * 512..103 * 512)
        .unreadable(2000 * 512..2001 * 512);
    let report = backed_up(&from, &bad, &options("hurt"));
    assert_eq!(report.unreadable, [(100 * 512, 3 * 512), (2000 * 512, 512)]);
    let copy = copied(&from, report.image.unwrap(), &to, &CopyOptions::default());
    assert_eq!(copy.unreadable, report.unreadable);
    let detail = to.show(copy.image.unwrap(), None).unwrap().detail.unwrap();
    assert_eq!(detail.unreadable, report.unreadable);
}

#[test]
fn an_image_s_own_password_goes_along() {
    let (from, (_, to)) = (init(MemoryStore::new()), other());
    let (data, password) = (disk(6, 500_000), SecretBytes::new(b"its own".to_vec()));
    let protected = BackupOptions { image_password: Some(password.clone()), fast_derivation: true, ..options("pc") };
    let image = backed_up(&from, &MemoryDisk::new(data), &protected).image.unwrap();
    let wrong = from.copy_image(image, &to, &CopyOptions::default(), &Job::new()).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::WrongPassword);
    let options = CopyOptions { image_password: Some(password.clone()), ..CopyOptions::default() };
    let copy = copied(&from, image, &to, &options).image.unwrap();
    assert_eq!(to.show(copy, None).unwrap_err().kind(), ErrorKind::WrongPassword);
    assert!(to.show(copy, Some(&password)).is_ok());
}

#[test]
fn a_copy_that_fails_tells_why_and_publishes_nothing() {
    let store = Arc::new(MemoryStore::new());
    let from = init(Arc::clone(&store));
    let (_, to) = other();
    let data = noise(8, 3_000_000);
    let image =
        backed_up(&from, &MemoryDisk::new(data), &BackupOptions { parent: ParentChoice::None, ..options("pc") });
    let image = image.image.unwrap();
    let failed = |error: Error, kind: ErrorKind| {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(to.images().unwrap().is_empty());
    };
    let token = CancelToken::new();
    let pull = token.clone();
    let job = Job::new().cancelled_by(token).on_event(move |event| {
        if matches!(event, Event::Advanced { .. }) {
            pull.cancel();
        }
    });
    failed(from.copy_image(image, &to, &CopyOptions::default(), &job).unwrap_err(), ErrorKind::Cancelled);
    // The reading side's damage is what is told, not the writing side's short source.
    for info in store.list(Folder::Packs).unwrap() {
        store.delete(&info.key).unwrap();
    }
    failed(from.copy_image(image, &to, &CopyOptions::default(), &Job::new()).unwrap_err(), ErrorKind::Damaged);
}

#[test]
fn an_empty_disk_and_a_stream_are_copied() {
    let (from, (_, to)) = (init(MemoryStore::new()), other());
    for (name, data) in [("empty", Vec::new()), ("zeros", vec![0; 100_000]), ("odd", disk(9, 123_457))] {
        let image = backed_up(&from, &MemoryDisk::new(data.clone()), &options(name)).image.unwrap();
        let copy = copied(&from, image, &to, &CopyOptions::default()).image.unwrap();
        let target = MemoryDisk::new(vec![1; data.len()]);
        to.restore(copy, &target, &RestoreOptions::default(), &Job::new()).unwrap();
        assert_eq!(target.into_bytes(), data, "{name}");
    }
}
