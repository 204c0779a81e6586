//! Starting network boot: one sentence where it cannot be.

use super::proxy_dhcp::{self, BOOT_PORT, BootFiles, DHCP_PORT};
use super::service::Service;
use super::settings::{DEFAULT_HTTP_PORT, NetbootSettings};
use super::tftp::{self, Listening, TFTP_PORT};
use super::{http, sockets};
use crate::serve::StartError;
use crate::state::AppState;
use holotype_boot::profile::{BootProfile, Server, Style};
use holotype_repo::https::ServerPin;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// Listens on the interfaces and serves until the tasks are aborted. `listen` is where the server itself listens.
///
/// # Errors
/// What keeps it from listening.
pub fn start(
    state: &AppState,
    settings: &NetbootSettings,
    listen: SocketAddr,
    pin: ServerPin,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    if !settings.is_on() {
        return Ok(Vec::new());
    }
    let service = Arc::new(Service::new(state.clone(), settings.clone(), pin));
    let folder = service.tree().folder().to_owned();
    std::fs::create_dir_all(&folder)
        .map_err(|error| StartError::about(&folder, format!("the folder for network boot cannot be made: {error}")))?;
    for lack in service.lacks() {
        tracing::warn!("network boot: {lack}; make it with `holotype boot create netboot {}`", folder.display());
    }
    let mut tasks = Vec::new();
    for interface in &settings.interfaces {
        tasks.extend(listen_on(interface, settings, listen, pin, &service)?);
    }
    Ok(tasks)
}

fn listen_on(
    interface: &str,
    settings: &NetbootSettings,
    listen: SocketAddr,
    pin: ServerPin,
    service: &Arc<Service>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let unknown = |why: String| StartError::new(format!("network boot on {interface}: {why}"));
    let address = sockets::address_of(interface)
        .map_err(|error| unknown(format!("the interfaces cannot be listed: {error}")))?
        .ok_or_else(|| {
            unknown("there is no such interface, or it has no IPv4 address".to_owned())
                .advise("name one that `ip -4 address` lists, and give it a fixed address")
        })?;
    let url = url(settings, listen, address);
    check_url(&url, pin).map_err(|why| StartError::new(format!("network boot: url: {why}")))?;
    let listening = Listening { interface: interface.to_owned(), address, url };
    let http_port = settings.http_port.unwrap_or(DEFAULT_HTTP_PORT);
    let files = BootFiles {
        server: address,
        http_port,
        uefi_pxe: super::uefi_pxe(settings),
        uefi_http: super::uefi_http(settings),
    };
    let failed = |what, port| move |error: io::Error| refused(interface, what, port, &error);
    let udp = |what, address: IpAddr, port| {
        let socket = sockets::udp(interface, SocketAddr::new(address, port)).and_then(UdpSocket::from_std);
        socket.map_err(failed(what, port))
    };
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let dhcp = udp("proxyDHCP", any, DHCP_PORT)?;
    let boot = udp("proxyDHCP", any, BOOT_PORT)?;
    let tftp = udp("TFTP", address.into(), TFTP_PORT)?;
    let http = sockets::tcp(interface, SocketAddr::new(address.into(), http_port))
        .and_then(TcpListener::from_std)
        .map_err(failed("HTTP boot", http_port))?;
    tracing::info!(interface, %address, http_port, url = listening.url, "network boot");
    Ok(vec![
        tokio::spawn(proxy_dhcp::serve(dhcp, DHCP_PORT, files.clone(), Arc::clone(service))),
        tokio::spawn(proxy_dhcp::serve(boot, BOOT_PORT, files, Arc::clone(service))),
        tokio::spawn(tftp::serve(tftp, listening.clone(), Arc::clone(service))),
        tokio::spawn(http::serve(http, listening, Arc::clone(service))),
    ])
}

/// Where machines on the network of `address` reach the server.
fn url(settings: &NetbootSettings, listen: SocketAddr, address: Ipv4Addr) -> String {
    let address = if listen.ip().is_unspecified() { address.into() } else { listen.ip() };
    settings.url.clone().unwrap_or_else(|| format!("https://{}", SocketAddr::new(address, listen.port())))
}

/// As the profiles that it will stand in.
fn check_url(url: &str, pin: ServerPin) -> Result<(), String> {
    let mut profile = BootProfile::new("pc", Style::Network);
    profile.server =
        Some(Server { url: url.to_owned(), pin: pin.to_string(), organisation: None, machine: None, enrolment: None });
    profile.check()
}

fn refused(interface: &str, what: &str, port: u16, error: &io::Error) -> StartError {
    let where_ = format!("network boot on {interface}: port {port} for {what}");
    match error.kind() {
        io::ErrorKind::AddrInUse => StartError::new(format!("{where_} is taken by another program of this host"))
            .advise("end the DHCP, TFTP or PXE server that runs here, or name another interface"),
        io::ErrorKind::PermissionDenied => StartError::new(format!("{where_} may not be used: {error}"))
            .advise("start the server as root, or give it CAP_NET_BIND_SERVICE and CAP_NET_RAW (docs/SERVER.md)"),
        _ => StartError::new(format!("{where_}: cannot listen there: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_told_an_address_of_their_network() {
        let address = Ipv4Addr::new(10, 7, 0, 2);
        let told = |settings: &NetbootSettings, listen: &str| url(settings, listen.parse().unwrap(), address);
        let mut settings = NetbootSettings::default();
        assert_eq!(told(&settings, "[::]:7443"), "https://10.7.0.2:7443");
        assert_eq!(told(&settings, "0.0.0.0:7443"), "https://10.7.0.2:7443");
        assert_eq!(told(&settings, "10.9.0.1:7443"), "https://10.9.0.1:7443");
        settings.url = Some("https://backup.example:7443".into());
        assert_eq!(told(&settings, "[::]:7443"), "https://backup.example:7443");
    }

    #[test]
    fn refusals_say_what_to_do() {
        let said = |kind: io::ErrorKind| refused("eth0", "proxyDHCP", 67, &kind.into()).to_string();
        assert!(said(io::ErrorKind::AddrInUse).contains("port 67 for proxyDHCP is taken by another program"));
        assert!(said(io::ErrorKind::PermissionDenied).contains("CAP_NET_BIND_SERVICE"));
    }
}
