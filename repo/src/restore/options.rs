//! What a restore is asked to do, and what it reports.

use holotype_core::ImageId;
use holotype_core::secret::SecretBytes;
use serde::Serialize;

/// Options of [`crate::Repository::restore`].
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// The image's own password, where it has one.
    pub image_password: Option<SecretBytes>,
    /// Threads that open frames; by default one for each core.
    pub threads: Option<usize>,
    /// Which part of the image goes where.
    pub scope: RestoreScope,
    /// Whether what is on the target is read first.
    pub mode: WriteMode,
    /// What becomes of bytes that no filesystem used; by default holes in new files, and what was
    /// there on targets that hold something.
    pub free: Option<FreePolicy>,
    /// Let the partition that lies last on the disk take the room that a larger target has.
    pub grow: bool,
    /// Give the copy a disk GUID and partition GUIDs of its own, or an MBR signature.
    pub new_guids: bool,
    /// Read the target back afterwards and compare everything but free runs.
    pub verify: bool,
    /// Length of a target that is a file, where it shall not be the image's.
    pub file_bytes: Option<u64>,
}

/// Which part of an image is restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RestoreScope {
    /// All of it.
    #[default]
    Disk,
    /// These partitions, into partitions that the target has already.
    Partitions(Vec<PartitionChoice>),
    /// The partition table and the boot code beside it, and nothing else.
    Table,
    /// The content of this partition alone, from the target's first byte on.
    Volume(u32),
}

/// A partition of the image and the partition of the target that it goes into, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionChoice {
    /// Number in the image.
    pub source: u32,
    /// Number on the target.
    pub target: u32,
}

/// Whether what is on the target is read first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// Where the target holds something.
    #[default]
    Auto,
    /// Yes: only what differs is written.
    Delta,
    /// No: everything is written.
    Everything,
}

/// What becomes of the bytes of a target that no filesystem used on the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreePolicy {
    /// Holes in files; on devices as `Discard`.
    Hole,
    /// They stay what they are.
    Keep,
    /// They become zeros.
    Zero,
    /// The device is told that they are not needed.
    Discard,
}

/// What a restore did.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreReport {
    /// The image.
    pub image: ImageId,
    /// Its name.
    pub name: String,
    /// Where it was written to.
    pub target: String,
    /// Serial number of the target, where it has one.
    pub target_serial: Option<String>,
    /// Bytes of the target that were restored: data, zeros, free and unreadable ones together.
    pub target_bytes: u64,
    /// Bytes of data among them.
    pub data_bytes: u64,
    /// Bytes that read as zeros.
    pub zero_bytes: u64,
    /// Bytes that no filesystem used.
    pub free_bytes: u64,
    /// Bytes that the backup could not read; they are zeros on the target.
    pub unreadable_bytes: u64,
    /// Bytes that were written, zeros among them.
    pub written_bytes: u64,
    /// Whether the target was read first, and only what differed was written.
    pub delta: bool,
    /// Whether the target was read back and found right.
    pub verified: bool,
    /// BLAKE3 of what was restored: see `docs/FORMAT.md`, receipts.
    pub content_hash: String,
    /// What was done to the partition table, in words.
    pub table_changes: Vec<String>,
    /// Frames that were opened, one counted each time.
    pub frames_opened: u64,
    /// Wall time in seconds.
    pub elapsed_seconds: f64,
}

impl RestoreReport {
    /// Whether everything of the source is on the target.
    pub fn is_complete(&self) -> bool {
        self.unreadable_bytes == 0
    }
}
