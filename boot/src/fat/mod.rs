//! FAT volumes: made anew from files (see [`make`]), and read back for checks.
//!
//! The maker is own code: it only ever writes a new volume, has to give the same bytes for the same files, lays files
//! in one piece each (an ISO image points into them), and writes `.` and `..` as other systems do; docs/adr/0011 says
//! more. Layout and constants are those of Microsoft's "FAT: General Overview of On-Disk Format" 1.03 and ECMA-107.

mod boot_sector;
mod geometry;
mod make;
mod names;
mod read;

pub use geometry::{FatKind, SECTOR_BYTES};
pub use make::{FatVolume, MadeFat, make};
pub use read::FatReader;
