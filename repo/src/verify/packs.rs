//! Packs: footers always, frames as far as asked.

use super::{Damage, VerifyOptions, VerifyReport};
use crate::error::{Error, ErrorKind, Result};
use crate::index::PackKind;
use crate::job::Job;
use crate::pack::{PackReader, folder_of, pack_key, read_footer};
use crate::random;
use crate::repository::Repository;
use holotype_core::compress::Decompressor;
use holotype_core::frame::FrameKind;
use holotype_core::{DecodeError, PackId};
use rayon::prelude::*;
use std::collections::HashSet;

/// Packs that are looked at between two looks at the cancel token and the progress.
const BATCH: usize = 32;

enum Checked {
    Footer,
    Whole { bytes: u64, bad_frames: Vec<(u32, String)> },
    Bad(Error),
}

/// Checks every pack; gives those that are there.
pub(super) fn check_packs(
    repository: &Repository,
    options: &VerifyOptions,
    report: &mut VerifyReport,
    damage: &mut Damage,
    job: &Job,
) -> Result<HashSet<PackId>> {
    let mut stored = HashSet::new();
    let mut packs = Vec::new();
    for kind in [PackKind::Data, PackKind::Meta] {
        for info in repository.store().list(folder_of(kind))? {
            report.objects += 1;
            match info.key.name().parse::<PackId>() {
                Ok(pack) => {
                    stored.insert(pack);
                    packs.push((kind, pack, info.bytes));
                }
                Err(_) => {
                    report.find(info.key.to_string(), "its name is none of a pack".to_owned());
                }
            }
        }
    }
    packs.sort_by_key(|(_, pack, _)| *pack);
    let total = packs.iter().map(|(_, _, bytes)| bytes).sum::<u64>();
    job.stage("verify packs", Some(total));
    let salt: [u8; 32] = random::bytes()?;
    for batch in packs.chunks(BATCH) {
        job.check()?;
        let check = |(kind, pack, bytes): &(PackKind, PackId, u64)| {
            let whole = is_sampled(&salt, pack, options.sample_percent);
            let checked = check_pack(repository, *kind, pack, whole, job);
            job.advance(*bytes);
            (*kind, *pack, checked)
        };
        let results: Vec<(PackKind, PackId, Result<Checked>)> = batch.par_iter().map(check).collect();
        for (kind, pack, checked) in results {
            report.packs += 1;
            let object = pack_key(kind, &pack).to_string();
            match checked? {
                Checked::Footer => {}
                Checked::Bad(error) => {
                    // Other packs may hold copies of what it held.
                    repository.whole_catalog()?.forget(&pack)?;
                    damage.packs.insert(pack, report.find(object, error.to_string()));
                }
                Checked::Whole { bytes, bad_frames } => {
                    report.packs_read += 1;
                    report.read_bytes += bytes;
                    for (frame, problem) in bad_frames {
                        let finding = report.find(format!("{object} frame {frame}"), problem);
                        damage.frames.insert((pack, frame), finding);
                    }
                }
            }
        }
    }
    Ok(stored)
}

/// A share of the packs, another one each time.
fn is_sampled(salt: &[u8; 32], pack: &PackId, percent: f64) -> bool {
    let hash = blake3::keyed_hash(salt, pack.as_bytes());
    let number = u32::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1], hash.as_bytes()[2], hash.as_bytes()[3]]);
    percent > 0.0 && f64::from(number) / f64::from(u32::MAX) * 100.0 <= percent
}

fn check_pack(repository: &Repository, kind: PackKind, pack: &PackId, whole: bool, job: &Job) -> Result<Checked> {
    let outcome = match whole {
        true => read_whole(repository, kind, pack, job),
        false => read_footer(repository.store(), &repository.id(), kind, pack).map(|_| Checked::Footer),
    };
    match outcome {
        Err(error) if error.kind() == ErrorKind::Cancelled => Err(error),
        Err(error) => Ok(Checked::Bad(error)),
        ok => ok,
    }
}

/// Reads every frame: the hash over all of them, each frame's seal, each id.
fn read_whole(repository: &Repository, kind: PackKind, pack: &PackId, job: &Job) -> Result<Checked> {
    let store = repository.store();
    let reader = PackReader::open(store, repository.keyring(), kind, pack)?;
    let mut hasher = blake3::Hasher::new();
    let mut decompressor = Decompressor::default();
    let mut bad_frames = Vec::new();
    let mut read_bytes = 0;
    for frame in 0..reader.footer.frames.len() as u32 {
        job.check()?;
        let mut bytes = store.get_range(reader.object(), reader.frame_range(frame)?)?;
        hasher.update(&bytes);
        read_bytes += bytes.len() as u64;
        if let Err(error) = check_frame(repository, &reader, kind, frame, &mut bytes, &mut decompressor) {
            bad_frames.push((frame, error.to_string()));
        }
    }
    if hasher.finalize().as_bytes() != &reader.footer.frames_hash && bad_frames.is_empty() {
        let error = DecodeError::damaged("pack", "its frames are not those that its footer was written for");
        return Err(Error::decode(reader.object().to_string(), error));
    }
    Ok(Checked::Whole { bytes: read_bytes, bad_frames })
}

fn check_frame(
    repository: &Repository,
    reader: &PackReader,
    kind: PackKind,
    frame: u32,
    bytes: &mut [u8],
    decompressor: &mut Decompressor,
) -> Result<()> {
    let opened = reader.open_frame(frame, bytes, decompressor)?;
    let entry = &reader.footer.frames[frame as usize];
    let wrong = |why: String| Err(Error::new(ErrorKind::Damaged, format!("{} frame {frame}", reader.object()), why));
    if entry.kind == FrameKind::Layouts as u8 {
        return Ok(());
    }
    if opened.len() != entry.ids.len() {
        return wrong(format!("it holds {} chunks, and its footer lists {}", opened.len(), entry.ids.len()));
    }
    if kind == PackKind::Meta {
        // Node ids cover both parts of a node; they are checked when images are walked.
        return Ok(());
    }
    let identity = repository.keyring().identity();
    for (slot, id) in entry.ids.iter().enumerate() {
        if opened.chunk(slot as u32).map(|chunk| identity.chunk_id(chunk)) != Some(*id) {
            return wrong(format!("chunk {slot} has another content than its id says"));
        }
    }
    Ok(())
}
