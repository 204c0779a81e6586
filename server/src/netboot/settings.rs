//! What an operator says of network boot.

use crate::config::UnknownMachines;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Port of the HTTP listener for firmware.
pub const DEFAULT_HTTP_PORT: u16 = 8069;
/// Folder of the boot files, in the server's directory.
pub const DEFAULT_FOLDER: &str = "netboot";

/// The table `[netboot]`; without interfaces there is no network boot.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetbootSettings {
    /// Network interfaces to answer on, as `eth0`.
    pub interfaces: Vec<String>,
    /// Folder of the boot files, as `holotype boot create netboot` makes it.
    pub dir: Option<PathBuf>,
    /// Port of the HTTP listener for firmware.
    pub http_port: Option<u16>,
    /// `https://HOST:PORT` where PCs reach this server; its address on their network where nothing is said.
    pub url: Option<String>,
    /// `refuse`: machines that nobody knows go on to their disk. `ask`: they boot the agent, which shows a key.
    pub unknown_machines: Option<UnknownMachines>,
    /// Name of the organisation whose machines these are; `default` where nothing is said.
    pub organisation: Option<String>,
    /// First file for UEFI over PXE; `snponly.efi`, iPXE, where nothing is said. `shimx64.efi` boots with Secure Boot,
    /// where the DHCP server names this one as the next server: GRUB asks that one.
    pub uefi_pxe: Option<String>,
    /// First file for UEFI over HTTP; `snponly.efi` where nothing is said.
    pub uefi_http: Option<String>,
}

impl NetbootSettings {
    /// Whether there is network boot at all.
    pub fn is_on(&self) -> bool {
        !self.interfaces.is_empty()
    }

    /// The folder of the boot files.
    pub fn folder(&self, data_dir: &Path) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| data_dir.join(DEFAULT_FOLDER))
    }

    /// Whether machines that nobody knows boot the agent.
    pub fn takes_unknown(&self) -> bool {
        self.unknown_machines == Some(UnknownMachines::Ask)
    }
}
