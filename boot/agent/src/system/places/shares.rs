//! Shares on the network: NFS and SMB, by the kernel's clients.

use super::super::SystemError;
use super::mount::{Mounted, Refused, Setting, attach, no_filesystem, said};
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

const NFS_PORT: u16 = 2049;
const SMB_PORT: u16 = 445;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// Versions of NFS, the newest first. 4.0 needs a way back to the client and has nothing over 3.
const NFS_VERSIONS: &[&str] = &["4.2", "4.1", "3"];

/// Looks whether the host is there, before the kernel waits for it for minutes. Its address, and the own one.
fn reach(subject: &str, host: &str, port: u16) -> Result<(IpAddr, IpAddr), SystemError> {
    let addresses: Vec<SocketAddr> = match (host.trim_matches(['[', ']']), port).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Err(SystemError::new(subject, format!("the name {host} is not known: {error}"))
                .advise("look at the name and at the name servers, or give an address in its place"));
        }
    };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).and_then(|it| it.local_addr()) {
            Ok(own) => return Ok((address.ip(), own.ip())),
            Err(error) => last = error,
        }
    }
    let error = SystemError::new(
        subject,
        match last.kind() {
            io::ErrorKind::ConnectionRefused => format!("{host} is there and has no service at port {port}"),
            io::ErrorKind::TimedOut => {
                format!("{host} does not answer at port {port} within {} s", CONNECT_TIMEOUT.as_secs())
            }
            _ => format!("{host} cannot be reached at port {port}: {last}"),
        },
    );
    Err(error.advise("look whether it is switched on, and whether it shares anything"))
}

/// Mounts an NFS export.
pub(super) fn nfs(host: &str, export: &str, folder: &str) -> Result<Mounted, SystemError> {
    let subject = format!("NFS share {host}:{export}");
    let (address, own) = reach(&subject, host, NFS_PORT)?;
    let (address, own) = (address.to_string(), own.to_string());
    let source = match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{export}"),
        false => format!("{host}:{export}"),
    };
    let mut refused = Refused { errno: Errno::PROTONOSUPPORT, words: String::new() };
    for version in NFS_VERSIONS {
        // An answer that stays away for minutes is an error, which is told; a server that restarts is waited for.
        let mut settings = vec![
            Setting::Text("addr", &address),
            Setting::Text("vers", version),
            Setting::Text("proto", if address.contains(':') { "tcp6" } else { "tcp" }),
            Setting::Text("timeo", "600"),
            Setting::Text("retrans", "3"),
            Setting::Flag("softerr"),
        ];
        match *version {
            // Version 3 keeps locks by a service of its own; repositories need none.
            "3" => settings.extend([
                Setting::Flag("nolock"),
                Setting::Text("mountproto", if address.contains(':') { "tcp6" } else { "tcp" }),
                Setting::Text("mountaddr", &address),
            ]),
            _ => settings.push(Setting::Text("clientaddr", &own)),
        }
        match attach("nfs", &source, &settings, folder) {
            Ok(mounted) => return Ok(mounted),
            Err(error) if matches!(error.errno, Errno::PROTONOSUPPORT | Errno::OPNOTSUPP) => refused = error,
            Err(error) => {
                refused = error;
                break;
            }
        }
    }
    Err(match refused.errno {
        Errno::NODEV => no_filesystem(&subject, "NFS"),
        Errno::ACCESS | Errno::PERM => SystemError::new(&subject, "the server does not let this PC in")
            .advise("allow the PC's address in the server's exports, with read and write"),
        Errno::NOENT => SystemError::new(&subject, "the server exports no such folder").advise("look at its exports"),
        Errno::PROTONOSUPPORT => SystemError::new(&subject, "the server speaks none of NFS 4.2, 4.1 and 3"),
        _ => SystemError::new(&subject, format!("cannot be mounted{}", said(&refused))),
    })
}

/// Mounts an SMB share.
pub(super) fn smb(
    host: &str,
    share: &str,
    folder: &str,
    user: Option<&str>,
    password: Option<&str>,
) -> Result<Mounted, SystemError> {
    let subject = format!("SMB share //{host}/{share}");
    if host.contains(['/', '\\']) || share.contains(['/', '\\']) {
        return Err(
            SystemError::new(subject, "host and share are names without / and \\").advise("give a folder by itself")
        );
    }
    let (address, _) = reach(&subject, host, SMB_PORT)?;
    let address = address.to_string();
    let source = format!("//{host}/{share}");
    let mut settings = vec![
        Setting::Text("ip", &address),
        Setting::Text("file_mode", "0600"),
        Setting::Text("dir_mode", "0700"),
        Setting::Flag("nobrl"),
    ];
    match user {
        Some(user) => {
            let (domain, user) = user.split_once('\\').map_or((None, user), |(domain, user)| (Some(domain), user));
            settings.push(Setting::Text("username", user));
            settings.extend(domain.map(|domain| Setting::Text("domain", domain)));
            settings.push(Setting::Text("password", password.unwrap_or_default()));
        }
        None => settings.push(Setting::Text("sec", "none")),
    }
    attach("cifs", &source, &settings, folder).map_err(|refused| match refused.errno {
        Errno::NODEV => no_filesystem(&subject, "SMB"),
        Errno::ACCESS | Errno::KEYEXPIRED | Errno::PERM => {
            let who = user.map_or("a guest".to_owned(), |user| format!("the user {user} with this password"));
            SystemError::new(&subject, format!("the server does not let {who} in")).advise("look at user and password")
        }
        Errno::NOENT | Errno::NXIO => SystemError::new(
            &subject,
            format!("the server has no such share, or this kernel lacks a cipher that SMB needs{}", said(&refused)),
        )
        .advise("look at its name"),
        Errno::OPNOTSUPP => SystemError::new(&subject, "the server speaks no SMB of version 2.1 or newer")
            .advise("switch a newer version on at the server"),
        _ => SystemError::new(&subject, format!("cannot be mounted{}", said(&refused))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_is_not_there_is_said_before_anything_is_mounted() {
        // A port that was just given back: nobody listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = reach("NFS share 127.0.0.1:/x", "127.0.0.1", port).unwrap_err().to_string();
        assert!(error.contains("has no service at port"), "{error}");
        let error = reach("NFS share x:/x", "no-such-host.invalid", 1).unwrap_err().to_string();
        assert!(error.contains("the name no-such-host.invalid is not known"), "{error}");
        assert!(smb("h/x", "s", "", None, None).unwrap_err().to_string().contains("without /"));
    }

    #[test]
    fn a_listening_service_is_reached() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, own) = reach("x", "127.0.0.1", listener.local_addr().unwrap().port()).unwrap();
        assert_eq!((address, own), ([127, 0, 0, 1].into(), [127, 0, 0, 1].into()));
    }
}
