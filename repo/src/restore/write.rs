//! Write: chunks go to their places on a target that takes writes anywhere.

use super::Restoring;
use super::compare::differing;
use super::decode::decode_all;
use super::fetch::{FetchTask, FrameTask, fetch_tasks};
use super::image_bytes::ImageBytes;
use super::window::{Planner, RunKind, Totals};
use crate::disk::Target;
use crate::error::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use holotype_core::frame::OpenedFrame;

/// Opened frames that wait to be written.
const QUEUED_FRAMES: usize = 8;
/// After so many bytes the target is asked to begin to make them durable: the system itself would
/// wait for gigabytes, and the device would idle until the end.
const SETTLE_BYTES: u64 = 128 << 20;

pub(super) fn run(restoring: &Restoring<'_>, mut planner: Planner<'_>, bytes: &ImageBytes<'_>) -> Result<Totals> {
    let &Restoring { repository, target, job, threads, ref abort, .. } = restoring;
    let mut totals = Totals::default();
    std::thread::scope(|scope| {
        let (task_sender, tasks) = bounded::<FetchTask>(threads * 2);
        let (opened_sender, opened) = bounded::<(FrameTask, OpenedFrame)>(QUEUED_FRAMES);
        let (settle, settling) = bounded::<()>(1);
        scope.spawn(move || {
            for () in settling {
                let failed = |error| Error::io(target.describe(), "make what was written durable", error);
                abort.note(target.settle().map_err(failed));
            }
        });
        for _ in 0..threads {
            let (tasks, opened_sender) = (tasks.clone(), opened_sender.clone());
            scope.spawn(move || {
                abort.note(decode_all(restoring, &tasks, |frame, opened| opened_sender.send((frame, opened)).is_ok()))
            });
        }
        // One thread writes: a file system lets one write into a file at a time, and the others would spin.
        scope.spawn(move || abort.note(write_all(restoring, &opened, &settle)));
        drop((tasks, opened_sender));
        while let Some(mut window) = planner.next_window()? {
            totals.add(&window);
            restoring.note(&window);
            restoring.release_free(&mut window)?;
            if restoring.plan.delta {
                window = differing(restoring, bytes, &window)?;
                if abort.is_set() {
                    return Ok(totals);
                }
            }
            for run in window.runs.iter().filter(|run| run.kind != RunKind::Free) {
                job.check()?;
                target.write_zeros(run.offset, run.bytes).map_err(|error| write_error(target, run.offset, error))?;
                restoring.written(run.bytes);
            }
            for task in fetch_tasks(repository.catalog()?, &window)? {
                // No receiver is left only where all have failed; the first failure is told.
                if abort.is_set() || task_sender.send(task).is_err() {
                    return Ok(totals);
                }
            }
        }
        Ok(totals)
    })
}

/// Writes frames, and asks now and then for what was written to be made durable.
fn write_all(
    restoring: &Restoring<'_>,
    opened: &Receiver<(FrameTask, OpenedFrame)>,
    settle: &Sender<()>,
) -> Result<()> {
    let mut unsettled_bytes = 0;
    for (frame, frame_opened) in opened {
        restoring.job.check()?;
        unsettled_bytes += write_frame(restoring, &frame, &frame_opened)?;
        if unsettled_bytes >= SETTLE_BYTES {
            unsettled_bytes = 0;
            // Full where one is waiting already.
            let _ = settle.try_send(());
        }
    }
    Ok(())
}

pub(super) fn write_error(target: &dyn Target, offset: u64, error: std::io::Error) -> Error {
    Error::io(target.describe(), &format!("write at byte {offset}"), error)
}

/// Writes a frame's chunks and gives their length; chunks that follow each other in frame and target go in one write.
fn write_frame(restoring: &Restoring<'_>, frame: &FrameTask, opened: &OpenedFrame) -> Result<u64> {
    let target = restoring.target;
    let places = &frame.places;
    let mut at = 0;
    let mut written_bytes = 0;
    while let Some((first_slot, first)) = places.get(at) {
        let mut last_slot = *first_slot;
        let mut end = first.end();
        at += 1;
        while first.is_whole()
            && let Some((slot, place)) = places.get(at)
            && *slot == last_slot + 1
            && place.offset == end
            && place.is_whole()
        {
            last_slot = *slot;
            end = place.end();
            at += 1;
        }
        let data = opened.chunks(*first_slot, last_slot).expect("each slot was checked");
        let data = if first.is_whole() { data } else { first.part_of(data) };
        target.write_at(first.offset, data).map_err(|error| write_error(target, first.offset, error))?;
        restoring.written(data.len() as u64);
        written_bytes += data.len() as u64;
    }
    Ok(written_bytes)
}
