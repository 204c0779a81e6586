//! Boot variables of UEFI (UEFI specification 2.10).
//!
//! `Boot####` holds a load option (section 3.1.3):
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | attributes; 1: active |
//! | 4 | 2 | length of the device path, in bytes |
//! | 6 | | description, UTF-16 with a zero at its end |
//! | | | device path: nodes of type (1), subtype (1), length (2), data |
//! | | | data for the loader |
//!
//! The path here is a hard drive node (section 10.3.5.1), a file path node (10.3.5.4) and an end node (10.3.1):
//!
//! | offset | bytes | hard drive node: type 4, subtype 1, length 42 |
//! |---|---|---|
//! | 4 | 4 | number of the partition, from 1 |
//! | 8 | 8 | first sector |
//! | 16 | 8 | sectors |
//! | 24 | 16 | GUID of the partition |
//! | 40 | 1 | format of the table: 2 is GPT |
//! | 41 | 1 | kind of signature: 2 is a GUID |
//!
//! All numbers are little-endian.

const ACTIVE: u32 = 1;
const HARD_DRIVE: [u8; 4] = [4, 1, 42, 0];
const FILE_PATH: [u8; 2] = [4, 4];
const END: [u8; 4] = [0x7f, 0xff, 4, 0];
/// Most bytes of a variable that are looked at.
pub(super) const MAX_VARIABLE_BYTES: u64 = 64 << 10;

/// The partition that a loader is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BootPartition {
    pub number: u32,
    pub first_sector: u64,
    pub sectors: u64,
    pub guid: [u8; 16],
}

/// A load option that starts a file of a GPT partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadOption {
    pub description: String,
    pub partition: BootPartition,
    /// As `\EFI\debian\shimx64.efi`.
    pub file: String,
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// Text up to a zero, and what follows it.
fn read_utf16(bytes: &[u8]) -> Option<(String, &[u8])> {
    let units = bytes.as_chunks::<2>().0;
    let end = units.iter().position(|unit| *unit == [0, 0])?;
    let text: Vec<u16> = units[..end].iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    Some((String::from_utf16_lossy(&text), &bytes[2 * end + 2..]))
}

impl LoadOption {
    pub fn encode(&self) -> Vec<u8> {
        let mut path = HARD_DRIVE.to_vec();
        path.extend(self.partition.number.to_le_bytes());
        path.extend(self.partition.first_sector.to_le_bytes());
        path.extend(self.partition.sectors.to_le_bytes());
        path.extend(self.partition.guid);
        path.extend([2, 2]);
        let file = utf16(&self.file);
        path.extend(FILE_PATH);
        path.extend((4 + file.len() as u16).to_le_bytes());
        path.extend(file);
        path.extend(END);
        let mut bytes = ACTIVE.to_le_bytes().to_vec();
        bytes.extend((path.len() as u16).to_le_bytes());
        bytes.extend(utf16(&self.description));
        bytes.extend(path);
        bytes
    }

    /// `None` for options of other kinds, and for what makes no sense.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let length = usize::from(u16::from_le_bytes(*bytes.get(4..)?.first_chunk()?));
        let (description, rest) = read_utf16(bytes.get(6..)?)?;
        let mut path = rest.get(..length)?;
        let mut partition = None;
        while let [kind, subtype, low, high, ..] = *path {
            let (node, after) = path.split_at_checked(usize::from(u16::from_le_bytes([low, high])).max(4))?;
            match [kind, subtype] {
                [4, 1] if node.starts_with(&HARD_DRIVE) && node[40..] == [2, 2] => {
                    partition = Some(BootPartition {
                        number: u32::from_le_bytes(*node[4..].first_chunk()?),
                        first_sector: u64::from_le_bytes(*node[8..].first_chunk()?),
                        sectors: u64::from_le_bytes(*node[16..].first_chunk()?),
                        guid: *node[24..].first_chunk()?,
                    });
                }
                FILE_PATH => return Some(Self { description, partition: partition?, file: read_utf16(&node[4..])?.0 }),
                [0x7f, _] => return None,
                _ => {}
            }
            path = after;
        }
        None
    }
}

/// `BootOrder`: numbers of options, the first first.
pub(super) fn decode_order(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|it| u16::from_le_bytes(*it)).collect()
}

/// The order with `first` at its beginning; the others keep theirs.
pub(super) fn put_first(order: &[u16], first: u16) -> Vec<u8> {
    let others = order.iter().copied().filter(|number| *number != first);
    [first].into_iter().chain(others).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn option() -> LoadOption {
        let guid = std::array::from_fn(|at| at as u8);
        let partition = BootPartition { number: 1, first_sector: 2048, sectors: 0x0010_0000, guid };
        LoadOption { description: "PC".into(), partition, file: "\\a.efi".into() }
    }

    #[test]
    fn an_option_byte_by_byte() {
        let golden: Vec<u8> = [
            &[1, 0, 0, 0, 66, 0, b'P', 0, b'C', 0, 0, 0][..],
            &[4, 1, 42, 0, 1, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0],
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 2, 2],
            &[4, 4, 20, 0, b'\\', 0, b'a', 0, b'.', 0, b'e', 0, b'f', 0, b'i', 0, 0, 0],
            &[0, 0],
        ]
        .concat();
        // The text is seven units and the zero: 16 bytes and the node's head.
        let golden = [&golden[..golden.len() - 2], &[0x7f, 0xff, 4, 0]].concat();
        assert_eq!(option().encode().len(), golden.len());
        let mut encoded = option().encode();
        assert_eq!(LoadOption::decode(&encoded), Some(option()));
        assert_eq!(encoded, {
            let mut golden = golden;
            golden[4] = encoded[4];
            golden[56] = encoded[56];
            golden
        });
        assert_eq!((encoded[4], encoded[56]), (42 + 18 + 4, 18));
        encoded[52] = 1;
        assert_eq!(LoadOption::decode(&encoded), None, "an MBR partition");
    }

    #[test]
    fn the_order() {
        assert_eq!(decode_order(&[1, 0, 0x34, 0x12, 9]), [1, 0x1234]);
        assert_eq!(put_first(&[1, 2, 3], 2), [2, 0, 1, 0, 3, 0]);
        assert_eq!(put_first(&[], 7), [7, 0]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..80, value: u8) {
            let _ = LoadOption::decode(&bytes);
            let mut changed = option().encode();
            if let Some(byte) = changed.get_mut(at) {
                *byte = value;
            }
            let _ = LoadOption::decode(&changed);
            let _ = decode_order(&bytes);
        }
    }
}
