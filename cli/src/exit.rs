//! Exit codes, and failures that lead to them.

use holotype_repo::{Error, ErrorKind};
use std::fmt;
use std::process::ExitCode;

/// How a command ended. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// It could not be done.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Done but for sectors that could not be read.
    Partial = 3,
    /// A verify found damage.
    Findings = 4,
    /// No key slot opens with what was given.
    Password = 5,
    /// The target of a restore must not be written.
    TargetRefused = 6,
    /// There is no such image.
    NoSuchImage = 7,
    /// A signal stopped it.
    Cancelled = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command failed: a sentence for people, a word for programs, an exit code.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    kind: &'static str,
    message: String,
}

/// Result of commands.
pub type Result<T = Exit, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// The command line, or what it leads to, makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, kind: "usage", message: message.into() }
    }

    /// It could not be done; `kind` says in a word why.
    pub fn failed(kind: &'static str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, kind, message: message.into() }
    }

    /// The operating system failed while doing `action` to `subject`.
    pub fn io(subject: impl fmt::Display, action: &str, error: std::io::Error) -> Self {
        Error::io(subject.to_string(), action, error).into()
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The same with another sentence.
    #[must_use]
    pub fn with_message(mut self, change: impl FnOnce(&str) -> String) -> Self {
        self.message = change(&self.message);
        self
    }

    /// A word for programs.
    pub fn kind(&self) -> &'static str {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, kind) = match error.kind() {
            ErrorKind::Io => (Exit::Failed, "io"),
            ErrorKind::NotFound => (Exit::Failed, "not-found"),
            ErrorKind::AlreadyExists => (Exit::Failed, "already-exists"),
            ErrorKind::PermissionDenied => (Exit::Failed, "permission-denied"),
            ErrorKind::NoSpace => (Exit::Failed, "no-space"),
            ErrorKind::Damaged => (Exit::Failed, "damaged"),
            ErrorKind::Unsupported => (Exit::Failed, "unsupported"),
            ErrorKind::WrongPassword => (Exit::Password, "wrong-password"),
            ErrorKind::NotAllowed => (Exit::Failed, "not-allowed"),
            ErrorKind::TargetRefused => (Exit::TargetRefused, "target-refused"),
            ErrorKind::NoSuchImage => (Exit::NoSuchImage, "no-such-image"),
            ErrorKind::InvalidInput => (Exit::Usage, "invalid-input"),
            ErrorKind::Fenced => (Exit::Failed, "fenced"),
            ErrorKind::Cancelled => (Exit::Cancelled, "cancelled"),
            _ => (Exit::Failed, "failed"),
        };
        Self { exit, kind, message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_lead_to_exit_codes() {
        let exit = |kind| Failure::from(Error::new(kind, "it", "why")).exit() as u8;
        assert_eq!(exit(ErrorKind::Io), 1);
        assert_eq!(exit(ErrorKind::NotAllowed), 1);
        assert_eq!(exit(ErrorKind::InvalidInput), 2);
        assert_eq!(exit(ErrorKind::WrongPassword), 5);
        assert_eq!(exit(ErrorKind::TargetRefused), 6);
        assert_eq!(exit(ErrorKind::NoSuchImage), 7);
        assert_eq!(exit(ErrorKind::Cancelled), 130);
    }
}
