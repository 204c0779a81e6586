//! DHCPv4 messages as a network boot server sees them (RFC 2131, section 2; options: RFC 2132, 4578).
//!
//! The agent has the client's side. They share the first 240 bytes and no behaviour, so each has its own code.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 1 | op: 1 from a client, 2 from a server |
//! | 1 | 3 | hardware type 1 (Ethernet), address length 6, hops |
//! | 4 | 4 | transaction |
//! | 8 | 2 | seconds since the client began |
//! | 10 | 2 | flags: 0x8000 asks for answers by broadcast |
//! | 12 | 4 | the client's address, where it has one |
//! | 16 | 4 | the address given to it: never by this server |
//! | 20 | 4 | next server: where the file is |
//! | 24 | 4 | relay |
//! | 28 | 16 | hardware address, padded with zeros |
//! | 44 | 64 | server's name |
//! | 108 | 128 | boot file |
//! | 236 | 4 | 63 82 53 63 |
//! | 240 | | options: code, length, value; 0 is padding, 255 the end |

use std::net::Ipv4Addr;

/// Bytes before the options.
pub(super) const OPTIONS_AT: usize = 240;
/// Before the options.
pub(super) const MAGIC: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
/// Shortest message that every relay and every old boot ROM takes (RFC 1542, section 2.1).
const LEAST_BYTES: usize = 300;
/// Longest name in the boot file's field, which ends with a zero byte.
pub const MAX_FILE_BYTES: usize = 127;

/// Kinds of messages (option 53) that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client: who has something for me?
    Discover = 1,
    /// Server: I.
    Offer = 2,
    /// Client: give me that.
    Request = 3,
    /// Server: here it is.
    Ack = 5,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMessage {
    /// [`Kind::Discover`] or [`Kind::Request`].
    pub kind: Kind,
    /// Any number; answers carry it.
    pub transaction: [u8; 4],
    /// Its flags.
    pub flags: [u8; 2],
    /// Its address, where it has one.
    pub own: Ipv4Addr,
    /// The relay that passed it on; unspecified where there was none.
    pub relay: Ipv4Addr,
    /// Of its adapter.
    pub mac: [u8; 6],
    /// Option 60, as `PXEClient:Arch:00000:UNDI:002001`.
    pub vendor_class: Vec<u8>,
    /// Option 77, as `iPXE`.
    pub user_class: Vec<u8>,
    /// Option 93: what the firmware runs (RFC 4578, section 2.1; the list is IANA's).
    pub architecture: Option<u16>,
    /// Option 97 in its textual form, as SMBIOS tells it: the first three groups are little-endian.
    pub uuid: Option<String>,
}

impl ClientMessage {
    /// Reads what came from the network. `None` where it is no message of an Ethernet client, or of another kind.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..OPTIONS_AT)?;
        let is_client = head[..3] == [1, 1, 6] && head[236..240] == MAGIC;
        is_client.then_some(())?;
        let options = &bytes[OPTIONS_AT..];
        let kind = match option(options, 53).as_deref() {
            Some([1]) => Kind::Discover,
            Some([3]) => Kind::Request,
            _ => return None,
        };
        Some(Self {
            kind,
            transaction: array(head, 4)?,
            flags: array(head, 10)?,
            own: Ipv4Addr::from(array::<4>(head, 12)?),
            relay: Ipv4Addr::from(array::<4>(head, 24)?),
            mac: array(head, 28)?,
            vendor_class: option(options, 60).unwrap_or_default(),
            user_class: option(options, 77).unwrap_or_default(),
            architecture: option(options, 93).and_then(|value| array(&value, 0)).map(u16::from_be_bytes),
            uuid: option(options, 97).and_then(|value| uuid(&value)),
        })
    }
}

/// What the server says: where to boot from, and no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerMessage {
    /// [`Kind::Offer`] or [`Kind::Ack`].
    pub kind: Kind,
    /// The server's address.
    pub server: Ipv4Addr,
    /// Option 60: the beginning of what the client sent in it.
    pub vendor_class: &'static [u8],
    /// The file in its field; option 67 where it does not fit, or has to stand there.
    pub file: Option<String>,
    /// Whether the file stands in option 67 too. Boot ROMs of BIOSes look at the field alone.
    pub file_option: bool,
    /// Whether option 43 tells a PXE client to take the file of this offer without asking on.
    pub no_discovery: bool,
}

impl ServerMessage {
    /// The bytes that answer `client`.
    pub fn encode(&self, client: &ClientMessage) -> Vec<u8> {
        let mut bytes = vec![0; OPTIONS_AT];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&client.transaction);
        bytes[10..12].copy_from_slice(&client.flags);
        bytes[12..16].copy_from_slice(&client.own.octets());
        bytes[20..24].copy_from_slice(&self.server.octets());
        bytes[24..28].copy_from_slice(&client.relay.octets());
        bytes[28..34].copy_from_slice(&client.mac);
        if let Some(file) = self.file.as_ref().filter(|file| file.len() <= MAX_FILE_BYTES) {
            bytes[108..108 + file.len()].copy_from_slice(file.as_bytes());
        }
        bytes[236..240].copy_from_slice(&MAGIC);
        let mut option = |code: u8, value: &[u8]| {
            // Longer values are not made: they are names and addresses.
            let value = &value[..value.len().min(255)];
            bytes.extend([code, value.len() as u8]);
            bytes.extend(value);
        };
        option(53, &[self.kind as u8]);
        option(54, &self.server.octets());
        option(60, self.vendor_class);
        if let Some(uuid) = client.uuid.as_deref().and_then(uuid_bytes) {
            // PXE 2.1: servers send it back.
            option(97, &uuid);
        }
        if self.no_discovery {
            // Discovery control (6), one byte: 8, take the file of the offer; 255 ends the list.
            option(43, &[6, 1, 8, 255]);
        }
        if let Some(file) = self.file.as_ref().filter(|_| self.file_option) {
            option(67, file.as_bytes());
        }
        bytes.push(255);
        bytes.resize(bytes.len().max(LEAST_BYTES), 0);
        bytes
    }
}

/// An option's value, its parts together (RFC 3396); at most 1500 bytes come in, so it is short.
pub(super) fn option(options: &[u8], wanted: u8) -> Option<Vec<u8>> {
    let mut found: Option<Vec<u8>> = None;
    let mut rest = options;
    loop {
        match rest {
            [0, after @ ..] => rest = after,
            [255, ..] | [] | [_] => return found,
            [code, length, after @ ..] => {
                let Some((value, after)) = after.split_at_checked(usize::from(*length)) else { return found };
                if *code == wanted {
                    found.get_or_insert_default().extend_from_slice(value);
                }
                rest = after;
            }
        }
    }
}

/// The bytes at a place, where there are as many.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Option 97: a zero byte, and the UUID as SMBIOS has it.
fn uuid(value: &[u8]) -> Option<String> {
    let (0, bytes) = (*value.first()?, array::<16>(value, 1)?) else { return None };
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::with_capacity(36);
    for (at, from) in order.into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", bytes[from]));
    }
    Some(text)
}

fn uuid_bytes(text: &str) -> Option<[u8; 17]> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut bytes = [0; 17];
    for (at, to) in order.into_iter().enumerate() {
        bytes[1 + to] = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A client's message with these options behind its kind.
    pub(in crate::netboot) fn client_bytes(kind: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; OPTIONS_AT];
        bytes[..12].copy_from_slice(&[1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 4, 0x80, 0]);
        bytes[28..34].copy_from_slice(&[0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        bytes[236..240].copy_from_slice(&MAGIC);
        bytes.extend([53, 1, kind]);
        for (code, value) in options {
            bytes.extend([*code, value.len() as u8]);
            bytes.extend(*value);
        }
        bytes.push(255);
        bytes
    }

    const UUID: [u8; 17] =
        [0, 0xac, 0xc9, 0xd9, 0x0b, 0x71, 0x1b, 0x40, 0x4f, 0x9d, 4, 0xb9, 0xa5, 0x6b, 0xf, 0x5b, 0x3e];

    #[test]
    fn a_boot_rom_is_read() {
        let class = b"PXEClient:Arch:00000:UNDI:002001";
        let bytes = client_bytes(1, &[(60, class), (93, &[0, 7]), (97, &UUID), (77, b"iP"), (77, b"XE")]);
        let message = ClientMessage::decode(&bytes).unwrap();
        assert_eq!((message.kind, message.architecture), (Kind::Discover, Some(7)));
        assert_eq!(message.mac, [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(message.uuid.as_deref(), Some("0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e"));
        assert_eq!((&message.vendor_class[..], &message.user_class[..]), (&class[..], &b"iPXE"[..]));
        assert_eq!(uuid_bytes(message.uuid.as_deref().unwrap()), Some(UUID));
    }

    #[test]
    fn an_offer_has_these_bytes() {
        let client = ClientMessage::decode(&client_bytes(1, &[(97, &UUID)])).unwrap();
        let offer = ServerMessage {
            kind: Kind::Offer,
            server: Ipv4Addr::new(10, 7, 0, 2),
            vendor_class: b"PXEClient",
            file: Some("undionly.kpxe".into()),
            file_option: false,
            no_discovery: true,
        };
        let bytes = offer.encode(&client);
        let mut wanted = vec![0; LEAST_BYTES];
        wanted[..12].copy_from_slice(&[2, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0x80, 0]);
        wanted[20..24].copy_from_slice(&[10, 7, 0, 2]);
        wanted[28..34].copy_from_slice(&[0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        wanted[108..121].copy_from_slice(b"undionly.kpxe");
        wanted[236..240].copy_from_slice(&MAGIC);
        let mut options = vec![53, 1, 2, 54, 4, 10, 7, 0, 2, 60, 9];
        options.extend(b"PXEClient");
        options.extend([97, 17]);
        options.extend(UUID);
        options.extend([43, 4, 6, 1, 8, 255, 255]);
        wanted[240..240 + options.len()].copy_from_slice(&options);
        assert_eq!(bytes, wanted);
    }

    #[test]
    fn an_http_offer_has_the_uri_in_option_67() {
        let client = ClientMessage::decode(&client_bytes(1, &[])).unwrap();
        let uri = "http://10.7.0.2:8069/snponly.efi";
        let offer = ServerMessage {
            kind: Kind::Offer,
            server: Ipv4Addr::new(10, 7, 0, 2),
            vendor_class: b"HTTPClient",
            file: Some(uri.into()),
            file_option: true,
            no_discovery: false,
        };
        let bytes = offer.encode(&client);
        assert_eq!(option(&bytes[240..], 67).unwrap(), uri.as_bytes());
        assert_eq!(option(&bytes[240..], 60).unwrap(), b"HTTPClient");
        assert_eq!(option(&bytes[240..], 43), None);
        assert_eq!(bytes[16..20], [0; 4], "no address is ever given");
    }

    #[test]
    fn what_is_none_is_refused() {
        let good = client_bytes(1, &[]);
        for end in 0..good.len() {
            let decoded = ClientMessage::decode(&good[..end]);
            // Everything after the kind may be missing.
            assert_eq!(decoded.is_some(), end >= 243, "{end} bytes");
        }
        for (at, byte) in [(0, 2), (1, 6), (2, 16), (236, 0), (242, 2), (242, 7)] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert_eq!(ClientMessage::decode(&bytes), None, "byte {at}");
        }
        let odd_uuid = ClientMessage::decode(&client_bytes(1, &[(97, &[0, 1, 2]), (93, &[7])])).unwrap();
        assert_eq!((odd_uuid.uuid, odd_uuid.architecture), (None, None));
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(options in proptest::collection::vec(any::<u8>(), 0..400), noise in any::<bool>()) {
            let mut bytes = client_bytes(1, &[]);
            if noise {
                bytes.clear();
            } else {
                bytes.pop();
            }
            bytes.extend(options);
            if let Some(message) = ClientMessage::decode(&bytes) {
                let answer = ServerMessage {
                    kind: Kind::Offer, server: Ipv4Addr::LOCALHOST, vendor_class: b"PXEClient",
                    file: None, file_option: false, no_discovery: false,
                };
                prop_assert!(answer.encode(&message).len() <= 400);
            }
        }
    }
}
