//! Whole repositories: one object in place of another, and images whose envelopes hold anything.

use crate::forge::{self, Object, Sound};
use crate::input::{Input, part};
use holotype_core::NodeId;
use holotype_repo::disk::MemoryDisk;
use holotype_repo::store::{Folder, ObjectKey};
use holotype_repo::{ErrorKind, Job, RestoreOptions, VerifyOptions};
use std::sync::LazyLock;

static SOUND: LazyLock<Sound> = LazyLock::new(|| {
    let sound = forge::sound();
    let repository = forge::open(&sound.objects).expect("it opens");
    let report = repository.verify(&VerifyOptions::read_everything(), &Job::new()).expect("verify could look");
    assert!(report.findings().is_empty(), "the harness forges a sound repository: {:?}", report.findings());
    assert_eq!(look(&sound.objects, &sound), Outcome::Restored);
    sound
});

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Restored,
    Refused,
}

/// Opens, lists, verifies and restores. Only errors and right bytes are allowed.
fn look(objects: &[Object], sound: &Sound) -> Outcome {
    let Ok(repository) = forge::open(objects) else { return Outcome::Refused };
    let job = Job::new();
    let images = repository.images();
    if let Ok(images) = &images {
        for image in images {
            let _ = repository.show(image.image, None);
        }
    }
    let _ = repository.keys();
    let _ = repository.stats();
    let _ = repository.verify(&VerifyOptions::read_everything(), &job);
    let target = MemoryDisk::new(vec![0xEE; sound.disk.len()]);
    let options = RestoreOptions { threads: Some(1), ..RestoreOptions::default() };
    match repository.restore(sound.image, &target, &options, &job) {
        Ok(report) => {
            assert!(*target.bytes() == sound.disk, "a restore that says that it is done gave other bytes");
            assert_eq!(report.target_bytes, sound.disk.len() as u64);
            Outcome::Restored
        }
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::TargetRefused);
            Outcome::Refused
        }
    }
}

/// Which object; what becomes of it: replaced, changed at places, cut, copied under another name.
pub fn damaged(data: &[u8]) {
    let sound = &*SOUND;
    let mut input = Input::new(data);
    let mut objects = sound.objects.clone();
    let which = usize::from(input.u8()) % objects.len();
    let (key, bytes) = &mut objects[which];
    let kind = input.u8();
    match kind % 4 {
        0 => {
            while !input.is_empty() {
                let at = input.u32() as usize % bytes.len().max(1);
                let change = input.u8();
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= change);
            }
        }
        1 => bytes.truncate(input.u32() as usize % (bytes.len() + 1)),
        2 => {
            let at = input.u32() as usize % (bytes.len() + 1);
            let end = (at + input.part().len()).min(bytes.len());
            bytes.splice(at..end, input.rest().iter().copied());
        }
        _ => *bytes = input.rest().to_vec(),
    }
    // Under the name of its new bytes, the decoder behind the check of names is reached.
    if kind & 4 != 0 {
        let hashed = match key.folder() {
            Folder::Packs | Folder::Meta => footer_of(bytes),
            _ => bytes,
        };
        if matches!(key.folder(), Folder::Packs | Folder::Meta | Folder::Index | Folder::Images) {
            *key = ObjectKey::of(key.folder(), NodeId(*blake3::hash(hashed).as_bytes()));
        }
    }
    if kind & 8 != 0 {
        let copy = sound.objects[which].clone();
        if copy.0 != objects[which].0 {
            objects.push(copy);
        }
    }
    look(&objects, sound);
}

/// Where a pack's last bytes say that its footer begins; all of it where they say nothing.
fn footer_of(pack: &[u8]) -> &[u8] {
    let length = pack
        .len()
        .checked_sub(16)
        .and_then(|at| pack[at..].first_chunk::<4>())
        .map(|bytes| u32::from_le_bytes(*bytes) as usize + 64 + 16);
    length.and_then(|length| pack.len().checked_sub(length)).map_or(pack, |at| &pack[at..])
}

pub fn damaged_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for object in 0..6u8 {
        seeds.push([&[object, 4][..], &100u32.to_le_bytes(), &[1]].concat());
        seeds.push([&[object, 1][..], &50u32.to_le_bytes()].concat());
        seeds.push(vec![object, 8 | 4, 20, 0, 0, 0, 1]);
    }
    seeds.push(vec![0, 0]);
    seeds
}

/// Root, summary and detail of an image, sealed and signed as they should be.
pub fn image_parts(data: &[u8]) {
    restored_parts(data);
}

/// Whether it was restored.
fn restored_parts(data: &[u8]) -> bool {
    let sound = &*SOUND;
    let mut input = Input::new(data);
    let (root, summary) = (input.part(), input.part());
    let (image, object) = forge::image(root, summary, input.rest());
    let mut objects = sound.objects.clone();
    objects.retain(|(key, _)| key.folder() != Folder::Images);
    objects.push(object);
    let repository = forge::open(&objects).expect("config and slot are sound");
    for image in repository.images().expect("listing works") {
        let _ = image.time.to_string();
    }
    let _ = repository.show(image, None);
    repository.verify(&VerifyOptions::structure(), &Job::new()).expect("verify could look");
    let target = MemoryDisk::new(vec![0xEE; sound.disk.len()]);
    let options = RestoreOptions { threads: Some(1), ..RestoreOptions::default() };
    let restored = repository.restore(image, &target, &options, &Job::new());
    if let Ok(report) = &restored {
        assert_eq!(report.target_bytes, sound.disk.len() as u64, "no other tree is there");
        assert!(*target.bytes() == sound.disk, "a restore that says that it is done gave other bytes");
    }
    restored.is_ok()
}

pub fn image_parts_seeds() -> Vec<Vec<u8>> {
    let chunks = forge::chunks();
    let (ids, _) = forge::chunk_pack();
    let leaf = forge::leaf(&[(Some(ids[0]), chunks[0].len() as u64)]);
    let root = forge::identity().node_id(&leaf.0, &leaf.1);
    // This node is in no pack; the sound repository's own root is, as a detail of the same image.
    let sound = forge::sound().root;
    [(root, vec![]), (sound, vec![(4, 5)]), (sound, vec![(0, u64::MAX), (0, 2)])]
        .map(|(root, unreadable)| {
            let summary = forge::summary(forge::sound().disk.len() as u64);
            [part(&root.0), part(&summary), forge::detail(&root, &unreadable)].concat()
        })
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_reach_both_outcomes() {
        let outcomes: Vec<bool> = image_parts_seeds().iter().map(|seed| restored_parts(seed)).collect();
        assert_eq!(outcomes, [false, true, true]);
    }
}
