//! Runs of bytes that nobody uses.

use super::Unmapped;
use crate::extent::Extent;

/// Most runs in one map: 256 MiB of memory. A volume with more free runs is cut finer than any
/// filesystem leaves it.
const MAX_RUNS: usize = 16 << 20;

/// Sorted, disjoint, not touching each other, none empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FreeRuns(Vec<Extent>);

impl FreeRuns {
    /// No run.
    pub fn none() -> Self {
        Self::default()
    }

    /// A builder for a volume, or a disk, of this length.
    pub fn builder(volume_bytes: u64) -> FreeRunsBuilder {
        FreeRunsBuilder { runs: Vec::new(), end: volume_bytes, sorted: true }
    }

    /// The runs in order.
    pub fn as_slice(&self) -> &[Extent] {
        &self.0
    }

    /// The runs in order.
    pub fn iter(&self) -> impl Iterator<Item = &Extent> {
        self.0.iter()
    }

    /// Sum of their lengths.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(Extent::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts of the runs that lie in `range`, in order.
    pub fn within(&self, range: Extent) -> impl Iterator<Item = Extent> + '_ {
        let first = self.0.partition_point(|run| run.end() <= range.offset());
        self.0[first..]
            .iter()
            .take_while(move |run| run.offset() < range.end())
            .filter_map(move |run| run.intersection(&range))
    }

    /// The same runs without what lies in `kept`.
    pub fn without(&self, kept: Extent) -> Self {
        let mut runs = Vec::with_capacity(self.0.len() + 1);
        for run in &self.0 {
            match run.intersection(&kept) {
                None => runs.push(*run),
                Some(common) => runs.extend(
                    [Extent::between(run.offset(), common.offset()), Extent::between(common.end(), run.end())]
                        .into_iter()
                        .flatten()
                        .filter(|part| !part.is_empty()),
                ),
            }
        }
        Self(runs)
    }
}

/// Collects runs, in any order; touching and overlapping ones become one.
#[derive(Debug, Clone)]
pub struct FreeRunsBuilder {
    runs: Vec<Extent>,
    end: u64,
    sorted: bool,
}

impl FreeRunsBuilder {
    /// Adds `length_bytes` from `offset_bytes`. An empty run adds nothing.
    ///
    /// # Errors
    /// Where the run ends beyond the volume, or there are too many.
    pub fn push(&mut self, offset_bytes: u64, length_bytes: u64) -> Result<(), Unmapped> {
        let run = Extent::new(offset_bytes, length_bytes).filter(|run| run.end() <= self.end).ok_or_else(|| {
            Unmapped::inconsistent(format!("a free run at byte {offset_bytes} ends beyond the volume"))
        })?;
        if run.is_empty() {
            return Ok(());
        }
        match self.runs.last_mut() {
            Some(last) if last.end() == run.offset() => {
                *last = Extent::between(last.offset(), run.end()).expect("in order");
            }
            last => {
                self.sorted &= last.is_none_or(|last| last.end() < run.offset());
                if self.runs.len() >= MAX_RUNS {
                    return Err(Unmapped::inconsistent(format!("it has more than {MAX_RUNS} free runs")));
                }
                self.runs.push(run);
            }
        }
        Ok(())
    }

    /// Adds a run for each row of bits that say "free" in an allocation bitmap whose bit 0 stands
    /// for the unit at `first_unit`. Bits count from the least significant of each byte; a set bit
    /// is a unit in use. `units` bits are looked at.
    ///
    /// # Errors
    /// As [`push`](Self::push), and where the bitmap is too short.
    pub fn push_clear_bits(
        &mut self,
        bitmap: &[u8],
        units: u64,
        first_unit: u64,
        unit_bytes: u64,
    ) -> Result<(), Unmapped> {
        if units.div_ceil(8) > bitmap.len() as u64 {
            return Err(Unmapped::inconsistent("a bitmap is shorter than what it stands for"));
        }
        let overflow = || Unmapped::inconsistent("a bitmap stands for more than a disk has");
        let mut unit = 0;
        while unit < units {
            let free = clear_run(bitmap, unit, units);
            if free > 0 {
                let offset = first_unit.checked_add(unit).and_then(|unit| unit.checked_mul(unit_bytes));
                let length = free.checked_mul(unit_bytes).ok_or_else(overflow)?;
                self.push(offset.ok_or_else(overflow)?, length)?;
            }
            unit += free;
            unit += set_run(bitmap, unit, units);
        }
        Ok(())
    }

    /// The runs.
    pub fn finish(mut self) -> FreeRuns {
        if !self.sorted {
            self.runs.sort_unstable();
            let mut merged: Vec<Extent> = Vec::with_capacity(self.runs.len());
            for run in self.runs {
                match merged.last_mut() {
                    Some(last) if run.offset() <= last.end() => {
                        let end = last.end().max(run.end());
                        *last = Extent::between(last.offset(), end).expect("in order");
                    }
                    _ => merged.push(run),
                }
            }
            return FreeRuns(merged);
        }
        FreeRuns(self.runs)
    }
}

/// How many bits from `from` on, before `to`, are clear.
fn clear_run(bitmap: &[u8], from: u64, to: u64) -> u64 {
    run_of(bitmap, from, to, 0)
}

fn set_run(bitmap: &[u8], from: u64, to: u64) -> u64 {
    run_of(bitmap, from, to, 0xFF)
}

/// How many bits from `from` on, before `to`, are as in `like`, 0 or 0xFF.
fn run_of(bitmap: &[u8], from: u64, to: u64, like: u8) -> u64 {
    let mut at = from;
    while at < to {
        let byte = (at / 8) as usize;
        let shift = (at % 8) as u32;
        let same = ((bitmap[byte] ^ like) >> shift).trailing_zeros().min(8 - shift);
        at += u64::from(same);
        if same < 8 - shift {
            break;
        }
        // Whole bytes, quickly.
        let rest = bitmap.get((at / 8) as usize..(to / 8) as usize).unwrap_or_default();
        at += 8 * rest.iter().take_while(|byte| **byte == like).count() as u64;
    }
    at.min(to).saturating_sub(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs_of(runs: &FreeRuns) -> Vec<(u64, u64)> {
        runs.iter().map(|run| (run.offset(), run.len())).collect()
    }

    #[test]
    fn runs_are_sorted_and_joined() {
        let mut builder = FreeRuns::builder(100);
        for (offset, length) in [(50, 10), (0, 5), (60, 5), (5, 5), (55, 20), (90, 0), (90, 10)] {
            builder.push(offset, length).unwrap();
        }
        assert!(builder.push(99, 2).is_err() && builder.push(u64::MAX, 2).is_err());
        let runs = builder.finish();
        assert_eq!(runs_of(&runs), [(0, 10), (50, 25), (90, 10)]);
        assert_eq!(runs.bytes(), 45);
        let within: Vec<_> = runs.within(Extent::between(8, 52).unwrap()).collect();
        assert_eq!(within, [Extent::between(8, 10).unwrap(), Extent::between(50, 52).unwrap()]);
        assert_eq!(runs_of(&runs.without(Extent::between(5, 60).unwrap())), [(0, 5), (60, 15), (90, 10)]);
        assert_eq!(runs_of(&runs.without(Extent::between(51, 52).unwrap())), [(0, 10), (50, 1), (52, 23), (90, 10)]);
    }

    proptest! {
        #[test]
        fn bitmaps_give_what_a_bit_loop_gives(bitmap in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xFF), any::<u8>()], 1..40), spare in 0u64..8) {
            let units = bitmap.len() as u64 * 8 - spare;
            let mut builder = FreeRuns::builder(1 << 20);
            builder.push_clear_bits(&bitmap, units, 3, 10).unwrap();
            let mut simple = FreeRuns::builder(1 << 20);
            for unit in 0..units {
                if bitmap[(unit / 8) as usize] >> (unit % 8) & 1 == 0 {
                    simple.push((3 + unit) * 10, 10).unwrap();
                }
            }
            prop_assert_eq!(builder.finish(), simple.finish());
        }

        #[test]
        fn without_takes_just_that_away(runs in proptest::collection::vec((0u64..90, 1u64..10), 0..9), from in 0u64..100, length in 0u64..30) {
            let mut builder = FreeRuns::builder(200);
            for (offset, length) in runs {
                builder.push(offset, length).unwrap();
            }
            let runs = builder.finish();
            let kept = Extent::new(from, length).unwrap();
            let rest = runs.without(kept);
            for byte in 0..200u64 {
                let one = Extent::new(byte, 1).unwrap();
                let in_runs = runs.within(one).next().is_some();
                prop_assert_eq!(rest.within(one).next().is_some(), in_runs && !kept.contains(&one));
            }
        }
    }
}
