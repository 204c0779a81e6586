//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses its part")]

use holotype_repo::core::ImageId;
use holotype_repo::core::layout::{SurveyOptions, survey};
use holotype_repo::core::volume::FreeRuns;
use holotype_repo::disk::MemoryDisk;
use holotype_repo::os::StdoutTarget;
use holotype_repo::store::Folder;
use holotype_repo::{
    BackupOptions, Credentials, InitOptions, Job, Repository, RestoreOptions, Result, Store, VerifyOptions,
};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::sync::{Arc, Mutex};

/// Opens the first key of every test repository; a key file needs no slow derivation.
pub const KEY_FILE: [u8; 32] = [7; 32];

pub fn credentials() -> Credentials {
    Credentials::key_file(KEY_FILE)
}

/// Small packs, a key file, quick derivations.
pub fn init_options() -> InitOptions {
    InitOptions { fast_derivation: true, pack_bytes: 64 << 10, ..InitOptions::new(credentials()) }
}

pub fn init(store: impl Store + 'static) -> Repository {
    Repository::init(store, &init_options()).unwrap()
}

pub fn open(store: impl Store + 'static) -> Repository {
    Repository::open(store, &credentials()).unwrap()
}

/// Bytes that do not compress.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut data = Vec::with_capacity(bytes + 8);
    while data.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend_from_slice(&state.to_le_bytes());
    }
    data.truncate(bytes);
    data
}

/// A disk of noise with holes of zeros, a fifth or so of it.
pub fn disk(seed: u64, bytes: usize) -> Vec<u8> {
    let mut data = noise(seed, bytes);
    let mut at = 50_000;
    while at + 30_000 < bytes {
        data[at..at + 30_000].fill(0);
        at += 150_000;
    }
    data
}

/// A FAT volume without files; its free clusters are noise.
pub fn fat_volume(bytes: usize, seed: u64) -> Vec<u8> {
    let mut volume = noise(seed, bytes);
    let options = fatfs::FormatVolumeOptions::new().volume_id(1);
    fatfs::format_volume(Cursor::new(&mut volume[..]), options).unwrap();
    volume
}

fn in_fat<T>(volume: &mut [u8], work: impl FnOnce(&fatfs::FileSystem<Cursor<&mut [u8]>>) -> T) -> T {
    let opened = fatfs::FileSystem::new(Cursor::new(volume), fatfs::FsOptions::new()).unwrap();
    let done = work(&opened);
    opened.unmount().unwrap();
    done
}

/// Writes a file into its root directory, or writes it anew.
pub fn fat_write(volume: &mut [u8], name: &str, content: &[u8]) {
    in_fat(volume, |opened| {
        let mut file = opened.root_dir().create_file(name).unwrap();
        file.truncate().unwrap();
        file.write_all(content).unwrap();
        file.flush().unwrap();
    });
}

pub fn fat_remove(volume: &mut [u8], name: &str) {
    in_fat(volume, |opened| opened.root_dir().remove(name).unwrap());
}

/// Bytes of a FAT volume that are free.
pub fn fat_room(volume: &mut [u8]) -> usize {
    in_fat(volume, |opened| {
        let stats = opened.stats().unwrap();
        stats.free_clusters() as usize * stats.cluster_size() as usize
    })
}

/// A FAT volume on a whole disk, three fifths of it files, with free runs of noise among them.
pub fn mapped_disk(seed: u64, bytes: usize) -> Vec<u8> {
    let mut volume = fat_volume(bytes, seed);
    for number in 0..8 {
        fat_write(&mut volume, &format!("file {number}"), &noise(seed * 10 + number, bytes / 10));
    }
    fat_remove(&mut volume, "file 2");
    fat_remove(&mut volume, "file 5");
    assert!(free_runs(&volume).bytes() > bytes as u64 / 5, "{:?}", free_runs(&volume));
    volume
}

/// What nobody uses on a disk.
pub fn free_runs(data: &[u8]) -> FreeRuns {
    survey(&data.to_vec(), 512, &SurveyOptions::default()).free
}

/// Whether a restored disk is this one, but for what nobody uses of it.
pub fn same_used(back: &[u8], data: &[u8]) -> bool {
    let mut at = 0;
    let mut same = back.len() == data.len();
    for run in free_runs(data).iter() {
        let (start, end) = (run.offset() as usize, run.end() as usize);
        same = same && back[at..start] == data[at..start];
        at = end;
    }
    same && back[at..] == data[at..]
}

pub fn options(name: &str) -> BackupOptions {
    BackupOptions { threads: Some(2), ..BackupOptions::named(name) }
}

/// Backs `data` up and gives the image.
pub fn back_up(repository: &Repository, name: &str, data: &[u8]) -> Result<ImageId> {
    let report = repository.backup(&MemoryDisk::new(data.to_vec()), &options(name), &Job::new())?;
    Ok(report.image.expect("not a dry run"))
}

/// Restores to a target that takes writes anywhere, filled with other bytes before.
pub fn restore(repository: &Repository, image: ImageId, bytes: usize) -> Result<Vec<u8>> {
    let target = MemoryDisk::new(vec![0xEE; bytes]);
    let options = RestoreOptions { threads: Some(2), ..RestoreOptions::default() };
    repository.restore(image, &target, &options, &Job::new())?;
    Ok(target.into_bytes())
}

/// A stream that keeps what is written to it.
#[derive(Clone, Default)]
pub struct Collected(pub Arc<Mutex<Vec<u8>>>);

impl Write for Collected {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Restores to a stream.
pub fn restore_stream(repository: &Repository, image: ImageId) -> Result<Vec<u8>> {
    let collected = Collected::default();
    let options = RestoreOptions { threads: Some(2), ..RestoreOptions::default() };
    repository.restore(image, &StdoutTarget::new(collected.clone()), &options, &Job::new())?;
    let bytes = std::mem::take(&mut *collected.0.lock().unwrap());
    Ok(bytes)
}

/// Both ways of restoring give `data`.
#[track_caller]
pub fn assert_restores(repository: &Repository, image: ImageId, data: &[u8]) {
    let back = restore(repository, image, data.len()).unwrap();
    assert!(back == data, "image {} came back as other bytes{}", image.short(), first_difference(&back, data));
    let back = restore_stream(repository, image).unwrap();
    assert!(back == data, "image {} streamed as other bytes{}", image.short(), first_difference(&back, data));
}

/// Both ways of restoring give what is used of `data`.
#[track_caller]
pub fn assert_restores_used(repository: &Repository, image: ImageId, data: &[u8]) {
    assert!(same_used(&restore(repository, image, data.len()).unwrap(), data), "image {}", image.short());
    assert!(same_used(&restore_stream(repository, image).unwrap(), data), "image {} streamed", image.short());
}

fn first_difference(a: &[u8], b: &[u8]) -> String {
    match a.iter().zip(b).position(|(a, b)| a != b) {
        Some(at) => format!(", from byte {at} on"),
        None => format!(": {} in place of {} bytes", a.len(), b.len()),
    }
}

/// Everything is read and nothing is found; `images` are there.
#[track_caller]
pub fn assert_clean(repository: &Repository, images: usize) {
    let report = repository.verify(&VerifyOptions::read_everything(), &Job::new()).unwrap();
    assert_eq!(report.findings(), []);
    assert_eq!(report.images, images as u64);
}

pub fn image_ids(repository: &Repository) -> Vec<ImageId> {
    repository.images().unwrap().iter().map(|image| image.image).collect()
}

/// Every object of a folder with its bytes, by name.
pub fn objects(store: &dyn Store, folder: Folder) -> BTreeMap<String, Vec<u8>> {
    let listed = store.list(folder).unwrap();
    listed.into_iter().map(|info| (info.key.name().to_owned(), store.get(&info.key).unwrap())).collect()
}

/// Sum of the bytes of a folder.
pub fn folder_bytes(store: &dyn Store, folder: Folder) -> u64 {
    store.list(folder).unwrap().iter().map(|info| info.bytes).sum()
}

/// Runs `work` on two threads, which take the numbers 0 to `count` in turn.
pub fn on_two_threads(count: usize, work: impl Fn(usize) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}
