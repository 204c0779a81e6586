//! Grants: one machine restores one image without a password, and nothing else.

mod common;

use common::*;
use holotype_repo::core::secret::{Secret32, SecretBytes};
use holotype_repo::core::signature::Signing;
use holotype_repo::core::{ImageId, WriterId};
use holotype_repo::disk::MemoryDisk;
use holotype_repo::grant::GrantRecord;
use holotype_repo::store::{Folder, MemoryStore, ObjectKey};
use holotype_repo::{
    BackupOptions, ErrorKind, Job, ParentChoice, Receipt, Repository, RestoreOptions, Result, Store, VerifyOptions,
};
use std::sync::Arc;

fn seed(number: u8) -> Secret32 {
    Secret32::new([number; 32])
}

fn machine(number: u8) -> WriterId {
    Signing::from_seed(&seed(number)).writer()
}

fn grant(repository: &Repository, image: ImageId) -> Vec<u8> {
    repository.prepare_grant(image, None, &Job::new()).unwrap().for_machine(&machine(1)).unwrap()
}

fn with_two_images() -> (Arc<MemoryStore>, Repository, [ImageId; 2], [Vec<u8>; 2]) {
    let store = Arc::new(MemoryStore::new());
    let repository = Repository::init(Arc::clone(&store), &init_options()).unwrap();
    let disks = [disk(1, 900_000), mapped_disk(2, 4_000_000)];
    let images = disks.clone().map(|data| {
        let options = BackupOptions { parent: ParentChoice::None, ..options("disk") };
        repository.backup(&MemoryDisk::new(data), &options, &Job::new()).unwrap().image.unwrap()
    });
    (store, repository, images, disks)
}

fn restored(repository: &Repository, image: ImageId, bytes: usize) -> Result<Vec<u8>> {
    let target = MemoryDisk::new(vec![0x5a; bytes]);
    repository.restore(image, &target, &RestoreOptions::default(), &Job::new())?;
    Ok(target.into_bytes())
}

#[test]
fn a_machine_restores_the_granted_image_and_nothing_else() {
    let (store, full, images, disks) = with_two_images();
    let prepared = full.prepare_grant(images[1], None, &Job::new()).unwrap();
    assert_eq!(prepared.image(), images[1]);
    assert!(prepared.packs() > 1, "{}", prepared.packs());
    let grant = prepared.for_machine(&machine(1)).unwrap();
    let record = GrantRecord::decode(&grant).unwrap();
    assert_eq!((record.image, record.root), (images[1], full.keyring().root()));

    let shared: Arc<dyn Store> = store.clone();
    let granted = Repository::open_granted(Arc::clone(&shared), &grant, &seed(1), None).unwrap();
    let names: Vec<ImageId> = granted.images().unwrap().iter().map(|image| image.image).collect();
    assert_eq!(names, [images[1]]);
    assert!(same_used(&restored(&granted, images[1], disks[1].len()).unwrap(), &disks[1]));
    assert_eq!(granted.show(images[1], None).unwrap().name, "disk");
    assert_eq!(restored(&granted, images[0], disks[0].len()).unwrap_err().kind(), ErrorKind::NoSuchImage);
    assert!(granted.verify(&VerifyOptions::structure(), &Job::new()).is_err());
    assert!(granted.prepare_grant(images[1], None, &Job::new()).is_err());
    let disk = MemoryDisk::new(disks[0].clone());
    assert_eq!(granted.backup(&disk, &options("x"), &Job::new()).unwrap_err().kind(), ErrorKind::NotAllowed);
    let error = |outcome: Result<()>| outcome.unwrap_err().kind();
    let key = holotype_repo::NewKey::new(holotype_repo::core::key_slot::Role::Writer, "x", credentials());
    assert_eq!(error(granted.add_key(&key).map(drop)), ErrorKind::NotAllowed);
}

#[test]
fn its_receipt_is_signed_by_the_machine() {
    let (store, full, images, disks) = with_two_images();
    let grant = grant(&full, images[0]);
    let granted = Repository::open_granted(store, &grant, &seed(1), None).unwrap();
    let target = MemoryDisk::new(vec![0; disks[0].len()]);
    let report = granted.restore(images[0], &target, &RestoreOptions::default(), &Job::new()).unwrap();
    let receipt = Receipt::check(&granted.receipt(&report)).unwrap();
    assert_eq!(receipt.signer, machine(1));
}

#[test]
fn a_grant_is_for_one_machine_and_one_repository() {
    let (store, full, images, _) = with_two_images();
    let grant = grant(&full, images[0]);
    let shared: Arc<dyn Store> = store;
    let refused = |store: &Arc<dyn Store>, grant: &[u8], number: u8| {
        Repository::open_granted(Arc::clone(store), grant, &seed(number), None).unwrap_err().kind()
    };
    assert_eq!(refused(&shared, &grant, 2), ErrorKind::NotAllowed);
    let elsewhere = Arc::new(MemoryStore::new());
    init(Arc::clone(&elsewhere));
    let elsewhere: Arc<dyn Store> = elsewhere;
    assert_eq!(refused(&elsewhere, &grant, 1), ErrorKind::NotAllowed);
    for at in (0..grant.len()).step_by(7) {
        let mut changed = grant.clone();
        changed[at] ^= 1;
        assert!(Repository::open_granted(Arc::clone(&shared), &changed, &seed(1), None).is_err(), "byte {at}");
        assert!(Repository::open_granted(Arc::clone(&shared), &grant[..at], &seed(1), None).is_err(), "first {at}");
    }
    // Signed by another root than the repository's.
    let stranger = Repository::init(MemoryStore::new(), &init_options()).unwrap();
    let data = disk(3, 300_000);
    let image = stranger.backup(&MemoryDisk::new(data), &options("x"), &Job::new()).unwrap().image.unwrap();
    let foreign = self::grant(&stranger, image);
    assert_eq!(refused(&shared, &foreign, 1), ErrorKind::NotAllowed);
    let weak = WriterId([0; 32]);
    let prepared = full.prepare_grant(images[0], None, &Job::new()).unwrap();
    assert_eq!(prepared.for_machine(&weak).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_image_of_a_grant_may_be_gone() {
    let (store, full, images, _) = with_two_images();
    let grant = grant(&full, images[0]);
    store.delete(&ObjectKey::of(Folder::Images, images[0])).unwrap();
    let error = Repository::open_granted(store, &grant, &seed(1), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSuchImage);
}

#[test]
fn an_image_with_a_password_is_granted_by_who_knows_it() {
    let store = Arc::new(MemoryStore::new());
    let full = Repository::init(Arc::clone(&store), &init_options()).unwrap();
    let (data, password) = (disk(4, 600_000), SecretBytes::new(b"its own".to_vec()));
    let protected = BackupOptions { image_password: Some(password.clone()), fast_derivation: true, ..options("disk") };
    let image = full.backup(&MemoryDisk::new(data.clone()), &protected, &Job::new()).unwrap().image.unwrap();
    assert_eq!(full.prepare_grant(image, None, &Job::new()).unwrap_err().kind(), ErrorKind::WrongPassword);
    let prepared = full.prepare_grant(image, Some(&password), &Job::new()).unwrap();
    let grant = prepared.for_machine(&machine(1)).unwrap();
    let granted = Repository::open_granted(store, &grant, &seed(1), None).unwrap();
    assert_eq!(restored(&granted, image, data.len()).unwrap(), data);
}
