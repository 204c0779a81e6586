//! Packs: many frames in one object, with a footer that is readable without keys and signed.

mod assembler;
mod footer;
mod origin;
mod reader;

pub(crate) use assembler::{FinishedPack, PackAssembler};
pub use footer::{EncodedFooter, FrameEntry, OriginEntry, PackFooter, SealedTo, TRAILER_BYTES};
pub(crate) use origin::{Origin, OriginAllocator};
pub(crate) use reader::{PackReader, read_footer};

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
