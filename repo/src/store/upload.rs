//! Uploads: an object that comes in pieces, and may go on after it was broken off.

use super::{ObjectKey, Put, Store};
use crate::error::{Error, ErrorKind, Result};

/// Longest tag of an upload.
pub const MAX_TAG_BYTES: usize = 64;

/// An object on its way. Nobody sees it before [`Upload::commit`]. Dropped before, it is kept as
/// far as it came where the store can, and begins there when the same tag is opened again.
pub trait Upload: Send {
    /// How many of its bytes are there. Other than 0 right after opening where an earlier one goes on.
    fn received_bytes(&self) -> u64;

    /// Gives the bytes that are there, in order, in pieces: a crash may have changed them, so who
    /// checks an upload reads them once more.
    ///
    /// # Errors
    /// Where they cannot be read, and those of `take`.
    fn replay(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

    /// Appends bytes.
    ///
    /// # Errors
    /// `InvalidInput` where they are more than was said; what the store says.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes it the object: durable when it returns, as after [`Store::put`].
    ///
    /// # Errors
    /// Those of `put`; `InvalidInput` where bytes are missing (they can still come).
    fn commit(self: Box<Self>) -> Result<Put>;

    /// Throws away what came.
    fn discard(self: Box<Self>);
}

/// Whether `tag` names an upload: 1 to 64 characters `[a-z0-9]`.
pub fn valid_tag(tag: &str) -> bool {
    (1..=MAX_TAG_BYTES).contains(&tag.len()) && tag.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// # Errors
/// `InvalidInput` where more comes than was said.
pub(super) fn check_room_for(key: &ObjectKey, received: u64, more: usize, total: u64) -> Result<()> {
    if received.saturating_add(more as u64) <= total {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        key.to_string(),
        format!("more than the {total} bytes that were said came"),
    ))
}

/// # Errors
/// `InvalidInput` where less came than was said.
pub(super) fn check_complete(key: &ObjectKey, received: u64, total: u64) -> Result<()> {
    if received == total {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, key.to_string(), format!("only {received} of {total} bytes came")))
}

/// For stores that take whole objects: collected in memory.
pub(super) struct CollectedUpload<'a, S: Store + ?Sized> {
    pub store: &'a S,
    pub key: ObjectKey,
    pub total_bytes: u64,
    pub bytes: Vec<u8>,
}

impl<S: Store + ?Sized> Upload for CollectedUpload<'_, S> {
    fn received_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn replay(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        take(&self.bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        check_room_for(&self.key, self.received_bytes(), bytes.len(), self.total_bytes)?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<Put> {
        check_complete(&self.key, self.received_bytes(), self.total_bytes)?;
        self.store.put(&self.key, &[&self.bytes])
    }

    fn discard(self: Box<Self>) {}
}
