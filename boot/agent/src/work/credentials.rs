//! What opens a repository where nobody types a password.

use super::{Setup, sentence};
use crate::server::ServerSide;
use holotype_boot::profile::Task;
use holotype_repo::core::secret::SecretBytes;
use holotype_repo::{Credentials, Repository, Store};
use std::path::Path;
use std::sync::Arc;

/// What opens the repository of an unattended backup: what the command line gave, or the medium's writer key.
///
/// # Errors
/// In a sentence, where there is nothing.
pub fn for_backup(setup: &Setup) -> Result<Credentials, String> {
    if let Some(credentials) = &setup.credentials {
        return Ok(credentials.clone());
    }
    let writer_key = setup.profile.as_ref().and_then(|profile| match &profile.task {
        Task::Backup { writer_key, .. } => Some(writer_key),
        _ => profile.writer_key.as_ref().map(|key| &key.0),
    });
    let writer_key = writer_key.ok_or(
        "this medium has no writer key, so it cannot add images without a password; make one with it \
         (holotype key add --role writer, then holotype boot create --task server --writer-key-file), or back up by hand",
    )?;
    let bytes = from_hex(writer_key).ok_or("the medium's writer key is none; make the medium anew")?;
    Ok(Credentials::key_file(bytes.expose().to_vec()))
}

/// Opens a repository for an unattended restore: with what the command line gave, or with the grant that the server
/// keeps for this machine.
///
/// # Errors
/// In a sentence.
pub fn for_restore(
    setup: &Setup,
    store: &Arc<dyn Store>,
    grants: &Grants<'_>,
    image: &str,
    cache: &Path,
) -> Result<Repository, String> {
    match &setup.credentials {
        Some(credentials) => {
            Repository::open_shared(Arc::clone(store), credentials, Some(cache)).map_err(|error| sentence(&error))
        }
        None => open_with_grant(store, grants, image, cache),
    }
}

/// Where the granted keys of an image are.
pub struct Grants<'a> {
    /// The server that keeps them.
    pub server: Option<&'a ServerSide>,
    /// Name of the image's repository there.
    pub repository: Option<&'a str>,
    /// Told of each wait.
    pub tell: &'a dyn Fn(&str),
    /// Whether a person wants to wait no longer.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Opens what a grant opens: the keys of one image, wrapped to this machine's key, which the server keeps for it.
fn open_with_grant(
    store: &Arc<dyn Store>,
    grants: &Grants<'_>,
    image: &str,
    cache: &Path,
) -> Result<Repository, String> {
    let (Some(server), Some(repository)) = (grants.server, grants.repository) else {
        return Err("keys are granted for repositories on a server; restore by hand with the password".to_owned());
    };
    let keys = server.granted_keys(repository, image, grants.tell, grants.cancelled).map_err(|failure| {
        format!(
            "{failure}; have an operator grant the keys to this PC (key {}), or restore by hand with the password",
            server.fingerprint()
        )
    })?;
    Repository::open_granted(Arc::clone(store), &keys, server.seed(), Some(cache)).map_err(|error| sentence(&error))
}

fn from_hex(text: &str) -> Option<SecretBytes> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for pair in text.as_bytes().chunks(2) {
        let [high, low] = pair else { return None };
        bytes.push((digit(*high)? << 4 | digit(*low)?) as u8);
    }
    Some(SecretBytes::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_hexadecimal_digits() {
        assert_eq!(from_hex("0aFF").unwrap().expose(), [10, 255]);
        assert!(from_hex("0").is_none() && from_hex("0g").is_none());
    }
}
