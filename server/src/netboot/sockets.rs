//! Sockets that are on one interface alone.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

fn bound(interface: &str, kind: Type, protocol: Protocol, address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind, Some(protocol))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    match kind {
        // Answers go to 255.255.255.255: the client has no address yet.
        Type::DGRAM => socket.set_broadcast(true)?,
        // Connections that ended a moment ago do not keep a restarted server from listening.
        _ => socket.set_reuse_address(true)?,
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// For datagrams.
pub(super) fn udp(interface: &str, address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    Ok(bound(interface, Type::DGRAM, Protocol::UDP, address)?.into())
}

/// That listens for connections.
pub(super) fn tcp(interface: &str, address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = bound(interface, Type::STREAM, Protocol::TCP, address)?;
    socket.listen(128)?;
    Ok(socket.into())
}

/// The first IPv4 address of an interface.
pub(super) fn address_of(interface: &str) -> io::Result<Option<Ipv4Addr>> {
    let addresses = if_addrs::get_if_addrs()?.into_iter().filter(|one| one.name == interface);
    Ok(addresses
        .filter_map(|one| match one.ip() {
            std::net::IpAddr::V4(address) => Some(address),
            std::net::IpAddr::V6(_) => None,
        })
        .next())
}
