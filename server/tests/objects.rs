//! A repository over the network: the library's store on real TLS.

use holotype_repo::core::ChunkId;
use holotype_repo::disk::MemoryDisk;
use holotype_repo::https::{HttpsClient, ServerPin};
use holotype_repo::keyless::Rules;
use holotype_repo::remote::HttpsStore;
use holotype_repo::store::{Folder, ObjectKey, Put, conformance};
use holotype_repo::{
    BackupOptions, Credentials, ErrorKind, InitOptions, Job, Repository, RestoreOptions, Store, VerifyOptions,
};
use holotype_server::access::Role;
use holotype_server::testing::TestServer;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use ureq::SendBody;

const TOKEN: &str = "0123456789";

fn server() -> (tempfile::TempDir, TestServer) {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path());
    server.add_user(TOKEN, Role::Operator);
    (directory, server)
}

fn open(server: &TestServer, token: &str, name: &str) -> holotype_repo::Result<HttpsStore> {
    HttpsStore::open(server.endpoint(token), name)
}

fn password() -> Credentials {
    Credentials::password(b"correct horse".to_vec())
}

fn fast() -> InitOptions {
    InitOptions { fast_derivation: true, ..InitOptions::new(password()) }
}

/// Bytes that differ from place to place and from seed to seed.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(bytes).collect()
}

#[test]
fn it_is_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start_with(directory.path(), Rules::Opaque);
    server.add_user(TOKEN, Role::Operator);
    let number = AtomicU32::new(0);
    conformance::conformance(&|| {
        let name = format!("store-{}", number.fetch_add(1, Ordering::Relaxed));
        server.add_repository(&name);
        Box::new(open(&server, TOKEN, &name).unwrap())
    });
}

#[test]
fn backups_come_back_and_verify() {
    let (directory, server) = server();
    server.add_repository("lab");
    let store = Arc::new(open(&server, TOKEN, "lab").unwrap());
    let mut repository =
        Repository::init_shared(store.clone(), &fast(), Some(&directory.path().join("cache"))).unwrap();
    let disk = noise(40 << 20, 1);
    let source = MemoryDisk::new(disk.clone());
    let saved = repository.backup(&source, &BackupOptions::named("pc"), &Job::new()).unwrap();
    let target = MemoryDisk::new(vec![0; disk.len()]);
    repository.restore(saved.image.unwrap(), &target, &RestoreOptions::default(), &Job::new()).unwrap();
    assert!(*target.bytes() == disk);
    let report = repository.verify(&VerifyOptions::read_everything(), &Job::new()).unwrap();
    assert_eq!(report.findings, [], "{report:?}");
    assert!(repository.stats().unwrap().index_entries > 0);
    repository.rebuild_index(&Job::new()).unwrap();

    // Another machine, without any cache, sends next to nothing.
    let other = Repository::open(open(&server, TOKEN, "lab").unwrap(), &password()).unwrap();
    let again = other.backup(&source, &BackupOptions::named("pc"), &Job::new()).unwrap();
    assert_eq!(again.new_chunks, 0);
    assert!(again.stored_bytes < 20_000, "{again:?}");
    // The server says who sent what, signed.
    let images: i64 = server
        .state()
        .database
        .read_blocking(|it| {
            Ok(it.query_row("SELECT count(*) FROM images WHERE receipt LIKE '%signature: %'", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(images, 2);
}

#[test]
fn what_is_not_for_a_token_is_not_there() {
    let (_directory, server) = server();
    server.add_repository("lab");
    server.add_stranger("stranger");
    server.add_user("viewer", Role::Viewer);
    let kind = |token: &str, name: &str| open(&server, token, name).unwrap_err().kind();
    assert_eq!(kind("unknown", "lab"), ErrorKind::PermissionDenied);
    assert_eq!(kind("stranger", "lab"), ErrorKind::NotFound);
    let message = |name: &str, token: &str| open(&server, token, name).unwrap_err().to_string().replace(name, "NAME");
    assert_eq!(message("lab", "stranger"), message("non", TOKEN), "nobody can tell which of both it is");
    let viewer = open(&server, "viewer", "lab").unwrap();
    assert_eq!(viewer.list(Folder::Packs).unwrap_err().kind(), ErrorKind::PermissionDenied);
    let wrong = holotype_repo::https::Endpoint { pin: Some(ServerPin([1; 32])), ..server.endpoint(TOKEN) };
    assert_eq!(HttpsStore::open(wrong, "lab").unwrap_err().kind(), ErrorKind::NotAllowed);
}

#[test]
fn uploads_that_lie_are_refused_and_seen_by_nobody() {
    let (_directory, server) = server();
    server.add_repository("lab");
    let store = Arc::new(open(&server, TOKEN, "lab").unwrap());
    let early = ObjectKey::new(Folder::Packs, "ab".repeat(32)).unwrap();
    assert!(store.put(&early, &[b"x"]).is_err(), "there is no repository yet");
    let repository = Repository::init_shared(store.clone(), &fast(), None).unwrap();
    let disk = MemoryDisk::new(noise(1 << 20, 2));
    let saved = repository.backup(&disk, &BackupOptions::named("pc"), &Job::new()).unwrap();
    let pack = store.list(Folder::Packs).unwrap().remove(0).key;
    let image = ObjectKey::of(Folder::Images, saved.image.unwrap());
    for (key, other_folder) in [(&pack, Folder::Meta), (&image, Folder::Index)] {
        let whole = store.get(key).unwrap();
        store.delete(key).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut hurt = whole.clone();
            hurt[at] ^= 1;
            let error = store.put(key, &[&hurt]).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::InvalidInput), "{error}");
            assert!(store.put(key, &[&whole[..at]]).is_err());
        }
        assert_eq!(store.size(key).unwrap_err().kind(), ErrorKind::NotFound);
        if other_folder == Folder::Meta {
            assert!(store.put(&ObjectKey::new(other_folder, key.name()).unwrap(), &[&whole]).is_err());
        }
        assert_eq!(store.put(key, &[&whole]).unwrap(), Put::Stored);
        assert_eq!(store.put(key, &[&whole]).unwrap(), Put::AlreadyPresent);
    }
    let foreign = ObjectKey::new(Folder::Leases, format!("{}-{:020}", "0".repeat(32), 0)).unwrap();
    assert_eq!(store.put(&foreign, &[b"no lease"]).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn a_machine_adds_and_sees_its_own_alone() {
    let (_directory, server) = server();
    server.add_repository("lab");
    let admin = Repository::init(open(&server, TOKEN, "lab").unwrap(), &fast()).unwrap();
    server.add_machine("one", "lab", "own");
    server.add_machine("two", "lab", "none");
    let backup = |token: &str, seed: u64| {
        let repository = Repository::open(open(&server, token, "lab").unwrap(), &password()).unwrap();
        let disk = MemoryDisk::new(noise(1 << 20, seed));
        repository.backup(&disk, &BackupOptions::named(token), &Job::new()).unwrap().image.unwrap()
    };
    let (first, second) = (backup("one", 1), backup("two", 2));
    let one = open(&server, "one", "lab").unwrap();
    let names = |store: &HttpsStore| -> Vec<String> {
        store.list(Folder::Images).unwrap().into_iter().map(|info| info.key.name().to_owned()).collect()
    };
    assert_eq!(names(&one), [first.to_string()]);
    assert!(one.get(&ObjectKey::of(Folder::Images, first)).is_ok());
    assert_eq!(one.get(&ObjectKey::of(Folder::Images, second)).unwrap_err().kind(), ErrorKind::NotFound);
    let two = open(&server, "two", "lab").unwrap();
    let pack = two.list(Folder::Packs).unwrap().remove(0).key;
    assert_eq!(two.get(&pack).unwrap_err().kind(), ErrorKind::PermissionDenied, "it may restore nothing");
    assert!(two.locator().unwrap().pack_footer(&pack).is_ok());
    for store in [&one, &two] {
        for folder in [Folder::Packs, Folder::Config, Folder::Images] {
            let key = ObjectKey::new(folder, first.to_string()).unwrap();
            assert_eq!(store.delete(&key).unwrap_err().kind(), ErrorKind::PermissionDenied);
        }
        assert!(store.put(&ObjectKey::of(Folder::Tombstones, first), &[b""]).is_err());
    }
    assert_eq!(admin.images().unwrap().len(), 2);
    assert_eq!(names(&open(&server, TOKEN, "lab").unwrap()).len(), 2);
    let leases = admin.store().list(Folder::Leases).unwrap();
    assert_eq!(leases, [], "machines have ended their leases");
}

#[test]
fn a_server_that_goes_and_comes_back_is_waited_for() {
    let (_directory, mut server) = server();
    server.add_repository("lab");
    let store = Arc::new(open(&server, TOKEN, "lab").unwrap());
    let repository = Repository::init_shared(store.clone(), &fast(), None).unwrap();
    let disk = noise(96 << 20, 3);
    let image = std::thread::scope(|scope| {
        let backup = scope.spawn(|| {
            repository.backup(&MemoryDisk::new(disk.clone()), &BackupOptions::named("pc"), &Job::new()).unwrap()
        });
        for _ in 0..4 {
            std::thread::sleep(std::time::Duration::from_millis(300));
            server.stop();
            std::thread::sleep(std::time::Duration::from_millis(100));
            server.resume();
        }
        backup.join().unwrap().image.unwrap()
    });
    let target = MemoryDisk::new(vec![0; disk.len()]);
    repository.restore(image, &target, &RestoreOptions::default(), &Job::new()).unwrap();
    assert!(*target.bytes() == disk);
}

#[test]
fn an_upload_that_was_cut_goes_on() {
    let (directory, mut server) = server();
    let location = server.add_repository("lab");
    let store = open(&server, TOKEN, "lab").unwrap();
    let repository = Repository::init(open(&server, TOKEN, "lab").unwrap(), &fast()).unwrap();
    repository.backup(&MemoryDisk::new(noise(24 << 20, 4)), &BackupOptions::named("pc"), &Job::new()).unwrap();
    let pack = store.list(Folder::Packs).unwrap().remove(0).key;
    let whole = store.get(&pack).unwrap();
    store.delete(&pack).unwrap();
    // The first attempt: half of it, then nothing more, then the server dies.
    let footer = u32::from_le_bytes(whole[whole.len() - 16..whole.len() - 12].try_into().unwrap()) as usize + 64 + 16;
    let client = HttpsClient::new(server.endpoint(TOKEN)).unwrap();
    let half = Cut(whole[..whole.len() / 2].to_vec(), 0);
    let request = ureq::http::Request::builder()
        .method("PUT")
        .uri(format!("/api/v1/repositories/lab/objects/packs/{}", pack.name()))
        .header("content-length", whole.len())
        .header("holotype-footer-bytes", footer)
        .body(SendBody::from_owned_reader(half))
        .unwrap();
    assert!(client.send(request).is_err());
    server.stop();
    server.resume();
    assert_eq!(store.size(&pack).unwrap_err().kind(), ErrorKind::NotFound, "half of it is seen by nobody");
    let kept: u64 =
        std::fs::read_dir(location.join("tmp")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(kept > whole.len() as u64 / 4, "{kept} of {} are kept", whole.len());
    assert_eq!(store.put(&pack, &[&whole]).unwrap(), Put::Stored);
    assert!(store.get(&pack).unwrap() == whole);
    drop(directory);
}

/// Bytes, and then an error.
struct Cut(Vec<u8>, usize);

impl Read for Cut {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = &self.0[self.1..];
        if left.is_empty() {
            return Err(std::io::Error::other("cut"));
        }
        let taken = left.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&left[..taken]);
        self.1 += taken;
        Ok(taken)
    }
}

#[test]
fn locating_answers_for_what_is_there() {
    let (_directory, server) = server();
    server.add_repository("lab");
    let store = Arc::new(open(&server, TOKEN, "lab").unwrap());
    let locator = store.locator().unwrap();
    assert_eq!(locator.locate(&[ChunkId([1; 32])]).unwrap().places, [None]);
    let repository = Repository::init_shared(store.clone(), &fast(), None).unwrap();
    repository.backup(&MemoryDisk::new(noise(1 << 20, 5)), &BackupOptions::named("pc"), &Job::new()).unwrap();
    let located = locator.locate(&[]).unwrap();
    assert_eq!(located.indexed_packs, 2);
    let many = vec![ChunkId([9; 32]); 70_000];
    assert_eq!(locator.locate(&many).unwrap().places.len(), 70_000);
}

#[test]
fn plain_text_and_nonsense_harm_nobody() {
    let (_directory, server) = server();
    server.add_repository("lab");
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 255, 255], b"", &[0; 1000]] {
        let mut socket = std::net::TcpStream::connect(server.address()).unwrap();
        let _ = socket.write_all(bytes);
    }
    assert!(open(&server, TOKEN, "lab").is_ok());
}
