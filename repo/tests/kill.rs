//! A real process, killed at any time while it backs up into a directory.
//!
//! 8 rounds; 50 with `HOLOTYPE_LONG_TESTS=1`.

mod common;

use common::*;
use holotype_repo::core::ImageId;
use holotype_repo::os::open_source;
use holotype_repo::store::LocalStore;
use holotype_repo::{Job, Repository, VerifyOptions};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

const CHILD: &str = "HOLOTYPE_KILL_TEST_DIRECTORY";
const DISK_BYTES: usize = 60 << 20;

fn open_in(dir: &Path) -> Repository {
    let store = LocalStore::open(dir.join("repository")).unwrap();
    Repository::open_cached(store, &credentials(), &dir.join("cache")).unwrap()
}

/// The process that is killed: it backs the disk up again and again, and says so each time.
#[test]
#[ignore = "the process that the other test kills"]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let dir = Path::new(&dir);
    let repository = open_in(dir);
    loop {
        let source = open_source(dir.join("disk")).unwrap();
        let report = repository.backup(&*source, &options("disk"), &Job::new()).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nsaved {}", report.image.unwrap()).unwrap();
        out.flush().unwrap();
    }
}

/// Starts the child, kills it after `life`, and gives the images that it reported.
fn killed_after(dir: &Path, life: Duration) -> Vec<ImageId> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::sleep(life);
    assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
    out.lines().filter_map(|line| line.ok()?.strip_prefix("saved ")?.parse().ok()).collect()
}

#[test]
fn killed_at_any_time() {
    let rounds = if std::env::var_os("HOLOTYPE_LONG_TESTS").is_some_and(|it| it == "1") { 50 } else { 8 };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = LocalStore::create(dir.join("repository")).unwrap();
    let options = holotype_repo::InitOptions { pack_bytes: 256 << 10, ..init_options() };
    drop(Repository::init(store, &options).unwrap());
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    let lives = noise(u64::from(seed), rounds * 4);
    let mut disk = noise(1, DISK_BYTES);
    let mut reported: Vec<(ImageId, u32)> = Vec::new();
    let mut disks: Vec<[u8; 32]> = Vec::new();
    let mut killed_in_backup = 0;
    for round in 0..rounds {
        // A quarter of the disk is new each time.
        let quarter = DISK_BYTES / 4;
        disk[(round % 4) * quarter..][..quarter].copy_from_slice(&noise(round as u64 + 2, quarter));
        fs::write(dir.join("disk"), &disk).unwrap();
        disks.push(*blake3::hash(&disk).as_bytes());
        // Every fourth child does not live long enough for one backup.
        let longest = if round % 4 == 0 { 0 } else { u64::from(lives[round * 4]) * 3 };
        let life = Duration::from_millis(20 + longest);
        let place = format!("seed {seed}, round {round}, killed after {life:?}");
        let images = killed_after(dir, life);
        killed_in_backup += usize::from(images.is_empty());
        reported.extend(images.iter().map(|image| (*image, round as u32)));

        let repository = open_in(dir);
        let report = repository.verify(&VerifyOptions::structure(), &Job::new()).unwrap();
        assert_eq!(report.findings(), [], "{place}");
        let listed = image_ids(&repository);
        assert!(reported.iter().all(|(image, _)| listed.contains(image)), "{place}: a reported image is gone");
        // The newest that was reported, and an older one.
        for (image, of_round) in reported.iter().rev().step_by(3).take(2) {
            let back = restore(&repository, *image, DISK_BYTES).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(*blake3::hash(&back).as_bytes(), disks[*of_round as usize], "{place}: image of {of_round}");
        }
    }
    let repository = open_in(dir);
    let image = back_up(&repository, "disk", &disk).unwrap();
    assert!(restore(&repository, image, DISK_BYTES).unwrap() == disk);
    let images = image_ids(&repository).len();
    assert_clean(&repository, images);
    assert!(killed_in_backup > 0, "seed {seed}: no child was killed in its first backup");
}
