//! Patience: how long and how often a request is tried again.

use super::answer::Attempt;
use crate::error::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a server may be gone before a request fails: it may be restarting.
pub(super) const BUDGET: Duration = Duration::from_secs(300);
/// The same before it has answered once: the address may be wrong.
const FIRST_CONTACT_BUDGET: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A wait that people are told of.
const TOLD_WAIT: Duration = Duration::from_secs(1);
/// An upload that is said to go on elsewhere again and again is given up.
const MOST_ELSEWHERE: u32 = 16;

/// How often a wait looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Who is told of waits for a server that does not answer, and can end them. Called by every thread that waits.
pub trait Waiting: Send + Sync {
    /// A request failed, `why` says so in a sentence, and is tried again; `left` is how long that goes on.
    fn waits(&self, why: &Error, left: Duration);
    /// The server answers again.
    fn is_back(&self);
    /// Whether nobody wants to wait any longer: then requests fail with `Cancelled`.
    fn is_cancelled(&self) -> bool;
}

/// Tries again, with growing, jittered waits, as long as there is time.
pub(super) struct Patience {
    budget: Duration,
    contacted: AtomicBool,
    waiting: Option<Arc<dyn Waiting>>,
}

/// What is known before an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Situation {
    /// An earlier attempt may have come to the server, in whole or in part.
    pub may_have_arrived: bool,
    /// The server said that an upload goes on here.
    pub received_bytes: Option<u64>,
}

impl Patience {
    pub fn new(budget: Duration) -> Self {
        Self { budget, contacted: AtomicBool::new(false), waiting: None }
    }

    /// Waits are told to `waiting`.
    pub fn told_to(self, waiting: Arc<dyn Waiting>) -> Self {
        Self { waiting: Some(waiting), ..self }
    }

    /// Sleeps; whether it slept to the end.
    fn sleep(&self, wait: Duration) -> bool {
        let Some(waiting) = &self.waiting else {
            std::thread::sleep(wait);
            return true;
        };
        let until = Instant::now() + wait;
        while !waiting.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
        false
    }

    /// Runs attempts until one succeeds, fails for good, or the budget is over. Its time begins with the
    /// first failure: what goes well may take as long as it takes.
    pub fn run<T>(&self, subject: &str, mut attempt: impl FnMut(Situation) -> Result<T, Attempt>) -> Result<T> {
        let mut since: Option<Instant> = None;
        let mut wait = FIRST_WAIT;
        let mut situation = Situation::default();
        let mut elsewhere = 0;
        let mut told = false;
        loop {
            let (error, after) = match attempt(situation) {
                Ok(value) => {
                    self.contacted.store(true, Ordering::Relaxed);
                    if let Some(waiting) = self.waiting.as_ref().filter(|_| told) {
                        waiting.is_back();
                    }
                    return Ok(value);
                }
                Err(Attempt::Failed(error)) => return Err(error),
                Err(Attempt::Elsewhere { error, received_bytes }) => {
                    self.contacted.store(true, Ordering::Relaxed);
                    elsewhere += 1;
                    if elsewhere > MOST_ELSEWHERE {
                        return Err(error);
                    }
                    situation = Situation { may_have_arrived: true, received_bytes: Some(received_bytes) };
                    continue;
                }
                Err(Attempt::Later { error, after }) => (error, after),
            };
            situation = Situation { may_have_arrived: true, received_bytes: None };
            let budget = match self.contacted.load(Ordering::Relaxed) {
                true => self.budget,
                false => self.budget.min(FIRST_CONTACT_BUDGET),
            };
            let since = *since.get_or_insert_with(Instant::now);
            let now = jittered(after.unwrap_or(wait).max(wait));
            if since.elapsed() + now > budget {
                return Err(give_up(subject, since.elapsed(), error));
            }
            match now >= TOLD_WAIT {
                true => tracing::warn!("{error}; trying again in {:.1} s", now.as_secs_f32()),
                false => tracing::debug!("{error}; trying again in {:.2} s", now.as_secs_f32()),
            }
            if let Some(waiting) = self.waiting.as_ref().filter(|_| now >= TOLD_WAIT) {
                waiting.waits(&error, budget.saturating_sub(since.elapsed()));
                told = true;
            }
            if !self.sleep(now) {
                return Err(Error::cancelled().caused_by(error));
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

fn give_up(subject: &str, tried: Duration, error: Error) -> Error {
    if tried < TOLD_WAIT {
        return error;
    }
    let why = format!("the server could not be reached for {} s: {error}", tried.as_secs());
    Error::new(ErrorKind::Io, subject, why)
        .advise("check the address, and that the server runs; what has arrived there is not sent again")
}

/// Between three and five quarters of `wait`: clients of a server that restarts shall not come at once.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness it is only less spread.
    let _ = getrandom::fill(&mut random);
    wait.mul_f32(0.75 + f32::from(u16::from_le_bytes(random)) / f32::from(u16::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later() -> Attempt {
        Attempt::Later { error: Error::new(ErrorKind::Io, "x", "gone"), after: None }
    }

    #[test]
    fn failures_that_may_pass_are_tried_again() {
        let patience = Patience::new(Duration::from_secs(60));
        let mut attempts = 0;
        let result = patience.run("x", |situation| {
            attempts += 1;
            assert_eq!(situation.may_have_arrived, attempts > 1);
            if attempts < 3 { Err(later()) } else { Ok(attempts) }
        });
        assert_eq!(result.unwrap(), 3);
    }

    /// Stops the wait as soon as it is told of one.
    #[derive(Default)]
    struct Impatient {
        told: std::sync::Mutex<Vec<String>>,
        back: AtomicBool,
        stops: bool,
    }

    impl Waiting for Impatient {
        fn waits(&self, why: &Error, left: Duration) {
            // Nothing was heard of the server yet, so the shorter budget counts.
            assert!(left <= FIRST_CONTACT_BUDGET && left > FIRST_CONTACT_BUDGET / 2, "{left:?}");
            self.told.lock().unwrap().push(why.to_string());
        }

        fn is_back(&self) {
            self.back.store(true, Ordering::Relaxed);
        }

        fn is_cancelled(&self) -> bool {
            self.stops && !self.told.lock().unwrap().is_empty()
        }
    }

    #[test]
    fn waits_are_told_and_can_be_ended() {
        for stops in [true, false] {
            let waiting = Arc::new(Impatient { stops, ..Impatient::default() });
            let patience = Patience::new(Duration::from_secs(60)).told_to(Arc::clone(&waiting) as Arc<dyn Waiting>);
            let mut attempts = 0;
            let result = patience.run("x", |_| {
                attempts += 1;
                let after = Some(TOLD_WAIT * 2);
                let error = Error::new(ErrorKind::Io, "x", "gone");
                if attempts < 2 { Err(Attempt::Later { error, after }) } else { Ok(()) }
            });
            assert_eq!(result.err().map(|error| error.kind()), stops.then_some(ErrorKind::Cancelled));
            assert_eq!(*waiting.told.lock().unwrap(), ["x: gone"]);
            assert_eq!(waiting.back.load(Ordering::Relaxed), !stops);
        }
    }

    #[test]
    fn others_are_not_and_time_runs_out() {
        let patience = Patience::new(Duration::from_millis(200));
        let mut attempts = 0;
        let failed = patience.run("x", |_| -> Result<(), Attempt> {
            attempts += 1;
            Err(Attempt::Failed(Error::new(ErrorKind::NotFound, "x", "none")))
        });
        assert_eq!((failed.unwrap_err().kind(), attempts), (ErrorKind::NotFound, 1));
        assert_eq!(patience.run("x", |_| -> Result<(), Attempt> { Err(later()) }).unwrap_err().kind(), ErrorKind::Io);
        let elsewhere = || Attempt::Elsewhere { error: Error::new(ErrorKind::Io, "x", "no"), received_bytes: 5 };
        assert!(patience.run("x", |_| -> Result<(), Attempt> { Err(elsewhere()) }).is_err(), "it ends");
    }
}
