//! Merging runs: which, and how.

use super::entry::Entry;
use super::guard::GuardedDb;
use super::run::{ReadPage, Run, RunWriter};
use crate::error::Result;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Most runs after an insert.
pub const MAX_RUNS: usize = 8;

/// Which runs to merge, by their number of entries: the smallest two, and each next larger one that
/// is not larger than those together. So an entry is rewritten about log₂ n times at most.
///
/// Returns positions in `entries`; empty while there are not too many runs.
pub(super) fn choose(entries: &[u64]) -> Vec<usize> {
    if entries.len() <= MAX_RUNS {
        return Vec::new();
    }
    let mut by_size: Vec<usize> = (0..entries.len()).collect();
    by_size.sort_by_key(|&position| entries[position]);
    let mut sum = entries[by_size[0]];
    let mut count = 1;
    while count < by_size.len() && (count < 2 || entries[by_size[count]] <= sum) {
        sum += entries[by_size[count]];
        count += 1;
    }
    by_size.truncate(count);
    by_size
}

/// Reads a run in order, one page at a time.
struct Cursor {
    run: Arc<Run>,
    read: Option<ReadPage>,
    next_page: u32,
    next_entry: usize,
}

impl Cursor {
    fn new(run: &Arc<Run>) -> Self {
        Self { run: Arc::clone(run), read: None, next_page: 0, next_entry: 0 }
    }

    fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(read) = &self.read {
                let page = self.run.page(read)?;
                if self.next_entry < page.len() {
                    self.next_entry += 1;
                    return Ok(page.get(self.next_entry - 1));
                }
            }
            if self.next_page == self.run.pages() {
                return Ok(None);
            }
            self.read = Some(self.run.read_page(self.next_page)?);
            self.next_page += 1;
            self.next_entry = 0;
        }
    }
}

/// Writes the entries of `runs` that `keep` wants as run `number`; one page of each is in memory.
/// `None` where no entry is left.
///
/// # Errors
/// `Damaged`, or where it cannot be written.
pub(super) fn merge(
    db: &GuardedDb,
    runs: &[Arc<Run>],
    number: u64,
    keep: impl Fn(&Entry) -> bool,
) -> Result<Option<Run>> {
    let mut writer = RunWriter::new(db, number, runs.iter().map(|run| run.record.entries).sum())?;
    let mut cursors: Vec<_> = runs.iter().map(Cursor::new).collect();
    let mut heads = BinaryHeap::with_capacity(cursors.len());
    for (position, cursor) in cursors.iter_mut().enumerate() {
        heads.extend(cursor.next()?.map(|entry| Reverse((entry, position))));
    }
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((entry, position)) = *head;
        if keep(&entry) {
            writer.push(entry)?;
        }
        match cursors[position].next()? {
            Some(next) => *head = Reverse((next, position)),
            None => drop(std::collections::binary_heap::PeekMut::pop(head)),
        }
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_the_small_and_leaves_the_large() {
        assert!(choose(&[1; 8]).is_empty());
        assert_eq!(choose(&[1; 9]).len(), 9);
        let mut chosen = choose(&[100, 1, 1, 1, 50, 1, 1, 1, 1]);
        chosen.sort_unstable();
        assert_eq!(chosen, [1, 2, 3, 5, 6, 7, 8]);
        assert_eq!(choose(&[256, 128, 64, 32, 16, 8, 4, 2, 7]), [7, 6]);
    }

    #[test]
    fn equal_inserts_are_rewritten_few_times() {
        let mut runs: Vec<u64> = Vec::new();
        let mut written = 0;
        for _ in 0..1000 {
            runs.push(1);
            let mut chosen = choose(&runs);
            if !chosen.is_empty() {
                chosen.sort_unstable();
                let sum = chosen.iter().rev().map(|&position| runs.remove(position)).sum();
                written += sum;
                runs.push(sum);
            }
            assert!(runs.len() <= MAX_RUNS);
        }
        assert!(written <= 10_000, "{written} entries rewritten for 1000");
    }
}
