//! HTTPS to a Holotype server: one agent with pooled connections, TLS 1.3, the server's certificate
//! pinned or known by the system, a bearer token.

mod pin;
mod tls;

pub use pin::ServerPin;

use crate::error::{Error, ErrorKind, Result};
use holotype_core::secret::SecretBytes;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{AsSendBody, Body};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the server may think before its answer begins, once it has the whole request.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a server may take nothing of what is sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Idle connections that are kept: one for each thread that may ask at once.
const POOLED_CONNECTIONS: usize = 16;
/// Bytes that go to TLS at once, and come from it.
const BUFFER_BYTES: usize = 128 << 10;

const ADVICE_NAME: &str =
    "look at the name in the server's address and at this network's name server, or give its IP address";

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `https://HOST:PORT`, without a path.
    pub origin: String,
    /// Which certificate the server must show; without one, the system's authorities decide.
    pub pin: Option<ServerPin>,
    /// Sent with every request.
    pub token: Option<SecretBytes>,
}

/// A client of one server. Shared by threads.
pub struct HttpsClient {
    agent: Agent,
    endpoint: Endpoint,
    /// Another token than the endpoint's, since a session was renewed.
    renewed: RwLock<Option<SecretBytes>>,
}

impl HttpsClient {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidInput` where the origin is no `https://` one, `Io` where the system's authorities are
    /// needed and not to be had.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        let refuse = |why: &str| Err(Error::new(ErrorKind::InvalidInput, endpoint.origin.clone(), why.to_owned()));
        let Some(authority) = endpoint.origin.strip_prefix("https://") else {
            return refuse("is no https:// address");
        };
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return refuse("is not of the form https://HOST:PORT");
        }
        let connector = ().chain(TcpConnector::default()).chain(tls::TlsConnector::new(&endpoint)?);
        let config = Agent::config_builder()
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("holotype/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_per_read(Some(RESPONSE_TIMEOUT))
            .timeout_per_write(Some(WRITE_TIMEOUT))
            .max_idle_connections(POOLED_CONNECTIONS)
            .max_idle_connections_per_host(POOLED_CONNECTIONS)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .build();
        Ok(Self {
            agent: Agent::with_parts(config, connector, DefaultResolver::default()),
            endpoint,
            renewed: RwLock::default(),
        })
    }

    /// `https://HOST:PORT`.
    pub fn origin(&self) -> &str {
        &self.endpoint.origin
    }

    /// Sends another token from now on: sessions end, and work goes on.
    pub fn renew_token(&self, token: SecretBytes) {
        *self.renewed.write().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// Sends a request whose URI is a path (with query), and gives the answer's head; every status is an
    /// answer.
    ///
    /// # Errors
    /// `Io` where no answer came: it can make sense to try again; `NotAllowed` where the server is not the
    /// pinned one or its certificate does not hold.
    pub fn send(&self, request: Request<impl AsSendBody>) -> Result<Response<Body>> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.to_string();
        let subject = format!("{}{path}", self.endpoint.origin);
        parts.uri = subject.parse().map_err(|_| Error::new(ErrorKind::InvalidInput, &*subject, "is no address"))?;
        let renewed = self.renewed.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = renewed.as_ref().or(self.endpoint.token.as_ref()) {
            let text = std::str::from_utf8(token.expose()).ok().map(|text| format!("Bearer {}", text.trim()));
            let value = text.and_then(|text| ureq::http::HeaderValue::from_str(&text).ok());
            let mut value = value
                .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "token", "has characters that no token has"))?;
            value.set_sensitive(true);
            parts.headers.insert(ureq::http::header::AUTHORIZATION, value);
        }
        self.agent.run(Request::from_parts(parts, body)).map_err(|error| failure(&subject, error))
    }
}

/// Whether a name could not be looked up. The standard library has no kind for it: its sentence begins like this
/// (library/std/src/sys/net/connection/socket/mod.rs, `cvt_gai`).
fn is_unknown_name(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound => true,
        ureq::Error::Io(error) => error.to_string().starts_with("failed to lookup address information"),
        _ => false,
    }
}

/// What to make of a request without an answer.
fn failure(subject: &str, error: ureq::Error) -> Error {
    if let Some(refused) = tls::refusal(&error) {
        return Error::new(ErrorKind::NotAllowed, subject, refused.why).advise(refused.advice).caused_by(error);
    }
    if is_unknown_name(&error) {
        let why = "the server's name is not known in this network";
        return Error::new(ErrorKind::Io, subject, why).advise(ADVICE_NAME).caused_by(error);
    }
    Error::new(ErrorKind::Io, subject, format!("the server gave no answer: {error}")).caused_by(error)
}
