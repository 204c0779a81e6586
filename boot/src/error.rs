//! What can go wrong while a medium is made.

use std::fmt;
use std::path::Path;

/// What failed, on which object, and what to do. [`Display`](fmt::Display) is a sentence.
#[derive(Debug)]
pub struct BootError {
    subject: String,
    problem: String,
    advice: Option<String>,
}

/// Result of the generator.
pub type Result<T, E = BootError> = std::result::Result<T, E>;

impl BootError {
    /// `problem` on `subject`.
    pub fn new(subject: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self { subject: subject.to_string(), problem: problem.to_string(), advice: None }
    }

    /// The same with what to do.
    #[must_use]
    pub fn advise(mut self, advice: impl fmt::Display) -> Self {
        self.advice = Some(advice.to_string());
        self
    }

    /// The operating system failed while doing `action` to `path`.
    pub fn io(path: &Path, action: &str, error: &std::io::Error) -> Self {
        Self::new(path.display(), format_args!("could not {action}: {error}"))
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.problem)?;
        self.advice.as_ref().map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

impl std::error::Error for BootError {}
