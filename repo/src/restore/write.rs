//! Write: chunks go to their places on a target that takes writes anywhere.

use super::Restoring;
use super::decode::Decoder;
use super::plan::{FetchTask, FrameTask, Planner, Totals, fetch_tasks};
use crate::disk::Target;
use crate::error::{Error, Result};
use crate::job::Job;
use crossbeam_channel::bounded;
use holotype_core::frame::OpenedFrame;

pub(super) fn run(restoring: &Restoring<'_>, mut planner: Planner<'_>) -> Result<Totals> {
    let &Restoring { repository, target, job, threads, ref abort, .. } = restoring;
    let mut totals = Totals::default();
    std::thread::scope(|scope| {
        let (task_sender, tasks) = bounded::<FetchTask>(threads * 2);
        for _ in 0..threads {
            let tasks = tasks.clone();
            scope.spawn(move || {
                let mut decoder = Decoder::new(restoring);
                for task in tasks {
                    let written = job.check().and_then(|()| {
                        decoder.run(task, &mut |frame, opened| write_frame(target, &frame, &opened, job))
                    });
                    if abort.note(written).is_none() {
                        return;
                    }
                }
            });
        }
        drop(tasks);
        while let Some(window) = planner.next_window()? {
            for run in &window.zeros {
                job.check()?;
                target.write_zeros(run.offset, run.bytes).map_err(|error| write_error(target, run.offset, error))?;
                job.advance(run.bytes);
            }
            totals.add(&window);
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

fn write_error(target: &dyn Target, offset: u64, error: std::io::Error) -> Error {
    Error::io(target.describe(), &format!("write at byte {offset}"), error)
}

/// Writes a frame's chunks; chunks that follow each other in frame and target go in one write.
fn write_frame(target: &dyn Target, frame: &FrameTask, opened: &OpenedFrame, job: &Job) -> Result<()> {
    let places = &frame.places;
    let mut at = 0;
    while let Some((first_slot, first)) = places.get(at) {
        let mut last_slot = *first_slot;
        let mut end = first.offset + u64::from(first.bytes);
        at += 1;
        while let Some((slot, place)) = places.get(at)
            && *slot == last_slot + 1
            && place.offset == end
        {
            last_slot = *slot;
            end += u64::from(place.bytes);
            at += 1;
        }
        let data = opened.chunks(*first_slot, last_slot).expect("each slot was checked");
        target.write_at(first.offset, data).map_err(|error| write_error(target, first.offset, error))?;
        job.advance(data.len() as u64);
    }
    Ok(())
}
