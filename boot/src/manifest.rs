//! The list of a medium's files, on the medium itself as `holotype/manifest`.
//!
//! JSON: `{"holotype-medium": 1, "product": "usb", "kernel": VERSION, "files": {PATH: {"bytes": N, "blake3": HEX}},
//! "parts": {NAME: {"at": OFFSET, "bytes": N, "blake3": HEX}}}`. Parts are what a BIOS starts outside of the files' volume,
//! each where it stands on the medium, as it stands there; media made before, and those without any, have no `parts`.
//! It finds damage; it is no signature. Secure Boot signs what it signs, and nothing else on a medium is trusted.

use crate::error::{BootError, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

/// Where it is on a medium.
pub const MANIFEST_PATH: &str = "holotype/manifest";
/// Most bytes of a manifest.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;
/// Most bytes of all parts together.
const MAX_PARTS_BYTES: u64 = 16 << 20;

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
    /// What a BIOS starts besides, by what it is called.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, ManifestPart>,
}

/// Bytes of a medium that are in none of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPart {
    /// Where they begin, in bytes.
    pub at: u64,
    /// How many they are.
    pub bytes: u64,
    /// BLAKE3 of them in hexadecimal digits.
    pub blake3: String,
}

impl ManifestPart {
    /// Of these bytes, there.
    pub fn of(at: u64, bytes: &[u8]) -> Self {
        Self { at, bytes: bytes.len() as u64, blake3: blake3::hash(bytes).to_hex().to_string() }
    }

    fn is_on<R: Read + Seek>(&self, medium: &mut R) -> bool {
        let mut hasher = blake3::Hasher::new();
        let read = medium.seek(SeekFrom::Start(self.at)).and_then(|_| {
            let mut part = medium.take(self.bytes);
            std::io::copy(&mut part, &mut hasher)
        });
        read.is_ok_and(|bytes| bytes == self.bytes) && hasher.finalize().to_hex().as_str() == self.blake3
    }
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
        Self { version: 1, product: product.to_owned(), kernel: kernel.to_owned(), files, parts: BTreeMap::new() }
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

    /// Sentences about parts that are not on the medium as they were.
    pub fn compare_parts<R: Read + Seek>(&self, medium: &mut R) -> Vec<String> {
        let mut findings = Vec::new();
        let mut left = MAX_PARTS_BYTES;
        for (name, part) in &self.parts {
            match left.checked_sub(part.bytes) {
                Some(rest) => left = rest,
                None => {
                    findings.push(format!("{name}: {MANIFEST_PATH} says that it is larger than it can be"));
                    continue;
                }
            }
            if !part.is_on(medium) {
                findings.push(format!("{name}: it was changed or is damaged"));
            }
        }
        findings
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
    fn parts_are_compared() {
        let medium: Vec<u8> = (0..100).collect();
        let mut manifest = Manifest::of("usb", "6.1", &BTreeMap::new());
        let text = |manifest: &Manifest| String::from_utf8(manifest.to_bytes().unwrap()).unwrap();
        assert!(!text(&manifest).contains("parts"));
        let found =
            |manifest: &Manifest, medium: &[u8]| manifest.compare_parts(&mut std::io::Cursor::new(medium)).len();
        manifest.parts.insert("first".into(), ManifestPart::of(10, &medium[10..20]));
        let read = Manifest::parse(text(&manifest).as_bytes()).unwrap();
        assert_eq!(read, manifest);
        assert_eq!((found(&read, &medium), found(&read, &medium[..19]), found(&read, &medium[1..])), (0, 1, 1));
        manifest.parts.insert("vast".into(), ManifestPart { bytes: u64::MAX, ..ManifestPart::of(0, b"") });
        assert_eq!(found(&manifest, &medium), 1);
        // As media made before have it.
        let old = br#"{"holotype-medium": 1, "product": "usb", "kernel": "6.1", "files": {}}"#;
        assert_eq!(found(&Manifest::parse(old).unwrap(), &medium), 0);
    }

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
