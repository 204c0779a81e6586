//! DHCPv4 messages (RFC 2131, section 2; options RFC 2132, 3396, 3442).
//!
//! Own code, because what exists brings a DNS library and an URL parser along; a client needs little.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 1 | op: 1 from a client, 2 from a server |
//! | 1 | 3 | hardware type 1 (Ethernet), address length 6, hops 0 |
//! | 4 | 4 | transaction |
//! | 8 | 2 | seconds since the client began |
//! | 10 | 2 | flags: 0x8000 asks for answers by broadcast |
//! | 12 | 4 | the client's address, where it has one |
//! | 16 | 4 | the address offered to it |
//! | 20 | 8 | next server, relay |
//! | 28 | 16 | hardware address, padded with zeros |
//! | 44 | 192 | server's name and file, which option 52 may turn into options |
//! | 236 | 4 | 63 82 53 63 |
//! | 240 | | options: code, length, value; 0 is padding, 255 the end |

use std::net::Ipv4Addr;
use std::time::Duration;

const OPTIONS_AT: usize = 240;
const MAGIC: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
/// Shortest message that every relay passes on (RFC 1542, section 2.1).
const LEAST_BYTES: usize = 300;
/// Most addresses of one kind that are kept.
const MOST_ADDRESSES: usize = 8;
/// A lease shorter than this would keep the client busy; one without an end is asked for again some day.
const LEAST_LEASE: Duration = Duration::from_secs(60);

/// Kinds of messages (option 53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client: who has an address for me?
    Discover = 1,
    /// Server: I.
    Offer = 2,
    /// Client: give me that one.
    Request = 3,
    /// Server: it is yours.
    Ack = 5,
    /// Server: no.
    Nak = 6,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// [`Kind::Discover`] or [`Kind::Request`].
    pub kind: Kind,
    /// Any number; answers carry it.
    pub transaction: u32,
    /// Of the adapter.
    pub mac: [u8; 6],
    /// Seconds since the client began.
    pub seconds: u16,
    /// The address in use, when a lease is renewed; else unspecified.
    pub own: Ipv4Addr,
    /// Address that is asked for, and which server offered it.
    pub chosen: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl Question {
    /// The bytes to send.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; OPTIONS_AT];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.seconds.to_be_bytes());
        if self.own.is_unspecified() {
            bytes[10] = 0x80;
        }
        bytes[12..16].copy_from_slice(&self.own.octets());
        bytes[28..34].copy_from_slice(&self.mac);
        bytes[236..240].copy_from_slice(&MAGIC);
        let mut option = |code: u8, value: &[u8]| {
            bytes.extend([code, value.len() as u8]);
            bytes.extend(value);
        };
        option(53, &[self.kind as u8]);
        // The same client as the firmware's network boot: type 1 and the address.
        let mut identifier = [1; 7];
        identifier[1..].copy_from_slice(&self.mac);
        option(61, &identifier);
        if let Some((address, server)) = self.chosen {
            option(50, &address.octets());
            option(54, &server.octets());
        }
        option(57, &1500u16.to_be_bytes());
        option(60, b"holotype");
        // Mask, routers, name servers, domain, MTU, lease, renewal, rebinding, classless routes.
        option(55, &[1, 121, 3, 6, 15, 26, 51, 54, 58, 59]);
        bytes.push(255);
        bytes.resize(bytes.len().max(LEAST_BYTES), 0);
        bytes
    }
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// [`Kind::Offer`], [`Kind::Ack`] or [`Kind::Nak`].
    pub kind: Kind,
    /// Who says it.
    pub server: Ipv4Addr,
    /// The address for the client.
    pub address: Ipv4Addr,
    /// Bits of the network.
    pub prefix: u8,
    /// Networks and the routers to them; 0.0.0.0/0 is everything.
    pub routes: Vec<Route>,
    /// Name servers.
    pub name_servers: Vec<Ipv4Addr>,
    /// Domain of names without one.
    pub domain: Option<String>,
    /// Largest packet.
    pub mtu: Option<u16>,
    /// For how long the address is the client's.
    pub lease: Duration,
    /// After which time it asks again.
    pub renew_after: Duration,
}

/// Where a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The network.
    pub network: Ipv4Addr,
    /// Its bits.
    pub prefix: u8,
    /// Who passes packets on; unspecified where it is on the link.
    pub router: Ipv4Addr,
}

impl Answer {
    /// Reads what came from the network. `None` where it is no answer to this transaction of this adapter, or one that
    /// cannot be used.
    pub fn decode(bytes: &[u8], transaction: u32, mac: [u8; 6]) -> Option<Self> {
        let head = bytes.get(..OPTIONS_AT)?;
        let is_ours = head[..3] == [2, 1, 6]
            && head[4..8] == transaction.to_be_bytes()
            && head[28..34] == mac
            && head[236..240] == MAGIC;
        is_ours.then_some(())?;
        let options = Options::read(bytes);
        let kind = match options.value(53)[..] {
            [2] => Kind::Offer,
            [5] => Kind::Ack,
            [6] => Kind::Nak,
            _ => return None,
        };
        let server = options.addresses(54).first().copied();
        if kind == Kind::Nak {
            let nothing = Ipv4Addr::UNSPECIFIED;
            return Some(Self::nothing_but(kind, server.unwrap_or(nothing), nothing));
        }
        let address = address_at(bytes, 16)?;
        let mut answer = Self::nothing_but(kind, server.filter(|it| is_host(*it))?, address);
        is_host(address).then_some(())?;
        answer.prefix = match options.value(1)[..] {
            [a, b, c, d] => prefix_of(u32::from_be_bytes([a, b, c, d]))?,
            _ => prefix_of_class(address),
        };
        let routers = options.addresses(3);
        let everything = |router: &Ipv4Addr| Route { network: Ipv4Addr::UNSPECIFIED, prefix: 0, router: *router };
        // RFC 3442: where there are classless routes, the option for routers does not count.
        answer.routes = match classless_routes(&options.value(121)) {
            routes if !routes.is_empty() => routes,
            _ => routers.iter().copied().find(|it| is_host(*it)).iter().map(everything).collect(),
        };
        answer.name_servers = options.addresses(6).into_iter().filter(|it| is_host(*it)).collect();
        answer.domain = domain(&options.value(15));
        answer.mtu = match options.value(26)[..] {
            [a, b] => Some(u16::from_be_bytes([a, b])).filter(|mtu| (576..=9000).contains(mtu)),
            _ => None,
        };
        let seconds = |code| match options.value(code)[..] {
            [a, b, c, d] => Some(Duration::from_secs(u32::from_be_bytes([a, b, c, d]).into())),
            _ => None,
        };
        answer.lease = seconds(51).unwrap_or(Duration::from_secs(3600)).max(LEAST_LEASE);
        answer.renew_after =
            seconds(58).filter(|it| *it < answer.lease).unwrap_or(answer.lease / 2).max(LEAST_LEASE / 2);
        Some(answer)
    }

    fn nothing_but(kind: Kind, server: Ipv4Addr, address: Ipv4Addr) -> Self {
        let zero = Duration::ZERO;
        let (routes, name_servers, domain, mtu) = (Vec::new(), Vec::new(), None, None);
        Self { kind, server, address, prefix: 0, routes, name_servers, domain, mtu, lease: zero, renew_after: zero }
    }
}

/// Options of a message: those of one code that come in several parts are one (RFC 3396).
struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    fn read(bytes: &[u8]) -> Self {
        let mut options = Self(Vec::new());
        options.take(bytes.get(OPTIONS_AT..).unwrap_or_default());
        // Bit 0: the file's field holds options; bit 1: the server name's does.
        let overload = options.value(52).first().copied().unwrap_or(0);
        for (bit, range) in [(1, 108..236), (2, 44..108)] {
            if overload & bit != 0 {
                options.take(bytes.get(range).unwrap_or_default());
            }
        }
        options
    }

    fn take(&mut self, mut rest: &[u8]) {
        while let [code, after @ ..] = rest {
            match (code, after) {
                (0, after) => rest = after,
                (255, _) => return,
                (code, [length, after @ ..]) if after.len() >= usize::from(*length) => {
                    let (value, after) = after.split_at(usize::from(*length));
                    match self.0.iter_mut().find(|it| it.0 == *code) {
                        Some((_, whole)) => whole.extend(value),
                        None => self.0.push((*code, value.to_vec())),
                    }
                    rest = after;
                }
                _ => return,
            }
        }
    }

    fn value(&self, code: u8) -> Vec<u8> {
        self.0.iter().find(|it| it.0 == code).map(|it| it.1.clone()).unwrap_or_default()
    }

    fn addresses(&self, code: u8) -> Vec<Ipv4Addr> {
        let value = self.value(code);
        value.as_chunks::<4>().0.iter().take(MOST_ADDRESSES).map(|it| Ipv4Addr::from(*it)).collect()
    }
}

fn address_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?))
}

/// Whether it can be the address of one PC.
fn is_host(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 224 && !address.is_loopback()
}

/// Bits of a mask; `None` where ones follow zeros, or nobody could be in the network.
fn prefix_of(mask: u32) -> Option<u8> {
    let ones = mask.leading_ones();
    (mask.count_ones() == ones && (1..=32).contains(&ones)).then_some(ones as u8)
}

/// Without a mask: by the classes of RFC 791.
fn prefix_of_class(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

/// Option 121: bits of the network, as many bytes of it as those need, the router.
fn classless_routes(mut value: &[u8]) -> Vec<Route> {
    let mut routes = Vec::new();
    while let [prefix @ 0..=32, rest @ ..] = value {
        let bytes = usize::from(prefix.div_ceil(8));
        let (Some(network), Some(router)) = (rest.get(..bytes), address_at(rest, bytes)) else { break };
        let mut whole = [0; 4];
        whole[..bytes].copy_from_slice(network);
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
        let network = Ipv4Addr::from(u32::from_be_bytes(whole) & mask);
        if routes.len() < MOST_ADDRESSES && (router.is_unspecified() || is_host(router)) {
            routes.push(Route { network, prefix: *prefix, router });
        }
        value = &rest[bytes + 4..];
    }
    routes
}

/// A domain, where it is one: it goes into a configuration file.
fn domain(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?.trim_end_matches('\0');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    ((1..=253).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    fn reply(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; OPTIONS_AT];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&7u32.to_be_bytes());
        bytes[16..20].copy_from_slice(&[10, 0, 2, 15]);
        bytes[28..34].copy_from_slice(&MAC);
        bytes[236..240].copy_from_slice(&MAGIC);
        bytes.extend(options);
        bytes
    }

    const FULL: &[u8] = &[
        53, 1, 2, 54, 4, 10, 0, 2, 2, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2, 6, 4, 10, 0, 2, 3, 51, 4, 0, 1, 81,
        128, 15, 3, b'l', b'a', b'n', 26, 2, 5, 220, 255,
    ];

    #[test]
    fn a_question_byte_by_byte() {
        let question = Question {
            kind: Kind::Request,
            transaction: 0x0102_0304,
            mac: MAC,
            seconds: 3,
            own: Ipv4Addr::UNSPECIFIED,
            chosen: Some(([10, 0, 2, 15].into(), [10, 0, 2, 2].into())),
        };
        let bytes = question.encode();
        assert_eq!(bytes[..12], [1, 1, 6, 0, 1, 2, 3, 4, 0, 3, 0x80, 0]);
        assert_eq!(bytes[28..36], [0x52, 0x54, 0, 0x12, 0x34, 0x56, 0, 0]);
        let options = [
            99, 130, 83, 99, 53, 1, 3, 61, 7, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2,
            2, 57, 2, 5, 220, 60, 8,
        ];
        assert_eq!(bytes[236..270], options);
        assert_eq!(bytes.len(), LEAST_BYTES);
    }

    #[test]
    fn an_offer() {
        let answer = Answer::decode(&reply(FULL), 7, MAC).unwrap();
        let expected = Answer {
            kind: Kind::Offer,
            server: [10, 0, 2, 2].into(),
            address: [10, 0, 2, 15].into(),
            prefix: 24,
            routes: vec![Route { network: [0; 4].into(), prefix: 0, router: [10, 0, 2, 2].into() }],
            name_servers: vec![[10, 0, 2, 3].into()],
            domain: Some("lan".into()),
            mtu: Some(1500),
            lease: Duration::from_secs(86_400),
            renew_after: Duration::from_secs(43_200),
        };
        assert_eq!(answer, expected);
        assert_eq!(Answer::decode(&reply(FULL), 8, MAC), None, "another transaction");
        assert_eq!(Answer::decode(&reply(FULL), 7, [0; 6]), None, "another adapter");
        for length in 0..reply(FULL).len() {
            let _ = Answer::decode(&reply(FULL)[..length], 7, MAC);
        }
    }

    #[test]
    fn what_cannot_be_used_is_no_answer() {
        let with = |options: &[u8]| Answer::decode(&reply(options), 7, MAC);
        assert_eq!(with(&[255]), None);
        assert_eq!(with(&[53, 1, 2, 255]), None, "no server");
        assert_eq!(with(&[53, 1, 2, 54, 4, 10, 0, 2, 2, 1, 4, 255, 0, 255, 0]), None, "a mask with a hole");
        let mut address = reply(FULL);
        address[16..20].copy_from_slice(&[127, 0, 0, 1]);
        assert_eq!(Answer::decode(&address, 7, MAC), None);
        let bare = with(&[53, 1, 5, 54, 4, 10, 0, 2, 2, 15, 2, b'a', b'\n', 51, 4, 0, 0, 0, 0]).unwrap();
        assert_eq!((bare.kind, bare.prefix, bare.domain, bare.lease), (Kind::Ack, 8, None, LEAST_LEASE));
        assert_eq!(with(&[53, 1, 6]).unwrap().kind, Kind::Nak);
    }

    #[test]
    fn options_in_parts_in_other_fields_and_classless_routes() {
        let mut bytes =
            reply(&[53, 1, 5, 54, 4, 10, 0, 2, 2, 52, 1, 3, 121, 6, 24, 192, 168, 5, 10, 0, 121, 2, 2, 9, 255]);
        // In the file's field: the rest of option 121 (the default route), in the name's: the mask.
        bytes[108..116].copy_from_slice(&[121, 5, 0, 10, 0, 2, 2, 255]);
        bytes[44..51].copy_from_slice(&[1, 4, 255, 255, 0, 0, 255]);
        let answer = Answer::decode(&bytes, 7, MAC).unwrap();
        assert_eq!(answer.prefix, 16);
        let route = |network: [u8; 4], prefix, router: [u8; 4]| Route {
            network: network.into(),
            prefix,
            router: router.into(),
        };
        assert_eq!(answer.routes, [route([192, 168, 5, 0], 24, [10, 0, 2, 9]), route([0; 4], 0, [10, 0, 2, 2])]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(options in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Answer::decode(&reply(&options), 7, MAC);
            let _ = Answer::decode(&reply(&[&[53, 1, 2, 54, 4, 10, 0, 2, 2], options.as_slice()].concat()), 7, MAC);
            let _ = Answer::decode(&options, 7, MAC);
        }
    }
}
