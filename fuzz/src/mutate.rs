//! Mutations for the plain test: a fixed row for each seed, the same on every machine.

const INTERESTING: [u64; 9] =
    [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];
const LONGEST: usize = 1 << 16;

struct Random(u64);

impl Random {
    /// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016).
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }
}

/// `count` inputs, made of `seeds` by one to four changes each.
pub fn mutations(seeds: &[Vec<u8>], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random(0x5EED_0001);
    (0..count).map(move |_| {
        let mut input = seeds.get(random.below(seeds.len())).cloned().unwrap_or_default();
        for _ in 0..=random.below(4) {
            change(&mut input, seeds, &mut random);
        }
        input.truncate(LONGEST);
        input
    })
}

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len());
    match random.below(8) {
        0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        1 if !input.is_empty() => input[at] = random.next() as u8,
        2 => input.truncate(at),
        3 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let number = INTERESTING[random.below(INTERESTING.len())].to_le_bytes();
            let end = (at + width).min(input.len());
            input[at..end].copy_from_slice(&number[..end - at]);
        }
        4 => {
            let more: Vec<u8> = (0..=random.below(16)).map(|_| random.next() as u8).collect();
            input.splice(at..at, more);
        }
        5 => {
            let end = at + random.below(input.len() - at + 1);
            input.drain(at..end);
        }
        6 => {
            let end = (at + random.below(64)).min(input.len());
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        _ => {
            let Some(other) = seeds.get(random.below(seeds.len())) else { return };
            let from = random.below(other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
