//! A long operation's observer and its cancel token.

use crate::error::{Error, Result};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks a running job to stop; clones share the request.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that nobody has pulled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every job that holds this token to stop. Safe in a signal handler.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// The flag itself, for signal registration.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// What a job tells while it runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A stage began. `total_bytes` is absent for streams of unknown length.
    Stage {
        /// What is being done, in a word or two.
        name: &'static str,
        /// Length of the stage in bytes.
        total_bytes: Option<u64>,
    },
    /// That many more bytes of the stage are done.
    Advanced {
        /// Bytes since the last such event.
        bytes: u64,
    },
    /// Something that the operator should know and that does not stop the job.
    Warning(String),
}

type Observer = Arc<dyn Fn(Event) + Send + Sync>;

/// Observer and cancel token of one operation.
#[derive(Clone, Default)]
pub struct Job {
    cancel: CancelToken,
    observer: Option<Observer>,
}

impl Job {
    /// A job that nobody watches and nobody cancels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stopped by `token`.
    #[must_use]
    pub fn cancelled_by(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// Events go to `observer`, from any thread.
    #[must_use]
    pub fn on_event(mut self, observer: impl Fn(Event) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The same token; of the events only warnings. For a second half of the work whose progress the first one tells.
    pub(crate) fn without_progress(&self) -> Self {
        let observer = self.observer.clone();
        let warnings = move |event: Event| {
            if let (Some(observer), Event::Warning(_)) = (&observer, &event) {
                observer(event);
            }
        };
        Self::new().cancelled_by(self.cancel.clone()).on_event(warnings)
    }

    /// # Errors
    /// `Cancelled` where the token was pulled.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }

    pub(crate) fn emit(&self, event: Event) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    pub(crate) fn stage(&self, name: &'static str, total_bytes: Option<u64>) {
        self.emit(Event::Stage { name, total_bytes });
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.emit(Event::Advanced { bytes });
    }

    pub(crate) fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::warn!("{text}");
        self.emit(Event::Warning(text));
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("cancel", &self.cancel).field("observed", &self.observer.is_some()).finish()
    }
}
