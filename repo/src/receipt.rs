//! Receipts: what was restored to which target, signed by who restored it.
//!
//! A receipt is a text that people read: lines of `name: value` in a fixed order, the last one the
//! signature over all bytes before it. Nothing in it needs a key to be read; the signature needs the
//! signer's public key, which the config of the repository names.

use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::os::host;
use crate::restore::RestoreReport;
use holotype_core::signature::{self, SIGNATURE_BYTES, Signing};
use holotype_core::{DecodeError, RepositoryId, WriterId};
use jiff::Timestamp;
use serde::Serialize;
use std::str::FromStr;

const WHAT: &str = "receipt";
const TITLE: &str = "holotype receipt 1";
/// Longest text that is taken for a receipt, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// The lines in their order.
const FIELDS: [&str; 14] = [
    "image",
    "name",
    "repository",
    "target",
    "serial",
    "bytes",
    "data",
    "written",
    "hash",
    "read back",
    "time",
    "host",
    "program",
    "signer",
];

/// A receipt whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Id of the image.
    pub image: String,
    /// Its name.
    pub name: String,
    /// The repository that it was restored from.
    pub repository: String,
    /// Path of the target.
    pub target: String,
    /// Serial number of the target; empty where it has none.
    pub serial: String,
    /// Bytes of the target that were restored.
    pub bytes: u64,
    /// Bytes of data among them.
    pub data_bytes: u64,
    /// Bytes that had to be written.
    pub written_bytes: u64,
    /// Hash of what was restored.
    pub content_hash: String,
    /// Whether the target was read back and found right.
    pub read_back: bool,
    /// When it was done, by the clock of the host.
    pub time: Timestamp,
    /// Host that restored; empty where it has no name.
    pub host: String,
    /// Program and version.
    pub program: String,
    /// Who signed.
    pub signer: WriterId,
}

/// Line ends and other control characters would forge lines.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl Receipt {
    /// The receipt of a restore.
    pub(crate) fn of(report: &RestoreReport, repository: RepositoryId, signer: WriterId) -> Self {
        Self {
            image: report.image.to_string(),
            name: report.name.clone(),
            repository: repository.to_string(),
            target: one_line(&report.target),
            serial: one_line(report.target_serial.as_deref().unwrap_or_default()),
            bytes: report.target_bytes,
            data_bytes: report.data_bytes,
            written_bytes: report.written_bytes,
            content_hash: report.content_hash.clone(),
            read_back: report.verified,
            time: Timestamp::now(),
            host: one_line(&host::host_name().unwrap_or_default()),
            program: concat!("holotype ", env!("CARGO_PKG_VERSION")).to_owned(),
            signer,
        }
    }

    /// Its text, signed.
    pub(crate) fn sign(&self, signing: &Signing) -> String {
        let mut text = self.unsigned_text();
        let signature = signing.sign(signature::RECEIPT, text.as_bytes());
        text.push_str("signature: ");
        signature.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        text.push('\n');
        text
    }

    fn unsigned_text(&self) -> String {
        let values = [
            self.image.clone(),
            self.name.clone(),
            self.repository.clone(),
            self.target.clone(),
            self.serial.clone(),
            self.bytes.to_string(),
            self.data_bytes.to_string(),
            self.written_bytes.to_string(),
            self.content_hash.clone(),
            if self.read_back { "yes" } else { "no" }.to_owned(),
            self.time.to_string(),
            self.host.clone(),
            self.program.clone(),
            self.signer.to_string(),
        ];
        let mut text = format!("{TITLE}\n");
        FIELDS.iter().zip(values).for_each(|(name, value)| text.push_str(&format!("{name}: {value}\n")));
        text
    }

    /// Reads a receipt and checks its signature by the key that it names; whether that is a key to be
    /// trusted, the caller decides.
    ///
    /// # Errors
    /// `Damaged`, where it is no receipt or was changed.
    pub fn check(text: &str) -> Result<Self> {
        Self::decode(text).about(WHAT)
    }

    fn decode(text: &str) -> Result<Self, DecodeError> {
        let damaged = |why: &str| DecodeError::damaged(WHAT, why);
        if text.len() > MAX_BYTES {
            return Err(damaged("it is too long"));
        }
        let (signed, signature) = text.rsplit_once("signature: ").ok_or_else(|| damaged("it has no signature"))?;
        let mut lines = signed.lines();
        match lines.next() {
            Some(TITLE) => {}
            Some(other) if other.starts_with("holotype receipt ") => {
                return Err(DecodeError::unsupported(WHAT, format!("its form is `{}`", one_line(other))));
            }
            _ => return Err(damaged("it does not begin like one")),
        }
        let mut value = |name: &str| -> Result<String, DecodeError> {
            let line = lines.next().ok_or_else(|| damaged("it ends early"))?;
            let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
            value.map(str::to_owned).ok_or_else(|| damaged(&format!("`{name}` is not where it should be")))
        };
        let mut values = Vec::with_capacity(FIELDS.len());
        for name in FIELDS {
            values.push(value(name)?);
        }
        if lines.next().is_some() {
            return Err(damaged("it has more lines than a receipt"));
        }
        let mut values = values.into_iter();
        let mut next = || values.next().unwrap_or_default();
        let number = |text: String| text.parse::<u64>().map_err(|_| damaged("a number is none"));
        let receipt = Self {
            image: next(),
            name: next(),
            repository: next(),
            target: next(),
            serial: next(),
            bytes: number(next())?,
            data_bytes: number(next())?,
            written_bytes: number(next())?,
            content_hash: next(),
            read_back: next() == "yes",
            time: Timestamp::from_str(&next()).map_err(|_| damaged("its time is none"))?,
            host: next(),
            program: next(),
            signer: next().parse().map_err(|_| damaged("its signer is no key"))?,
        };
        let signature = decode_hex(signature.trim_end()).ok_or_else(|| damaged("its signature is none"))?;
        signature::verify(WHAT, &receipt.signer, signature::RECEIPT, signed.as_bytes(), &signature)?;
        Ok(receipt)
    }
}

fn decode_hex(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let mut bytes = [0; SIGNATURE_BYTES];
    if text.len() != 2 * SIGNATURE_BYTES || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// A receipt that must have been signed by this key.
///
/// # Errors
/// As [`Receipt::check`]; `NotAllowed` where somebody else signed it.
pub fn check_signed_by(text: &str, signer: &WriterId) -> Result<Receipt> {
    let receipt = Receipt::check(text)?;
    if receipt.signer == *signer {
        return Ok(receipt);
    }
    let why = format!("it was signed by {}, not by {}", receipt.signer, signer);
    Err(Error::new(ErrorKind::NotAllowed, WHAT, why).advise("ask who made it, and do not rely on it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holotype_core::secret::Secret32;

    fn signing(seed: u8) -> Signing {
        Signing::from_seed(&Secret32::new([seed; 32]))
    }

    fn receipt() -> Receipt {
        Receipt {
            image: "ab".repeat(32),
            name: "lab/pc".into(),
            repository: "cd".repeat(16),
            target: one_line("/dev/sda\nbytes: 1"),
            serial: String::new(),
            bytes: 7,
            data_bytes: 5,
            written_bytes: 0,
            content_hash: "ef".repeat(32),
            read_back: true,
            time: Timestamp::UNIX_EPOCH,
            host: "pc".into(),
            program: "holotype 1".into(),
            signer: signing(1).writer(),
        }
    }

    #[test]
    fn what_was_signed_is_read() {
        let text = receipt().sign(&signing(1));
        assert_eq!(text.lines().count(), 16);
        assert_eq!(Receipt::check(&text).unwrap(), receipt());
        assert!(check_signed_by(&text, &signing(1).writer()).is_ok());
        assert_eq!(check_signed_by(&text, &signing(2).writer()).unwrap_err().kind(), ErrorKind::NotAllowed);
    }

    #[test]
    fn every_change_is_noticed() {
        let text = receipt().sign(&signing(1));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8_lossy(&changed).into_owned();
            // The line end after the signature says nothing.
            assert!(Receipt::check(&changed).is_err() || at + 1 == text.len(), "byte {at}");
            let cut = String::from_utf8_lossy(&text.as_bytes()[..at]).into_owned();
            assert!(Receipt::check(&cut).is_err() || at + 1 == text.len(), "cut at {at}");
        }
        assert!(Receipt::check(&receipt().sign(&signing(2))).is_err(), "signed by another");
        let newer = text.replace("receipt 1", "receipt 2");
        assert_eq!(Receipt::check(&newer).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
