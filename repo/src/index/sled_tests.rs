//! The conformance suite for both indexes, and what only the one on disk can suffer.

use super::conformance::{Model, Step, Subject, check, check_model, chunk_id, model_pack, pack, pack_id, segment_id};
use super::{ChunkIndex, MemoryIndex, OpenIndex, SetAside, SledIndex, set_aside};
use crate::error::ErrorKind;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CACHE_BYTES: u64 = 1 << 20;

struct InMemory(MemoryIndex);

impl Subject for InMemory {
    fn index(&self) -> &dyn ChunkIndex {
        &self.0
    }
    fn reopen(&mut self) {}
}

struct OnDisk {
    index: Option<SledIndex>,
    directory: TempDir,
}

fn open(path: &Path) -> SledIndex {
    match SledIndex::open(path, CACHE_BYTES).unwrap() {
        OpenIndex::Opened(index) => index,
        OpenIndex::Locked => panic!("locked"),
        OpenIndex::Unusable { why } => panic!("unusable: {why}"),
    }
}

impl OnDisk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { index: Some(open(&directory.path().join("index"))), directory }
    }
    fn path(&self) -> PathBuf {
        self.directory.path().join("index")
    }
}

impl Subject for OnDisk {
    fn index(&self) -> &dyn ChunkIndex {
        self.index.as_ref().unwrap()
    }
    fn reopen(&mut self) {
        self.index = None;
        self.index = Some(open(&self.path()));
    }
}

#[test]
fn memory_conforms() {
    check(|| InMemory(MemoryIndex::new()));
}

#[test]
fn sled_conforms() {
    check(OnDisk::new);
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (prop::collection::vec(0..60u16, 0..6), 0..40u16).prop_map(|(packs, segment)| Step::Insert(packs, segment)),
        2 => prop::collection::vec(0..60u16, 0..4).prop_map(Step::Remove),
        3 => prop::collection::vec(0..2100u16, 0..50).prop_map(Step::Locate),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn memory_does_as_the_model(steps in steps()) {
        check_model(&mut InMemory(MemoryIndex::new()), &steps);
    }

    #[test]
    fn sled_does_as_the_model(steps in steps()) {
        check_model(&mut OnDisk::new(), &steps);
    }
}

/// The database itself, once sled's threads have let go of it.
fn open_sled(path: &Path) -> sled::Db {
    let begin = std::time::Instant::now();
    loop {
        match sled::open(path) {
            Ok(db) => return db,
            Err(sled::Error::Io(_)) if begin.elapsed().as_secs() < 5 => {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Whether what opened holds a state of `model`, perhaps an earlier one: never a wrong place, and
/// nothing missing of packs and segments that it claims to have. `false` where it says that it is damaged.
fn answers_are_right_or_refused(index: &SledIndex, model: &Model) -> bool {
    let Ok(packs) = index.packs() else { return false };
    let live: std::collections::HashSet<_> = packs.iter().map(|pack| pack.pack).collect();
    let mut whole = true;
    for number in 0..2100 {
        let id = chunk_id(number);
        match index.locate(&[id]) {
            Ok(found) => assert!(model.is_right(&id, found[0], |pack| live.contains(pack)), "{number} → {found:?}"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Io), "{error}");
                whole = false;
            }
        }
    }
    // Pack N came with segment N.
    for number in 0..40 {
        if let Ok(true) = index.has_segment(&segment_id(number)) {
            assert!(live.contains(&pack_id(number)), "segment {number} without its pack");
        }
    }
    whole
}

/// Twenty inserts, one pack and segment each; `each` sees the directory after every one.
fn twenty_inserts(path: &Path, mut each: impl FnMut(u16)) -> Model {
    let index = open(path);
    let mut model = Model::default();
    for number in 0..20 {
        let contents = model_pack(number);
        index.insert(std::slice::from_ref(&contents), &[segment_id(number.into())]).unwrap();
        model.insert(&contents);
        each(number);
    }
    model
}

#[test]
fn a_copy_taken_at_any_time_has_every_finished_insert() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let copy = |number: u16| directory.path().join(format!("copy-{number}"));
    let model = twenty_inserts(&path, |number| copy_directory(&path, &copy(number)));
    for number in 0..20 {
        let index = open(&copy(number));
        assert!(answers_are_right_or_refused(&index, &model));
        assert_eq!(index.packs().unwrap().len(), usize::from(number) + 1);
        // And it can go on.
        index.insert(&[pack(900, &[&[7]])], &[]).unwrap();
        assert!(index.locate(&[chunk_id(7)]).unwrap()[0].is_some());
    }
}

#[test]
fn a_copy_taken_while_it_is_written_is_an_earlier_state_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let copies = std::sync::Mutex::new(Vec::new());
    let done = std::sync::atomic::AtomicBool::new(false);
    drop(open(&path));
    let model = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let mut copies = copies.lock().unwrap();
                let copy = directory.path().join(format!("copy-{}", copies.len()));
                // Files may go while they are copied.
                if std::panic::catch_unwind(|| copy_directory(&path, &copy)).is_ok() {
                    copies.push(copy);
                }
            }
        });
        let model = twenty_inserts(&path, |_| ());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        model
    });
    let copies = copies.into_inner().unwrap();
    assert!(!copies.is_empty());
    for copy in copies.iter().take(20) {
        match SledIndex::open(copy, CACHE_BYTES).unwrap() {
            OpenIndex::Opened(index) => drop(answers_are_right_or_refused(&index, &model)),
            OpenIndex::Locked => panic!("a copy is not locked"),
            OpenIndex::Unusable { .. } => {}
        }
    }
}

#[test]
fn leftovers_of_unfinished_runs_are_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    drop(open(&path));
    {
        let db = open_sled(&path);
        db.open_tree("run-0000000000000000").unwrap().insert(b"p\0\0\0\0", b"leftover").unwrap();
        db.insert(b"p\0\0\0\0", b"leftover").unwrap();
        db.insert(b"s\0\0\0\0", b"leftover").unwrap();
        db.insert(b"r\0\0\0\0", b"").unwrap();
        db.flush().unwrap();
    }
    drop(open(&path));
    assert!(!open_sled(&path).tree_names().iter().any(|name| name.starts_with(b"run-")));
    for _ in 0..2 {
        let index = open(&path);
        index.insert(&[pack(1, &[&[7]])], &[segment_id(1)]).unwrap();
        assert!(index.locate(&[chunk_id(7)]).unwrap()[0].is_some());
    }
}

/// A generator of numbers that are the same in every run (SplitMix64).
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

#[test]
fn changed_and_cut_files_never_give_a_wrong_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let model = twenty_inserts(&path, |_| ());
    let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap()).collect();
    let files: Vec<_> = names.iter().filter(|e| e.file_type().unwrap().is_file()).map(|e| e.file_name()).collect();
    assert!(files.len() >= 4, "{files:?}");
    let mut number = numbers(1);
    let mut noticed = 0;
    for round in 0..60 {
        let copy = directory.path().join(format!("copy-{round}"));
        copy_directory(&path, &copy);
        // Half of the rounds hit the database itself.
        let file = if round % 2 == 0 { copy.join("db") } else { copy.join(&files[round % files.len()]) };
        let mut bytes = fs::read(&file).unwrap();
        if bytes.is_empty() {
            continue;
        }
        if round % 10 == 9 {
            bytes.truncate(number(bytes.len() as u64) as usize);
        }
        // sled's file is mostly padding: aim at what is not zero.
        let full: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        for _ in 0..=number(20) {
            if !full.is_empty() {
                bytes[full[number(full.len() as u64) as usize]] ^= 1 << number(8);
            }
        }
        fs::write(&file, &bytes).unwrap();
        match SledIndex::open(&copy, CACHE_BYTES).unwrap() {
            OpenIndex::Opened(index) => {
                noticed += u32::from(!answers_are_right_or_refused(&index, &model));
                // Writing to it must not panic either.
                let _ = index.insert(&[pack(900, &[&[7]])], &[]);
            }
            OpenIndex::Locked => panic!("a copy is not locked"),
            OpenIndex::Unusable { .. } => noticed += 1,
        }
        fs::remove_dir_all(&copy).unwrap();
    }
    assert!(noticed >= 10, "only {noticed} of 60 were noticed: does the test still hit anything?");
}

#[test]
fn values_changed_behind_sleds_back_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let model = twenty_inserts(&path, |_| ());
    let keys: Vec<(sled::IVec, sled::IVec)> = {
        let db = open_sled(&path);
        let keys_of = |name: &sled::IVec| {
            let tree = db.open_tree(name).unwrap();
            tree.iter().keys().map(|key| (name.clone(), key.unwrap())).collect::<Vec<_>>()
        };
        db.tree_names().iter().flat_map(keys_of).collect()
    };
    assert!(keys.len() > 40);
    for (round, (name, key)) in keys.iter().enumerate() {
        let copy = directory.path().join(format!("copy-{round}"));
        copy_directory(&path, &copy);
        {
            let tree = open_sled(&copy).open_tree(name).unwrap();
            let mut value = tree.get(key).unwrap().unwrap().to_vec();
            if round % 2 == 0 {
                tree.remove(key).unwrap();
            } else {
                let middle = value.len() / 2;
                value[middle] ^= 1;
                tree.insert(key, value).unwrap();
            }
        }
        let whole = match SledIndex::open(&copy, CACHE_BYTES).unwrap() {
            OpenIndex::Opened(index) => answers_are_right_or_refused(&index, &model),
            _ => false,
        };
        assert!(!whole, "{name:?} {key:?}");
        fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn an_open_index_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let index = open(&path);
    assert!(matches!(SledIndex::open(&path, CACHE_BYTES).unwrap(), OpenIndex::Locked));
    assert_eq!(set_aside(&path).unwrap_err().kind(), ErrorKind::NotAllowed);
    drop(index);
    drop(open(&path));
}

const HOLD: &str = "HOLOTYPE_TEST_HOLDS_INDEX";

/// Not a test by itself: the second process of the next one, which it starts.
#[test]
fn holder_process() {
    let Some(path) = std::env::var_os(HOLD) else { return };
    let _index = open(Path::new(&path));
    println!("holding");
    let _ = std::io::stdin().read_line(&mut String::new());
    // As if it were killed: nothing is flushed or closed.
    std::process::abort();
}

#[test]
fn another_process_locks_it_and_its_death_frees_it() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["index::sled_tests::holder_process", "--exact", "--nocapture"])
        .env(HOLD, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("holding")));
    assert!(matches!(SledIndex::open(&path, CACHE_BYTES).unwrap(), OpenIndex::Locked));
    holder.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(!holder.wait().unwrap().success());
    drop(open(&path));
}

fn why_unusable(path: &Path) -> String {
    match SledIndex::open(path, CACHE_BYTES).unwrap() {
        OpenIndex::Unusable { why } => why,
        OpenIndex::Opened(_) => panic!("opened"),
        OpenIndex::Locked => panic!("locked"),
    }
}

#[test]
fn foreign_older_and_half_deleted_directories_are_unusable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("letter.txt"), "mine").unwrap();
    assert!(why_unusable(&path).contains("no index"));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing is written to a foreign directory");

    for (file, with) in
        [("db", None), ("format", None), ("format", Some("holotype index 0\n")), ("conf", Some("?????????????"))]
    {
        let path = directory.path().join(format!("without-{file}-{}", with.is_some()));
        twenty_inserts(&path, |_| ());
        match with {
            None => fs::remove_file(path.join(file)).unwrap(),
            Some(text) => fs::write(path.join(file), text).unwrap(),
        }
        assert!(!why_unusable(&path).is_empty());
        assert!(!why_unusable(&path).is_empty(), "looking changes nothing");
        set_aside(&path).unwrap();
        assert!(open(&path).packs().unwrap().is_empty());
    }
}

#[test]
fn setting_aside_keeps_two_and_never_removes_what_is_no_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let aside = |number: u32| directory.path().join(format!("index.damaged-{number}"));
    for number in [1, 2] {
        drop(open(&path));
        assert_eq!(set_aside(&path).unwrap(), SetAside::Renamed(aside(number)));
    }
    drop(open(&path));
    assert_eq!(set_aside(&path).unwrap(), SetAside::Removed);
    assert!(!path.exists() && aside(1).exists() && aside(2).exists());
    assert_eq!(set_aside(&path).unwrap_err().kind(), ErrorKind::NotFound);
    fs::create_dir(&path).unwrap();
    fs::write(path.join("letter.txt"), "mine").unwrap();
    assert_eq!(set_aside(&path).unwrap(), SetAside::Renamed(aside(3)));
    assert!(aside(3).join("letter.txt").exists());
}
