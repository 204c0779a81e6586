//! Kernels that media are made with: a store of several side by side, taken from a distribution's package or from a
//! folder.
//!
//! ```text
//! package or folder ──source──▶ import (modinfo, sets) ──▶ store ──▶ initramfs of a medium
//! ```

mod import;
mod modinfo;
mod needs;
mod sets;
mod source;
mod store;

pub use import::{import, import_watched};
pub use needs::Lacks;
pub use sets::ModuleSet;
pub use store::{Kernel, KernelStore, StoredKernel};
