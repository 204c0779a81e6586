//! Random bytes from the operating system.

use crate::error::{Error, ErrorKind, Result};
use holotype_core::secret::Secret32;

pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(ErrorKind::Io, "random numbers", format!("none to be had: {error}")))?;
    Ok(bytes)
}

pub(crate) fn secret() -> Result<Secret32> {
    Ok(Secret32::new(bytes()?))
}
