//! Packs: many frames in one object, with a footer that is readable without keys and signed.

mod assembler;
mod footer;
mod origin;
mod reader;

pub(crate) use assembler::{FinishedPack, PackAssembler};
pub use footer::{EncodedFooter, FrameEntry, OriginEntry, PackFooter, SealedTo, TRAILER_BYTES};
pub(crate) use origin::{Origin, OriginAllocator};
pub(crate) use reader::{PackReader, origin_secret, read_encoded_footer, read_footer};

use crate::error::{Error, ErrorKind};
use crate::index::PackKind;
use crate::store::{Folder, ObjectKey};
use holotype_core::PackId;

/// The object of a pack.
pub(crate) fn pack_key(kind: PackKind, pack: &PackId) -> ObjectKey {
    ObjectKey::of(folder_of(kind), pack)
}

/// Where packs of this kind lie.
pub(crate) fn folder_of(kind: PackKind) -> Folder {
    match kind {
        PackKind::Data => Folder::Packs,
        PackKind::Meta => Folder::Meta,
    }
}

/// Whether this error of opening a pack says that the pack is of no use, and not that it could not
/// be looked at.
pub(crate) fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound)
}
