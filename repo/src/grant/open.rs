//! Open: from a grant and the machine's key to the keys and the image.

use super::{GRANT, GrantRecord, GrantSecrets};
use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::image::{OpenedImage, read_image};
use crate::keys::{GrantedKeys, Keyring};
use crate::lease::revoked_leases;
use crate::repository::RepositoryConfig;
use crate::store::Store;
use holotype_core::codec;
use holotype_core::envelope::EnvelopePrivateKey;
use holotype_core::secret::Secret32;
use holotype_core::signature::Signing;

/// The keys and the image of a grant. See [`crate::Repository::open_granted`].
pub(crate) fn open(
    store: &dyn Store,
    config: &RepositoryConfig,
    grant: &[u8],
    machine_seed: &Secret32,
) -> Result<(Keyring, OpenedImage)> {
    let record = GrantRecord::decode(grant).about("grant")?;
    let signing = Signing::from_seed(machine_seed);
    let refused = |why: &str| {
        Error::new(ErrorKind::NotAllowed, format!("grant of image {}", record.image.short()), why)
            .advise("have an operator grant the image to this machine")
    };
    if record.repository != config.repository {
        return Err(refused("it is for another repository"));
    }
    if record.machine != signing.writer() {
        return Err(refused("it is for another machine, or for a key that this machine had before"));
    }
    let opened = EnvelopePrivateKey::of_signing_seed(machine_seed)
        .open(GRANT.name, &record.envelope_data(), &record.sealed)
        .about("grant")?;
    let secrets: GrantSecrets = codec::decode(GRANT.name, &opened).about("grant")?;
    let keys = GrantedKeys {
        root: record.root,
        content: secrets.content,
        reference: secrets.reference,
        id_secret: secrets.id_secret,
        signing,
        packs: secrets.packs.into_iter().map(|pack| (pack.salt, pack.secret)).collect(),
    };
    let keyring = Keyring::of_grant(config.repository, secrets.key_epoch, keys);
    config.check_keyring(&keyring)?;
    let image = read_image(store, &keyring, &record.image).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Error::new(ErrorKind::NoSuchImage, record.image.to_string(), "the granted image is gone")
                .advise("have an operator grant one that is there")
        }
        _ => error,
    })?;
    if revoked_leases(store)?.contains(&image.lease) {
        return Err(Error::new(ErrorKind::NoSuchImage, record.image.to_string(), "the granted image was taken back"));
    }
    Ok((keyring, OpenedImage { id: record.image, summary: secrets.summary, detail: secrets.detail, record: image }))
}
