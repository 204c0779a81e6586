//! Write to a stream: a window's chunks are put in order in memory first.

use super::Restoring;
use super::decode::decode_all;
use super::fetch::{FetchTask, FrameTask, fetch_tasks};
use super::window::{Planner, Totals, Window};
use crate::disk::Target;
use crate::error::{Error, Result};
use crate::job::Job;
use crate::repository::Repository;
use crossbeam_channel::{Receiver, Sender, bounded};
use holotype_core::frame::OpenedFrame;

/// Opened frames that wait to be copied to their places.
const QUEUED_FRAMES: usize = 8;

/// A frame, or `None` where a decoding thread has failed: the others live on and wait for tasks, so
/// that nobody would notice otherwise.
type Opened = Option<(FrameTask, OpenedFrame)>;

pub(super) fn run(restoring: &Restoring<'_>, mut planner: Planner<'_>) -> Result<Totals> {
    let &Restoring { repository, target, job, threads, ref abort, .. } = restoring;
    let mut totals = Totals::default();
    std::thread::scope(|scope| {
        let (task_sender, tasks) = bounded::<FetchTask>(threads * 2);
        let (opened_sender, opened) = bounded::<Opened>(QUEUED_FRAMES);
        let (full_sender, full) = bounded::<(Window, Vec<u8>)>(0);
        let (buffer_sender, buffers) = bounded::<Vec<u8>>(2);
        for _ in 0..2 {
            let _ = buffer_sender.send(Vec::new());
        }
        for _ in 0..threads {
            let (tasks, opened_sender) = (tasks.clone(), opened_sender.clone());
            scope.spawn(move || {
                let send = |frame, opened| opened_sender.send(Some((frame, opened))).is_ok();
                if abort.note(decode_all(restoring, &tasks, send)).is_none() {
                    let _ = opened_sender.send(None);
                }
            });
        }
        drop((tasks, opened_sender));
        scope.spawn(move || abort.note(write_all(target, &full, &buffer_sender, job)));

        while let Some(window) = planner.next_window()? {
            totals.add(&window);
            restoring.note(&window);
            let Ok(mut buffer) = buffers.recv() else { break };
            buffer.resize(window.data_bytes as usize, 0);
            if !fill(repository, &window, &mut buffer, &task_sender, &opened)?
                || full_sender.send((window, buffer)).is_err()
            {
                break;
            }
        }
        Ok(totals)
    })
}

/// Sends the window's tasks out and puts what comes back in its place. `false` where a decoding
/// thread has failed.
fn fill(
    repository: &Repository,
    window: &Window,
    buffer: &mut [u8],
    task_sender: &Sender<FetchTask>,
    opened: &Receiver<Opened>,
) -> Result<bool> {
    let mut tasks = fetch_tasks(repository.catalog()?, window)?.into_iter().peekable();
    let mut left = window.chunks.len();
    while left > 0 {
        let received = match tasks.peek() {
            None => opened.recv().ok(),
            Some(_) => crossbeam_channel::select! {
                recv(opened) -> received => received.ok(),
                send(task_sender, tasks.next().expect("one was seen")) -> sent => match sent {
                    Ok(()) => continue,
                    Err(_) => None,
                },
            },
        };
        let Some(Some((frame, frame_opened))) = received else { return Ok(false) };
        left -= frame.places.len();
        for (slot, place) in frame.places {
            let chunk = frame_opened.chunk(slot).expect("each slot was checked");
            let part = place.part_of(chunk);
            buffer[place.at as usize..][..part.len()].copy_from_slice(part);
        }
    }
    Ok(true)
}

/// Writes window after window, chunks and runs without content, which are zeros, in the order of the disk.
fn write_all(
    target: &dyn Target,
    full: &Receiver<(Window, Vec<u8>)>,
    buffers: &Sender<Vec<u8>>,
    job: &Job,
) -> Result<()> {
    for (window, buffer) in full {
        let mut runs = window.runs.iter().peekable();
        let mut chunks = window.chunks.iter().peekable();
        loop {
            job.check()?;
            let failed =
                |offset: u64| move |error| Error::io(target.describe(), &format!("write at byte {offset}"), error);
            match (runs.peek(), chunks.peek()) {
                (None, None) => break,
                (Some(run), next) if next.is_none_or(|chunk| run.offset < chunk.offset) => {
                    target.write_zeros(run.offset, run.bytes).map_err(failed(run.offset))?;
                    job.advance(run.bytes);
                    runs.next();
                }
                (_, Some(first)) => {
                    // Everything up to the next run lies in one piece.
                    let (offset, at) = (first.offset, first.at);
                    let mut bytes = 0;
                    while let Some(chunk) = chunks.next_if(|chunk| chunk.offset == offset + bytes) {
                        bytes += u64::from(chunk.bytes);
                    }
                    target.write_at(offset, &buffer[at as usize..(at + bytes) as usize]).map_err(failed(offset))?;
                    job.advance(bytes);
                }
                (Some(_), None) => unreachable!("a run without chunks after it is taken above"),
            }
        }
        // The other side has ended where no window follows.
        let _ = buffers.send(buffer);
    }
    Ok(())
}
