//! Network boot: PCs that have nothing but a network adapter boot the agent, or go on to their disk.
//!
//! ```text
//! firmware ──▶ proxyDHCP (67, 4011): where to boot from
//!          ──▶ TFTP (69), HTTP (8069) ──▶ service ──▶ a file of the folder
//!                                            └─────▶ decision (database) ──▶ scripts, boot profile
//! ```
//!
//! Off unless interfaces are named. Only on Linux: sockets have to be bound to interfaces.

mod settings;

pub use settings::{DEFAULT_FOLDER, DEFAULT_HTTP_PORT, NetbootSettings};

#[cfg(target_os = "linux")]
mod decision;
#[cfg(target_os = "linux")]
mod dhcp_packet;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod http;
#[cfg(target_os = "linux")]
mod proxy_dhcp;
#[cfg(all(test, target_os = "linux"))]
mod real_tests;
#[cfg(target_os = "linux")]
mod rivals;
#[cfg(target_os = "linux")]
mod scripts;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod sockets;
#[cfg(target_os = "linux")]
mod start;
#[cfg(target_os = "linux")]
mod tftp;
#[cfg(target_os = "linux")]
mod tftp_packet;

#[cfg(target_os = "linux")]
pub use start::start;

/// The files that firmware asks for first.
#[cfg(target_os = "linux")]
fn first_files(settings: &NetbootSettings) -> Vec<String> {
    let mut files = vec!["undionly.kpxe".to_owned(), uefi_pxe(settings), uefi_http(settings)];
    if files.iter().any(|file| file == "shimx64.efi") {
        files.push("grubx64.efi".to_owned());
    }
    files.sort();
    files.dedup();
    files
}

#[cfg(target_os = "linux")]
fn uefi_pxe(settings: &NetbootSettings) -> String {
    settings.uefi_pxe.clone().unwrap_or_else(|| "snponly.efi".to_owned())
}

#[cfg(target_os = "linux")]
fn uefi_http(settings: &NetbootSettings) -> String {
    settings.uefi_http.clone().unwrap_or_else(|| "snponly.efi".to_owned())
}

/// Elsewhere there is none.
///
/// # Errors
/// Where interfaces are named.
#[cfg(not(target_os = "linux"))]
pub fn start(
    _state: &crate::state::AppState,
    settings: &NetbootSettings,
    _listen: std::net::SocketAddr,
    _pin: holotype_repo::https::ServerPin,
) -> Result<Vec<tokio::task::JoinHandle<()>>, crate::serve::StartError> {
    match settings.is_on() {
        true => Err(crate::serve::StartError::new("network boot is served on Linux alone")),
        false => Ok(Vec::new()),
    }
}
