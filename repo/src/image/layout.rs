//! The layout of the disk in an image: an extension of its detail.

use crate::error::{DecodeContext, Result};
use holotype_core::codec;
use holotype_core::key_slot::Extension;
use holotype_core::layout::DiskLayout;

/// Tag of the extension that holds a `DiskLayout`.
const LAYOUT_TAG: u32 = 1;

/// The layout as an extension.
pub(crate) fn to_extension(layout: &DiskLayout) -> Extension {
    Extension { tag: LAYOUT_TAG, bytes: codec::encode(layout) }
}

/// The layout among extensions; images of the first programs have none.
///
/// # Errors
/// Damaged.
pub(crate) fn from_extensions(extensions: &[Extension]) -> Result<Option<DiskLayout>> {
    let found = extensions.iter().find(|extension| extension.tag == LAYOUT_TAG);
    found.map(|extension| codec::decode("disk layout", &extension.bytes).about("disk layout")).transpose()
}
