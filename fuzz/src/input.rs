//! Bytes as a row of numbers and parts, for targets that want more than one. Every input is one:
//! what is missing at its end reads as zeros and empty parts.

pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let (taken, rest) = self.0.split_at(self.0.len().min(N));
        bytes[..taken.len()].copy_from_slice(taken);
        self.0 = rest;
        bytes
    }

    pub fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub fn id(&mut self) -> [u8; 32] {
        self.array()
    }

    /// A part with its length (16 bits) before it.
    pub fn part(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_le_bytes(self.array()));
        let (part, rest) = self.0.split_at(self.0.len().min(length));
        self.0 = rest;
        part
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A part as [`Input::part`] reads it.
pub fn part(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("seeds are small");
    [&length.to_le_bytes()[..], bytes].concat()
}
