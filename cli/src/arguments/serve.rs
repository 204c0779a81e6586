//! `holotype serve`.

use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// How the server writes its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Where and how to serve.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The server's directory: database, certificate, kernel images, and repositories by default
    #[arg(long, value_name = "DIR", env = "HOLOTYPE_DATA")]
    pub data: PathBuf,
    /// Configuration (TOML) [default: DIR/server.toml where there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen [default: all addresses, port 7443]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// A name or address that the server's own certificate is for, besides this host's; may be given again
    #[arg(long, value_name = "NAME", conflicts_with = "certificate")]
    pub name: Vec<String>,
    /// The operator's certificate chain (PEM), in place of the server's own
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Refuse new backups when a repository has less room than this many bytes
    #[arg(long, value_name = "BYTES")]
    pub floor_bytes: Option<u64>,
    /// File with the token that /metrics wants; without it, /metrics answers this host alone
    #[arg(long, value_name = "FILE")]
    pub metrics_token_file: Option<PathBuf>,
    /// Refuse machines that ask to be enrolled and that nobody knows; without it, an operator is asked
    #[arg(long)]
    pub refuse_unknown_machines: bool,
    /// The static holotype-agent that boot media are made with [default: DIR/boot/agent]
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,
    /// Answer PCs that boot over the network on this interface; may be given again [default: no network boot]
    #[arg(long, value_name = "INTERFACE")]
    pub netboot_interface: Vec<String>,
    /// Folder of the boot files, as `holotype boot create netboot` makes it [default: DIR/netboot]
    #[arg(long, value_name = "DIR")]
    pub netboot_dir: Option<PathBuf>,
    /// How to write the log
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Write the real ADDRESS:PORT into this file when the server listens
    #[arg(long, value_name = "FILE")]
    pub port_file: Option<PathBuf>,
}
