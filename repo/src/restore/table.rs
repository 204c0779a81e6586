//! The partition table of the target, where it cannot be the image's own: a disk of another length,
//! new GUIDs, a partition that grows, or the table alone.

use super::options::{RestoreOptions, RestoreScope};
use super::plan::Patch;
use crate::random;
use holotype_core::extent::Extent;
use holotype_core::partition::{Found, Gpt, Mbr, TableKind, find};
use holotype_core::volume::ReadAt;

/// What is written to the target's table, and why.
#[derive(Debug, Default)]
pub(super) struct TablePlan {
    /// In the order in which they are written.
    pub patches: Vec<Patch>,
    /// Ranges of the image whose content is replaced, so that it is not in use.
    pub replaced: Vec<Extent>,
    /// The shortest target that has room for the partitions and their table.
    pub least_bytes: u64,
    /// Whether the image has a GPT, whose backup is written at the target's end.
    pub has_gpt: bool,
    /// In words for the operator.
    pub changes: Vec<String>,
}

/// Bytes of a boot record.
const RECORD_BYTES: u64 = 512;

/// Makes the table for a target of `target_bytes`.
///
/// # Errors
/// In words, where it cannot be made.
pub(super) fn plan(
    image: &dyn ReadAt,
    sector_bytes: u32,
    target_bytes: u64,
    options: &RestoreOptions,
) -> Result<TablePlan, String> {
    let table_alone = options.scope == RestoreScope::Table;
    let wanted = options.grow || options.new_guids || table_alone;
    match find(image, sector_bytes) {
        Found::Table(table) if table.kind == TableKind::Mbr => mbr(image, table.sector_bytes, target_bytes, options),
        Found::Table(table) => {
            let gpt = Gpt::find(image, table.sector_bytes).map_err(|error| format!("the image's GPT: {error}"))?;
            self::gpt(image, gpt, table.kind, target_bytes, options)
        }
        Found::None if wanted => Err("the image has no partition table".to_owned()),
        Found::Unclear(why) if wanted => Err(format!("the image's partition table is not clear: {why}")),
        Found::None | Found::Unclear(_) => Ok(TablePlan::default()),
    }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], String> {
    random::bytes().map_err(|error| error.to_string())
}

fn gpt(
    image: &dyn ReadAt,
    gpt: Gpt,
    kind: TableKind,
    target_bytes: u64,
    options: &RestoreOptions,
) -> Result<TablePlan, String> {
    let mut plan = TablePlan { least_bytes: gpt.least_disk_bytes(), has_gpt: true, ..TablePlan::default() };
    let sector = u64::from(gpt.sector_bytes);
    let old = gpt.clone().fit_to(image.bytes())?;
    let old_backup: Vec<Extent> =
        old.encode().iter().take(2).filter_map(|(offset, bytes)| Extent::new(*offset, bytes.len() as u64)).collect();
    plan.replaced.clone_from(&old_backup);
    if target_bytes < plan.least_bytes {
        // The caller says so, with what else is needed.
        return Ok(plan);
    }
    let mut new = gpt.fit_to(target_bytes)?;
    let moved = target_bytes != image.bytes();
    if moved {
        plan.changes.push(format!("the backup GPT lies at the end of {target_bytes} bytes"));
    }
    if options.grow
        && let Some((number, bytes)) = new.grow_last().filter(|(_, bytes)| *bytes > 0)
    {
        plan.changes.push(format!("partition {number} grew by {bytes} bytes; its filesystem keeps its length"));
    }
    if options.new_guids {
        let mut failed = None;
        new.renew_guids(&mut || {
            random_bytes().unwrap_or_else(|why| {
                failed = Some(why);
                [0; 16]
            })
        });
        failed.map_or(Ok(()), Err)?;
        plan.changes.push(format!("the disk has the new GUID {}", new.disk_guid));
    }
    // On a longer disk, what was the backup table there would be one no more. On a shorter one it is gone.
    let written: Vec<Extent> =
        new.encode().iter().filter_map(|(offset, bytes)| Extent::new(*offset, bytes.len() as u64)).collect();
    if moved && options.scope == RestoreScope::Disk {
        for stale in old_backup.iter().filter(|stale| stale.end() <= target_bytes) {
            let overwritten = written.iter().any(|new| new.intersection(stale).is_some());
            if !overwritten {
                plan.patches.push(Patch { offset: stale.offset(), bytes: vec![0; stale.len() as usize] });
            }
        }
    }
    plan.patches.extend(new.encode().into_iter().map(|(offset, bytes)| Patch { offset, bytes }));
    let mut record = read(image, 0, RECORD_BYTES)?;
    if kind == TableKind::Gpt {
        let sectors = u32::try_from(target_bytes / sector - 1).unwrap_or(u32::MAX);
        Mbr::protect(&mut record, sectors);
    }
    if options.new_guids {
        renew_signature(&mut record)?;
    }
    plan.patches.push(Patch { offset: 0, bytes: record });
    Ok(plan)
}

fn mbr(
    image: &dyn ReadAt,
    sector_bytes: u32,
    target_bytes: u64,
    options: &RestoreOptions,
) -> Result<TablePlan, String> {
    let mbr = Mbr::read(image, sector_bytes)?.ok_or("the image has no MBR")?;
    let end = mbr.entries.iter().map(|entry| entry.extent.end()).max().unwrap_or(RECORD_BYTES);
    let mut plan = TablePlan { least_bytes: end, ..TablePlan::default() };
    let mut record = read(image, 0, RECORD_BYTES)?;
    if options.grow {
        match mbr.grow_last(&mut record, target_bytes)? {
            Some((number, bytes)) => {
                plan.changes.push(format!("partition {number} grew by {bytes} bytes; its filesystem keeps its length"))
            }
            None => plan.changes.push("the last partition has all room already".to_owned()),
        }
    }
    if options.new_guids {
        renew_signature(&mut record)?;
        plan.changes.push("the disk has a new MBR signature".to_owned());
    }
    if options.scope == RestoreScope::Table {
        for offset in &mbr.extended_records {
            plan.patches.push(Patch { offset: *offset, bytes: read(image, *offset, RECORD_BYTES)? });
        }
    }
    if options.grow || options.new_guids || options.scope == RestoreScope::Table {
        plan.patches.push(Patch { offset: 0, bytes: record });
    }
    Ok(plan)
}

/// Disks of GPT mostly have no signature, and need none.
fn renew_signature(record: &mut [u8]) -> Result<(), String> {
    let signature = &mut record[Mbr::SIGNATURE];
    if signature != [0; 4] {
        signature.copy_from_slice(&random_bytes::<4>()?);
    }
    Ok(())
}

fn read(image: &dyn ReadAt, offset: u64, bytes: u64) -> Result<Vec<u8>, String> {
    let mut buffer = vec![0; bytes as usize];
    image.read_exact_at(offset, &mut buffer).map_err(|error| format!("the image's table at byte {offset}: {error}"))?;
    Ok(buffer)
}
