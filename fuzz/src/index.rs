//! The index in sled: values behind right checksums.

use crate::input::{Input, part};
use holotype_core::ChunkId;
use holotype_core::codec;
use holotype_repo::index::fuzzing::{Database, Planted};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

/// sled keeps values below this.
const MOST_PAYLOAD_BYTES: usize = 7000;

static DATABASE: LazyLock<Mutex<Database>> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let directory = root.join(format!("holotype-fuzz-{}", std::process::id()));
    let database = Database::open(&directory).expect("a new database can be made");
    // It lives on without names, so nothing is left behind.
    let _ = std::fs::remove_dir_all(&directory);
    Mutex::new(database)
});

pub fn values(data: &[u8]) {
    let _ = found(data);
}

/// Number of ids that were found.
fn found(data: &[u8]) -> holotype_repo::Result<usize> {
    let mut input = Input::new(data);
    let mut planted = Planted {
        entries: u64::from(input.u32()),
        filter_blocks: input.u32(),
        manifest: input.part().to_vec(),
        ..Planted::default()
    };
    while !input.is_empty() {
        match input.u8() % 6 {
            0 => planted.packs.push(input.part().to_vec()),
            1 => planted.segments.push(input.part().to_vec()),
            2 => planted.removed.push(input.u32()),
            3 => planted.ids.push(ChunkId(input.id())),
            kind => {
                let kind = if kind == 4 { b'p' } else { [b'f', b'e'][usize::from(input.u8() % 2)] };
                let number = u32::from(input.u8());
                let payload = input.part();
                planted.blocks.push((kind, number, payload[..payload.len().min(MOST_PAYLOAD_BYTES)].to_vec()));
            }
        }
    }
    let database = DATABASE.lock().expect("no target panicked before");
    let found = database.read(&planted)?;
    assert!(found <= planted.ids.len());
    Ok(found)
}

pub fn values_seeds() -> Vec<Vec<u8>> {
    let entry = |id: u8, slot: u8| [&[id; 32][..], &[0, 0, 0, 0, 0, 0, slot, 0]].concat();
    let page: Vec<u8> = [entry(1, 0), entry(2, 1), entry(2, 2), entry(9, 3)].concat();
    let pack = codec::encode(&([5u8; 32], 0u32, [6u8; 32], 1000u64));
    // Format, page entries, next run, the two list heads, one run.
    let manifest =
        codec::encode(&((1u32, 128u32, 1u64, 1u32, [0u8; 16], 0u32, [0u8; 16]), vec![(0u64, 7u64, 4u64, 1u32)]));
    let seed = [
        &4u32.to_le_bytes()[..],
        &1u32.to_le_bytes(),
        &part(&manifest),
        &[0],
        &part(&pack),
        &[1],
        &part(&[8; 32]),
        &[4, 0],
        &part(&page),
        &[5, 0, 0],
        &part(&[0xFF; 64]),
        &[5, 1, 0],
        &part(&[1; 8]),
        &[3],
        &[2; 32],
        &[3],
        &[7; 32],
    ]
    .concat();
    let removed = [&seed[..], &[2, 0, 0, 0, 0]].concat();
    vec![seed, removed]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_found_unless_their_pack_was_removed() {
        let found: Vec<usize> = values_seeds().iter().map(|seed| found(seed).expect("all fits")).collect();
        assert_eq!(found, [1, 0]);
    }
}
