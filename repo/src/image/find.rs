//! Listing images and finding one.

use super::{ImageRecord, ImageSummary};
use crate::error::{DecodeContext, Error, ErrorKind, Result};
use crate::image::valid_name;
use crate::keys::Keyring;
use crate::lease::revoked_leases;
use crate::store::{Folder, ObjectKey, Store};
use holotype_core::ImageId;
use jiff::Timestamp;
use std::str::FromStr;

/// Least number of digits of an id that name an image.
const MIN_PREFIX_DIGITS: usize = 6;

/// Which image is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSelector {
    /// The newest of this name; where there is none, the image whose id begins so.
    NameOrPrefix(String),
    /// The newest of this name at or before this time.
    NameAtTime(String, Timestamp),
    /// This one.
    Id(ImageId),
}

impl FromStr for ImageSelector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |why: String| {
            Error::new(ErrorKind::InvalidInput, format!("image `{text}`"), why)
                .advise("give a name, NAME@TIME with a time like 2026-01-31T12:00:00Z, or an id")
        };
        let (name, time) = match text.split_once('@') {
            Some((name, time)) => (name, Some(time)),
            None => (text, None),
        };
        if !valid_name(name) {
            return Err(invalid("it has characters that no name has".into()));
        }
        match time {
            None => Ok(Self::NameOrPrefix(name.into())),
            Some(time) => {
                let time = time.parse().map_err(|error| invalid(format!("`{time}` is no time: {error}")))?;
                Ok(Self::NameAtTime(name.into(), time))
            }
        }
    }
}

impl std::fmt::Display for ImageSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NameOrPrefix(text) => f.write_str(text),
            Self::NameAtTime(name, time) => write!(f, "{name}@{time}"),
            Self::Id(id) => write!(f, "{id}"),
        }
    }
}

impl From<ImageId> for ImageSelector {
    fn from(id: ImageId) -> Self {
        Self::Id(id)
    }
}

impl From<&ImageId> for ImageSelector {
    fn from(id: &ImageId) -> Self {
        Self::Id(*id)
    }
}

/// A published image whose summary was opened.
#[derive(Debug, Clone)]
pub(crate) struct ListedImage {
    pub id: ImageId,
    pub record: ImageRecord,
    pub summary: ImageSummary,
}

/// Reads one image object, checks its name and its signature.
pub(crate) fn read_image(store: &dyn Store, keyring: &Keyring, id: &ImageId) -> Result<ImageRecord> {
    let key = ObjectKey::of(Folder::Images, id);
    let object = store.get(&key)?;
    let damaged = |why| Error::new(ErrorKind::Damaged, key.to_string(), why);
    if blake3::hash(&object).as_bytes() != id.as_bytes() {
        return Err(damaged("its name is not the hash of its bytes"));
    }
    let record = ImageRecord::decode(&object).about(&key)?;
    if record.repository != keyring.repository() {
        return Err(damaged("it is of another repository"));
    }
    record.check_writer(&keyring.root()).about(&key)?;
    Ok(record)
}

/// Every published image, oldest first, and the objects that are none.
pub(crate) fn list_images(store: &dyn Store, keyring: &Keyring) -> Result<(Vec<ListedImage>, Vec<Error>)> {
    keyring.require_full("list images")?;
    let mut images = Vec::new();
    let mut damaged = Vec::new();
    let listed = store.list(Folder::Images)?;
    // Listed after the images: an image whose lease was revoked before it was listed is not shown.
    let revoked = revoked_leases(store)?;
    for info in listed {
        let Ok(id) = info.key.name().parse::<ImageId>() else {
            damaged.push(Error::new(ErrorKind::Damaged, info.key.to_string(), "its name is none of an image"));
            continue;
        };
        let opened = read_image(store, keyring, &id)
            .and_then(|record| Ok(ListedImage { id, summary: record.open_summary(keyring)?, record }));
        match opened {
            Ok(image) if revoked.contains(&image.record.lease) => {}
            Ok(image) => images.push(image),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => damaged.push(error),
        }
    }
    images.sort_by_key(|image| (image.summary.time_seconds, image.summary.time_nanoseconds, image.id));
    Ok((images, damaged))
}

impl ImageSelector {
    /// The image that is meant, among images that are sorted by time.
    pub(crate) fn find<'a>(&self, images: &'a [ListedImage]) -> Result<&'a ListedImage> {
        let none = |what: String| {
            Error::new(ErrorKind::NoSuchImage, what, "there is no such image")
                .advise("`holotype images` shows those that are")
        };
        let newest = |name: &str, at_or_before: Option<Timestamp>| {
            let fits = |image: &&ListedImage| {
                image.summary.name == name && at_or_before.is_none_or(|time| image.summary.time() <= time)
            };
            images.iter().rev().find(fits)
        };
        match self {
            Self::Id(id) => images.iter().find(|image| image.id == *id).ok_or_else(|| none(id.to_string())),
            Self::NameAtTime(name, time) => newest(name, Some(*time)).ok_or_else(|| none(format!("{name}@{time}"))),
            Self::NameOrPrefix(text) => {
                if let Some(image) = newest(text, None) {
                    return Ok(image);
                }
                if text.len() < MIN_PREFIX_DIGITS {
                    return Err(none(text.clone()));
                }
                let mut matches = images.iter().filter(|image| image.id.to_string().starts_with(text.as_str()));
                match (matches.next(), matches.next()) {
                    (Some(image), None) => Ok(image),
                    (None, _) => Err(none(text.clone())),
                    (Some(_), Some(_)) => {
                        Err(Error::new(ErrorKind::NoSuchImage, text.clone(), "several images have ids that begin so")
                            .advise("give more digits"))
                    }
                }
            }
        }
    }
}
