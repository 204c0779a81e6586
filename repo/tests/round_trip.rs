//! A disk in, the same disk out.

use holotype_repo::disk::MemoryDisk;
use holotype_repo::store::MemoryStore;
use holotype_repo::{BackupOptions, Credentials, InitOptions, Job, Repository, RestoreOptions, VerifyOptions};

fn init() -> Repository {
    let options = InitOptions {
        fast_derivation: true,
        pack_bytes: 256 << 10,
        ..InitOptions::new(Credentials::password("password"))
    };
    Repository::init(MemoryStore::new(), &options).unwrap()
}

fn disk(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut data = vec![0u8; bytes];
    let mut at = 0;
    while at < bytes {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let run = ((state >> 40) as usize % 60_000) + 1;
        let end = (at + run).min(bytes);
        match state >> 62 {
            0 => {}
            1 => data[at..end].fill((state >> 20) as u8),
            _ => {
                for byte in &mut data[at..end] {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    *byte = state as u8;
                }
            }
        }
        at = end;
    }
    data
}

#[test]
fn backup_restore_verify() {
    let repository = init();
    let job = Job::new();
    for (at, bytes) in [0, 1, 511, 4096, 100_000, 9 << 20, (33 << 20) + 7].into_iter().enumerate() {
        let data = disk(at as u64 + 5, bytes);
        let name = format!("disk-{at}");
        let saved = repository.backup(&MemoryDisk::new(data.clone()), &BackupOptions::named(&name), &job).unwrap();
        assert_eq!(saved.source_bytes, bytes as u64);
        assert_eq!(saved.data_bytes + saved.zero_bytes + saved.free_bytes + saved.unreadable_bytes, bytes as u64);
        let again = repository.backup(&MemoryDisk::new(data.clone()), &BackupOptions::named(&name), &job).unwrap();
        assert_eq!((again.new_chunks, again.parent), (0, saved.image));
        let target = MemoryDisk::new(vec![0xEE; bytes]);
        let report = repository.restore(saved.image.unwrap(), &target, &RestoreOptions::default(), &job).unwrap();
        assert_eq!(report.target_bytes, bytes as u64);
        assert!(*target.bytes() == data, "{bytes} bytes came back as others");
    }
    let report = repository.verify(&VerifyOptions::read_everything(), &job).unwrap();
    assert_eq!(report.findings(), []);
    assert_eq!(report.images, 14);
    assert!(report.packs_read > 10, "{report:?}");
}
