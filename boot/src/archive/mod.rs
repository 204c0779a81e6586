//! Archives: a distribution's packages are read, initramfs archives are written.

mod ar;
pub mod cpio;
mod decompress;
mod package;

pub use decompress::decompressor;
pub use package::read_package;
