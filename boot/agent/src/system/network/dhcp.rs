//! A DHCP client (RFC 2131, section 4.4).

use super::super::SystemError;
use super::packet::{Answer, Kind, Question, Route};
use super::{kernel, names};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// How long one adapter is tried: longer than a switch takes to let packets of a fresh link through (30 s with the
/// spanning tree protocol's own times).
pub(super) const DEADLINE: Duration = Duration::from_secs(45);
/// Waits between questions: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(8);
/// How often a request for an offered address is sent before the search begins anew.
const REQUESTS: usize = 3;
const LARGEST_PACKET: usize = 2048;

/// An adapter that asks.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub adapter: String,
    pub mac: [u8; 6],
}

/// How a question went.
enum Heard {
    Answer(Box<Answer>),
    Nothing,
}

impl Client {
    /// Asks until a server gives an address; `None` where none does until the deadline, or `stop` turns true.
    ///
    /// # Errors
    /// Where nothing can be sent.
    pub fn acquire(&self, stop: &dyn Fn() -> bool) -> Result<Option<Answer>, SystemError> {
        let socket =
            self.socket(Ipv4Addr::UNSPECIFIED).map_err(|error| self.failed("ask for an address on it", error))?;
        let start = Instant::now();
        let mut wait = FIRST_WAIT;
        while start.elapsed() < DEADLINE && !stop() {
            let mut question = self.question(Kind::Discover, start);
            // An adapter that loses its link while it asks cannot send; it may come back.
            let heard = self.ask(&socket, &question, broadcast(), wait, Kind::Offer, stop);
            wait = (wait * 2).min(LAST_WAIT);
            let Ok(Heard::Answer(offer)) = heard else {
                if heard.is_err() {
                    std::thread::sleep(Duration::from_millis(200));
                }
                continue;
            };
            question.kind = Kind::Request;
            question.chosen = Some((offer.address, offer.server));
            for _ in 0..REQUESTS {
                match self.ask(&socket, &question, broadcast(), FIRST_WAIT * 2, Kind::Ack, stop) {
                    Ok(Heard::Answer(answer)) if answer.kind == Kind::Ack => return Ok(Some(*answer)),
                    // Refused: another client has it by now.
                    Ok(Heard::Answer(_)) => break,
                    _ if stop() => return Ok(None),
                    _ => {}
                }
            }
        }
        Ok(None)
    }

    /// Asks for more time for an address in use: its own server first, then any. `None` where nobody answered.
    pub fn renew(&self, lease: &Answer, anybody: bool) -> io::Result<Option<Answer>> {
        let socket = self.socket(lease.address)?;
        let question = Question { own: lease.address, ..self.question(Kind::Request, Instant::now()) };
        let to = if anybody { broadcast() } else { SocketAddrV4::new(lease.server, SERVER_PORT) };
        match self.ask(&socket, &question, to, FIRST_WAIT * 4, Kind::Ack, &|| false)? {
            Heard::Answer(answer) => Ok(Some(*answer)),
            Heard::Nothing => Ok(None),
        }
    }

    fn question(&self, kind: Kind, since: Instant) -> Question {
        let seconds = u16::try_from(since.elapsed().as_secs()).unwrap_or(u16::MAX);
        let transaction =
            getrandom::u32().unwrap_or_else(|_| u32::from_be_bytes([1, self.mac[3], self.mac[4], self.mac[5]]));
        Question { kind, transaction, mac: self.mac, seconds, own: Ipv4Addr::UNSPECIFIED, chosen: None }
    }

    /// Sends one question and listens for at most `wait` for an answer of this kind, or a refusal of a request.
    fn ask(
        &self,
        socket: &UdpSocket,
        question: &Question,
        to: SocketAddrV4,
        wait: Duration,
        wanted: Kind,
        stop: &dyn Fn() -> bool,
    ) -> io::Result<Heard> {
        socket.send_to(&question.encode(), to)?;
        let end = Instant::now() + wait;
        let mut bytes = [0; LARGEST_PACKET];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || stop() {
                return Ok(Heard::Nothing);
            }
            socket.set_read_timeout(Some(left.min(Duration::from_millis(100))))?;
            let length = match socket.recv(&mut bytes) {
                Ok(length) => length,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let answer = Answer::decode(&bytes[..length], question.transaction, self.mac);
            let fits = |it: &Answer| match (it.kind, question.chosen) {
                (Kind::Nak, chosen) => wanted == Kind::Ack && chosen.is_none_or(|(_, server)| it.server == server),
                // A server may give no other address than the one it offered.
                (kind, Some((address, server))) => kind == wanted && it.address == address && it.server == server,
                (kind, None) => kind == wanted,
            };
            if let Some(answer) = answer.filter(fits) {
                return Ok(Heard::Answer(Box::new(answer)));
            }
        }
    }

    fn socket(&self, own: Ipv4Addr) -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.bind_device(Some(self.adapter.as_bytes()))?;
        socket.bind(&SocketAddrV4::new(own, CLIENT_PORT).into())?;
        Ok(socket.into())
    }

    fn failed(&self, action: &str, error: io::Error) -> SystemError {
        SystemError::io(format!("network adapter {}", self.adapter), action, error)
    }
}

fn broadcast() -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT)
}

/// Gives the adapter what the server gave.
pub(super) fn apply(adapter: &str, answer: &Answer) -> Result<(), SystemError> {
    if let Some(mtu) = answer.mtu {
        // A driver that cannot do it works with its own.
        let _ = kernel::set_mtu(adapter, mtu);
    }
    kernel::add_address(adapter, answer.address.into(), answer.prefix)?;
    for route in &answer.routes {
        let router = router_of(route);
        if let Some(router @ IpAddr::V4(there)) = router
            && !in_network(there, answer.address, answer.prefix)
        {
            // Some networks have the router outside: it is on the link all the same.
            kernel::add_route(adapter, router, 32, None)?;
        }
        kernel::add_route(adapter, route.network.into(), route.prefix, router)?;
    }
    let servers: Vec<IpAddr> = answer.name_servers.iter().copied().map(IpAddr::from).collect();
    names::write(&servers, answer.domain.as_deref())
}

fn router_of(route: &Route) -> Option<IpAddr> {
    (!route.router.is_unspecified()).then_some(route.router.into())
}

fn in_network(address: Ipv4Addr, own: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    (u32::from(address) ^ u32::from(own)) & mask == 0
}

fn take_away(adapter: &str, answer: &Answer) {
    for route in &answer.routes {
        let _ = kernel::remove_route(adapter, route.network.into(), route.prefix, router_of(route));
    }
    let _ = kernel::remove_address(adapter, answer.address.into(), answer.prefix);
}

/// Keeps the address for as long as the system runs, in a thread.
pub(super) fn keep(client: Client, lease: Answer) {
    let work = move || {
        let mut lease = lease;
        loop {
            lease = hold(&client, lease);
        }
    };
    // Without it the address is good for the length of a lease all the same.
    let _ = std::thread::Builder::new().name("dhcp".into()).spawn(work);
}

/// Holds a lease until it is renewed, or lost and another one is there. Backups go on over a change of the server; an
/// address that is lost breaks connections, which are made anew.
fn hold(client: &Client, lease: Answer) -> Answer {
    let start = Instant::now();
    std::thread::sleep(lease.renew_after);
    while start.elapsed() < lease.lease {
        let left = lease.lease - start.elapsed();
        // The last eighth of the lease: any server (RFC 2131: T2).
        match client.renew(&lease, left < lease.lease / 8) {
            Ok(Some(answer)) if answer.kind == Kind::Ack && answer.address == lease.address => {
                let _ = apply(&client.adapter, &answer);
                return answer;
            }
            Ok(Some(_)) => break,
            _ => std::thread::sleep((left / 4).clamp(Duration::from_secs(5), Duration::from_secs(600))),
        }
    }
    take_away(&client.adapter, &lease);
    loop {
        match client.acquire(&|| false) {
            Ok(Some(answer)) => {
                let _ = apply(&client.adapter, &answer);
                return answer;
            }
            _ => std::thread::sleep(Duration::from_secs(10)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let within = |a: &str, prefix| in_network(a.parse().unwrap(), "10.0.2.15".parse().unwrap(), prefix);
        assert!(within("10.0.2.2", 24) && !within("10.0.3.2", 24) && within("1.1.1.1", 0) && !within("10.0.2.14", 32));
    }
}
