//! Config, key slot, lease and image: records in clear under a signature or a seal.

use crate::forge;
use crate::input::{Input, part};
use holotype_core::header::ObjectKind;
use holotype_core::key_slot::{Certificate, KEY_SLOT, KeySlot, Protection, SlotHeader, SlotSecrets, WriterSecrets};
use holotype_core::secret::Secret32;
use holotype_core::signature::{self, SIGNATURE_BYTES, Signing};
use holotype_core::{DecodeError, ImageId, LeaseId, codec, seal, subkey};
use holotype_repo::grant::{self, GRANT, GrantRecord};
use holotype_repo::image::{IMAGE, ImageRecord};
use holotype_repo::lease::{LEASE, LeaseRecord, Purpose};
use holotype_repo::repository::{CONFIG, RepositoryConfig};

/// Where the signer's name stands in a config's record.
const CONFIG_ROOT_OFFSET: usize = 16 + 8 + 8 + 4 + 14 + 8 + 4 + 4 + 32 + 32;
const LEASE_HOLDER_OFFSET: usize = 16 + 16 + 8 + 4;
const IMAGE_WRITER_OFFSET: usize = 16;
const GRANT_ROOT_OFFSET: usize = 16 + 32 + 32;

/// What was decoded must encode to the bytes that it came from: one form for each value.
fn is_canonical(kind: &ObjectKind, object: &[u8], record: &[u8]) {
    let signed: (Vec<u8>, [u8; SIGNATURE_BYTES]) = kind.decode(object).expect("it was decoded");
    assert_eq!(signed.0, record, "a second form of the same record");
}

pub fn config(data: &[u8]) {
    let check = |object: &[u8]| {
        if let Ok(config) = RepositoryConfig::decode(object) {
            is_canonical(&CONFIG, object, &codec::encode(&config));
            assert!(config.required_features == 0 && config.chunker.check().is_ok());
        }
    };
    check(data);
    let record = forge::splice(data, CONFIG_ROOT_OFFSET, forge::root().writer().as_bytes());
    check(&forge::signed(&CONFIG, signature::CONFIG, record));
}

pub fn config_seeds() -> Vec<Vec<u8>> {
    let record = codec::encode(&forge::config());
    assert_eq!(record[CONFIG_ROOT_OFFSET..][..32], forge::root().writer().0, "the signer stands elsewhere");
    vec![forge::signed(&CONFIG, signature::CONFIG, record.clone()), record]
}

pub fn lease(data: &[u8]) {
    let check = |object: &[u8]| {
        if let Ok(lease) = LeaseRecord::decode(object) {
            is_canonical(&LEASE, object, &codec::encode(&lease));
        }
    };
    check(data);
    let record = forge::splice(data, LEASE_HOLDER_OFFSET, forge::root().writer().as_bytes());
    check(&forge::signed(&LEASE, signature::LEASE, record));
}

pub fn lease_seeds() -> Vec<Vec<u8>> {
    let lease = LeaseRecord {
        repository: forge::REPOSITORY,
        lease: LeaseId([3; 16]),
        counter: 5,
        purpose: Purpose::Backup,
        holder: forge::root().writer(),
        sealed_root: Some(vec![1; 80]),
        extensions: Vec::new(),
    };
    let record = codec::encode(&lease);
    assert_eq!(record[LEASE_HOLDER_OFFSET..][..32], lease.holder.0, "the signer stands elsewhere");
    vec![forge::signed(&LEASE, signature::LEASE, record.clone()), record]
}

/// As an object; then as the record behind its signature, and as the secrets behind its envelope.
pub fn grant(data: &[u8]) {
    grant::decode_parts_for_fuzzing(data);
    let record = forge::splice(data, GRANT_ROOT_OFFSET, forge::root().writer().as_bytes());
    let object = forge::signed(&GRANT, signature::GRANT, record);
    if let Ok(grant) = GrantRecord::decode(&object) {
        is_canonical(&GRANT, &object, &codec::encode(&grant));
    }
}

pub fn grant_seeds() -> Vec<Vec<u8>> {
    let grant = GrantRecord {
        repository: forge::REPOSITORY,
        image: ImageId([8; 32]),
        machine: forge::root().writer(),
        root: forge::root().writer(),
        granted_unix_seconds: 1_800_000_000,
        sealed: vec![1; 200],
        extensions: Vec::new(),
    };
    let record = codec::encode(&grant);
    assert_eq!(record[GRANT_ROOT_OFFSET..][..32], grant.root.0, "the signer stands elsewhere");
    let image = forge::image_record(&[7; 32], b"summary", b"detail");
    let secrets = [&1_u32.to_le_bytes()[..], &[2; 96], &codec::encode(&image)].concat();
    vec![forge::signed(&GRANT, signature::GRANT, record.clone()), record, secrets]
}

pub fn image(data: &[u8]) {
    let check = |object: &[u8]| {
        if let Ok(image) = ImageRecord::decode(object) {
            is_canonical(&IMAGE, object, &codec::encode(&image));
        }
    };
    check(data);
    let record = forge::splice(data, IMAGE_WRITER_OFFSET, forge::root().writer().as_bytes());
    check(&forge::signed(&IMAGE, signature::IMAGE, record));
}

pub fn image_seeds() -> Vec<Vec<u8>> {
    let record = codec::encode(&forge::image_record(&[7; 32], b"summary", b"detail"));
    vec![forge::signed(&IMAGE, signature::IMAGE, record.clone()), record]
}

/// As an object; then header and secrets as two parts that the harness seals and enrols.
pub fn key_slot(data: &[u8]) {
    let factors = forge::factors();
    if let Ok(slot) = KEY_SLOT.decode::<KeySlot>(data) {
        assert_eq!(KEY_SLOT.encode(&slot)[8..], data[8..], "a second form of the same record");
        let _ = slot.open(&factors);
        let _ = slot.verify_enrolment(&forge::root().writer());
        if let Protection::Password(kdf) | Protection::PasswordAndKeyFile(kdf) = slot.header.protection {
            let _ = kdf.check();
        }
    }

    let mut input = Input::new(data);
    let keeps_writer = !input.u8().is_multiple_of(4);
    let header = codec::decode::<SlotHeader>("header", input.part()).unwrap_or_else(|_| forge::slot_header());
    let secrets_bytes = input.rest();
    let secrets = codec::decode::<SlotSecrets>("secrets", secrets_bytes);
    let signing = match &secrets {
        Ok(SlotSecrets::Full(full)) => Signing::from_seed(&full.root_seed),
        _ => forge::root(),
    };
    let header = match &secrets {
        Ok(secrets) if keeps_writer => {
            SlotHeader { role: secrets.role().number(), writer: secrets.signing().writer(), ..header }
        }
        _ => header,
    };
    let slot = seal_slot(header, secrets_bytes, &signing);
    let object = KEY_SLOT.encode(&slot);
    let slot: KeySlot = KEY_SLOT.decode(&object).expect("it was encoded just now");
    if let Ok(Some(opened)) = slot.open(&factors) {
        assert_eq!(codec::encode(&opened), secrets_bytes, "a second form of the same secrets");
        assert_eq!(opened.role().number(), slot.header.role);
    }
}

/// What [`KeySlot::seal`] does, over any bytes as secrets.
fn seal_slot(mut header: SlotHeader, secrets: &[u8], signing: &Signing) -> KeySlot {
    header.protection = Protection::KeyFile(forge::SLOT_SALT);
    let input = [&32u64.to_le_bytes()[..], &forge::SLOT_SALT, &forge::KEY_FILE].concat();
    let key = subkey::derive(subkey::KEY_SLOT, &input);
    let header_bytes = codec::encode(&header);
    let mut sealed = secrets.to_vec();
    seal::seal_in_place(&key, &[5; 24], &header_bytes, &mut sealed);
    let sealed_secrets = [&[5; 24][..], &sealed].concat();
    let message = [&header_bytes[..], blake3::hash(&sealed_secrets).as_bytes()].concat();
    let enrolment = signing.sign(signature::ENROLMENT, &message);
    KeySlot { header, enrolment, sealed_secrets }
}

pub fn key_slot_seeds() -> Vec<Vec<u8>> {
    let full = SlotSecrets::Full(forge::secrets());
    let writer = SlotSecrets::Writer(WriterSecrets {
        id_secret: forge::secrets().id_secret,
        signing_seed: Secret32::new([6; 32]),
        root: forge::root().writer(),
        content: forge::config().content,
        reference: forge::config().reference,
        certificate: Certificate([7; 64]),
    });
    let sealed = seal_slot(forge::slot_header(), &codec::encode(&full), &forge::root());
    let opened: Result<_, DecodeError> = sealed.open(&forge::factors());
    assert!(opened.is_ok_and(|secrets| secrets.is_some()), "the harness seals as a slot is sealed");
    let parts = |secrets: &SlotSecrets| {
        [&[1][..], &part(&codec::encode(&forge::slot_header())), &codec::encode(secrets)].concat()
    };
    vec![KEY_SLOT.encode(&forge::key_slot()), parts(&full), parts(&writer)]
}
