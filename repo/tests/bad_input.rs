//! Sources, stores and formats that are not as one would wish.
#![expect(clippy::single_range_in_vec_init, reason = "lists of bad places, many of them of one")]

mod common;

use common::*;
use holotype_repo::core::SlotId;
use holotype_repo::core::key_slot::{Factors, KEY_SLOT, KeySlot, Protection, Role, SlotHeader, SlotSecrets};
use holotype_repo::core::secret::{Secret32, SecretBytes};
use holotype_repo::core::signature::Signing;
use holotype_repo::disk::{FaultDisk, MemoryDisk};
use holotype_repo::repository::{CONFIG, RepositoryConfig};
use holotype_repo::store::fault::{FaultPlan, FaultStore, Operation};
use holotype_repo::store::{Folder, MemoryStore, ObjectKey};
use holotype_repo::{ErrorKind, Job, Repository, Store};
use std::ops::Range;
use std::sync::Arc;

/// The same bytes with zeros in `ranges`.
fn blanked(data: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut data = data.to_vec();
    ranges.iter().for_each(|range| data[range.clone()].fill(0));
    data
}

/// Sector size, bad bytes, and what is lost with them.
type Case = (u32, &'static [Range<usize>], &'static [Range<usize>]);

#[test]
fn sectors_that_cannot_be_read_are_listed_and_the_rest_is_saved() {
    const REGION: usize = 8 << 20;
    let data = noise(1, 2 * REGION + 70_000);
    // Bad places in bytes, and the sectors that are lost with them.
    let cases: [Case; 7] = [
        (512, &[0..1], &[0..512]),
        (512, &[1_000_000..1_000_001], &[999_936..1_000_448]),
        (512, &[512..1024, 1024..1536, 3000..3001], &[512..1536, 2560..3072]),
        (4096, &[5000..5001], &[4096..8192]),
        (512, &[REGION - 512..REGION + 512], &[REGION - 512..REGION, REGION..REGION + 512]),
        (4096, &[REGION..REGION + 200_000], &[REGION..REGION + 200_704]),
        (512, &[2 * REGION + 69_900..2 * REGION + 70_000], &[2 * REGION + 69_632..2 * REGION + 70_000]),
    ];
    for (sector, bad, lost) in cases {
        let repository = init(MemoryStore::new());
        let source = MemoryDisk::new(data.clone()).with_sectors(sector, sector);
        let source = bad
            .iter()
            .fold(FaultDisk::new(source), |source, range| source.unreadable(range.start as u64..range.end as u64));
        let report = repository.backup(&source, &options("bad"), &Job::new()).unwrap();
        let listed: Vec<Range<usize>> =
            report.unreadable.iter().map(|(offset, length)| *offset as usize..(*offset + *length) as usize).collect();
        assert_eq!(listed, lost, "{bad:?}");
        let lost_bytes: usize = lost.iter().map(Range::len).sum();
        assert_eq!(report.unreadable_bytes, lost_bytes as u64);
        assert_eq!(report.data_bytes + report.zero_bytes, (data.len() - lost_bytes) as u64);
        assert_eq!(report.read_bytes, (data.len() - lost_bytes) as u64);
        assert!(!report.is_complete());
        let image = report.image.unwrap();
        assert_restores(&repository, image, &blanked(&data, lost));
        let target = MemoryDisk::new(vec![1; data.len()]);
        let restored = repository.restore(image, &target, &Default::default(), &Job::new()).unwrap();
        assert_eq!(restored.unreadable_bytes, lost_bytes as u64);
        assert_eq!(restored.data_bytes + restored.zero_bytes, (data.len() - lost_bytes) as u64);
        assert!(!restored.is_complete());
        let detail = repository.show(image, None).unwrap().detail.unwrap();
        assert_eq!((detail.unreadable, detail.unreadable_bytes), (report.unreadable, lost_bytes as u64));
        // The parent's holes do not become the child's.
        let again = repository.backup(&MemoryDisk::new(data.clone()), &options("bad"), &Job::new()).unwrap();
        assert!(again.is_complete());
        assert_restores(&repository, again.image.unwrap(), &data);
        assert_clean(&repository, 2);
    }
}

#[test]
fn short_reads_bring_the_same_image() {
    let data = disk(2, (8 << 20) + 12_345);
    let repository = init(MemoryStore::new());
    let whole = back_up(&repository, "disk", &data).unwrap();
    for bytes in [1 << 20, 65_537, 4097] {
        let source = FaultDisk::new(MemoryDisk::new(data.clone())).short_reads(bytes);
        let report = repository.backup(&source, &options("disk"), &Job::new()).unwrap();
        assert_eq!((report.new_chunks, report.source_bytes), (0, data.len() as u64), "reads of {bytes} bytes");
        assert!(source.reads() >= (data.len() / bytes) as u64);
        assert_restores(&repository, report.image.unwrap(), &data);
    }
    // Short reads and a bad sector together: what came of the sector is kept.
    let source = FaultDisk::new(MemoryDisk::new(data.clone())).short_reads(1000).unreadable(3_000_000..3_000_001);
    let report = repository.backup(&source, &options("disk"), &Job::new()).unwrap();
    assert_eq!(report.unreadable, [(3_000_000, 320)]);
    assert_restores(&repository, report.image.unwrap(), &blanked(&data, &[3_000_000..3_000_320]));
    assert_restores(&repository, whole, &data);
}

#[test]
fn a_source_that_shrinks_publishes_nothing() {
    let data = disk(3, 20 << 20);
    let store = Arc::new(MemoryStore::new());
    let repository = init(Arc::clone(&store));
    let before = back_up(&repository, "disk", &data[..1 << 20]).unwrap();
    for (bytes, reads) in [(0, 0), (5 << 20, 1), ((16 << 20) + 1, 2), ((20 << 20) - 1, 0)] {
        let source = FaultDisk::new(MemoryDisk::new(data.clone())).shrinks_to(bytes, reads);
        let error = repository.backup(&source, &options("disk"), &Job::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        let text = error.to_string();
        assert!(text.contains("became shorter") && text.contains(&data.len().to_string()), "{text}");
        assert_eq!(image_ids(&repository), [before]);
        assert_eq!(store.list(Folder::Leases).unwrap(), []);
    }
    assert_clean(&repository, 1);
    let image = back_up(&repository, "disk", &data).unwrap();
    assert_restores(&repository, image, &data);
}

#[test]
fn a_full_store_says_so_and_stays_valid() {
    let store = Arc::new(FaultStore::new());
    let repository = init(Arc::clone(&store));
    let (first, second) = (disk(4, 2 << 20), disk(5, 4 << 20));
    let image = back_up(&repository, "disk", &first).unwrap();
    let mut full = 0;
    for number in 0.. {
        let store = Arc::new(store.reopen());
        let repository = open(Arc::clone(&store));
        store.arm(FaultPlan::new().full_from(number));
        let outcome = back_up(&repository, "disk", &second);
        let puts = store.calls().iter().filter(|call| call.operation == Operation::Put).count();
        assert!(puts > 0);
        store.arm(FaultPlan::new());
        match outcome {
            Ok(image) => {
                assert_restores(&repository, image, &second);
                assert_clean(&repository, 2);
                break;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "put {number}: {error}");
                assert!(error.to_string().contains("free space"), "{error}");
                full += 1;
            }
        }
        assert_eq!(image_ids(&repository), [image]);
        assert_eq!(store.list(Folder::Leases).unwrap(), [], "call {number}");
        assert!(restore(&repository, image, first.len()).unwrap() == first);
        assert_clean(&repository, 1);
    }
    assert!(full > 10, "{full}");
}

#[test]
fn a_read_only_store_is_restored_from_and_not_written() {
    let store = Arc::new(FaultStore::new());
    let data = disk(6, 1 << 20);
    let image = back_up(&init(Arc::clone(&store)), "disk", &data).unwrap();
    for (refusal, expected) in
        [(ErrorKind::PermissionDenied, ErrorKind::PermissionDenied), (ErrorKind::NoSpace, ErrorKind::NoSpace)]
    {
        let store = Arc::new(store.reopen());
        store.arm(FaultPlan::new().read_only(refusal));
        let before = store.objects();
        let repository = open(Arc::clone(&store));
        assert_eq!(image_ids(&repository), [image]);
        assert_restores(&repository, image, &data);
        assert_clean(&repository, 1);
        repository.stats().unwrap();
        let error = back_up(&repository, "disk", &data).unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        let new = holotype_repo::NewKey::new(Role::Full, "x", holotype_repo::Credentials::key_file([1; 32]));
        assert_eq!(repository.add_key(&new).unwrap_err().kind(), expected);
        assert!(store.objects() == before);
    }
}

/// The root's secrets, as the first slot gives them.
fn root_secrets(store: &dyn Store) -> (KeySlot, SlotSecrets) {
    let slots = objects(store, Folder::Keys);
    let slot: KeySlot = KEY_SLOT.decode(slots.values().next().unwrap()).unwrap();
    let factors = Factors { password: None, key_file: Some(SecretBytes::new(KEY_FILE.to_vec())) };
    let secrets = slot.open(&factors).unwrap().unwrap();
    (slot, secrets)
}

fn replace_config(store: &dyn Store, bytes: &[u8]) {
    store.delete(&ObjectKey::config()).unwrap();
    store.put(&ObjectKey::config(), &[bytes]).unwrap();
}

#[test]
fn newer_formats_are_named_and_left_alone() {
    let store = Arc::new(MemoryStore::new());
    let repository = init(Arc::clone(&store));
    let data = disk(7, 100_000);
    let image = back_up(&repository, "disk", &data).unwrap();
    let (_, secrets) = root_secrets(&*store);
    let root = secrets.signing();
    let config: RepositoryConfig = repository.config().clone();
    let open = || Repository::open(Arc::clone(&store), &credentials());

    let mut newer = config.encode(&root);
    newer[12] = CONFIG.version as u8 + 1;
    replace_config(&*store, &newer);
    let error = open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("version 2") && error.to_string().contains("newer holotype"), "{error}");
    let error = Repository::init(Arc::clone(&store), &init_options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");

    let with = |change: &dyn Fn(&mut RepositoryConfig)| {
        let mut changed = config.clone();
        change(&mut changed);
        replace_config(&*store, &changed.encode(&root));
        open()
    };
    let error = with(&|config| config.required_features = 0x8000_0000_0000_0010).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("0x8000000000000010"), "{error}");
    // What a program may ignore, it ignores.
    let ignoring = with(&|config| {
        config.optional_features = u64::MAX;
        config.extensions.push(holotype_repo::core::key_slot::Extension { tag: 9, bytes: vec![1] });
    });
    assert_restores(&ignoring.unwrap(), image, &data);
    // A higher writer protocol: it reads, and does not write.
    let reading = with(&|config| config.lowest_writer_protocol = 2).unwrap();
    assert_restores(&reading, image, &data);
    let error = back_up(&reading, "disk", &data).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("writer protocol 2"), "{error}");
    let new = holotype_repo::NewKey::new(Role::Full, "x", holotype_repo::Credentials::key_file([1; 32]));
    assert_eq!(reading.add_key(&new).unwrap_err().kind(), ErrorKind::Unsupported);
    // Sizes that no program can work with.
    for bytes in [0, 1, u64::MAX] {
        assert_eq!(with(&|config| config.pack_bytes = bytes).unwrap_err().kind(), ErrorKind::Damaged);
    }
    assert!(with(&|_| {}).is_ok());
}

#[test]
fn a_slot_of_an_unknown_role_is_listed_and_left_alone() {
    let store = Arc::new(MemoryStore::new());
    drop(init(Arc::clone(&store)));
    let (slot, secrets) = root_secrets(&*store);
    let id = SlotId([0x77; 16]);
    let header = SlotHeader {
        slot: id,
        role: 3,
        label: "maintenance".into(),
        writer: Signing::from_seed(&Secret32::new([1; 32])).writer(),
        protection: Protection::KeyFile([3; 32]),
        ..slot.header
    };
    let factors = Factors { password: None, key_file: Some(SecretBytes::new(vec![44; 32])) };
    let foreign = KeySlot::seal(header, &secrets, &secrets.signing(), [5; 24], &factors).unwrap().unwrap();
    let bytes = KEY_SLOT.encode(&foreign);
    store.put(&ObjectKey::of(Folder::Keys, id), &[&bytes]).unwrap();
    let repository = open(Arc::clone(&store));
    let keys = repository.keys().unwrap();
    assert_eq!(keys.len(), 2);
    let listed = keys.iter().find(|key| key.slot == id).unwrap();
    assert_eq!((listed.role.as_str(), listed.label.as_str()), ("role 3", "maintenance"));
    assert_clean(&repository, 0);
    // It does not count as a full key.
    let error = repository.remove_key(&repository.keyring().slot().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    // Whoever holds it is told something, and gets nothing.
    assert!(Repository::open(Arc::clone(&store), &holotype_repo::Credentials::key_file([44; 32])).is_err());
    assert_eq!(store.get(&ObjectKey::of(Folder::Keys, id)).unwrap(), bytes);
    let new = holotype_repo::NewKey::new(Role::Other(3), "x", holotype_repo::Credentials::key_file([1; 32]));
    assert_eq!(repository.add_key(&new).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn names_and_tags_are_checked_before_anything_is_stored() {
    let store = Arc::new(FaultStore::new());
    let repository = init(Arc::clone(&store));
    store.arm(FaultPlan::new());
    let long = "a".repeat(256);
    for name in ["", "a b", "ä", "a\n", "a@b", long.as_str()] {
        let error = back_up(&repository, name, &[1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:?}");
    }
    let tagged = holotype_repo::BackupOptions { tags: vec![("k".into(), "\u{7}".into())], ..options("disk") };
    let error = repository.backup(&MemoryDisk::new(vec![1]), &tagged, &Job::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(store.calls(), []);
}
