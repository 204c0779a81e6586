//! Cuts a local store at each of its steps, and looks at what is left.

use super::*;
use crate::store::Put;
use std::io::Write;
use std::sync::Arc;

/// What the step in which the machine goes down has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing.
    Before,
    /// All of it.
    After,
    /// Half of a write; other steps as `Before`.
    Torn,
    /// All of it, and then everything that was not synced is undone.
    Unsynced,
    /// The step fails as on a full disk, and the process lives on.
    Full,
}

/// What was done and can still be lost.
enum Unsynced {
    Written { path: PathBuf },
    Renamed { from: PathBuf, to: PathBuf },
    Made { path: PathBuf },
    Removed { path: PathBuf, bytes: Vec<u8> },
}

impl Unsynced {
    fn parent(&self) -> Option<&Path> {
        match self {
            Unsynced::Written { .. } => None,
            Unsynced::Renamed { to, .. } => to.parent(),
            Unsynced::Made { path } | Unsynced::Removed { path, .. } => path.parent(),
        }
    }

    fn undo(self) {
        match self {
            Unsynced::Written { path } => {
                if let Ok(file) = File::options().write(true).open(&path) {
                    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
                }
            }
            Unsynced::Renamed { from, to } => std::fs::rename(to, from).unwrap(),
            Unsynced::Made { path } => std::fs::remove_dir_all(path).unwrap(),
            Unsynced::Removed { path, bytes } => std::fs::write(path, bytes).unwrap(),
        }
    }
}

#[derive(Default)]
struct Machine {
    steps: Vec<&'static str>,
    unsynced: Vec<Unsynced>,
    down: bool,
}

#[derive(Clone)]
struct Faulty {
    machine: Arc<Mutex<Machine>>,
    cut: usize,
    mode: Mode,
}

impl Faulty {
    fn new(cut: usize, mode: Mode) -> Self {
        Self { machine: Arc::default(), cut, mode }
    }

    fn step<T>(
        &self,
        name: &'static str,
        unsynced: Option<Unsynced>,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut machine = self.machine.lock().unwrap();
        if machine.down {
            return Err(io::Error::other("down"));
        }
        let cut = machine.steps.len() == self.cut;
        machine.steps.push(name);
        if cut && self.mode == Mode::Full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        machine.down = cut;
        if cut && matches!(self.mode, Mode::Before | Mode::Torn) {
            return Err(io::Error::other("down"));
        }
        let result = act();
        if result.is_ok() {
            machine.unsynced.extend(unsynced);
        }
        if !cut {
            return result;
        }
        if self.mode == Mode::Unsynced {
            while let Some(last) = machine.unsynced.pop() {
                last.undo();
            }
        }
        Err(io::Error::other("down"))
    }

    fn synced(&self, is_synced: impl Fn(&Unsynced) -> bool) {
        let mut machine = self.machine.lock().unwrap();
        machine.unsynced.retain(|unsynced| !is_synced(unsynced));
    }
}

impl Steps for Faulty {
    fn create_file(&self, path: &Path) -> io::Result<File> {
        self.step("create file", None, || OperatingSystem.create_file(path))
    }
    fn write(&self, file: &mut File, path: &Path, data: &[u8]) -> io::Result<()> {
        let torn = { self.mode == Mode::Torn && self.machine.lock().unwrap().steps.len() == self.cut };
        if torn {
            file.write_all(&data[..data.len() / 2])?;
        }
        let unsynced = Unsynced::Written { path: path.into() };
        self.step("write", Some(unsynced), || OperatingSystem.write(file, path, data))
    }
    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        self.step("sync file", None, || OperatingSystem.sync_file(file, path))?;
        self.synced(|unsynced| matches!(unsynced, Unsynced::Written { path: written } if written == path));
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let unsynced = Unsynced::Renamed { from: from.into(), to: to.into() };
        self.step("rename", Some(unsynced), || OperatingSystem.rename(from, to))?;
        for unsynced in &mut self.machine.lock().unwrap().unsynced {
            match unsynced {
                Unsynced::Written { path } if path == from => *path = to.into(),
                _ => {}
            }
        }
        Ok(())
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let unsynced = Unsynced::Made { path: path.into() };
        self.step("create directory", Some(unsynced), || OperatingSystem.create_directory(path))
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.step("sync directory", None, || OperatingSystem.sync_directory(path))?;
        self.synced(|unsynced| unsynced.parent() == Some(path));
        Ok(())
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let unsynced = Unsynced::Removed { path: path.into(), bytes: std::fs::read(path).unwrap_or_default() };
        self.step("remove file", Some(unsynced), || OperatingSystem.remove_file(path))
    }
}

fn key(folder: Folder, name: &str) -> ObjectKey {
    ObjectKey::new(folder, name).unwrap()
}

/// What each call of the scenario answered, in order.
#[derive(Default)]
struct Answers {
    earlier_deleted: bool,
    stored: bool,
    stored_again: bool,
    uploaded: bool,
}

const UPLOADED: &[u8] = &[7; 9000];
const PARTS: [&[u8]; 3] = [b"first part, ", b"second part, ", b"third part"];

/// Deletes an object, puts one into a directory that is to be made, and puts it again as another process.
fn scenario(root: &Path, steps: &Faulty) -> Answers {
    let mut answers = Answers::default();
    let Ok(store) = LocalStore::open_with(root, Box::new(steps.clone())) else { return answers };
    answers.earlier_deleted = store.delete(&key(Folder::Images, "earlier")).is_ok();
    answers.stored = store.put(&key(Folder::Packs, "abcd"), &PARTS).is_ok();
    let Ok(other) = LocalStore::open_with(root, Box::new(steps.clone())) else { return answers };
    answers.stored_again = other.put(&key(Folder::Packs, "abcd"), &PARTS).is_ok();
    answers.uploaded = upload(&other).is_ok();
    answers
}

/// An upload that is broken off and goes on.
fn upload(store: &LocalStore) -> Result<Put> {
    let total_bytes = UPLOADED.len() as u64;
    let mut upload = store.upload(&key(Folder::Meta, "uploaded"), total_bytes, "tag")?;
    let at = upload.received_bytes() as usize;
    upload.write(&UPLOADED[at..5000.max(at)])?;
    drop(upload);
    let mut upload = store.upload(&key(Folder::Meta, "uploaded"), total_bytes, "tag")?;
    let mut received = Vec::new();
    upload.replay(&mut |piece| {
        received.extend_from_slice(piece);
        Ok(())
    })?;
    if UPLOADED[..received.len()] != received {
        // As a server does that has checked it.
        upload.discard();
        return self::upload(store);
    }
    upload.write(&UPLOADED[received.len()..])?;
    upload.commit()
}

/// Runs the scenario with one cut, and looks at the disk after it; says how many steps there were.
fn cut_at(cut: usize, mode: Mode) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("repository");
    let store = LocalStore::create(&root).unwrap();
    store.put(&key(Folder::Images, "earlier"), &[b"x"]).unwrap();
    store.put(&key(Folder::Packs, "staying"), &[b"y"]).unwrap();

    let steps = Faulty::new(cut, mode);
    let answers = scenario(&root, &steps);
    let names = steps.machine.lock().unwrap().steps.clone();
    let at = format!("{mode:?} at {cut} of {names:?}");

    let store = LocalStore::open(&root).expect(&at);
    let whole = PARTS.concat();
    let listed = store.list(Folder::Packs).expect(&at);
    match store.get(&key(Folder::Packs, "abcd")) {
        Ok(bytes) => {
            assert_eq!(bytes, whole, "{at}: an object is whole");
            assert_eq!(listed.len(), 2, "{at}");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{at}");
            assert_eq!(listed.len(), 1, "{at}: leftovers are not listed");
            assert!(!answers.stored && !answers.stored_again, "{at}: what was stored is lost");
        }
    }
    assert_eq!(store.get(&key(Folder::Packs, "staying")).expect(&at), b"y");
    match store.get(&key(Folder::Meta, "uploaded")) {
        Ok(bytes) => assert!(bytes == UPLOADED, "{at}: an uploaded object is whole"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{at}");
            assert!(!answers.uploaded, "{at}: what was uploaded is lost");
        }
    }
    if answers.earlier_deleted {
        assert!(store.size(&key(Folder::Images, "earlier")).is_err(), "{at}: what was deleted came back");
    }
    if mode == Mode::Full {
        // An upload that failed may go on.
        let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let left = std::fs::read_dir(root.join("tmp")).unwrap().map(name);
        let left = left.filter(|name| !name.starts_with("upload-")).count();
        let cleaning_failed = names.get(cut) == Some(&"remove file");
        assert!(left == 0 || cleaning_failed, "{at}: an error leaves no temporary file");
    }
    upload(&store).expect(&at);
    assert!(store.get(&key(Folder::Meta, "uploaded")).expect(&at) == UPLOADED);
    // Whatever was left, the same put goes through afterwards, and twice.
    store.put(&key(Folder::Packs, "abcd"), &PARTS).expect(&at);
    assert_eq!(store.put(&key(Folder::Packs, "abcd"), &PARTS).expect(&at), Put::AlreadyPresent);
    assert_eq!(store.get(&key(Folder::Packs, "abcd")).expect(&at), whole);
    names.len()
}

#[test]
fn a_crash_at_any_step_leaves_whole_objects() {
    for mode in [Mode::Before, Mode::After, Mode::Torn, Mode::Unsynced, Mode::Full] {
        let steps = cut_at(usize::MAX, mode);
        assert!(steps >= 12, "the scenario has {steps} steps");
        for cut in 0..steps {
            cut_at(cut, mode);
        }
    }
}

#[test]
fn a_crash_while_creating_leaves_what_creation_accepts() {
    for mode in [Mode::Before, Mode::After, Mode::Unsynced] {
        for cut in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path().join("repository");
            let made = LocalStore::create_with(&root, Box::new(Faulty::new(cut, mode)));
            if made.is_ok() {
                assert!(cut > Folder::ALL.len());
                break;
            }
            LocalStore::create(&root).unwrap_or_else(|error| panic!("{mode:?} at {cut}: {error}"));
            LocalStore::open(&root).unwrap();
        }
    }
}
