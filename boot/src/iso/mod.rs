//! ISO 9660 images that boot as CD and as stick, with BIOS and UEFI.
//!
//! Own writer: the files of the ESP's volume are not stored twice, the ISO's folders point into it; docs/adr/0011.
//!
//! | sectors of 2048 bytes | what |
//! |---|---|
//! | 0–15 | MBR: ISOLINUX's code, one partition (type EF) over the ESP's volume |
//! | 16 | primary volume descriptor |
//! | 17 | boot record: where the El Torito catalogue is |
//! | 18 | end of descriptors |
//! | 19 | El Torito catalogue |
//! | 20, 21 | path tables (least byte first; most byte first) |
//! | 22– | folders |
//! | then | `isolinux.bin`, other files, the ESP's volume |

mod descriptors;
mod make;
mod read;

pub use make::{IsoContent, bios_parts, make_iso};
pub use read::{IsoFinding, check_iso};

/// Bytes of a sector.
pub const SECTOR_BYTES: u64 = 2048;
