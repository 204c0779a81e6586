//! `holotype agent`.

use clap::Args;
use std::path::PathBuf;

/// The screens of a boot medium, on this terminal.
#[derive(Debug, Args)]
pub struct AgentArguments {
    /// Boot profile: what a medium would be for; off a medium, or as plain JSON
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Do what the profile says, without screens and without asking
    #[arg(long, requires = "profile")]
    pub unattended: bool,
    /// Offer this file in place of the machine's disks; may be given several times
    #[arg(long = "disk", value_name = "FILE")]
    pub disks: Vec<PathBuf>,
    /// Offer this folder as a place for images; may be given several times
    #[arg(long = "folder", value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// Where the machine's key and the index are kept [default: in the cache directory]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Take the least derivation cost allowed for new repositories, for tests
    #[arg(long, hide = true)]
    pub fast_derivation: bool,
    /// Wait so long for a server that is gone [default: a minute at the start, 5 minutes in a backup or restore, half an
    /// hour for the next task and to take a result]
    #[arg(long, value_name = "SECONDS")]
    pub server_patience: Option<u64>,
}
