//! Disks with real filesystems, backed up and restored by the command: what the filesystem's own fsck
//! and a mount say of what came back.
//!
//! These tests need root, loop devices and the filesystems' tools, and say so where they are missing.

mod devices;
mod disk;
mod filesystems;
mod in_place;
mod kept_whole;
mod other_length;
mod partitions;
mod policies;

#[path = "../command/support.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod command;
#[path = "../../../core/tests/volumes/support.rs"]
mod support;
