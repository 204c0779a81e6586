//! What can be wrong with stored bytes.

/// Why stored or received bytes were not accepted. Never a panic: every stored byte is hostile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes do not have the form that the format gives them.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// The record that was being read, in the format's terms.
        what: &'static str,
        /// What was expected and what was found.
        why: String,
    },
    /// Authentication failed: other key, or changed bytes.
    #[error("{what} does not open: the key is another one or the bytes were changed")]
    NotAuthentic {
        /// The record that was being opened.
        what: &'static str,
    },
    /// The bytes are of a version or kind that this program does not know.
    #[error("{what} needs a newer program: {why}")]
    Unsupported {
        /// The record that was being read.
        what: &'static str,
        /// The version, algorithm or feature that is not known.
        why: String,
    },
}

impl DecodeError {
    /// A [`DecodeError::Damaged`] about `what`.
    pub fn damaged(what: &'static str, why: impl Into<String>) -> Self {
        Self::Damaged { what, why: why.into() }
    }

    /// A [`DecodeError::Unsupported`] about `what`.
    pub fn unsupported(what: &'static str, why: impl Into<String>) -> Self {
        Self::Unsupported { what, why: why.into() }
    }
}
