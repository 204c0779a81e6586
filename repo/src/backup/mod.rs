//! Backup: a disk's way into the repository.
//!
//! ```text
//! read ──regions──▶ chunk (one thread a core) ──frames──▶ assemble ──packs──▶ store
//!                     │ parent, filter, encode                                  │
//!                     └──leaves──▶ manifest ──────────────▶ publish ◀──footers──┘
//! ```
//!
//! Every queue is bounded, so memory does not grow with the disk.

mod bad_sectors;
mod capacity;
mod chunk;
mod encode;
mod filter;
pub(crate) mod flow;
mod options;
mod parent;
mod plan;
mod publish;
mod read;
mod store;
mod survey;

pub use options::{BackupOptions, ParentChoice};
pub use plan::BackupReport;
pub(crate) use plan::Preset;

use crate::disk::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::index::PackKind;
use crate::index::segment::SegmentPack;
use crate::job::Job;
use crate::lease::{HeldLease, Purpose};
use crate::manifest::{ManifestWriter, Node};
use crate::pack::{OriginAllocator, PackAssembler, SealedTo};
use crate::repository::Repository;
use chunk::RegionChunker;
use crossbeam_channel::{Receiver, bounded, unbounded};
use encode::{EncodedFrame, FrameEncoder, FrameSink};
use filter::{Claim, DuplicateFilter, Leaned};
use flow::{Abort, Counters};
use holotype_core::chunker::Chunker;
use holotype_core::{ChunkId, NodeId, PackId};
use plan::BackupPlan;
use publish::Fence;
use read::{Reader, Region};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// Regions that wait for a chunking thread.
const QUEUED_REGIONS: usize = 2;
/// Frames that wait for the assembler.
const QUEUED_FRAMES: usize = 8;
/// How often a backup is done again because packs that it leaned on went away.
const MAX_ATTEMPTS: u32 = 4;

/// What reading and storing a disk gave.
struct Stored {
    source_bytes: u64,
    root: NodeId,
    unreadable: Vec<(u64, u64)>,
    changed: bool,
    packs: Vec<SegmentPack>,
    leaned: Leaned,
}

/// A leaf that was made: number of its region, node, length, unreadable ranges.
struct MadeLeaf {
    number: u64,
    node: NodeId,
    bytes: u64,
    unreadable: Vec<(u64, u64)>,
}

/// Backs a source up. See [`Repository::backup`].
pub(crate) fn run(
    repository: &Repository,
    source: &dyn Source,
    options: &BackupOptions,
    job: &Job,
) -> Result<BackupReport> {
    run_plan(repository, source, BackupPlan::new(repository, source, options, None)?, job)
}

/// The same of a source that was surveyed before.
pub(crate) fn run_preset(
    repository: &Repository,
    source: &dyn Source,
    options: &BackupOptions,
    preset: Preset,
    job: &Job,
) -> Result<BackupReport> {
    run_plan(repository, source, BackupPlan::new(repository, source, options, Some(preset))?, job)
}

fn run_plan(repository: &Repository, source: &dyn Source, mut plan: BackupPlan, job: &Job) -> Result<BackupReport> {
    let room = capacity::check_before(repository, source, &plan, job)?;
    plan.warnings.extend(room);
    for warning in &plan.warnings {
        job.warn(warning.clone());
    }
    let mut excluded = HashSet::new();
    for _ in 0..MAX_ATTEMPTS {
        match attempt(repository, source, &plan, &excluded, job)? {
            Fence::Clear(report) => return Ok(*report),
            Fence::Crossed { lost } if source.can_reread() => {
                job.warn(format!("{} packs that this backup leaned on are going away: storing it anew", lost.len()));
                excluded.extend(lost);
                plan.forget_parent();
            }
            Fence::Crossed { .. } => break,
        }
    }
    Err(Error::new(ErrorKind::Fenced, format!("image {}", plan.name), "packs that it leaned on were removed meanwhile")
        .advise("run the backup again"))
}

fn attempt(
    repository: &Repository,
    source: &dyn Source,
    plan: &BackupPlan,
    excluded: &HashSet<PackId>,
    job: &Job,
) -> Result<Fence> {
    // The lease stands before the first look-up (the catalog's refresh): from then on a pruner waits.
    let lease = match plan.dry_run {
        true => None,
        false => Some(HeldLease::take(repository.shared_store(), repository.keyring(), Purpose::Backup)?),
    };
    let catalog = repository.catalog()?;
    catalog.refresh()?;
    let counters = Counters::default();
    let mut excluded = excluded.clone();
    excluded.extend(publish::marked_packs(repository.store())?);
    let filter = DuplicateFilter::new(catalog, repository.store(), repository.id(), excluded);
    let stored = store_disk(repository, source, plan, &filter, &counters, job)?;
    let Some(lease) = lease else {
        return Ok(Fence::Clear(Box::new(plan.report(None, &counters, &stored))));
    };
    publish::publish(repository, plan, &filter, &counters, stored, lease)
}

/// Runs the pipeline: afterwards every pack and every node is durable.
fn store_disk(
    repository: &Repository,
    source: &dyn Source,
    plan: &BackupPlan,
    filter: &DuplicateFilter<'_>,
    counters: &Counters,
    job: &Job,
) -> Result<Stored> {
    let (config, keyring) = (repository.config(), repository.keyring());
    let chunker = Chunker::new(&config.chunker).map_err(|error| Error::decode("config", error))?;
    let origins = OriginAllocator::new(keyring, SealedTo::Content, plan.pack_bytes);
    let manifest = Mutex::new(ManifestWriter::new(
        Arc::clone(repository.shared_store()),
        keyring,
        plan.image_secret.clone(),
        plan.pack_bytes,
    ));
    let parent = plan.open_parent(repository)?;
    let leaves = Mutex::new(Vec::new());
    let leaned = Mutex::new(Leaned::new());
    let abort = Abort::default();
    job.stage("backup", source.geometry().bytes);

    let worker = |regions: Receiver<Region>, buffers: crossbeam_channel::Sender<Vec<u8>>, sink: FrameSink| {
        let mut chunker = RegionChunker::new(&chunker, &plan.identity, filter, parent.as_ref(), counters);
        let mut encoder = FrameEncoder::new(plan.compression, &origins, counters, sink);
        for region in regions {
            if abort.is_set() {
                return Err(Error::cancelled());
            }
            let leaf = make_leaf(&region, &mut chunker, &mut encoder, plan, filter, &manifest)?;
            job.advance(leaf.bytes);
            leaves.lock().unwrap_or_else(PoisonError::into_inner).push(leaf);
            // The reader may have ended already.
            let _ = buffers.send(region.into_buffer());
        }
        encoder.close_frame()?;
        leaned.lock().unwrap_or_else(PoisonError::into_inner).extend(chunker.leaned);
        Ok(())
    };

    let (source_bytes, packs) = std::thread::scope(|scope| {
        let (region_sender, regions) = bounded(QUEUED_REGIONS);
        let (buffer_sender, buffers) = unbounded();
        let (frame_sender, frames) = bounded::<EncodedFrame>(QUEUED_FRAMES);
        let (pack_sender, packs) = bounded(0);
        // One buffer is read into, one is held back for its end, the others wait or are worked on.
        for _ in 0..plan.threads + QUEUED_REGIONS + 2 {
            let _ = buffer_sender.send(Vec::new());
        }
        let reader = Reader {
            source,
            free: &plan.survey.free,
            boundaries: &plan.survey.boundaries,
            rescue_passes: plan.rescue_passes,
            counters,
            abort: &abort,
            job,
        };
        let abort = &abort;
        let reading = scope.spawn(move || abort.note(reader.run(&buffers, &region_sender)));
        for _ in 0..plan.threads {
            let sink = match plan.dry_run {
                true => FrameSink::DryRun,
                false => FrameSink::Store(frame_sender.clone()),
            };
            let (regions, buffer_sender, worker) = (regions.clone(), buffer_sender.clone(), &worker);
            scope.spawn(move || abort.note(worker(regions, buffer_sender, sink)));
        }
        drop((regions, buffer_sender, frame_sender));
        let assembler = PackAssembler::new(config.repository, PackKind::Data, keyring.signing(), plan.pack_bytes);
        scope.spawn(move || store::assemble(assembler, &frames, &pack_sender));
        let storing = scope.spawn(move || {
            abort.note(store::store_packs(repository.store(), config.repository, &packs, filter, counters))
        });
        let source_bytes = reading.join().expect("the reader does not panic").unwrap_or(0);
        (source_bytes, storing.join().expect("the storing stage does not panic").unwrap_or_default())
    });
    abort.finish()?;
    job.check()?;

    let mut leaves = leaves.into_inner().unwrap_or_else(PoisonError::into_inner);
    leaves.sort_by_key(|leaf| leaf.number);
    if leaves.is_empty() {
        leaves.push(store_empty_leaf(plan, &manifest, filter)?);
    }
    let mut leaned = leaned.into_inner().unwrap_or_else(PoisonError::into_inner);
    let nodes = leaves.iter().map(|leaf| (leaf.node, leaf.bytes)).collect();
    let unreadable = leaves.into_iter().flat_map(|leaf| leaf.unreadable).collect();
    let mut is_known = |node: &NodeId| Ok(plan.dry_run || claim_node(filter, node, &mut leaned)? == Claim::Known);
    let mut manifest = manifest.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (root, meta_packs) = manifest.finish(&plan.identity, nodes, &mut is_known)?;
    let mut packs = packs;
    for (contents, footer) in meta_packs {
        counters.stored_bytes.fetch_add(contents.bytes, Ordering::Relaxed);
        packs.push(SegmentPack { pack_bytes: contents.bytes, footer });
        filter.note_durable(contents)?;
    }
    let changed = plan.has_changed(source);
    if changed {
        job.warn(plan.change_warning());
    }
    Ok(Stored { source_bytes, root, unreadable, changed, packs, leaned })
}

fn claim_node(filter: &DuplicateFilter<'_>, node: &NodeId, leaned: &mut Leaned) -> Result<Claim> {
    let id = ChunkId(node.0);
    filter.look_up(&[id])?;
    Ok(filter.claim(&id, leaned))
}

fn make_leaf(
    region: &Region,
    chunker: &mut RegionChunker<'_>,
    encoder: &mut FrameEncoder<'_>,
    plan: &BackupPlan,
    filter: &DuplicateFilter<'_>,
    manifest: &Mutex<ManifestWriter>,
) -> Result<MadeLeaf> {
    let extents = chunker.run(region, encoder)?;
    let node = Node::leaf(&extents).encode(&plan.identity);
    if !plan.dry_run && claim_node(filter, &node.id, &mut chunker.leaned)? == Claim::New {
        manifest.lock().unwrap_or_else(PoisonError::into_inner).add(&node)?;
    }
    Ok(MadeLeaf {
        number: region.number,
        node: node.id,
        bytes: region.data().len() as u64,
        unreadable: region.unreadable(),
    })
}

/// An empty disk has one leaf without extents.
fn store_empty_leaf(
    plan: &BackupPlan,
    manifest: &Mutex<ManifestWriter>,
    filter: &DuplicateFilter<'_>,
) -> Result<MadeLeaf> {
    let node = Node::leaf(&[]).encode(&plan.identity);
    if !plan.dry_run && claim_node(filter, &node.id, &mut Leaned::new())? == Claim::New {
        manifest.lock().unwrap_or_else(PoisonError::into_inner).add(&node)?;
    }
    Ok(MadeLeaf { number: 0, node: node.id, bytes: 0, unreadable: Vec::new() })
}
