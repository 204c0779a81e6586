//! Boot media: what a PC is booted from into Holotype, by stick, CD or network.
//!
//! A [`profile::BootProfile`] says for which PC a medium is, where its server is and what it is to do.
//!
//! ```text
//! kernel package ──kernel::import──▶ KernelStore ─┐
//! profile, agent ─────────────────────────────────┴─▶ medium::Ingredients ──▶ write_usb | write_iso | write_uki | write_netboot
//! medium ──verify──▶ findings          image ──write::WritePlan──▶ stick
//! ```

pub mod archive;
#[cfg(feature = "generate")]
pub mod disk;
#[cfg(feature = "generate")]
mod error;
#[cfg(feature = "generate")]
pub mod fat;
#[cfg(feature = "generate")]
pub mod initramfs;
#[cfg(feature = "generate")]
pub mod iso;
#[cfg(feature = "generate")]
pub mod kernel;
#[cfg(feature = "generate")]
pub mod loaders;
#[cfg(feature = "generate")]
pub mod manifest;
#[cfg(feature = "generate")]
pub mod medium;
pub mod modules;
#[cfg(feature = "generate")]
mod new_file;
pub mod profile;
#[cfg(feature = "generate")]
mod sparse;
#[cfg(all(feature = "generate", feature = "testing"))]
pub mod testing;
#[cfg(feature = "generate")]
pub mod uki;
#[cfg(feature = "generate")]
pub mod verify;
#[cfg(feature = "generate")]
mod watch;
#[cfg(all(feature = "generate", target_os = "linux"))]
pub mod write;

#[cfg(feature = "generate")]
pub use error::{BootError, Result};
#[cfg(feature = "generate")]
pub use sparse::Sparse;
#[cfg(feature = "generate")]
pub use watch::Watch;
