//! Kernel modules of a medium: which driver is for which device, and what has to be loaded before it.
//!
//! The generator writes the [`index`](ModuleIndex), the booted system reads it; `depmod`'s files are not needed.

mod index;
mod order;
mod pattern;

pub use index::{INDEX_PATH, IndexError, MAX_INDEX_BYTES, Module, ModuleIndex};
pub use pattern::matches;
