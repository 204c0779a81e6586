//! The hash of what is restored, for receipts: the same however the work was cut into windows.

use super::plan::Patch;
use super::window::{RunKind, Window};

/// Collects what is restored, in the order of the image. See `docs/FORMAT.md`, receipts.
#[derive(Debug, Default)]
pub(super) struct ContentHash {
    chunks: blake3::Hasher,
    zeros: blake3::Hasher,
    patches: blake3::Hasher,
    /// Offset and length of a zero run that may go on.
    open_run: Option<(u64, u64)>,
}

impl ContentHash {
    /// Adds a window; they come in order.
    pub fn add(&mut self, window: &Window) {
        for place in &window.chunks {
            self.chunks.update(&place.offset.to_le_bytes()).update(place.id.as_bytes());
            self.chunks.update(&place.skip.to_le_bytes()).update(&place.bytes.to_le_bytes());
        }
        for run in window.runs.iter().filter(|run| run.kind != RunKind::Free) {
            match &mut self.open_run {
                Some((offset, bytes)) if *offset + *bytes == run.offset => *bytes += run.bytes,
                _ => {
                    self.close_run();
                    self.open_run = Some((run.offset, run.bytes));
                }
            }
        }
    }

    /// Adds a part of a new partition table.
    pub fn add_patch(&mut self, patch: &Patch) {
        self.patches.update(&patch.offset.to_le_bytes()).update(&(patch.bytes.len() as u64).to_le_bytes());
        self.patches.update(&patch.bytes);
    }

    fn close_run(&mut self) {
        if let Some((offset, bytes)) = self.open_run.take() {
            self.zeros.update(&offset.to_le_bytes()).update(&bytes.to_le_bytes());
        }
    }

    /// The hash, in hexadecimal digits.
    pub fn finish(mut self) -> String {
        self.close_run();
        let parts = [self.chunks.finalize(), self.zeros.finalize(), self.patches.finalize()];
        let mut whole = blake3::Hasher::new();
        for part in parts {
            whole.update(part.as_bytes());
        }
        whole.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::{Placement, Run};
    use super::*;
    use holotype_core::ChunkId;

    fn window(chunks: &[u64], runs: &[(u64, u64)]) -> Window {
        let chunk = |offset: &u64| Placement {
            id: ChunkId([7; 32]),
            chunk_bytes: 10,
            skip: 0,
            bytes: 10,
            offset: *offset,
            at: 0,
        };
        let run = |&(offset, bytes): &(u64, u64)| Run { offset, bytes, kind: RunKind::Zero };
        Window { chunks: chunks.iter().map(chunk).collect(), runs: runs.iter().map(run).collect(), data_bytes: 0 }
    }

    fn hash(windows: &[Window]) -> String {
        let mut hash = ContentHash::default();
        windows.iter().for_each(|window| hash.add(window));
        hash.finish()
    }

    #[test]
    fn windows_do_not_matter_and_places_do() {
        let whole = hash(&[window(&[0, 10, 50], &[(20, 30), (60, 40)])]);
        assert_eq!(hash(&[window(&[0], &[]), window(&[10], &[(20, 10)]), window(&[50], &[(30, 20), (60, 40)])]), whole);
        assert_ne!(hash(&[window(&[0, 10, 50], &[(20, 30), (60, 41)])]), whole);
        assert_ne!(hash(&[window(&[0, 10, 51], &[(20, 30), (60, 40)])]), whole);
    }
}
