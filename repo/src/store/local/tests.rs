use super::*;
use crate::store::conformance::conformance;
use std::sync::Mutex as StdMutex;

fn key(folder: Folder, name: &str) -> ObjectKey {
    ObjectKey::new(folder, name).unwrap()
}

fn new_store() -> (tempfile::TempDir, LocalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::create(directory.path().join("repository")).unwrap();
    (directory, store)
}

fn temporary_files(store: &LocalStore) -> usize {
    std::fs::read_dir(store.root.join(layout::TEMPORARY)).unwrap().count()
}

#[test]
fn keeps_the_promises_of_a_store() {
    let directories = StdMutex::new(Vec::new());
    conformance(&|| {
        let (directory, store) = new_store();
        directories.lock().unwrap().push(directory);
        Box::new(store)
    });
    for directory in directories.into_inner().unwrap() {
        let left = std::fs::read_dir(directory.path().join("repository/tmp")).unwrap().count();
        assert_eq!(left, 0, "every put cleaned up");
    }
}

#[test]
fn creation_takes_new_and_empty_directories_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new");
    LocalStore::create(&path).unwrap().put(&ObjectKey::config(), &[b"x"]).unwrap();
    assert_eq!(LocalStore::open(&path).unwrap().get(&ObjectKey::config()).unwrap(), b"x");
    let error = LocalStore::create(&path).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("`config`"), "{error}");

    let empty = directory.path().join("empty");
    std::fs::create_dir_all(empty.join(LOST_AND_FOUND)).unwrap();
    std::fs::create_dir(empty.join("packs")).unwrap();
    LocalStore::create(&empty).unwrap();

    let foreign = directory.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("packs"), "a file").unwrap();
    assert_eq!(LocalStore::create(&foreign).err().unwrap().kind(), ErrorKind::AlreadyExists);
    let error = LocalStore::create(directory.path().join("missing/below")).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_no_repository_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (path, words) in [
        (directory.path().to_owned(), "no folder `config`"),
        (directory.path().join("missing"), "no such directory"),
        (file, "is no repository"),
    ] {
        let error = LocalStore::open(&path).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn only_the_owner_may_look() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, store) = new_store();
    let key = key(Folder::Packs, "abcd");
    store.put(&key, &[b"x"]).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&store.root), 0o700);
    assert_eq!(mode(&store.root.join("packs/ab")), 0o700);
    assert_eq!(mode(&store.path(&key)), 0o600);
}

#[test]
fn listings_pass_over_what_is_no_object() {
    let (_directory, store) = new_store();
    let keys = [key(Folder::Packs, "abcd"), key(Folder::Images, "abcd")];
    for key in &keys {
        store.put(key, &[b"x"]).unwrap();
    }
    std::fs::create_dir(store.root.join("packs/cd")).unwrap();
    std::fs::create_dir(store.root.join("packs/long")).unwrap();
    std::fs::create_dir(store.root.join("images/directory")).unwrap();
    for foreign in
        ["packs/at-top", "packs/ab/.hidden", "packs/ab/UPPER", "packs/ab/cdef", "packs/long/longer", "images/a.tmp"]
    {
        std::fs::write(store.root.join(foreign), "foreign").unwrap();
    }
    std::fs::write(store.root.join("tmp").join(temporary::new_name().unwrap()), "half").unwrap();
    for key in keys {
        assert_eq!(store.list(key.folder()).unwrap(), [ObjectInfo { key, bytes: 1 }]);
    }
}

#[test]
fn opening_removes_old_leftovers_of_the_dead() {
    let (_directory, store) = new_store();
    let random = "0".repeat(32);
    let boot = crate::os::host::boot_mark();
    let days_ago = SystemTime::now() - std::time::Duration::from_hours(48);
    let make = |name: &str, written| {
        let path = store.root.join("tmp").join(name);
        File::create(&path).unwrap().set_modified(written).unwrap();
        path
    };
    let dead = make(&format!("{boot}-{}-{random}", i32::MAX), days_ago);
    let kept = [
        make(&format!("{boot}-{}-{random}", i32::MAX - 1), SystemTime::now()),
        make(&temporary::new_name().unwrap(), days_ago),
        make("notes.txt", days_ago),
    ];
    LocalStore::open(&store.root).unwrap();
    assert!(!dead.exists());
    for path in kept {
        assert!(path.exists(), "{}", path.display());
    }
}

#[test]
fn a_missing_folder_of_temporary_files_is_made() {
    let (_directory, store) = new_store();
    std::fs::remove_dir(store.root.join("tmp")).unwrap();
    let store = LocalStore::open(&store.root).unwrap();
    assert_eq!(store.put(&key(Folder::Packs, "abcd"), &[b"x"]).unwrap(), Put::Stored);
}

#[test]
fn conflicts_leave_no_temporary_file() {
    let (_directory, store) = new_store();
    let key = key(Folder::Packs, "abcd");
    store.put(&key, &[b"old"]).unwrap();
    assert_eq!(store.put(&key, &[b"new"]).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(temporary_files(&store), 0);
}
