//! The log: whether its last record says that the filesystem was unmounted.
//!
//! Source: xfsprogs: xfs_log_format.h; XFS Algorithms & Data Structures, "Journaling Log".

use super::superblock::Superblock;
use crate::volume::bytes::{array, be_u32, be_u64, le_u32};
use crate::volume::checksum::crc32c;
use crate::volume::{Cause, Unmapped, VolumeReader};

/// The log's unit, in bytes: each begins with the number of the round over the log in which it was
/// written, the cycle.
const BASIC_BYTES: u64 = 512;
const READ_BYTES: u64 = 1 << 20;
const MAGIC: u32 = 0xFEED_BABE;
/// Most bytes of a record's data.
const MOST_RECORD_BYTES: u64 = 256 << 10;
/// Bytes of data for whose cycles one header has room.
const CYCLE_BYTES: u64 = 32 << 10;
/// The client that writes about the log itself.
const CLIENT_LOG: u8 = 0xAA;
const FLAG_UNMOUNT: u8 = 0x20;

/// Fails unless the log ends with an unmount record.
pub(super) fn check_clean(volume: &VolumeReader<'_>, superblock: &Superblock) -> Result<(), Unmapped> {
    let log = Log {
        volume,
        start: superblock.offset(superblock.log_ag, superblock.log_start),
        blocks: superblock.log_blocks * superblock.block_bytes / BASIC_BYTES,
    };
    let head = log.head()?;
    let (block, header) = log.last_record(head)?;
    log.check_unmount(head, block, &header, superblock)
}

fn unclear(why: &str) -> Unmapped {
    Unmapped::new(Cause::Dirty, format!("its log is not that of a clean unmount: {why}"))
}

struct Log<'a> {
    volume: &'a VolumeReader<'a>,
    /// In bytes of the volume.
    start: u64,
    /// In basic blocks.
    blocks: u64,
}

impl Log<'_> {
    /// The first block that the next record is written to: up to there blocks are of one cycle, and
    /// from there on of the cycle before.
    fn head(&self) -> Result<u64, Unmapped> {
        let mut first = None;
        let mut head = None;
        let end = self.blocks * BASIC_BYTES;
        let mut buffer = vec![0; READ_BYTES.min(end) as usize];
        for offset in (0..end).step_by(READ_BYTES as usize) {
            let bytes = &mut buffer[..READ_BYTES.min(end - offset) as usize];
            self.volume.read_into(self.start + offset, bytes)?;
            for (number, block) in (offset / BASIC_BYTES..).zip(bytes.as_chunks::<{ BASIC_BYTES as usize }>().0) {
                let cycle = cycle_of(block);
                let first = *first.get_or_insert(cycle);
                let expected = if head.is_some() { first.wrapping_sub(1) } else { first };
                if cycle == expected {
                    continue;
                }
                if head.is_some() || cycle != first.wrapping_sub(1) {
                    return Err(unclear("its cycles are out of order"));
                }
                head = Some(number);
            }
        }
        match first {
            None | Some(0) => Err(unclear("it was never written")),
            // All of one cycle: the next record begins the next.
            Some(_) => Ok(head.unwrap_or(0)),
        }
    }

    /// The block at `number`, which counts on around the log's end.
    fn block(&self, number: u64) -> Result<[u8; BASIC_BYTES as usize], Unmapped> {
        let mut block = [0; BASIC_BYTES as usize];
        self.volume.read_into(self.start + number % self.blocks * BASIC_BYTES, &mut block)?;
        Ok(block)
    }

    /// The header of the last record before `head`, and where it is.
    fn last_record(&self, head: u64) -> Result<(u64, [u8; BASIC_BYTES as usize]), Unmapped> {
        let most = (MOST_RECORD_BYTES + MOST_RECORD_BYTES / CYCLE_BYTES * BASIC_BYTES) / BASIC_BYTES;
        for back in 1..=most.min(self.blocks) {
            let number = (head + self.blocks - back) % self.blocks;
            let block = self.block(number)?;
            if be_u32(&block, 0) == Some(MAGIC) {
                return Ok((number, block));
            }
        }
        Err(unclear("there is no record before its head"))
    }

    fn check_unmount(
        &self,
        head: u64,
        number: u64,
        header: &[u8; BASIC_BYTES as usize],
        superblock: &Superblock,
    ) -> Result<(), Unmapped> {
        let word = |at| be_u32(header, at).map(u64::from).ok_or_else(|| unclear("its last record is cut off"));
        let (cycle, version, data_bytes, operations, buffer_bytes) =
            (word(4)?, word(8)?, word(12)?, word(40)?, word(320)?);
        let headers = if buffer_bytes > CYCLE_BYTES { buffer_bytes.div_ceil(CYCLE_BYTES) } else { 1 };
        let fits = version == 2
            && (BASIC_BYTES..=MOST_RECORD_BYTES).contains(&data_bytes)
            && data_bytes % BASIC_BYTES == 0
            && headers <= MOST_RECORD_BYTES / CYCLE_BYTES
            && be_u64(header, 16) == Some(cycle << 32 | number)
            && array(header, 304) == Some(superblock.uuid)
            && (number + headers + data_bytes / BASIC_BYTES) % self.blocks == head;
        if !fits {
            return Err(unclear("its last record cannot be"));
        }
        let data = number + headers;
        // Client and flags of the record's first operation.
        let operation = self.block(data)?;
        if operations != 1 || operation[8] != CLIENT_LOG || operation[9] & FLAG_UNMOUNT == 0 {
            return Err(unclear("it was in use"));
        }
        if !self.record_agrees(header, number, headers, data_bytes)? && !cfg!(fuzzing) {
            return Err(unclear("the checksum of its last record does not agree"));
        }
        Ok(())
    }

    /// Whether a record's checksum agrees. mkfs writes a record without one.
    fn record_agrees(&self, header: &[u8], number: u64, headers: u64, data_bytes: u64) -> Result<bool, Unmapped> {
        let stored = le_u32(header, 32).unwrap_or_default();
        if stored == 0 {
            return Ok(true);
        }
        let mut rest = Vec::new();
        for more in 1..headers {
            // A further header: its cycle, and those of 64 blocks.
            rest.extend_from_slice(&self.block(number + more)?[..260]);
        }
        for block in 0..data_bytes / BASIC_BYTES {
            rest.extend_from_slice(&self.block(number + headers + block)?);
        }
        // Where i386 wrote it, the header is 4 bytes shorter.
        Ok([328, 324].iter().any(|length| crc32c(&[&header[..32], &[0; 4], &header[36..*length], &rest]) == stored))
    }
}

/// The cycle in which a block was written; a record's header has its signature before it.
fn cycle_of(block: &[u8; BASIC_BYTES as usize]) -> u32 {
    match be_u32(block, 0) {
        Some(MAGIC) => be_u32(block, 4),
        cycle => cycle,
    }
    .unwrap_or_default()
}
