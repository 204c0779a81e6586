//! Texts of requests, bounded.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;
use zeroize::ZeroizeOnDrop;

/// Characters of the longest name.
const MAX_NAME_CHARACTERS: usize = 100;
/// Bytes of the longest secret that a request brings.
const MAX_SECRET_BYTES: usize = 1024;

/// A name for people: 1 to 100 characters, no control characters, no space at its ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    value_type = String, min_length = 1, max_length = 100,
    pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
)]
pub struct Name(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let length = text.chars().take(MAX_NAME_CHARACTERS + 1).count();
        if length == 0 || length > MAX_NAME_CHARACTERS {
            return Err(format!("a name has 1 to {MAX_NAME_CHARACTERS} characters"));
        }
        match text.chars().any(char::is_control) || text.trim() != text {
            true => Err("a name has no control characters, and no space before or after".to_owned()),
            false => Ok(Self(text)),
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret that a request brings: at most 1024 bytes, wiped when dropped, never printed.
#[derive(Clone, Deserialize, ToSchema, ZeroizeOnDrop)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 1024)]
pub struct SecretText(String);

impl SecretText {
    /// The text. Whoever copies it wipes the copy.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SecretText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let secret = Self(text);
        match secret.0.is_empty() || secret.0.len() > MAX_SECRET_BYTES {
            true => Err(format!("a password or code has 1 to {MAX_SECRET_BYTES} bytes")),
            false => Ok(secret),
        }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded() {
        let name = |text: &str| Name::try_from(text.to_owned()).is_ok();
        assert!(name("Raum 3 / PC 7") && name(&"ü".repeat(100)));
        assert!(!name("") && !name(" a") && !name("a\n") && !name("a\u{1b}[0m") && !name(&"a".repeat(101)));
        let secret = |text: String| SecretText::try_from(text);
        assert!(secret("x".repeat(1025)).is_err() && secret(String::new()).is_err());
        assert_eq!(format!("{:?}", secret("hunter2".to_owned())), "Ok(SecretText(…))");
    }
}
