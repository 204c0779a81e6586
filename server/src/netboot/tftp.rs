//! TFTP, to read from alone.

use super::service::{Content, Service};
use super::tftp_packet::{ErrorCode, MAX_REQUEST_BYTES, Reply, Request, data, error};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// The port.
pub const TFTP_PORT: u16 = 69;
/// Transfers at once: at most 32 blocks of 1468 bytes and a buffer each.
const MAX_TRANSFERS: usize = 512;
/// Of those, from one address. Firmware asks for a file's size, breaks off, and asks again.
const MAX_TRANSFERS_PER_ADDRESS: usize = 16;
/// How often a packet is sent before the client is given up.
const TRIES: u32 = 6;
/// After this time a transfer is broken off, however it goes.
const LONGEST_TRANSFER: Duration = Duration::from_secs(1800);
const READ_BYTES: usize = 128 << 10;

/// Where it listens.
#[derive(Debug, Clone)]
pub(super) struct Listening {
    /// Interface.
    pub interface: String,
    /// The server's address on it.
    pub address: Ipv4Addr,
    /// Where machines on that network reach the server.
    pub url: String,
}

/// Clients that are served now.
type Active = Arc<Mutex<HashMap<SocketAddr, ()>>>;

/// A transfer that is counted until it is dropped.
struct Counted(Active, SocketAddr);

impl Counted {
    /// `None` where there are too many, or this client's request came twice.
    fn count(active: &Active, client: SocketAddr) -> Option<Self> {
        let mut clients = active.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = clients.keys().filter(|other| other.ip() == client.ip()).count();
        if clients.len() >= MAX_TRANSFERS || from_there >= MAX_TRANSFERS_PER_ADDRESS {
            return None;
        }
        clients.insert(client, ()).is_none().then(|| Self(Arc::clone(active), client))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

/// Answers requests on one socket for as long as it is let; transfers end with it.
pub(super) async fn serve(socket: UdpSocket, listening: Listening, service: Arc<Service>) {
    let active = Active::default();
    let mut transfers = tokio::task::JoinSet::new();
    let mut bytes = [0; MAX_REQUEST_BYTES + 1];
    loop {
        let (length, client) = tokio::select! {
            received = socket.recv_from(&mut bytes) => match received {
                Ok(received) => received,
                Err(error) => {
                    service.socket_failed("TFTP", &error).await;
                    continue;
                }
            },
            Some(_) = transfers.join_next() => continue,
        };
        let request = match Request::decode(&bytes[..length]) {
            Ok(Some(request)) => request,
            Ok(None) => continue,
            Err((code, text)) => {
                tracing::debug!(%client, "TFTP refused: {text}");
                let _ = socket.send_to(&error(code, text), client).await;
                continue;
            }
        };
        let Some(counted) = Counted::count(&active, client) else { continue };
        let (listening, service) = (listening.clone(), Arc::clone(&service));
        transfers.spawn(async move {
            let (name, start) = (request.name.escape_debug().to_string(), Instant::now());
            let sending = transfer(&request, client, &listening, &service);
            let ended = tokio::time::timeout(LONGEST_TRANSFER, sending).await.unwrap_or(Err(End::Timeout));
            let took_ms = start.elapsed().as_millis() as u64;
            match ended {
                Ok(bytes) => {
                    service.metrics().transferred("done", bytes);
                    tracing::debug!(%client, name, bytes, took_ms, "TFTP sent");
                }
                Err(end) => {
                    service.metrics().transferred(end.word(), 0);
                    tracing::debug!(%client, name, took_ms, "TFTP: {end}");
                }
            }
            drop(counted);
        });
    }
}

/// How a transfer ended otherwise than well.
#[derive(Debug)]
enum End {
    NotFound,
    /// The client wants no more: as a rule it wanted the size alone.
    Refused(u16),
    Timeout,
    Failed(io::Error),
}

impl End {
    fn word(&self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Refused(_) => "broken-off",
            Self::Timeout => "timeout",
            Self::Failed(_) => "failed",
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such file"),
            Self::Refused(code) => write!(f, "broken off by the client with code {code}"),
            Self::Timeout => f.write_str("the client says nothing more"),
            Self::Failed(error) => write!(f, "broken off: {error}"),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The client's port is closed.
            io::ErrorKind::ConnectionRefused => Self::Refused(0),
            _ => Self::Failed(error),
        }
    }
}

/// Each transfer has a port of its own (RFC 1350, section 4).
async fn transfer(
    request: &Request,
    client: SocketAddr,
    listening: &Listening,
    service: &Arc<Service>,
) -> Result<u64, End> {
    let address = SocketAddr::from((listening.address, 0));
    let socket = UdpSocket::from_std(super::sockets::udp(&listening.interface, address)?)?;
    socket.connect(client).await?;
    let Some(content) = service.open(&request.name, &listening.url, IpAddr::to_canonical(&client.ip())).await else {
        socket.send(&error(ErrorCode::NotFound, "file not found")).await?;
        return Err(End::NotFound);
    };
    let length = content.length();
    let reader: Box<dyn AsyncRead + Send + Unpin> = match content {
        Content::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
        Content::File(file, length) => {
            Box::new(BufReader::with_capacity(READ_BYTES, tokio::fs::File::from_std(file)).take(length))
        }
    };
    let mut sender = Sender { socket, wait: Duration::from_secs(request.timeout_seconds.into()) };
    if let Some(agreement) = request.agreement(length) {
        sender.agree(&agreement).await?;
    }
    match sender.send(reader, request).await {
        Err(End::Failed(failure)) => {
            let _ = sender.socket.send(&error(ErrorCode::Other, "the file cannot be read")).await;
            Err(End::Failed(failure))
        }
        other => other,
    }
}

struct Sender {
    socket: UdpSocket,
    wait: Duration,
}

impl Sender {
    /// Sends the agreement until it is acknowledged as block 0.
    async fn agree(&mut self, agreement: &[u8]) -> Result<(), End> {
        for _ in 0..TRIES {
            self.socket.send(agreement).await?;
            let until = Instant::now() + self.wait;
            while let Some(block) = self.acknowledged(until).await? {
                if block == 0 {
                    return Ok(());
                }
            }
        }
        Err(End::Timeout)
    }

    /// Sends everything, a window at a time.
    async fn send(&mut self, mut reader: impl AsyncRead + Unpin, request: &Request) -> Result<u64, End> {
        let block_bytes = usize::from(request.block_bytes);
        let window_blocks = usize::from(request.window_blocks);
        let mut window: VecDeque<Vec<u8>> = VecDeque::with_capacity(window_blocks);
        // Number of the last block that the client has; numbers go round after 65535.
        let mut done_block = 0_u16;
        let (mut sent_bytes, mut is_last_read, mut tries) = (0_u64, false, 0);
        // A client acknowledges each block that it did not expect, and one that it has already: as many of these say
        // nothing new as blocks were sent again. Else every packet would be doubled from then on.
        let mut stale = 0;
        loop {
            while !is_last_read && window.len() < window_blocks {
                let block = done_block.wrapping_add(window.len() as u16 + 1);
                let content = read_block(&mut reader, block_bytes).await?;
                is_last_read = content.len() < block_bytes;
                sent_bytes += content.len() as u64;
                window.push_back(data(block, &content));
            }
            if window.is_empty() {
                return Ok(sent_bytes);
            }
            if tries == TRIES {
                return Err(End::Timeout);
            }
            if tries > 0 {
                stale += window.len();
            }
            tries += 1;
            for packet in &window {
                self.socket.send(packet).await?;
            }
            let until = Instant::now() + self.wait;
            while let Some(block) = self.acknowledged(until).await? {
                let has = usize::from(block.wrapping_sub(done_block));
                if (1..=window.len()).contains(&has) {
                    window.drain(..has);
                    // What is left is sent again with the next window.
                    stale += window.len();
                    (done_block, tries) = (block, 0);
                    break;
                }
                // The first block of a window was lost (RFC 7440, section 4). With windows of one block this would be
                // an old acknowledgement.
                if has == 0 && window_blocks > 1 {
                    if stale == 0 {
                        break;
                    }
                    stale -= 1;
                }
            }
        }
    }

    /// The next acknowledgement; `None` where none comes in time.
    async fn acknowledged(&self, until: Instant) -> Result<Option<u16>, End> {
        let mut bytes = [0; 64];
        loop {
            let Ok(received) = tokio::time::timeout_at(until, self.socket.recv(&mut bytes)).await else {
                return Ok(None);
            };
            match Reply::decode(&bytes[..received?]) {
                Some(Reply::Acknowledged(block)) => return Ok(Some(block)),
                Some(Reply::Error(code)) => return Err(End::Refused(code)),
                None => {}
            }
        }
    }
}

async fn read_block(reader: &mut (impl AsyncRead + Unpin), block_bytes: usize) -> io::Result<Vec<u8>> {
    let mut block = vec![0; block_bytes];
    let mut length = 0;
    while length < block_bytes {
        match reader.read(&mut block[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    block.truncate(length);
    Ok(block)
}
