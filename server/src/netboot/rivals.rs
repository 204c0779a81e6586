//! Other servers on the network that tell PCs what to boot: asked for as a PC asks, and told to the operator. Where a
//! DHCP server names a boot file of its own, it is chance what a PC boots.
//!
//! The question goes out as a relay passes it on (RFC 2131, section 4.1), so the answers come to port 67, where this
//! server listens anyway. No address is taken: an offer that nobody asks for is forgotten.

use super::dhcp_packet::{MAGIC, OPTIONS_AT, array, option};
use super::proxy_dhcp::DHCP_PORT;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// The address of the PC that asks; it is locally administered, and no adapter's.
pub const ASKER: [u8; 6] = [0x02, b'H', b'o', b'l', b'o', b't'];
/// Servers tell their boot files by architecture: BIOS and UEFI (RFC 4578, section 2.1).
const ARCHITECTURES: [u8; 2] = [0, 7];
const TRANSACTION: [u8; 3] = *b"Hol";
const PAUSE: Duration = Duration::from_secs(10);
/// Characters of a file's name that are told.
const MOST_TOLD: usize = 100;

/// A server that names a boot file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// Who says so (option 54).
    pub server: Ipv4Addr,
    /// The file, printable.
    pub file: String,
}

/// The question.
fn question(own: Ipv4Addr, architecture: u8) -> Vec<u8> {
    let mut bytes = vec![0; OPTIONS_AT];
    bytes[..4].copy_from_slice(&[1, 1, 6, 1]);
    bytes[4..7].copy_from_slice(&TRANSACTION);
    bytes[7] = architecture;
    bytes[24..28].copy_from_slice(&own.octets());
    bytes[28..34].copy_from_slice(&ASKER);
    bytes[236..240].copy_from_slice(&MAGIC);
    bytes.extend([53, 1, 1, 55, 6, 1, 3, 54, 60, 66, 67, 93, 2, 0, architecture, 94, 3, 1, 2, 1]);
    let class = format!("PXEClient:Arch:{architecture:05}:UNDI:002001");
    bytes.extend([60, class.len() as u8]);
    bytes.extend(class.as_bytes());
    bytes.push(255);
    bytes
}

/// Reads an answer to the question. `None` where it names no file, or says to get it from `own`.
pub fn heard(bytes: &[u8], own: Ipv4Addr) -> Option<Rival> {
    let head = bytes.get(..OPTIONS_AT)?;
    let is_answer = head[0] == 2 && head[4..7] == TRANSACTION && head[28..34] == ASKER && head[236..240] == MAGIC;
    is_answer.then_some(())?;
    let options = &bytes[OPTIONS_AT..];
    let server = Ipv4Addr::from(array::<4>(&option(options, 54)?, 0)?);
    let next = Ipv4Addr::from(array::<4>(head, 20)?);
    if server == own || next == own {
        return None;
    }
    let field = head[108..236].split(|byte| *byte == 0).next().unwrap_or_default();
    // Option 52 says that the field holds options; then the name is in option 67.
    let in_field = Some(field.to_vec()).filter(|name| !name.is_empty() && option(options, 52).is_none());
    let file = option(options, 67).filter(|name| !name.is_empty()).or(in_field)?;
    let file = String::from_utf8_lossy(&file).chars().filter(|letter| !letter.is_control()).take(MOST_TOLD).collect();
    Some(Rival { server, file })
}

/// When it was asked.
#[derive(Debug, Default)]
pub struct Rivals {
    last: Option<Instant>,
}

impl Rivals {
    /// Asks, unless it was a moment ago: at the start, and whenever a PC boots. The answers come to who reads the socket.
    pub async fn ask(&mut self, socket: &UdpSocket, own: Ipv4Addr) {
        if self.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        self.last = Some(Instant::now());
        for architecture in ARCHITECTURES {
            let everybody = SocketAddrV4::new(Ipv4Addr::BROADCAST, DHCP_PORT);
            if let Err(error) = socket.send_to(&question(own, architecture), everybody).await {
                tracing::debug!("network boot: other boot servers could not be asked for: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dhcp_packet::{ClientMessage, Kind, ServerMessage};
    use super::*;
    use proptest::prelude::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 3);

    fn answer(server: Ipv4Addr, file: &str, file_option: bool) -> Vec<u8> {
        let client = ClientMessage::decode(&question(OWN, 7)).unwrap();
        let file = Some(file.to_owned()).filter(|file| !file.is_empty());
        let vendor_class = b"PXEClient";
        ServerMessage { kind: Kind::Offer, server, vendor_class, file, file_option, no_discovery: false }
            .encode(&client)
    }

    #[test]
    fn it_asks_as_a_pc_behind_a_relay() {
        let message = ClientMessage::decode(&question(OWN, 7)).unwrap();
        assert_eq!((message.kind, message.relay, message.mac), (Kind::Discover, OWN, ASKER));
        assert_eq!(message.architecture, Some(7));
        assert_eq!(message.vendor_class, b"PXEClient:Arch:00007:UNDI:002001");
    }

    #[test]
    fn a_file_of_another_server_is_told() {
        let rival = |file: &str| Some(Rival { server: OTHER, file: file.to_owned() });
        assert_eq!(heard(&answer(OTHER, "pxelinux.0", false), OWN), rival("pxelinux.0"));
        assert_eq!(heard(&answer(OTHER, "http://10.7.0.3/x", true), OWN), rival("http://10.7.0.3/x"));
        assert_eq!(heard(&answer(OTHER, "a\n\u{1b}b", false), OWN), rival("ab"));
        assert_eq!(heard(&answer(OTHER, "", false), OWN), None, "an address alone");
        assert_eq!(heard(&answer(OWN, "undionly.kpxe", false), OWN), None, "its own");
        let mut pointed = answer(OTHER, "shimx64.efi", false);
        pointed[20..24].copy_from_slice(&OWN.octets());
        assert_eq!(heard(&pointed, OWN), None, "a DHCP server that sends PCs here");
        let mut of_a_pc = answer(OTHER, "pxelinux.0", false);
        of_a_pc[28] = 0x52;
        assert_eq!(heard(&of_a_pc, OWN), None, "an answer to somebody else");
        assert_eq!(heard(&question(OWN, 0), OWN), None);
    }

    proptest! {
        #[test]
        fn hostile_answers_do_no_harm(rest in proptest::collection::vec(any::<u8>(), 0..400), length in 0_usize..700) {
            let mut bytes = answer(OTHER, "pxelinux.0", true);
            bytes.splice(OPTIONS_AT.., rest);
            bytes.truncate(length);
            if let Some(rival) = heard(&bytes, OWN) {
                prop_assert!(rival.file.chars().count() <= MOST_TOLD);
            }
        }
    }
}
