//! What goes wrong in the small system, in sentences for the person at the PC.

use std::fmt;

/// What did not work: on which object, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemError {
    subject: String,
    why: String,
    advice: Option<String>,
}

impl SystemError {
    /// `subject` is the object, as `/dev/sda1` or `network adapter`; `why` goes on after a colon.
    pub fn new(subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self { subject: subject.into(), why: why.into(), advice: None }
    }

    /// What to do about it.
    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// What the operating system said when it was asked to `action` (`read it`, `mount it`).
    pub fn io(subject: impl Into<String>, action: &str, error: impl Into<std::io::Error>) -> Self {
        Self::new(subject, format!("cannot {action}: {}", error.into()))
    }

    /// What is only there on a boot medium.
    pub(crate) fn not_init(what: &str) -> Self {
        Self::new(what, "is there only in a system that was booted from a boot medium")
    }

    /// The object.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.why)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SystemError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_sentence() {
        let error = SystemError::new("/dev/sda1", "holds no filesystem").advise("choose another");
        assert_eq!(error.to_string(), "/dev/sda1: holds no filesystem; choose another");
        let error = SystemError::io("/x", "open it", std::io::Error::from(std::io::ErrorKind::NotFound));
        assert_eq!(error.to_string(), "/x: cannot open it: entity not found");
    }
}
