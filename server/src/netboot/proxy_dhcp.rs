//! proxyDHCP (PXE 2.1, section 2.2): tells PCs that boot from the network where to boot from, beside the DHCP server
//! that gives them their addresses. Never gives an address.
//!
//! | who asks | how it is known | port 67 | port 4011 |
//! |---|---|---|---|
//! | iPXE | option 77 `iPXE` | offer: URL of the first script | the same |
//! | BIOS | option 60 `PXEClient`, architecture 0 | offer: `undionly.kpxe` by TFTP | the same |
//! | UEFI PXE | `PXEClient`, 6, 7 or 9 | offer without a file: "ask me on 4011" | the loader, by TFTP |
//! | UEFI HTTP boot | `HTTPClient`, 15 or 16 | offer: URL of the loader in option 67 | – |

use super::dhcp_packet::{ClientMessage, Kind, ServerMessage};
use super::rivals::{self, Rivals};
use super::service::Service;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use tokio::net::UdpSocket;

/// Where DHCP servers listen.
pub const DHCP_PORT: u16 = 67;
/// Where boot servers listen besides.
pub const BOOT_PORT: u16 = 4011;
const CLIENT_PORT: u16 = 68;
/// Longest message that is read; what is longer is cut, and then mostly none.
const LARGEST_PACKET: usize = 1500;

/// What firmware asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Firmware {
    /// iPXE, whatever started it.
    Ipxe,
    /// A BIOS's boot ROM.
    Bios,
    /// UEFI on x86-64, PXE.
    UefiPxe,
    /// UEFI on x86-64, HTTP.
    UefiHttp,
}

impl Firmware {
    /// Whose message it is; `None` where it does not boot from the network, or is no x86-64 PC.
    pub fn of(message: &ClientMessage) -> Option<Self> {
        let pxe = message.vendor_class.starts_with(b"PXEClient");
        let http = message.vendor_class.starts_with(b"HTTPClient");
        // With or without the length byte before it that RFC 3004 wants.
        let ipxe = matches!(&message.user_class[..], b"iPXE" | b"\x04iPXE");
        match message.architecture.unwrap_or(0) {
            0 | 6 | 7 | 9 if pxe && ipxe => Some(Self::Ipxe),
            0 if pxe => Some(Self::Bios),
            6 | 7 | 9 if pxe => Some(Self::UefiPxe),
            15 | 16 if http => Some(Self::UefiHttp),
            _ => None,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ipxe => "ipxe",
            Self::Bios => "bios",
            Self::UefiPxe => "uefi-pxe",
            Self::UefiHttp => "uefi-http",
        }
    }
}

/// The names of what is booted first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFiles {
    /// The server's address on that network.
    pub server: Ipv4Addr,
    /// Port of the HTTP listener.
    pub http_port: u16,
    /// The loader for UEFI over PXE.
    pub uefi_pxe: String,
    /// The loader for UEFI over HTTP.
    pub uefi_http: String,
}

/// The answer to a message that came in at `port`, if it gets one.
pub fn answer(message: &ClientMessage, port: u16, files: &BootFiles) -> Option<(Firmware, ServerMessage)> {
    let firmware = Firmware::of(message)?;
    let kind = match (port, message.kind) {
        (DHCP_PORT, Kind::Discover) => Kind::Offer,
        // Requests at port 67 are for the DHCP server.
        (BOOT_PORT, Kind::Discover | Kind::Request) => Kind::Ack,
        _ => return None,
    };
    let url = |file: &str| format!("http://{}:{}/{file}", files.server, files.http_port);
    let file = match (firmware, kind) {
        (Firmware::Ipxe, _) => Some(url("boot.ipxe")),
        (Firmware::Bios, _) => Some("undionly.kpxe".to_owned()),
        (Firmware::UefiPxe, Kind::Offer) => None,
        (Firmware::UefiPxe, _) => Some(files.uefi_pxe.clone()),
        (Firmware::UefiHttp, Kind::Offer) => Some(url(&files.uefi_http)),
        (Firmware::UefiHttp, _) => return None,
    };
    let is_http = firmware == Firmware::UefiHttp;
    let message = ServerMessage {
        kind,
        server: files.server,
        vendor_class: if is_http { b"HTTPClient" } else { b"PXEClient" },
        file,
        file_option: is_http,
        no_discovery: matches!(firmware, Firmware::Ipxe | Firmware::Bios),
    };
    Some((firmware, message))
}

/// Where the answer goes.
fn destination(message: &ClientMessage, port: u16, from: SocketAddr) -> SocketAddr {
    if !message.relay.is_unspecified() {
        return SocketAddrV4::new(message.relay, DHCP_PORT).into();
    }
    match (port, from) {
        (BOOT_PORT, SocketAddr::V4(from)) if !from.ip().is_unspecified() => from.into(),
        _ => SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT).into(),
    }
}

/// Answers on one socket for as long as it is let.
pub(super) async fn serve(socket: UdpSocket, port: u16, files: BootFiles, service: Arc<Service>) {
    let mut bytes = [0; LARGEST_PACKET];
    // Only this port hears answers.
    let mut rivals = (port == DHCP_PORT).then(Rivals::default);
    if let Some(rivals) = &mut rivals {
        rivals.ask(&socket, files.server).await;
    }
    loop {
        let (length, from) = match socket.recv_from(&mut bytes).await {
            Ok(received) => received,
            Err(error) => {
                service.socket_failed("proxyDHCP", &error).await;
                continue;
            }
        };
        let Some(message) = ClientMessage::decode(&bytes[..length]) else {
            if let Some(rival) = rivals::heard(&bytes[..length], files.server) {
                service.tell_rival(&rival).await;
            }
            continue;
        };
        if message.mac == rivals::ASKER {
            continue;
        }
        let Some((firmware, reply)) = answer(&message, port, &files) else { continue };
        let to = destination(&message, port, from);
        let mac = message.mac.map(|byte| format!("{byte:02x}")).join(":");
        match send(&socket, &reply.encode(&message), to).await {
            Ok(()) => {
                service.metrics().offered(firmware.word());
                let file = reply.file.as_deref().unwrap_or("none yet");
                tracing::debug!(mac, firmware = firmware.word(), port, %to, file, "network boot offered");
                if let Some(rivals) = &mut rivals {
                    rivals.ask(&socket, files.server).await;
                }
            }
            Err(error) => tracing::warn!(mac, %to, "network boot could not be offered: {error}"),
        }
    }
}

async fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
    socket.send_to(bytes, to).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::dhcp_packet::tests::client_bytes;
    use super::*;

    fn files() -> BootFiles {
        BootFiles {
            server: Ipv4Addr::new(10, 7, 0, 2),
            http_port: 8069,
            uefi_pxe: "shimx64.efi".into(),
            uefi_http: "snponly.efi".into(),
        }
    }

    fn ask(kind: u8, class: &[u8], user: &[u8], architecture: u8, port: u16) -> Option<(Kind, Option<String>, bool)> {
        let bytes = client_bytes(kind, &[(60, class), (77, user), (93, &[0, architecture])]);
        let (_, reply) = answer(&ClientMessage::decode(&bytes).unwrap(), port, &files())?;
        assert_eq!(reply.server, files().server);
        Some((reply.kind, reply.file, reply.no_discovery))
    }

    #[test]
    fn each_firmware_gets_its_own() {
        let (pxe, http) = (b"PXEClient:Arch:00007:UNDI:003000".as_slice(), b"HTTPClient:Arch:00016".as_slice());
        let script = "http://10.7.0.2:8069/boot.ipxe".to_owned();
        let bios = Some("undionly.kpxe".to_owned());
        assert_eq!(ask(1, pxe, b"", 0, 67), Some((Kind::Offer, bios.clone(), true)));
        assert_eq!(ask(3, pxe, b"", 0, 4011), Some((Kind::Ack, bios, true)));
        for architecture in [0, 6, 7, 9] {
            for user in [b"iPXE".as_slice(), b"\x04iPXE"] {
                let wanted = Some((Kind::Offer, Some(script.clone()), true));
                assert_eq!(ask(1, pxe, user, architecture, 67), wanted);
            }
        }
        for architecture in [6, 7, 9] {
            assert_eq!(ask(1, pxe, b"", architecture, 67), Some((Kind::Offer, None, false)));
            let shim = Some("shimx64.efi".to_owned());
            assert_eq!(ask(3, pxe, b"", architecture, 4011), Some((Kind::Ack, shim, false)));
        }
        let url = Some("http://10.7.0.2:8069/snponly.efi".to_owned());
        assert_eq!(ask(1, http, b"", 16, 67), Some((Kind::Offer, url, false)));
    }

    #[test]
    fn nobody_else_is_answered() {
        let pxe = b"PXEClient".as_slice();
        assert_eq!(ask(3, pxe, b"", 7, 67), None, "a request is for the DHCP server");
        assert_eq!(ask(1, b"MSFT 5.0", b"", 0, 67), None, "an ordinary client");
        assert_eq!(ask(1, b"HTTPClient", b"", 16, 4011), None);
        assert_eq!(ask(1, pxe, b"", 11, 67), None, "64-bit ARM");
        assert_eq!(ask(1, b"HTTPClient", b"", 7, 67), None);
    }

    #[test]
    fn answers_go_where_the_client_hears_them() {
        let mut message = ClientMessage::decode(&client_bytes(1, &[])).unwrap();
        let from: SocketAddr = "10.7.0.50:68".parse().unwrap();
        let to = |message: &ClientMessage, port| destination(message, port, from).to_string();
        assert_eq!(to(&message, 67), "255.255.255.255:68");
        assert_eq!(to(&message, 4011), "10.7.0.50:68");
        message.relay = Ipv4Addr::new(10, 8, 0, 1);
        assert_eq!(to(&message, 67), "10.8.0.1:67");
    }
}
