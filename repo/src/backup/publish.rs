//! Publish: the commit order of a backup.

use super::filter::DuplicateFilter;
use super::flow::Counters;
use super::plan::{BackupPlan, BackupReport};
use super::store::count_segments;
use super::{Leaned, Stored};
use crate::error::Result;
use crate::image::ImageRecord;
use crate::index::segment::write_segments;
use crate::lease::{self, HeldLease, LeaseState};
use crate::repository::{Head, Repository};
use crate::store::{Folder, ObjectKey, Store};
use holotype_core::{PackId, SegmentId};
use std::collections::HashSet;
use std::sync::atomic::Ordering;

/// Whether the image stands on firm ground.
pub(crate) enum Fence {
    /// It is published.
    Clear(Box<BackupReport>),
    /// The lease was lost, or packs that were leaned on are gone or marked. The image object, if
    /// any, is not published.
    Crossed {
        /// Packs not to lean on again.
        lost: HashSet<PackId>,
    },
}

/// Publishes an image. Packs and nodes are durable already. In order, with what a crash after each
/// step leaves:
///
/// 1. index segments: packs that no image needs yet; the next backup finds their chunks;
/// 2. the root into the lease: the same, and a pruner sees what is about to be published;
/// 3. the image object: from here on the image is visible, unless its lease is revoked;
/// 4. the fence: lease, tombstones and packs are listed again. Only where all that was leaned on
///    stands unmarked is success reported; else the lease is revoked here and now, which takes the
///    image back, and the caller stores anew what is missing;
/// 5. the lease ends.
pub(crate) fn publish(
    repository: &Repository,
    plan: &BackupPlan,
    filter: &DuplicateFilter<'_>,
    counters: &Counters,
    mut stored: Stored,
    lease: HeldLease,
) -> Result<Fence> {
    let store = repository.store();
    let segments = write_segments(store, repository.id(), std::mem::take(&mut stored.packs))?;
    count_segments(counters, &segments);
    let names: Vec<SegmentId> = segments.into_iter().map(|(name, _)| name).collect();
    repository.catalog()?.insert(&filter.take_durable(), &names)?;

    lease.record_root(&stored.root)?;

    let head = repository.head()?;
    let position =
        (head.as_ref().map_or(1, |head| head.sequence.saturating_add(1)), head.map(|head| head.image), lease.id());
    let (summary, detail) = (plan.summary(stored.source_bytes), plan.detail(counters, &stored));
    let keyring = repository.keyring();
    let record = ImageRecord::seal(keyring, position, &summary, &detail, plan.password.as_ref())?;
    let (image, object) = record.encode(&keyring.signing());
    store.put(&ObjectKey::of(Folder::Images, image), &[&object])?;
    counters.stored_bytes.fetch_add(object.len() as u64, Ordering::Relaxed);

    let lost = lost_packs(store, filter, &stored.leaned)?;
    if lease.state(store)? == LeaseState::Lost || !lost.is_empty() {
        lease::revoke(store, &lease.id())?;
        return Ok(Fence::Crossed { lost });
    }
    drop(lease);
    repository.remember_head(&Head { sequence: position.0, image });
    repository.catalog()?.flush()?;
    Ok(Fence::Clear(Box::new(plan.report(Some(image), counters, &stored))))
}

/// Packs that were leaned on and are gone or marked by a tombstone.
fn lost_packs(store: &dyn Store, filter: &DuplicateFilter<'_>, leaned: &Leaned) -> Result<HashSet<PackId>> {
    let leaned = filter.names(leaned);
    let marked = marked_packs(store)?;
    let mut there = HashSet::new();
    for folder in [Folder::Packs, Folder::Meta] {
        if leaned.iter().any(|(in_folder, _)| *in_folder == folder) {
            there.extend(store.list(folder)?.into_iter().map(|info| info.key));
        }
    }
    let lost =
        |(folder, pack): &(Folder, PackId)| !there.contains(&ObjectKey::of(*folder, pack)) || marked.contains(pack);
    Ok(leaned.into_iter().filter(lost).map(|(_, pack)| pack).collect())
}

/// Packs that a pruner has marked: they go away when the leases end that were there before.
pub(super) fn marked_packs(store: &dyn Store) -> Result<HashSet<PackId>> {
    Ok(store.list(Folder::Tombstones)?.iter().filter_map(|info| info.key.name().parse().ok()).collect())
}
