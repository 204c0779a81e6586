//! From logical addresses to places on the device.

use super::super::Unmapped;
use super::super::bytes::{le_u16, le_u64};
use super::superblock::Superblock;
use super::tree::{KEY_BYTES, Key};
use crate::extent::Extent;

/// What a chunk or a block group holds, as bits of its flags.
pub(super) const DATA: u64 = 1;
pub(super) const SYSTEM: u64 = 2;
pub(super) const METADATA: u64 = 4;
const DUP: u64 = 32;

/// Object of all chunk items, and their type.
pub(super) const CHUNK_OBJECT: u64 = 256;
pub(super) const CHUNK_ITEM: u8 = 228;

/// Everything that is striped has this unit, and a chunk that is not says so too.
const STRIPE_BYTES: u64 = 64 << 10;

/// A chunk item without its stripes, and one stripe.
const CHUNK_ITEM_BYTES: usize = 48;
const STRIPE_ITEM_BYTES: usize = 32;

/// A row of logical addresses, and its one or two places on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub logical: Extent,
    pub flags: u64,
    /// Byte offsets on the device; each copy is as long as the chunk.
    pub places: Vec<u64>,
}

impl Chunk {
    /// Reads a chunk item. Only single and DUP are handled: what else can be on one device alone
    /// is rare.
    pub fn parse(key: Key, item: &[u8], superblock: &Superblock) -> Result<Self, Unmapped> {
        let broken = || Unmapped::inconsistent(format!("the chunk at {} is not possible", key.offset));
        let (length, stripe_bytes) = le_u64(item, 0).zip(le_u64(item, 16)).ok_or_else(broken)?;
        let (flags, stripes) = le_u64(item, 24).zip(le_u16(item, 44)).ok_or_else(broken)?;
        let kinds = [DATA, METADATA, SYSTEM, DATA | METADATA];
        let copies = match flags & !(DATA | METADATA | SYSTEM) {
            0 => 1,
            DUP => 2,
            _ => return Err(Unmapped::feature(format!("the profile {flags:#x} of a chunk is not supported"))),
        };
        let logical = Extent::new(key.offset, length).ok_or_else(broken)?;
        let unit = u64::from(superblock.sector_bytes);
        if (key.object, key.kind) != (CHUNK_OBJECT, CHUNK_ITEM)
            || !kinds.contains(&(flags & (DATA | METADATA | SYSTEM)))
            || usize::from(stripes) != copies
            || item.len() != CHUNK_ITEM_BYTES + copies * STRIPE_ITEM_BYTES
            || stripe_bytes != STRIPE_BYTES
            || length == 0
            || !length.is_multiple_of(unit)
            || !key.offset.is_multiple_of(unit)
        {
            return Err(broken());
        }
        let mut places = Vec::with_capacity(copies);
        for stripe in item[CHUNK_ITEM_BYTES..].as_chunks::<STRIPE_ITEM_BYTES>().0 {
            let (device, place) = le_u64(stripe, 0).zip(le_u64(stripe, 8)).ok_or_else(broken)?;
            let own = device == superblock.device_id && stripe[16..] == superblock.device_uuid;
            let inside = Extent::new(place, length).is_some_and(|extent| extent.end() <= superblock.device_bytes);
            if !own || !inside || !place.is_multiple_of(unit) {
                return Err(broken());
            }
            places.push(place);
        }
        Ok(Self { logical, flags, places })
    }

    /// Where `range`, which lies in the chunk, is on the device.
    pub fn on_device(&self, range: Extent) -> impl Iterator<Item = u64> + '_ {
        let within = range.offset() - self.logical.offset();
        self.places.iter().map(move |place| place + within)
    }
}

/// The chunks of a superblock's array, which lead to the chunk tree.
pub(super) fn of_superblock(superblock: &Superblock) -> Result<Chunks, Unmapped> {
    let broken = || Unmapped::inconsistent("the superblock's array of chunks is damaged");
    let mut chunks = Vec::new();
    let mut rest = superblock.system_chunks.as_slice();
    while !rest.is_empty() {
        let (key, item) = rest.split_at_checked(KEY_BYTES).ok_or_else(broken)?;
        let stripes = usize::from(le_u16(item, 44).ok_or_else(broken)?);
        let (item, after) = item.split_at_checked(CHUNK_ITEM_BYTES + stripes * STRIPE_ITEM_BYTES).ok_or_else(broken)?;
        let chunk = Chunk::parse(Key::parse(key).ok_or_else(broken)?, item, superblock)?;
        if chunk.flags & SYSTEM == 0 {
            return Err(broken());
        }
        chunks.push(chunk);
        rest = after;
    }
    Chunks::new(chunks)
}

/// Chunks in logical order.
#[derive(Debug, Clone)]
pub(super) struct Chunks(Vec<Chunk>);

impl Chunks {
    /// Sorts them, and refuses ones that overlap.
    pub fn new(mut chunks: Vec<Chunk>) -> Result<Self, Unmapped> {
        chunks.sort_unstable_by_key(|chunk| chunk.logical);
        if chunks.windows(2).any(|pair| pair[0].logical.end() > pair[1].logical.offset()) {
            return Err(Unmapped::inconsistent("two chunks overlap"));
        }
        Ok(Self(chunks))
    }

    /// All of them.
    pub fn as_slice(&self) -> &[Chunk] {
        &self.0
    }

    /// Index of the chunk in which all of `range` lies.
    pub fn find(&self, range: Extent) -> Option<usize> {
        let after = self.0.partition_point(|chunk| chunk.logical.offset() <= range.offset());
        let index = after.checked_sub(1)?;
        self.0[index].logical.contains(&range).then_some(index)
    }

    /// The pieces of the device that chunks have, in order: offset, length, and the chunk's
    /// logical address.
    pub fn device_extents(&self) -> Result<Vec<(Extent, u64)>, Unmapped> {
        let impossible = || Unmapped::inconsistent("a chunk lies outside the device");
        let mut extents = Vec::new();
        for chunk in &self.0 {
            for place in &chunk.places {
                let extent = Extent::new(*place, chunk.logical.len()).ok_or_else(impossible)?;
                extents.push((extent, chunk.logical.offset()));
            }
        }
        extents.sort_unstable();
        if extents.windows(2).any(|pair| pair[0].0.end() > pair[1].0.offset()) {
            return Err(Unmapped::inconsistent("two chunks have the same piece of the device"));
        }
        Ok(extents)
    }
}
