//! The line to the server while a job runs: who is told of waits, and who may end them; and what failures of a store
//! mean for somebody at the PC.

use super::Telling;
use crate::screens::text::duration;
use crate::server::ADVICE_ENDED;
use holotype_repo::remote::Waiting;
use holotype_repo::{Error, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Threads of a job wait for the same server: one of them is told of.
const TELL_EVERY: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Held {
    telling: Option<Telling>,
    told: Option<Instant>,
}

/// Whose request is at hand: a store lives longer than one.
#[derive(Default)]
pub struct Line(Mutex<Held>);

impl Line {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this one is told.
    pub fn take(&self, telling: &Telling) {
        *self.held() = Held { telling: Some(telling.clone()), told: None };
    }
}

impl Waiting for Line {
    fn waits(&self, why: &Error, left: Duration) {
        let mut held = self.held();
        if held.told.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return;
        }
        held.told = Some(Instant::now());
        let telling = held.telling.clone();
        drop(held);
        if let Some(telling) = telling {
            telling.step(&format!("waiting for the server, for up to {}: {why}", duration(left.as_secs())));
        }
    }

    fn is_back(&self) {
        let telling = {
            let mut held = self.held();
            held.told.take().and_then(|_| held.telling.clone())
        };
        if let Some(telling) = telling {
            telling.step("the server answers again");
        }
    }

    fn is_cancelled(&self) -> bool {
        self.held().telling.as_ref().is_some_and(|telling| telling.cancel.is_cancelled())
    }
}

/// The library's error as a sentence for somebody at the PC, who has no command line with a token.
pub(crate) fn sentence(error: &Error) -> String {
    let is_of_server = error.subject().starts_with("https://");
    match error.kind() {
        ErrorKind::PermissionDenied if is_of_server => format!("{}: {}{ADVICE_ENDED}", error.subject(), error.why()),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screens::News;
    use holotype_repo::CancelToken;
    use std::sync::Arc;

    #[test]
    fn waits_are_told_once_and_their_end_too() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&told);
        let note = move |news| {
            if let News::Told(step) = news {
                noted.lock().unwrap().push(step);
            }
        };
        let (line, cancel) = (Line::default(), CancelToken::new());
        assert!(!line.is_cancelled());
        line.take(&Telling::new(note, cancel.clone(), Arc::default()));
        let gone = Error::new(ErrorKind::Io, "https://a", "gone");
        (0..3).for_each(|_| line.waits(&gone, Duration::from_secs(90)));
        (0..2).for_each(|_| line.is_back());
        let told = told.lock().unwrap();
        assert_eq!(
            *told,
            ["waiting for the server, for up to 1 min 30 s: https://a: gone", "the server answers again"]
        );
        cancel.cancel();
        assert!(line.is_cancelled());
    }

    #[test]
    fn a_session_that_ended_is_told_without_a_token_file() {
        let error = |subject| Error::new(ErrorKind::PermissionDenied, subject, "no").advise("--token-file");
        let told = sentence(&error("https://a/lab"));
        assert!(told.starts_with("https://a/lab: no; the session of this PC was ended"), "{told}");
        assert!(sentence(&error("/dev/sda")).contains("--token-file"));
    }
}
