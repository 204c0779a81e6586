//! Clients that mean no good: the server answers them shortly, or closes, and goes on serving others.

use crate::fixture::{PATIENCE, Server};
use crate::support::small_disk;
use holotype_repo::https::ServerPin;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// Believes whoever shows the pinned authority; the tests are about requests.
#[derive(Debug)]
struct Pinned(ServerPin);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        assert!(chain.iter().any(|certificate| ServerPin::of(certificate) == self.0));
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        panic!("TLS 1.2 was spoken")
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

struct Raw {
    config: Arc<ClientConfig>,
    port: u16,
    token: String,
}

impl Raw {
    fn new(server: &Server) -> Self {
        let pin = server.pin().parse().unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(pin)))
            .with_no_client_auth();
        let token = String::from_utf8(server.workspace.read("token")).unwrap().trim().to_owned();
        Self { config: Arc::new(config), port: server.port, token }
    }

    fn connect(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::clone(&self.config), name).unwrap(), socket)
    }

    /// Sends bytes on a new connection; gives the statuses of all answers until the server closes.
    fn statuses(&self, request: &[u8]) -> Vec<u16> {
        let mut stream = self.connect();
        // The server may close while it is still being talked to.
        let _ = stream.write_all(request);
        let _ = stream.flush();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        text.split("HTTP/1.1 ").skip(1).filter_map(|part| part.get(..3)?.parse().ok()).collect()
    }

    fn head(&self, line: &str) -> String {
        format!("{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n", self.token)
    }
}

fn still_serves(server: &Server) {
    server.workspace.write("small", small_disk(9));
    server.client(["backup", "small", "--name", "after"]).expect(0);
}

#[test]
fn malformed_requests_are_refused() {
    let server = Server::initialised();
    let raw = Raw::new(&server);
    let objects = "/api/v1/repositories/lab/objects";
    for path in [
        "/packs/../../../../etc/passwd",
        "/packs/..%2f..%2f..%2fetc%2fpasswd",
        "/packs/%2e%2e",
        "/packs/a%00b",
        "/packs/A",
        "/nowhere/a",
        "/packs/a.b",
        "/%2e%2e/config/repository",
    ] {
        let statuses = raw.statuses(format!("{}\r\n", raw.head(&format!("GET {objects}{path}"))).as_bytes());
        assert!(matches!(statuses[..], [400 | 404]), "{path}: {statuses:?}");
    }
    let smuggled = format!(
        "POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET {objects}/keys HTTP/1.1\r\nHost: x\r\n\r\n"
    );
    let statuses = raw.statuses(smuggled.as_bytes());
    assert!(statuses.len() <= 1 || statuses[1..].iter().all(|status| *status >= 400), "{statuses:?}");
    let twice = "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    assert!(raw.statuses(twice.as_bytes()).iter().all(|status| *status == 400));
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(2 << 20));
    assert!(raw.statuses(long.as_bytes()).iter().all(|status| matches!(status, 400 | 431)));
    let many: String = (0..5000).map(|number| format!("X-{number}: 1\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    assert!(raw.statuses(many.as_bytes()).iter().all(|status| matches!(status, 400 | 431)));
    assert!(raw.statuses(&small_disk(1)[..4096]).iter().all(|status| *status == 400));
    still_serves(&server);
}

#[test]
fn huge_and_lying_bodies_are_refused() {
    let server = Server::initialised();
    let raw = Raw::new(&server);
    let objects = "/api/v1/repositories/lab/objects";
    let name = "ab".repeat(32);
    let login = "POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let body = format!("{{\"user\":\"{}\"}}", "a".repeat(5 << 20));
    let statuses = raw.statuses(format!("{login}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    assert!(statuses.iter().all(|status| *status == 413), "{statuses:?}");
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let statuses = raw.statuses(format!("{login}Content-Length: {}\r\n\r\n{deep}", deep.len()).as_bytes());
    assert!(matches!(statuses[..], [400 | 413 | 422]), "{statuses:?}");

    // A pack that claims more than any has, one that is not what it claims, one that ends too early.
    let put = |length: u64, footer: u64, body: &[u8]| {
        let head = raw.head(&format!("PUT {objects}/packs/{name}"));
        let head = format!("{head}Content-Length: {length}\r\nHolotype-Footer-Bytes: {footer}\r\n\r\n");
        raw.statuses(&[head.as_bytes(), body].concat())
    };
    let huge = put(u64::MAX / 2, 100, b"x");
    assert!(matches!(huge[..], [400 | 413]), "{huge:?}");
    let lying = put(100_000, 1000, &small_disk(3)[..100_000]);
    assert!(matches!(lying[..], [400 | 422]), "{lying:?}");
    assert!(put(100_000, 200_000, &small_disk(3)[..100_000]).iter().all(|status| (400..500).contains(status)));
    let mut stream = raw.connect();
    let head = raw.head(&format!("PUT {objects}/packs/{name}"));
    write!(stream, "{head}Content-Length: 1000000\r\nHolotype-Footer-Bytes: 500\r\n\r\nonly this").unwrap();
    stream.flush().unwrap();
    drop(stream);
    let listing = raw.statuses(format!("{}\r\n", raw.head(&format!("GET {objects}/packs/{name}"))).as_bytes());
    assert_eq!(listing, [404], "nothing of it became visible");
    still_serves(&server);
    server.client(["verify", "--read-data"]).expect(0);
}

#[test]
fn a_body_that_comes_after_its_answer_breaks_no_connection() {
    let server = Server::initialised();
    let raw = Raw::new(&server);
    let mut stream = raw.connect();
    let mut answers = String::new();
    for round in 0..2 {
        // Nobody asks for the body of a request without rights; the answer needs only the head.
        write!(stream, "POST /api/v1/machines HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").unwrap();
        stream.flush().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        stream.write_all(b"bytes").unwrap();
        stream.flush().unwrap();
        while answers.matches("HTTP/1.1 401").count() <= round {
            let mut part = [0; 4096];
            let length = stream.read(&mut part).unwrap();
            assert_ne!(length, 0, "closed after {answers}");
            answers.push_str(&String::from_utf8_lossy(&part[..length]));
        }
    }
}

#[test]
fn slow_and_many_connections_keep_nobody_out() {
    let server = Server::initialised();
    let raw = Raw::new(&server);
    let mut idle = Vec::new();
    for number in 0..900 {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"\x16\x03\x01").unwrap(),
            _ => stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
        }
        idle.push(stream);
    }
    let slow: Vec<_> = (0..20)
        .map(|number| {
            let mut stream = raw.connect();
            let path = format!("/api/v1/repositories/lab/objects/packs/{:064x}", number);
            let head = raw.head(&format!("PUT {path}"));
            write!(stream, "{head}Content-Length: 50000000\r\nHolotype-Footer-Bytes: 500\r\n\r\nbytes").unwrap();
            stream.flush().unwrap();
            stream
        })
        .collect();
    still_serves(&server);
    let mut trickle = slow;
    for stream in &mut trickle {
        // A byte now and then; the server may have given it up.
        let _ = stream.write_all(b"x").and_then(|()| stream.flush());
    }
    still_serves(&server);
    drop((idle, trickle));
    std::thread::sleep(Duration::from_millis(100));
    still_serves(&server);
}
