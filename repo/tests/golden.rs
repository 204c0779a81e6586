//! A repository of format version 1, made once: newer programs must go on reading it.
//!
//! While the format is not released, a change of it makes the fixture anew:
//!
//! ```sh
//! HOLOTYPE_MAKE_GOLDEN=1 cargo test -p holotype-repo --test golden -- --ignored make_golden
//! ```
//!
//! Once released, `golden/v1` is never made again; a new version gets a new directory.

mod common;

use common::{noise, restore_stream};
use holotype_repo::core::key_slot::Role;
use holotype_repo::core::secret::SecretBytes;
use holotype_repo::disk::MemoryDisk;
use holotype_repo::store::{Folder, LocalStore};
use holotype_repo::{
    BackupOptions, Credentials, ErrorKind, InitOptions, Job, NewKey, Repository, RestoreOptions, VerifyOptions,
};
use std::fs;
use std::path::{Path, PathBuf};

const PASSWORD: &str = "golden password";
const IMAGE_PASSWORD: &str = "golden image password";
/// BLAKE3 of the two disks.
const PLAIN_DISK: &str = "181d30b65c3876915d0d1f622fc3cc25ebe2e2eadaf45332c7f202de61e04674";
const PROTECTED_DISK: &str = "6537600878936ffbefdca8264cfb2a5190a413dc681a02c918406a4d9700cde3";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// Noise, text, padding to blocks, zeros, and an odd end.
fn plain_disk() -> Vec<u8> {
    let mut disk = noise(11, 5000);
    disk.resize(8192, 0);
    disk.extend(b"All work and no play makes Jack a dull boy. ".iter().cycle().take(9000));
    disk.resize(disk.len().next_multiple_of(4096) + 16_384, 0);
    disk.extend(noise(12, 3333));
    disk
}

/// Shares its first part with the other.
fn protected_disk() -> Vec<u8> {
    let mut disk = plain_disk()[..8192].to_vec();
    disk.extend(noise(13, 2000));
    disk.resize(70_000, 0);
    disk
}

fn key_file() -> Vec<u8> {
    fs::read(fixture().join("key-file")).unwrap()
}

fn writer_key_file() -> Vec<u8> {
    fs::read(fixture().join("writer-key-file")).unwrap()
}

fn protected() -> BackupOptions {
    BackupOptions {
        image_password: Some(SecretBytes::new(IMAGE_PASSWORD.into())),
        fast_derivation: true,
        ..BackupOptions::named("golden/protected")
    }
}

#[test]
#[ignore = "makes the fixture anew"]
fn make_golden() {
    // Whoever runs all ignored tests does not mean this one.
    if std::env::var_os("HOLOTYPE_MAKE_GOLDEN").is_none_or(|it| it != "1") {
        return;
    }
    let dir = fixture();
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("key-file"), noise(1, 32)).unwrap();
    fs::write(dir.join("writer-key-file"), noise(2, 32)).unwrap();
    let options = InitOptions {
        fast_derivation: true,
        pack_bytes: 64 << 10,
        ..InitOptions::new(Credentials::key_file(key_file()))
    };
    let repository = Repository::init(LocalStore::create(dir.join("repository")).unwrap(), &options).unwrap();
    let add = |role, label: &str, credentials| {
        let new = NewKey { fast_derivation: true, ..NewKey::new(role, label, credentials) };
        repository.add_key(&new).unwrap();
    };
    add(Role::Full, "password", Credentials::password(PASSWORD));
    add(Role::Writer, "pc", Credentials::key_file(writer_key_file()));
    let plain = BackupOptions { tags: vec![("room".into(), "3".into())], ..BackupOptions::named("golden/plain") };
    repository.backup(&MemoryDisk::new(plain_disk()).with_sectors(512, 4096), &plain, &Job::new()).unwrap();
    repository.backup(&MemoryDisk::new(protected_disk()), &protected(), &Job::new()).unwrap();
}

fn copy_dir(from: &Path, to: &Path) -> u64 {
    let mut bytes = 0;
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        bytes += match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &to),
            false => fs::copy(entry.path(), to).unwrap(),
        };
    }
    bytes
}

/// A copy that can be written; git keeps no empty folders.
fn copy() -> (tempfile::TempDir, u64) {
    let dir = tempfile::tempdir().unwrap();
    let bytes = copy_dir(&fixture().join("repository"), dir.path());
    for folder in Folder::ALL {
        fs::create_dir_all(dir.path().join(folder.name())).unwrap();
    }
    (dir, bytes)
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[test]
fn version_1_is_read() {
    assert_eq!((hash(&plain_disk()).as_str(), hash(&protected_disk()).as_str()), (PLAIN_DISK, PROTECTED_DISK));
    let (dir, bytes) = copy();
    assert!(bytes < 60 << 10, "{bytes} bytes");
    for credentials in [Credentials::key_file(key_file()), Credentials::password(PASSWORD)] {
        let repository = Repository::open(LocalStore::open(dir.path()).unwrap(), &credentials).unwrap();
        let images = repository.images().unwrap();
        let listed: Vec<_> =
            images.iter().map(|image| (image.name.as_str(), image.source_bytes, image.protected)).collect();
        assert_eq!(listed, [("golden/plain", 40_197, false), ("golden/protected", 70_000, true)]);
        assert_eq!(images[0].tags.get("room").map(String::as_str), Some("3"));
        let detail = repository.show(images[0].image, None).unwrap().detail.unwrap();
        assert_eq!((detail.geometry.logical_sector_bytes, detail.geometry.physical_sector_bytes), (512, 4096));
        assert_eq!(detail.zero_bytes, 16_384);
        assert_eq!(hash(&restore_stream(&repository, images[0].image).unwrap()), PLAIN_DISK);

        let refused = restore_stream(&repository, images[1].image).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WrongPassword);
        let target = MemoryDisk::new(vec![1; 70_000]);
        let options = RestoreOptions { image_password: protected().image_password, ..RestoreOptions::default() };
        repository.restore(images[1].image, &target, &options, &Job::new()).unwrap();
        assert_eq!(hash(&target.into_bytes()), PROTECTED_DISK);

        let mut keys: Vec<_> =
            repository.keys().unwrap().into_iter().map(|key| (key.role, key.label, key.opened_by)).collect();
        keys.sort();
        let expected = [("full", "first", "key-file"), ("full", "password", "password"), ("writer", "pc", "key-file")];
        assert_eq!(keys, expected.map(|(role, label, by)| (role.to_owned(), label.to_owned(), by)));
        let report = repository.verify(&VerifyOptions::read_everything(), &Job::new()).unwrap();
        assert_eq!((report.findings(), report.images), (&[][..], 2));
    }
}

/// Not only read: written on, so that ids, cuts and signatures are still the same.
#[test]
fn version_1_is_written_on() {
    let (dir, _) = copy();
    let open =
        |key_file| Repository::open(LocalStore::open(dir.path()).unwrap(), &Credentials::key_file(key_file)).unwrap();
    let by_writer = open(writer_key_file())
        .backup(&MemoryDisk::new(plain_disk()), &BackupOptions::named("golden/again"), &Job::new())
        .unwrap();
    assert_eq!(by_writer.new_chunks, 0, "the same disk is cut and named as it was");
    let repository = open(key_file());
    let again =
        repository.backup(&MemoryDisk::new(protected_disk()), &BackupOptions::named("golden/plain"), &Job::new());
    assert_eq!(again.unwrap().new_chunks, 0);
    assert_eq!(hash(&restore_stream(&repository, by_writer.image.unwrap()).unwrap()), PLAIN_DISK);
    let report = repository.verify(&VerifyOptions::read_everything(), &Job::new()).unwrap();
    assert_eq!((report.findings(), report.images), (&[][..], 4));
}
