//! Keys: what each role may do, and that exchanged or foreign keys and configs are refused.

mod common;

use common::*;
use holotype_repo::core::key_slot::{Certificate, KEY_SLOT, KeySlot, Role};
use holotype_repo::core::secret::{Secret32, SecretBytes};
use holotype_repo::core::signature::Signing;
use holotype_repo::disk::{Content, MemoryDisk, Target, WriteOrder};
use holotype_repo::image::ImageRecord;
use holotype_repo::keys::Keyring;
use holotype_repo::store::{Folder, MemoryStore, ObjectKey};
use holotype_repo::{
    BackupOptions, BackupReport, Credentials, ErrorKind, InitOptions, Job, NewKey, ParentChoice, Repository,
    RestoreOptions, Result, Store, Trust, VerifyOptions,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn writer_credentials(number: u8) -> Credentials {
    Credentials::key_file([100 + number; 32])
}

fn add_writer(repository: &Repository, number: u8) {
    repository.add_key(&NewKey::new(Role::Writer, format!("pc-{number}"), writer_credentials(number))).unwrap();
}

fn shared(options: &InitOptions) -> (Arc<MemoryStore>, Repository) {
    let store = Arc::new(MemoryStore::new());
    let repository = Repository::init(Arc::clone(&store), options).unwrap();
    (store, repository)
}

fn report(repository: &Repository, data: &[u8]) -> BackupReport {
    repository.backup(&MemoryDisk::new(data.to_vec()), &options("disk"), &Job::new()).unwrap()
}

#[test]
fn a_writer_adds_images_and_does_nothing_else() {
    let (store, full) = shared(&init_options());
    let first = report(&full, &disk(1, 1_000_000));
    add_writer(&full, 1);
    let writer = Repository::open(Arc::clone(&store), &writer_credentials(1)).unwrap();
    assert_eq!(writer.keyring().role(), Role::Writer);
    assert_ne!(writer.keyring().writer(), full.keyring().writer());
    let not_allowed = |outcome: Result<()>, what: &str| {
        assert_eq!(outcome.expect_err(what).kind(), ErrorKind::NotAllowed, "{what}");
    };
    let image = first.image.unwrap();
    let target = FlaggedTarget::default();
    not_allowed(writer.images().map(|_| ()), "list");
    not_allowed(writer.show(image, None).map(|_| ()), "show");
    not_allowed(writer.restore(image, &target, &RestoreOptions::default(), &Job::new()).map(|_| ()), "restore");
    assert_eq!(target.touched.load(Ordering::SeqCst), 0);
    not_allowed(writer.verify(&VerifyOptions::structure(), &Job::new()).map(|_| ()), "verify");
    let new = NewKey::new(Role::Full, "mine", writer_credentials(9));
    not_allowed(writer.add_key(&new).map(|_| ()), "add a key");
    not_allowed(writer.remove_key(&full.keyring().slot().unwrap()), "remove a key");
    not_allowed(writer.change_key(writer_credentials(9), true).map(|_| ()), "change keys");
    let parent = BackupOptions { parent: ParentChoice::Image(image.into()), ..options("disk") };
    not_allowed(writer.backup(&MemoryDisk::new(vec![1]), &parent, &Job::new()).map(|_| ()), "name a parent");

    // What it adds is shared with what the full key stored, and the full key sees it.
    let again = report(&writer, &disk(1, 1_000_000));
    assert_eq!((again.new_chunks, again.parent), (0, None));
    let own = report(&writer, &disk(2, 1_000_000));
    assert_eq!(report(&writer, &disk(2, 1_000_000)).new_chunks, 0, "it trusts itself");
    let images = full.images().unwrap();
    assert_eq!(images.len(), 4);
    let shown = images.iter().find(|shown| Some(shown.image) == own.image).unwrap();
    assert_eq!(shown.writer, writer.keyring().writer());
    assert_restores(&full, own.image.unwrap(), &disk(2, 1_000_000));
    assert_restores(&full, again.image.unwrap(), &disk(1, 1_000_000));
    assert_clean(&full, 4);
}

/// The keyring of a writer has no private key: nothing that its methods give opens anything.
#[test]
fn a_writer_s_slot_holds_no_private_key() {
    let (store, full) = shared(&init_options());
    add_writer(&full, 1);
    let slots = objects(&*store, Folder::Keys);
    let slots = slots.values().map(|bytes| KEY_SLOT.decode::<KeySlot>(bytes).unwrap());
    let of_writer = slots.into_iter().find(|slot| slot.header.role == Role::Writer.number()).unwrap();
    let factors =
        holotype_repo::core::key_slot::Factors { password: None, key_file: Some(SecretBytes::new(vec![101; 32])) };
    let secrets = of_writer.open(&factors).unwrap().unwrap();
    let holotype_repo::core::key_slot::SlotSecrets::Writer(secrets) = secrets else { panic!("{secrets:?}") };
    assert_ne!(*secrets.signing_seed.expose(), [0; 32]);
    // Public halves only: they are those of the config, which stand there in clear.
    assert_eq!((secrets.content, secrets.reference), (full.config().content, full.config().reference));
    let keyring: &Keyring = full.keyring();
    assert_eq!(secrets.root, keyring.root());
}

#[test]
fn writers_lean_on_each_other_only_where_the_repository_says_so() {
    for (trust, expected_new) in [(Trust::FullKeysOnly, true), (Trust::EnrolledWriters, false)] {
        let (store, full) = shared(&InitOptions { trust, ..init_options() });
        add_writer(&full, 1);
        add_writer(&full, 2);
        let data = disk(3, 1_500_000);
        let by = |number| Repository::open(Arc::clone(&store), &writer_credentials(number)).unwrap();
        let first = report(&by(1), &data);
        let second = report(&by(2), &data);
        let by_full = report(&open(Arc::clone(&store)), &data);
        assert!(first.new_chunks > 10);
        assert_eq!(second.new_chunks, if expected_new { first.new_chunks } else { 0 }, "{trust:?}");
        assert_eq!(by_full.new_chunks, if expected_new { first.new_chunks } else { 0 }, "{trust:?}");
        // What the full key has stored is leaned on by all.
        let third = report(&by(1), &disk(4, 10));
        assert_eq!(third.new_chunks, 1);
        report(&full, &disk(5, 500_000));
        assert_eq!(report(&by(2), &disk(5, 500_000)).new_chunks, 0);
        for image in [first.image, second.image, by_full.image] {
            assert_restores(&full, image.unwrap(), &data);
        }
    }
}

#[test]
fn passwords_are_wrong_changed_and_removed() {
    let options = InitOptions { credentials: Credentials::password("right"), ..init_options() };
    let options = InitOptions { recovery_key: Some(vec![5; 32]), ..options };
    let (store, first) = shared(&options);
    let image = report(&first, &disk(1, 100_000)).image.unwrap();
    let opens = |credentials: Credentials| {
        Repository::open(Arc::clone(&store), &credentials).map(|_| ()).map_err(|error| error.kind())
    };
    assert_eq!(opens(Credentials::password("wrong")), Err(ErrorKind::WrongPassword));
    assert_eq!(opens(Credentials::password("")), Err(ErrorKind::WrongPassword));
    assert_eq!(opens(Credentials::default()), Err(ErrorKind::WrongPassword));
    assert_eq!(opens(Credentials::key_file([6; 32])), Err(ErrorKind::WrongPassword));
    assert_eq!(opens(Credentials::password("right")), Ok(()));
    assert_eq!(first.keys().unwrap().len(), 2);

    let changed = first.change_key(Credentials::password("new"), true).unwrap();
    assert_eq!(opens(Credentials::password("right")), Err(ErrorKind::WrongPassword));
    let renewed = Repository::open(Arc::clone(&store), &Credentials::password("new")).unwrap();
    assert_eq!(renewed.keyring().slot(), Some(changed));
    let current: Vec<String> =
        renewed.keys().unwrap().into_iter().filter(|key| key.current).map(|key| key.label).collect();
    assert_eq!(current, ["first"], "the label stays");

    // The recovery key is a full one.
    let recovery = Repository::open(Arc::clone(&store), &Credentials::key_file([5; 32])).unwrap();
    assert_restores(&recovery, image, &disk(1, 100_000));
    add_writer(&recovery, 1);
    recovery.remove_key(&changed).unwrap();
    assert_eq!(opens(Credentials::password("new")), Err(ErrorKind::WrongPassword));
    let last = recovery.keyring().slot().unwrap();
    let error = recovery.remove_key(&last).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(recovery.remove_key(&changed).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(opens(Credentials::key_file([5; 32])), Ok(()), "the last full key stays");
    for bad in [Credentials::default(), Credentials::password(""), Credentials::key_file([1; 31])] {
        let error = recovery.add_key(&NewKey::new(Role::Full, "bad", bad)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let both = Credentials::password("both").with_key_file([4; 32]);
    let new = NewKey { fast_derivation: true, ..NewKey::new(Role::Full, "both", both.clone()) };
    recovery.add_key(&new).unwrap();
    assert_eq!(opens(both), Ok(()));
    assert_eq!(opens(Credentials::password("both")), Err(ErrorKind::WrongPassword));
    assert_eq!(opens(Credentials::key_file([4; 32])), Err(ErrorKind::WrongPassword));
}

/// Counts every call that a restore makes of it after it looked at its order.
#[derive(Default)]
struct FlaggedTarget {
    touched: AtomicU64,
}

impl Target for FlaggedTarget {
    fn order(&self) -> WriteOrder {
        WriteOrder::Any
    }
    fn prepare(&self, _: u64, _: Content) -> Result<()> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn write_zeros(&self, _: u64, _: u64) -> io::Result<()> {
        self.touched.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
    fn describe(&self) -> String {
        "flagged".into()
    }
}

#[test]
fn an_image_s_own_password_is_asked_before_the_target_is_touched() {
    let (_, repository) = shared(&init_options());
    let data = disk(1, 700_000);
    let password = |text: &str| Some(SecretBytes::new(text.into()));
    let protected = BackupOptions { image_password: password("secret"), fast_derivation: true, ..options("disk") };
    let plain = report(&repository, &data);
    let saved = repository.backup(&MemoryDisk::new(data.clone()), &protected, &Job::new()).unwrap();
    assert_eq!(saved.new_chunks, 0, "chunks are shared");
    let image = saved.image.unwrap();
    for given in [None, password("wrong"), password("")] {
        let target = FlaggedTarget::default();
        let options = RestoreOptions { image_password: given.clone(), ..RestoreOptions::default() };
        let error = repository.restore(image, &target, &options, &Job::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongPassword, "{error}");
        assert_eq!(target.touched.load(Ordering::SeqCst), 0);
        assert_eq!(repository.show(image, given.as_ref()).unwrap_err().kind(), ErrorKind::WrongPassword);
    }
    let target = FlaggedTarget::default();
    let options = RestoreOptions::default();
    repository.restore(plain.image.unwrap(), &target, &options, &Job::new()).unwrap();
    assert!(target.touched.load(Ordering::SeqCst) > 1, "the flag works");
    let target = MemoryDisk::new(vec![1; data.len()]);
    let options = RestoreOptions { image_password: password("secret"), ..RestoreOptions::default() };
    repository.restore(image, &target, &options, &Job::new()).unwrap();
    assert!(*target.bytes() == data);
    assert_eq!(
        repository.show(image, password("secret").as_ref()).unwrap().detail.unwrap().data_bytes,
        saved.data_bytes
    );
    assert_eq!(repository.images().unwrap().iter().filter(|image| image.protected).count(), 1);
    // As a parent it needs its password too.
    let parent = ParentChoice::Image(image.into());
    let options = BackupOptions { parent, ..common::options("disk") };
    let error = repository.backup(&MemoryDisk::new(data.clone()), &options, &Job::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongPassword);
    assert_clean(&repository, 2);
}

#[test]
fn a_slot_of_another_repository_is_refused() {
    let (store, here) = shared(&init_options());
    let (other_store, other) = shared(&init_options());
    let foreign = objects(&*other_store, Folder::Keys);
    let (name, bytes) = foreign.iter().next().unwrap();
    // Under its own name.
    store.put(&ObjectKey::new(Folder::Keys, name.as_str()).unwrap(), &[bytes]).unwrap();
    let reopened = open(Arc::clone(&store));
    assert_eq!(reopened.id(), here.id());
    let findings = reopened.verify(&VerifyOptions::structure(), &Job::new()).unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].object, format!("keys/{name}"));
    // In place of the own one, under either name.
    let own = ObjectKey::of(Folder::Keys, here.keyring().slot().unwrap());
    store.delete(&own).unwrap();
    assert!(Repository::open(Arc::clone(&store), &credentials()).is_err());
    store.put(&own, &[bytes]).unwrap();
    assert!(Repository::open(Arc::clone(&store), &credentials()).is_err());
    assert_eq!(open(other_store).id(), other.id());
}

#[test]
fn an_exchanged_config_is_refused() {
    let (store, here) = shared(&init_options());
    add_writer(&here, 1);
    let (other_store, _) = shared(&init_options());
    // That of another repository.
    let theirs = other_store.get(&ObjectKey::config()).unwrap();
    let replace = |bytes: &[u8]| {
        store.delete(&ObjectKey::config()).unwrap();
        store.put(&ObjectKey::config(), &[bytes]).unwrap();
    };
    let ours = store.get(&ObjectKey::config()).unwrap();
    replace(&theirs);
    for credentials in [credentials(), writer_credentials(1)] {
        let error = Repository::open(Arc::clone(&store), &credentials).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::WrongPassword), "{error}");
    }
    // Of this repository, with public keys of an attacker, signed by the attacker's root.
    let attacker =
        holotype_repo::core::signature::Signing::from_seed(&holotype_repo::core::secret::Secret32::new([66; 32]));
    let mut config = here.config().clone();
    config.content =
        holotype_repo::core::envelope::EnvelopePrivateKey(holotype_repo::core::secret::Secret32::new([67; 32]))
            .public();
    config.root = attacker.writer();
    replace(&config.encode(&attacker));
    for credentials in [credentials(), writer_credentials(1)] {
        let error = Repository::open(Arc::clone(&store), &credentials).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(error.to_string().contains("root"), "{error}");
    }
    // The true root's name with the attacker's signature.
    config.root = here.keyring().root();
    replace(&config.encode(&attacker));
    assert_eq!(Repository::open(Arc::clone(&store), &credentials()).unwrap_err().kind(), ErrorKind::Damaged);
    replace(&ours);
    assert!(Repository::open(Arc::clone(&store), &writer_credentials(1)).is_ok());
}

/// Whoever can write to the store knows the public keys in the config. An image that a stranger
/// seals to them is not listed, and verify names it.
#[test]
fn an_image_of_a_stranger_is_none() {
    let (store, repository) = shared(&init_options());
    let image = back_up(&repository, "pc", &[7; 9000]).unwrap();
    let key = ObjectKey::of(Folder::Images, image);
    let bytes = store.get(&key).unwrap();
    let record = ImageRecord::decode(&bytes).unwrap();
    let stranger = Signing::from_seed(&Secret32::new([9; 32]));
    for certificate in [None, Some(Certificate::sign(&stranger, &record.repository, &stranger.writer()))] {
        let forged = ImageRecord { writer: stranger.writer(), certificate, sequence: 99, ..record.clone() };
        let (id, object) = forged.encode(&stranger);
        let key = ObjectKey::of(Folder::Images, id);
        store.put(&key, &[&object]).unwrap();
        let listed = repository.images().unwrap();
        assert_eq!(listed.iter().map(|image| image.image).collect::<Vec<_>>(), [image]);
        let report = repository.verify(&VerifyOptions::structure(), &Job::new()).unwrap();
        assert_eq!(report.findings().len(), 1, "{report:?}");
        assert_eq!(report.findings()[0].object, key.to_string());
        store.delete(&key).unwrap();
    }
}
