//! Configuration: a TOML file, and flags that win over it.

use crate::netboot::NetbootSettings;
use crate::serve::StartError;
use crate::tls::CertificateSource;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a server listens unless it is told otherwise.
pub const DEFAULT_LISTEN: &str = "[::]:7443";
/// Below this much room a repository takes no new backups.
pub const DEFAULT_FLOOR_BYTES: u64 = 2 << 30;
const DEFAULT_CONNECTIONS: usize = 4096;
const DEFAULT_CONNECTIONS_PER_ADDRESS: usize = 1024;
const DEFAULT_STOP_WITHIN_SECONDS: u64 = 30;

/// What a server is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its directory.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate.
    pub certificate: CertificateSource,
    /// Free bytes below which new backups are refused; restores go on.
    pub floor_bytes: u64,
    /// Connections in all.
    pub max_connections: usize,
    /// Connections from one address.
    pub max_connections_per_address: usize,
    /// How long requests may go on after a stop.
    pub stop_within: Duration,
    /// A file with the token that `/metrics` wants; without one it answers this host alone.
    pub metrics_token_file: Option<PathBuf>,
    /// What becomes of machines that nobody knows.
    pub unknown_machines: UnknownMachines,
    /// The static agent that boot media are made with; `boot/agent` in the data directory where nothing is said.
    pub agent: Option<PathBuf>,
    /// Network boot; off unless interfaces are named.
    pub netboot: NetbootSettings,
}

/// What becomes of machines that ask to be enrolled and that nobody knows by their addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownMachines {
    /// An operator is asked.
    #[default]
    Ask,
    /// They are refused.
    Refuse,
}

/// The file's keys; all are optional.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// `ADDRESS:PORT`.
    pub listen: Option<SocketAddr>,
    /// Names and addresses for the own certificate, besides this host's own.
    pub names: Vec<String>,
    /// The operator's certificate chain (PEM).
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
    /// Free bytes below which new backups are refused.
    pub floor_bytes: Option<u64>,
    /// Connections in all.
    pub max_connections: Option<usize>,
    /// Connections from one address.
    pub max_connections_per_address: Option<usize>,
    /// Seconds that requests may go on after a stop.
    pub stop_within_seconds: Option<u64>,
    /// A file with the token that `/metrics` wants.
    pub metrics_token_file: Option<PathBuf>,
    /// `ask` an operator about machines that nobody knows, or `refuse` them.
    pub unknown_machines: Option<UnknownMachines>,
    /// The static agent that boot media are made with.
    pub agent: Option<PathBuf>,
    /// Network boot.
    pub netboot: NetbootSettings,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// One sentence that names the file and the line.
    pub fn read(path: &Path) -> Result<Self, StartError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| StartError::about(path, format!("the configuration cannot be read: {error}")))?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            StartError::about(path, format!("line {line}: {}", error.message().replace('\n', " ")))
        })
    }

    /// With what is missing put in.
    ///
    /// # Errors
    /// A certificate without a key, or the other way round.
    pub fn complete(self, data_dir: PathBuf) -> Result<Config, StartError> {
        let certificate = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => CertificateSource::Files { certificate, key },
            (None, None) => CertificateSource::Own { names: self.names },
            _ => return Err(StartError::new("a certificate needs its key, and a key its certificate: give both")),
        };
        let listen = match self.listen {
            Some(listen) => listen,
            None => DEFAULT_LISTEN.parse().map_err(|_| StartError::new("the default address is none"))?,
        };
        Ok(Config {
            data_dir,
            listen,
            certificate,
            floor_bytes: self.floor_bytes.unwrap_or(DEFAULT_FLOOR_BYTES),
            max_connections: self.max_connections.unwrap_or(DEFAULT_CONNECTIONS),
            max_connections_per_address: self.max_connections_per_address.unwrap_or(DEFAULT_CONNECTIONS_PER_ADDRESS),
            stop_within: Duration::from_secs(self.stop_within_seconds.unwrap_or(DEFAULT_STOP_WITHIN_SECONDS)),
            metrics_token_file: self.metrics_token_file,
            unknown_machines: self.unknown_machines.unwrap_or_default(),
            agent: self.agent,
            netboot: self.netboot,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_are_told_with_their_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.toml");
        std::fs::write(&path, "floor_bytes = 5\nlistten = \"x\"\n").unwrap();
        let error = ConfigFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("listten"), "{error}");
        std::fs::write(&path, "floor_bytes = 5\nlisten = \"127.0.0.1:0\"\n").unwrap();
        let config = ConfigFile::read(&path).unwrap().complete("/data".into()).unwrap();
        assert_eq!((config.floor_bytes, config.listen.port()), (5, 0));
        let half = ConfigFile { key: Some("k".into()), ..ConfigFile::default() };
        assert!(half.complete("/data".into()).is_err());
    }
}
