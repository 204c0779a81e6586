//! Allocation maps of real volumes: made by the filesystem's own mkfs, filled through a mount.
//!
//! For each: our map has everything in it that the filesystem's own tool calls used, and little
//! more; and where all that it calls free is overwritten with random bytes, fsck finds nothing and
//! every file is as it was.

mod btrfs;
mod exfat;
mod ext;
mod fat;
mod fuse;
mod lvm;
mod noise;
mod ntfs;
mod partclone;
mod signatures;
mod support;
mod swap;
mod xfs;
