//! The error of this crate: a kind to act on, the object it is about, why, and what to do.

use std::fmt;
use std::io;

/// What class of failure it is; front ends map it to exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system or the store failed.
    Io,
    /// An object, file or device is not there.
    NotFound,
    /// Something stands where something new should be made.
    AlreadyExists,
    /// The operating system does not allow it.
    PermissionDenied,
    /// The destination is full or read-only.
    NoSpace,
    /// Stored bytes are not what was written.
    Damaged,
    /// A newer format, or a feature that this program does not know.
    Unsupported,
    /// No key slot opens with what was given.
    WrongPassword,
    /// The key in hand may not do this.
    NotAllowed,
    /// The target of a restore must not or cannot be written.
    TargetRefused,
    /// No image of that name, time or id.
    NoSuchImage,
    /// The caller's values do not fit together.
    InvalidInput,
    /// The lease was revoked or objects that were leaned on are going away.
    Fenced,
    /// The job was cancelled.
    Cancelled,
}

/// A failure: kind, subject, reason, advice.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    subject: String,
    why: String,
    advice: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` about `subject` (an object, path or device), and why it came.
    pub fn new(kind: ErrorKind, subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, subject: subject.into(), why: why.into(), advice: None, source: None }
    }

    /// With a sentence that says what to do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// With the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// From an operating system error while doing `action` to `subject`.
    pub fn io(subject: impl Into<String>, action: &str, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        let advice = match kind {
            ErrorKind::NoSpace => Some("free space or make the destination writable, then run it again".to_owned()),
            ErrorKind::PermissionDenied => Some("run it as a user who may do that".to_owned()),
            _ => None,
        };
        Self {
            kind,
            subject: subject.into(),
            why: format!("could not {action}: {error}"),
            advice,
            source: Some(Box::new(error)),
        }
    }

    /// The class of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The object, path or device it is about.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Why, without the object and without advice: for front ends that know better what to do.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do, where something is known.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// Stopped by its cancel token.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "job", "cancelled")
    }

    /// A [`holotype_core::DecodeError`] about the object `subject`.
    pub fn decode(subject: impl Into<String>, error: holotype_core::DecodeError) -> Self {
        use holotype_core::DecodeError;
        let (kind, advice) = match &error {
            DecodeError::Unsupported { .. } => (ErrorKind::Unsupported, Some("use a newer holotype")),
            _ => (ErrorKind::Damaged, Some("run `holotype verify --read-data` to see what is hurt")),
        };
        let error = Self::new(kind, subject, error.to_string()).caused_by(error);
        match advice {
            Some(advice) => error.advise(advice),
            None => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.why)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Puts a subject to results of the core.
pub(crate) trait DecodeContext<T> {
    /// The error, about `subject`.
    fn about(self, subject: impl fmt::Display) -> Result<T>;
}

impl<T> DecodeContext<T> for Result<T, holotype_core::DecodeError> {
    fn about(self, subject: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Error::decode(subject.to_string(), error))
    }
}
