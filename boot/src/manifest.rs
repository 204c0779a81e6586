//! The list of a medium's files, on the medium itself as `holotype/manifest`.
//!
//! JSON: `{"holotype-medium": 1, "product": "usb", "kernel": VERSION, "files": {PATH: {"bytes": N, "blake3": HEX}}}`.
//! It finds damage; it is no signature. Secure Boot signs what it signs, and nothing else on a medium is trusted.

use crate::error::{BootError, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where it is on a medium.
pub const MANIFEST_PATH: &str = "holotype/manifest";
/// Most bytes of a manifest.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the list: 1.
    #[serde(rename = "holotype-medium")]
    pub version: u32,
    /// What kind of medium: `usb`, `iso`, `netboot`.
    pub product: String,
    /// Version of its kernel.
    pub kernel: String,
    /// Its files by path, all but the manifest itself.
    pub files: BTreeMap<String, ManifestFile>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// How long it is.
    pub bytes: u64,
    /// BLAKE3 of its bytes in hexadecimal digits.
    pub blake3: String,
}

impl ManifestFile {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, blake3: blake3::hash(bytes).to_hex().to_string() }
    }
}

impl Manifest {
    /// The list of these files.
    pub fn of(product: &str, kernel: &str, files: &BTreeMap<String, Vec<u8>>) -> Self {
        let files = files.iter().map(|(path, bytes)| (path.clone(), ManifestFile::of(bytes))).collect();
        Self { version: 1, product: product.to_owned(), kernel: kernel.to_owned(), files }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// Never in practice: everything in it can be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let failed = |error: serde_json::Error| BootError::new("manifest", error);
        Ok([serde_json::to_vec_pretty(self).map_err(failed)?, b"\n".to_vec()].concat())
    }

    /// Reads one.
    ///
    /// # Errors
    /// Where it is none of version 1.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let none =
            || BootError::new(MANIFEST_PATH, "it is damaged, or of another version").advise("make the medium anew");
        let manifest: Self = (bytes.len() <= MAX_MANIFEST_BYTES)
            .then(|| serde_json::from_slice(bytes).ok())
            .flatten()
            .ok_or_else(none)?;
        if manifest.version == 1 { Ok(manifest) } else { Err(none()) }
    }

    /// Sentences about files that are missing, changed, or of nobody.
    pub fn compare(&self, files: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
        let mut findings = Vec::new();
        for (path, expected) in &self.files {
            match files.get(path) {
                None => findings.push(format!("{path}: it is missing")),
                Some(bytes) if ManifestFile::of(bytes) != *expected => {
                    findings.push(format!("{path}: it was changed or is damaged"))
                }
                Some(_) => {}
            }
        }
        let strange = files
            .keys()
            .filter(|path| *path != MANIFEST_PATH && *path != MACHINE_KEY_PATH && !self.files.contains_key(*path));
        findings.extend(strange.map(|path| format!("{path}: nobody put it there when the medium was made")));
        findings
    }
}

/// Where the agent keeps the machine's own key.
const MACHINE_KEY_PATH: &str = "holotype/machine.key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_found() {
        let mut files = BTreeMap::from([("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())]);
        let manifest = Manifest::parse(&Manifest::of("usb", "6.1", &files).to_bytes().unwrap()).unwrap();
        assert!(manifest.compare(&files).is_empty());
        files.insert("a".into(), b"x".to_vec());
        files.remove("b");
        files.insert("c".into(), Vec::new());
        files.insert(MACHINE_KEY_PATH.into(), Vec::new());
        let found = manifest.compare(&files);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(Manifest::parse(b"{}").is_err());
    }
}
