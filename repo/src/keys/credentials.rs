//! What a person has in hand to open a repository.

use holotype_core::key_slot::Factors;
use holotype_core::secret::SecretBytes;

/// A password, a key file, or both.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    factors: Factors,
}

impl Credentials {
    /// A password alone.
    pub fn password(password: impl Into<Vec<u8>>) -> Self {
        Self::default().with_password(password)
    }

    /// A key file alone: its bytes, at least 32.
    pub fn key_file(bytes: impl Into<Vec<u8>>) -> Self {
        Self::default().with_key_file(bytes)
    }

    /// With this password.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<Vec<u8>>) -> Self {
        self.factors.password = Some(SecretBytes::new(password.into()));
        self
    }

    /// With this key file's bytes.
    #[must_use]
    pub fn with_key_file(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.factors.key_file = Some(SecretBytes::new(bytes.into()));
        self
    }

    /// Whether a password is among them.
    pub fn has_password(&self) -> bool {
        self.factors.password.is_some()
    }

    /// Whether a key file is among them.
    pub fn has_key_file(&self) -> bool {
        self.factors.key_file.is_some()
    }

    pub(crate) fn factors(&self) -> &Factors {
        &self.factors
    }
}
