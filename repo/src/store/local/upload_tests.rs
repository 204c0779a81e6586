//! Uploads that are broken off, of a local store.

use super::*;

const TAG: &str = "0123abc";

fn key() -> ObjectKey {
    ObjectKey::new(Folder::Packs, "abcd").unwrap()
}

fn store() -> (tempfile::TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::create(directory.path().join("repository")).unwrap();
    (directory, store)
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 253) as u8).collect()
}

fn replayed(upload: &dyn Upload) -> Vec<u8> {
    let mut all = Vec::new();
    upload
        .replay(&mut |piece| {
            all.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
    all
}

#[test]
fn a_broken_upload_goes_on_where_it_was() {
    for length in [100_000, 9 << 20] {
        let (_directory, store) = store();
        let whole = bytes(length);
        let cut = length / 2 + 17;
        let mut upload = store.upload(&key(), length as u64, TAG).unwrap();
        whole[..cut].chunks(70_001).for_each(|piece| upload.write(piece).unwrap());
        drop(upload);
        assert!(store.size(&key()).is_err());
        let received = store.received_bytes(TAG).unwrap();
        assert!(received > 0 && received <= cut as u64 && cut as u64 - received < 4096, "{received} of {cut}");

        // The process is another one; nothing of the upload is in memory.
        let store = LocalStore::open(&store.root).unwrap();
        let mut upload = store.upload(&key(), length as u64, TAG).unwrap();
        assert_eq!(upload.received_bytes(), received);
        assert!(replayed(&*upload) == whole[..received as usize]);
        whole[received as usize..].chunks(70_001).for_each(|piece| upload.write(piece).unwrap());
        assert_eq!(upload.commit().unwrap(), Put::Stored);
        assert!(store.get(&key()).unwrap() == whole);
        assert_eq!(store.received_bytes(TAG).unwrap(), 0);
        assert_eq!(store.confirm(&key()).unwrap(), length as u64);
    }
}

#[test]
fn two_of_one_tag_do_not_meet() {
    let (_directory, store) = store();
    let mut first = store.upload(&key(), 10, TAG).unwrap();
    first.write(b"01234").unwrap();
    let mut second = store.upload(&key(), 10, TAG).unwrap();
    assert_eq!(second.received_bytes(), 0);
    second.write(b"0123456789").unwrap();
    assert_eq!(second.commit().unwrap(), Put::Stored);
    first.write(b"56789").unwrap();
    assert_eq!(first.commit().unwrap(), Put::AlreadyPresent);
    assert_eq!(store.get(&key()).unwrap(), b"0123456789");
    let left = std::fs::read_dir(store.root.join("tmp")).unwrap().count();
    assert_eq!(left, 0, "nothing is left in tmp");
}

#[test]
fn what_is_discarded_is_gone() {
    let (_directory, store) = store();
    let mut upload = store.upload(&key(), 10_000, TAG).unwrap();
    upload.write(&[1; 9000]).unwrap();
    upload.discard();
    assert_eq!(store.received_bytes(TAG).unwrap(), 0);
    assert_eq!(store.upload(&key(), 10_000, TAG).unwrap().received_bytes(), 0);
    assert!(store.upload(&key(), 10, "../x").is_err());
}

#[test]
fn an_upload_is_as_long_as_was_said() {
    let (_directory, store) = store();
    let mut upload = store.upload(&key(), 4, TAG).unwrap();
    assert_eq!(upload.write(b"12345").unwrap_err().kind(), ErrorKind::InvalidInput);
    upload.write(b"123").unwrap();
    assert_eq!(upload.commit().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(store.size(&key()).is_err());
}
