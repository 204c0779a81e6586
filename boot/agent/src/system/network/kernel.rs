//! The kernel's routing socket: adapters up, addresses, routes (`NETLINK_ROUTE`, rtnetlink(7)).

use super::super::SystemError;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// `EEXIST`, `EADDRNOTAVAIL`, `ESRCH`.
const EXISTS: i32 = 17;
const NOT_AVAILABLE: i32 = 99;
const NO_SUCH: i32 = 3;

/// Sends one message and waits for what the kernel says to it.
fn ask(message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        _ => Ok(()),
    }
}

fn unless(allowed: i32, outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.raw_os_error() == Some(allowed) => Ok(()),
        outcome => outcome,
    }
}

fn failed(adapter: &str, action: &str, outcome: io::Result<()>) -> Result<(), SystemError> {
    outcome.map_err(|error| SystemError::io(format!("network adapter {adapter}"), action, error))
}

/// The number by which the kernel knows the adapter.
fn index(adapter: &str) -> Result<u32, SystemError> {
    let number = super::super::text::read(format!("/sys/class/net/{adapter}/ifindex"));
    number.and_then(|text| text.parse().ok()).ok_or_else(|| {
        SystemError::new(format!("network adapter {adapter}"), "is gone").advise("look whether it was unplugged")
    })
}

/// Switches an adapter on.
pub(super) fn up(adapter: &str) -> Result<(), SystemError> {
    let mut message = LinkMessage::default();
    message.header.index = index(adapter)?;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    failed(adapter, "switch it on", ask(RouteNetlinkMessage::SetLink(message), 0))
}

/// Sets the largest packet.
pub(super) fn set_mtu(adapter: &str, mtu: u16) -> Result<(), SystemError> {
    let mut message = LinkMessage::default();
    message.header.index = index(adapter)?;
    message.attributes.push(LinkAttribute::Mtu(mtu.into()));
    failed(adapter, "set its packet size", ask(RouteNetlinkMessage::SetLink(message), 0))
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn address_message(adapter: &str, address: IpAddr, prefix: u8) -> Result<AddressMessage, SystemError> {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = prefix;
    message.header.scope = AddressScope::Universe;
    message.header.index = index(adapter)?;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    if let (IpAddr::V4(own), 1..=30) = (address, prefix) {
        let broadcast = Ipv4Addr::from(u32::from(own) | (u32::MAX >> prefix));
        message.attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    Ok(message)
}

/// Gives an adapter an address; it may have it already.
pub(super) fn add_address(adapter: &str, address: IpAddr, prefix: u8) -> Result<(), SystemError> {
    let message = RouteNetlinkMessage::NewAddress(address_message(adapter, address, prefix)?);
    let outcome = unless(EXISTS, ask(message, NLM_F_CREATE | NLM_F_REPLACE));
    failed(adapter, &format!("give it the address {address}/{prefix}"), outcome)
}

/// Takes an address from an adapter; it may not have it.
pub(super) fn remove_address(adapter: &str, address: IpAddr, prefix: u8) -> Result<(), SystemError> {
    let message = RouteNetlinkMessage::DelAddress(address_message(adapter, address, prefix)?);
    failed(adapter, &format!("take the address {address} from it"), unless(NOT_AVAILABLE, ask(message, 0)))
}

fn route_message(
    adapter: &str,
    network: IpAddr,
    prefix: u8,
    router: Option<IpAddr>,
) -> Result<RouteMessage, SystemError> {
    let mut message = RouteMessage::default();
    message.header.address_family = family(network);
    message.header.destination_prefix_length = prefix;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.kind = RouteType::Unicast;
    message.header.scope = if router.is_some() { RouteScope::Universe } else { RouteScope::Link };
    message.attributes.push(RouteAttribute::Oif(index(adapter)?));
    if prefix > 0 {
        message.attributes.push(RouteAttribute::Destination(RouteAddress::from(network)));
    }
    if let Some(router) = router {
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(router)));
    }
    Ok(message)
}

/// Sends what goes to a network through a router, or onto the link where there is none.
pub(super) fn add_route(adapter: &str, network: IpAddr, prefix: u8, router: Option<IpAddr>) -> Result<(), SystemError> {
    let message = RouteNetlinkMessage::NewRoute(route_message(adapter, network, prefix, router)?);
    let to = router.map(|router| format!(" through {router}")).unwrap_or_default();
    let outcome = unless(EXISTS, ask(message, NLM_F_CREATE | NLM_F_REPLACE));
    failed(adapter, &format!("reach {network}/{prefix}{to}"), outcome)
}

/// Takes a route away; there may be none.
pub(super) fn remove_route(
    adapter: &str,
    network: IpAddr,
    prefix: u8,
    router: Option<IpAddr>,
) -> Result<(), SystemError> {
    let message = RouteNetlinkMessage::DelRoute(route_message(adapter, network, prefix, router)?);
    failed(adapter, "take a route from it", unless(NO_SUCH, ask(message, 0)))
}
