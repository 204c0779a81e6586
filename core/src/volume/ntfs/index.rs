//! Directories: the index of file names, a tree of blocks.

use super::record::{BITMAP, Content, File, INDEX_ALLOCATION, INDEX_ROOT, Mft, fix_up};
use crate::volume::Unmapped;
use crate::volume::bytes::{le_u16, le_u32, le_u64};
use std::collections::HashSet;

/// The index of a directory by name.
const FILE_NAMES: &str = "$I30";

/// Most blocks of one directory: tens of millions of files in one folder.
const MAX_BLOCKS: usize = 1 << 20;

fn broken() -> Unmapped {
    Unmapped::inconsistent("a directory's index is broken")
}

/// Calls `visit` with the name and the reference of every entry of a directory.
pub(super) fn walk(mft: &Mft<'_>, folder: &File, visit: &mut dyn FnMut(&str, u64)) -> Result<(), Unmapped> {
    if !folder.is_directory {
        return Err(broken());
    }
    let root = folder.value(INDEX_ROOT, FILE_NAMES).ok_or_else(broken)?;
    let block_bytes = u64::from(le_u32(root, 8).ok_or_else(broken)?);
    if !block_bytes.is_power_of_two() || !(512..=64 << 10).contains(&block_bytes) {
        return Err(broken());
    }
    let mut open = Vec::new();
    node(root.get(16..).ok_or_else(broken)?, visit, &mut open).ok_or_else(broken)?;
    if open.is_empty() {
        return Ok(());
    }
    // Blocks are counted in clusters, or in 512 bytes where they are smaller than one.
    let unit_bytes = if mft.boot.cluster_bytes <= block_bytes { mft.boot.cluster_bytes } else { 512 };
    let blocks = folder.plain_stream(INDEX_ALLOCATION, FILE_NAMES, "a directory's index")?;
    let mut seen = HashSet::new();
    while let Some(number) = open.pop() {
        if !seen.insert(number) || seen.len() > MAX_BLOCKS {
            return Err(Unmapped::inconsistent("a directory's index leads to a block of it twice"));
        }
        let offset = number.checked_mul(unit_bytes).ok_or_else(broken)?;
        let mut block = blocks.read(mft.volume, mft.boot, offset, block_bytes)?;
        fix_up(&mut block, b"INDX", "a block of a directory's index")?;
        if le_u64(&block, 16) != Some(number) {
            return Err(broken());
        }
        node(&block[24..], visit, &mut open).ok_or_else(broken)?;
    }
    // The tree has every block that is in use: nothing is hidden from the walk.
    let bitmap = match &folder.attribute(BITMAP, FILE_NAMES).ok_or_else(broken)?.content {
        Content::Resident(bits) => bits.clone(),
        Content::Stream(bits) if bits.data_bytes <= MAX_BLOCKS as u64 => {
            bits.read(mft.volume, mft.boot, 0, bits.data_bytes)?
        }
        Content::Stream(_) => return Err(broken()),
    };
    let in_use = |number: &u64| {
        let block = number * unit_bytes / block_bytes;
        bitmap.get((block / 8) as usize).is_some_and(|bits| bits >> (block % 8) & 1 == 1)
    };
    let blocks_in_use: u32 = bitmap.iter().map(|bits| bits.count_ones()).sum();
    if !seen.iter().all(in_use) || seen.len() != blocks_in_use as usize {
        return Err(Unmapped::inconsistent("a directory's index does not lead to all of its blocks"));
    }
    Ok(())
}

/// Visits the entries of one node, which starts with its header, and notes the blocks below it.
fn node(bytes: &[u8], visit: &mut dyn FnMut(&str, u64), below: &mut Vec<u64>) -> Option<()> {
    const HAS_BLOCK_BELOW: u16 = 1;
    const LAST: u16 = 2;
    let (mut at, end) = (le_u32(bytes, 0)? as usize, le_u32(bytes, 4)? as usize);
    loop {
        let rest = bytes.get(at..end)?;
        let (length, key_length, flags) =
            (usize::from(le_u16(rest, 8)?), usize::from(le_u16(rest, 10)?), le_u16(rest, 12)?);
        if length < 16 || !length.is_multiple_of(8) {
            return None;
        }
        let entry = rest.get(..length)?;
        if flags & HAS_BLOCK_BELOW != 0 {
            below.push(le_u64(entry, length.checked_sub(8).filter(|at| *at >= 16)?)?);
        }
        if flags & LAST != 0 {
            return Some(());
        }
        let key = entry.get(16..16 + key_length)?;
        let name = key.get(66..66 + 2 * usize::from(*key.get(64)?))?;
        let name: Vec<u16> = name.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        visit(&String::from_utf16_lossy(&name), le_u64(entry, 0)?);
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node() {
        let mut bytes = vec![0; 16];
        bytes[0] = 16;
        let mut entry = vec![0; 16 + 66 + 4 + 2 + 8];
        (entry[0], entry[8], entry[10], entry[12], entry[16 + 64]) = (42, 96, 70, 1, 2);
        entry[82..86].copy_from_slice(b"a\0b\0");
        entry[88] = 7;
        bytes.extend(entry);
        let mut last = vec![0; 16];
        (last[8], last[12]) = (16, 2);
        bytes.extend(last);
        bytes[4] = bytes.len() as u8;
        let (mut names, mut below) = (Vec::new(), Vec::new());
        node(&bytes, &mut |name, reference| names.push((name.to_owned(), reference)), &mut below).unwrap();
        assert_eq!((names, below), (vec![("ab".to_owned(), 42)], vec![7]));
        for (at, byte) in [(0, 200), (4, 96), (4, 255), (16 + 8, 0), (16 + 8, 97), (16 + 10, 255), (16 + 80, 9)] {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            assert_eq!(node(&bytes, &mut |_, _| (), &mut Vec::new()), None, "{byte} at {at}");
        }
    }
}
