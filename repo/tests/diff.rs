//! Where two images differ.

mod common;

use common::{back_up, disk, init, noise, options};
use holotype_repo::core::secret::SecretBytes;
use holotype_repo::diff::{DiffRange, DifferenceKind, LayoutChangeKind};
use holotype_repo::disk::MemoryDisk;
use holotype_repo::store::MemoryStore;
use holotype_repo::{BackupOptions, CancelToken, DiffOptions, DiffReport, ErrorKind, Event, Job, Repository};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const DISK_BYTES: usize = 20 << 20;
/// How far a range may reach beyond what was changed: a cut that went away joins two chunks.
const CHUNKS_BYTES: u64 = 2 * (256 << 10);

fn back_up_with(repository: &Repository, data: &[u8], options: &BackupOptions) -> holotype_repo::core::ImageId {
    repository.backup(&MemoryDisk::new(data.to_vec()), options, &Job::new()).unwrap().image.unwrap()
}

/// Of two disks, of one name each.
fn diff(first: &[u8], second: &[u8]) -> DiffReport {
    let repository = init(MemoryStore::new());
    let (first, second) =
        (back_up(&repository, "first", first).unwrap(), back_up(&repository, "second", second).unwrap());
    repository.diff(first, second, &DiffOptions::default(), &Job::new()).unwrap()
}

/// A swap area on the whole disk: mapped, all but its first 64 KiB is free.
fn swap(bytes: usize, label: &[u8]) -> Vec<u8> {
    let mut data = noise(9, bytes);
    data[..64 << 10].fill(0);
    data[1024..1028].copy_from_slice(&1u32.to_le_bytes());
    data[1028..1032].copy_from_slice(&(bytes as u32 / 4096 - 1).to_le_bytes());
    data[1052..1052 + label.len()].copy_from_slice(label);
    data[4086..4096].copy_from_slice(b"SWAPSPACE2");
    data
}

#[test]
fn equal_images_have_no_difference() {
    let data = disk(1, DISK_BYTES);
    let report = diff(&data, &data);
    assert!(report.is_equal() && report.ranges.is_empty() && report.layout.is_empty(), "{report:?}");
    assert!(diff(&[], &[]).is_equal());
}

#[test]
fn ranges_cover_what_was_changed_and_little_more() {
    let first = disk(2, DISK_BYTES);
    let mut second = first.clone();
    // A byte; a range that goes over a region's end; zeros that come; zeros that go.
    let changes = [(3 << 20, 1), ((8 << 20) - 5000, 10_000), (12 << 20, 300_000), (19 << 20, 4096)];
    second[3 << 20] ^= 1;
    second[(8 << 20) - 5000..][..10_000].copy_from_slice(&noise(77, 10_000));
    second[12 << 20..][..300_000].fill(0);
    second[19 << 20..][..4096].copy_from_slice(&noise(78, 4096));
    let report = diff(&first, &second);
    let covered = |at: usize| {
        let at = at as u64;
        report.ranges.iter().any(|range| (range.offset_bytes..range.offset_bytes + range.bytes).contains(&at))
    };
    for at in (0..DISK_BYTES).filter(|at| first[*at] != second[*at]) {
        assert!(covered(at), "byte {at} differs and is in no range");
    }
    for range in &report.ranges {
        let near = |(offset, bytes): &(u64, u64)| {
            range.offset_bytes + CHUNKS_BYTES >= *offset
                && range.offset_bytes + range.bytes <= offset + bytes + CHUNKS_BYTES
        };
        assert!(range.kind == DifferenceKind::Changed && changes.iter().any(near), "{range:?}");
    }
    let neighbours = |pair: &[DiffRange]| pair[0].offset_bytes + pair[0].bytes >= pair[1].offset_bytes;
    assert!(!report.ranges.windows(2).any(neighbours), "neighbours are one: {:?}", report.ranges);
    assert_eq!(report.ranges.iter().map(|range| range.bytes).sum::<u64>(), report.total.changed_bytes);
    assert_eq!((report.volumes.len(), report.volumes[0].tally), (1, report.total));
}

#[test]
fn what_only_the_longer_disk_has_is_told() {
    let long = disk(3, DISK_BYTES);
    let short = &long[..9 << 20];
    let report = diff(short, &long);
    assert!(!report.is_equal() && report.growth_bytes() == (11 << 20));
    assert_eq!(report.total.became_used_bytes, 11 << 20);
    assert!(report.total.changed_bytes <= CHUNKS_BYTES && report.total.became_free_bytes == 0, "{:?}", report.total);
    assert_eq!(report.layout[0].kind, LayoutChangeKind::Resized);
    let back = diff(&long, short);
    assert_eq!((back.growth_bytes(), back.total.became_free_bytes), (-(11 << 20), 11 << 20));
    assert_eq!((back.volumes[0].bytes, back.outside.became_free_bytes), (9 << 20, 11 << 20));
}

#[test]
fn what_becomes_free_is_told_apart() {
    let repository = init(MemoryStore::new());
    let (first, second) = (swap(4 << 20, b"old"), swap(4 << 20, b"new"));
    let raw = back_up_with(&repository, &first, &BackupOptions { raw: true, ..options("raw") });
    let mapped = back_up(&repository, "mapped", &first).unwrap();
    let renamed = back_up(&repository, "renamed", &second).unwrap();
    let run = |first, second| repository.diff(first, second, &DiffOptions::default(), &Job::new()).unwrap();
    let report = run(raw, mapped);
    // The header is kept, and the edge at the volume's end, which is cut otherwise in the two images.
    let edge_bytes = 64 << 10;
    let free_bytes = (4 << 20) - 2 * edge_bytes;
    assert_eq!(report.total.became_free_bytes, free_bytes);
    assert!(report.total.changed_bytes <= edge_bytes, "{:?}", report.total);
    let free = DiffRange { offset_bytes: edge_bytes, bytes: free_bytes, kind: DifferenceKind::BecameFree };
    assert_eq!(report.ranges[0], free);
    assert_eq!(run(mapped, raw).volumes[0].tally.became_used_bytes, free_bytes);
    let report = run(mapped, renamed);
    assert!(report.total.changed_bytes > 0 && report.total.changed_bytes <= 64 << 10, "{:?}", report.total);
    let kinds: Vec<_> = report.layout.iter().map(|change| (change.kind, change.after.as_deref())).collect();
    assert_eq!(kinds, [(LayoutChangeKind::Label, Some("new"))]);
}

#[test]
fn each_image_may_have_a_password_of_its_own() {
    let repository = init(MemoryStore::new());
    let data = disk(4, 2 << 20);
    let with = |name: &str, password: &[u8]| {
        let image_password = Some(SecretBytes::new(password.to_vec()));
        back_up_with(&repository, &data, &BackupOptions { image_password, fast_derivation: true, ..options(name) })
    };
    let (first, second) = (with("first", b"one"), with("second", b"two"));
    let run = |first_password: &[u8], second_password: &[u8]| {
        let secret = |password: &[u8]| Some(SecretBytes::new(password.to_vec()));
        let options = DiffOptions { first_password: secret(first_password), second_password: secret(second_password) };
        repository.diff(first, second, &options, &Job::new())
    };
    assert!(run(b"one", b"two").unwrap().is_equal(), "chunks are the same ones, whoever names the nodes");
    assert_eq!(run(b"one", b"one").unwrap_err().kind(), ErrorKind::WrongPassword);
}

#[test]
fn it_tells_how_far_it_is_and_can_be_stopped() {
    let repository = init(MemoryStore::new());
    let (first, second) = (disk(5, DISK_BYTES), disk(6, DISK_BYTES - 1));
    let (first, second) = (back_up(&repository, "a", &first).unwrap(), back_up(&repository, "b", &second).unwrap());
    let done = Arc::new(AtomicU64::new(0));
    let (sum, token) = (Arc::clone(&done), CancelToken::new());
    let job = Job::new().cancelled_by(token.clone()).on_event(move |event| {
        if let Event::Advanced { bytes } = event {
            sum.fetch_add(bytes, Ordering::Relaxed);
        }
    });
    repository.diff(first, second, &DiffOptions::default(), &job).unwrap();
    assert_eq!(done.load(Ordering::Relaxed), DISK_BYTES as u64);
    token.cancel();
    let error = repository.diff(first, second, &DiffOptions::default(), &job).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
