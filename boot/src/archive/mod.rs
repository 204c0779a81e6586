//! Archives: a distribution's packages are read, initramfs archives are written.

#[cfg(feature = "generate")]
mod ar;
pub mod cpio;
#[cfg(feature = "generate")]
mod decompress;
#[cfg(feature = "generate")]
mod package;

#[cfg(feature = "generate")]
pub use decompress::decompressor;
#[cfg(feature = "generate")]
pub use package::read_package;
