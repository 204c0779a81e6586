//! The data path of Holotype as pure functions and types.
//!
//! A disk's bytes go through this crate in the order of its modules: [`extent`] says which bytes,
//! [`padding`] finds zero blocks and file tails, [`segment`] cuts there, [`chunker`] cuts inside
//! segments, [`identity`] names chunks, [`frame`] collects them, [`compress`] and [`seal`] close a
//! frame. [`volume`] finds what no filesystem uses. [`kdf`], [`key_slot`], [`subkey`], [`envelope`] and [`signature`] hold the keys.
//!
//! Nothing here opens a file, starts a thread or reads a clock or a random source: what is needed
//! comes in as arguments. Every decoder takes hostile bytes and answers with [`DecodeError`].

pub mod chunker;
pub mod codec;
pub mod compress;
pub mod envelope;
pub mod error;
pub mod extent;
pub mod frame;
pub mod header;
pub mod hex;
pub mod identity;
pub mod ids;
pub mod kdf;
pub mod key_slot;
pub mod layout;
pub mod machine_proof;
pub mod padding;
pub mod partition;
pub mod seal;
pub mod secret;
pub mod segment;
pub mod signature;
pub mod signed;
pub mod subkey;
pub mod volume;

pub use error::DecodeError;
pub use ids::{ChunkId, ImageId, LeaseId, NodeId, PackId, RepositoryId, SegmentId, SlotId, WriterId};
