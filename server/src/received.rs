//! The server's word that it has received an image: a text of `name: value` lines, the last one an
//! Ed25519 signature over all bytes before it.

use crate::data_dir::write_private;
use crate::error::{ApiError, Result};
use holotype_repo::core::hex;
use holotype_repo::core::secret::Secret32;
use holotype_repo::core::signature::{self, Signing};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const FILE_NAME: &str = "receipt.key";
const TITLE: &str = "holotype server receipt 1";

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<'a> {
    /// The repository's id in this server.
    pub repository: &'a str,
    /// Name of the image object.
    pub image: &'a str,
    /// Its length.
    pub object_bytes: u64,
    /// When, in milliseconds since 1970 (UTC).
    pub received_ms: i64,
    /// `user ID` or `machine ID`.
    pub from: &'a str,
}

/// The key that signs, in a file of the data directory, made when first needed.
pub struct ReceiptKey {
    path: PathBuf,
    seed: Mutex<Option<Secret32>>,
}

impl ReceiptKey {
    /// The key of this data directory.
    pub fn at(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE_NAME), seed: Mutex::default() }
    }

    fn signing(&self) -> Result<Signing> {
        let mut known = self.seed.lock().unwrap_or_else(PoisonError::into_inner);
        let seed = match known.take() {
            Some(seed) => seed,
            None => read_or_make(&self.path)
                .map_err(|error| ApiError::internal(format!("{}: {error}", self.path.display())))?,
        };
        Ok(Signing::from_seed(known.insert(seed)))
    }

    /// The public key in hexadecimal digits, for who checks receipts.
    ///
    /// # Errors
    /// Where the key file cannot be read or made.
    pub fn public(&self) -> Result<String> {
        Ok(hex::text(&self.signing()?.writer().0))
    }

    /// Signs.
    ///
    /// # Errors
    /// Where the key file cannot be read or made.
    pub fn sign(&self, received: &Received<'_>) -> Result<String> {
        let signing = self.signing()?;
        let time = jiff::Timestamp::from_millisecond(received.received_ms).unwrap_or_default();
        let text = format!(
            "{TITLE}\nrepository: {}\nimage: {}\nobject bytes: {}\nreceived: {time}\nfrom: {}\nserver key: {}\n",
            received.repository,
            received.image,
            received.object_bytes,
            received.from,
            hex::text(&signing.writer().0),
        );
        let signature = signing.sign(signature::RECEIVED, text.as_bytes());
        Ok(format!("{text}signature: {}\n", hex::text(&signature)))
    }
}

fn read_or_make(path: &Path) -> io::Result<Secret32> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    match File::open(path) {
        Ok(mut file) => {
            file.read_exact(&mut *seed)?;
            return Ok(Secret32::new(*seed));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    getrandom::fill(&mut *seed).map_err(io::Error::other)?;
    write_private(path, &*seed)?;
    Ok(Secret32::new(*seed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holotype_repo::core::WriterId;

    #[test]
    fn the_key_stays_and_its_signatures_hold() {
        let directory = tempfile::tempdir().unwrap();
        let received =
            Received { repository: "r", image: "i", object_bytes: 5, received_ms: 1_700_000_000_000, from: "user u" };
        let text = ReceiptKey::at(directory.path()).sign(&received).unwrap();
        let key = ReceiptKey::at(directory.path());
        assert_eq!(key.sign(&received).unwrap(), text, "the key was read again");
        let (signed, signature) = text.split_once("signature: ").unwrap();
        let bytes: Vec<u8> =
            (0..64).map(|at| u8::from_str_radix(&signature[2 * at..2 * at + 2], 16).unwrap()).collect();
        let writer: WriterId = key.signing().unwrap().writer();
        let signature = bytes.try_into().unwrap();
        signature::verify("receipt", &writer, signature::RECEIVED, signed.as_bytes(), &signature).unwrap();
        assert!(
            signature::verify("receipt", &writer, signature::RECEIVED, &signed.as_bytes()[1..], &signature).is_err()
        );
        assert!(signed.contains("received: 2023-11-14T22:13:20Z\n"), "{signed}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(directory.path().join(FILE_NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
