//! The packs of an index, numbered in the order in which they were taken in.

use super::entry::Entry;
use super::{ChunkLocation, IndexedPack, PackContents};
use crate::error::{Error, ErrorKind, Result};
use holotype_core::PackId;
use std::collections::HashMap;

/// Number → pack. Numbers are never reused; a removed pack keeps its number.
#[derive(Debug, Default)]
pub(super) struct PackTable {
    packs: Vec<(IndexedPack, bool)>,
    live: HashMap<PackId, u32>,
}

impl PackTable {
    /// The number of the next pack.
    ///
    /// # Errors
    /// `Unsupported` after 2³² − 1 packs.
    pub fn next_number(&self) -> Result<u32> {
        u32::try_from(self.packs.len()).map_err(|_| {
            Error::new(ErrorKind::Unsupported, "index", "it holds no more packs").advise("rebuild the index")
        })
    }

    /// Adds a pack with the next number.
    pub fn push(&mut self, pack: IndexedPack) -> Result<u32> {
        let number = self.next_number()?;
        self.packs.push((pack, true));
        self.live.insert(pack.pack, number);
        Ok(number)
    }

    /// Marks a pack as removed.
    pub fn remove(&mut self, number: u32) {
        if let Some((pack, live)) = self.packs.get_mut(number as usize) {
            *live = false;
            // A pack that came back has a newer number, which stays.
            if self.live.get(&pack.pack) == Some(&number) {
                self.live.remove(&pack.pack);
            }
        }
    }

    /// The number of a pack that is known and not removed.
    pub fn number(&self, pack: &PackId) -> Option<u32> {
        self.live.get(pack).copied()
    }

    /// Whether entries of this pack count.
    pub fn is_live(&self, number: u32) -> bool {
        self.packs.get(number as usize).is_some_and(|(_, live)| *live)
    }

    /// The place that `entry` names, `None` if its pack was removed.
    ///
    /// # Errors
    /// `Damaged` where no pack has its number.
    pub fn resolve(&self, subject: &str, entry: &Entry) -> Result<Option<ChunkLocation>> {
        match self.packs.get(entry.pack as usize) {
            Some((pack, true)) => {
                Ok(Some(ChunkLocation { pack: pack.pack, frame: entry.frame.into(), slot: entry.slot.into() }))
            }
            Some((_, false)) => Ok(None),
            None => {
                Err(Error::new(ErrorKind::Damaged, subject, format!("an entry names the unknown pack {}", entry.pack)))
            }
        }
    }

    /// Every live pack.
    pub fn live(&self) -> impl Iterator<Item = IndexedPack> {
        self.packs.iter().filter(|(_, live)| *live).map(|(pack, _)| *pack)
    }

    /// Number of live packs.
    pub fn live_count(&self) -> u64 {
        self.live.len() as u64
    }
}

impl From<&PackContents> for IndexedPack {
    fn from(contents: &PackContents) -> Self {
        Self { pack: contents.pack, kind: contents.kind, writer: contents.writer, bytes: contents.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::PackKind;
    use holotype_core::{ChunkId, WriterId};

    fn pack(name: u8) -> IndexedPack {
        IndexedPack { pack: PackId([name; 32]), kind: PackKind::Data, writer: WriterId([0; 32]), bytes: 1 }
    }

    #[test]
    fn a_pack_that_comes_back_has_a_new_number() {
        let mut table = PackTable::default();
        assert_eq!((table.push(pack(1)).unwrap(), table.push(pack(2)).unwrap()), (0, 1));
        table.remove(0);
        assert_eq!((table.number(&PackId([1; 32])), table.is_live(0), table.is_live(1)), (None, false, true));
        assert_eq!(table.push(pack(1)).unwrap(), 2);
        // As at open, where removals are read after all packs.
        table.remove(0);
        assert_eq!(table.number(&PackId([1; 32])), Some(2));
        assert_eq!(table.live_count(), 2);
        table.remove(99);

        let entry = |pack| Entry { id: ChunkId([0; 32]), pack, frame: 3, slot: 4 };
        assert_eq!(table.resolve("index", &entry(0)).unwrap(), None);
        let location = ChunkLocation { pack: PackId([1; 32]), frame: 3, slot: 4 };
        assert_eq!(table.resolve("index", &entry(2)).unwrap(), Some(location));
        assert_eq!(table.resolve("index", &entry(3)).unwrap_err().kind(), ErrorKind::Damaged);
    }
}
