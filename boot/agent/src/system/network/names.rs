//! Names of hosts: which servers know them.
//!
//! The static program resolves by the C library's own files and DNS code, which read these two files anew when they
//! change.

use super::super::SystemError;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

/// Name servers that the C library asks at most (`MAXNS`).
const MOST_SERVERS: usize = 3;

/// Writes `/etc/resolv.conf`.
pub(super) fn write(servers: &[IpAddr], domain: Option<&str>) -> Result<(), SystemError> {
    write_to(Path::new("/etc/resolv.conf"), servers, domain)
}

fn write_to(path: &Path, servers: &[IpAddr], domain: Option<&str>) -> Result<(), SystemError> {
    let mut text = String::new();
    for server in servers.iter().take(MOST_SERVERS) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "nameserver {server}");
    }
    if let Some(domain) = domain {
        let _ = writeln!(text, "search {domain}");
    }
    text.push_str("options timeout:2 attempts:3\n");
    let failed = |error| SystemError::io(path.display().to_string(), "write it", error);
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let servers = ["10.0.2.3", "fd00::1", "1.1.1.1", "9.9.9.9"].map(|it| it.parse().unwrap());
        write_to(&path, &servers, Some("lan")).unwrap();
        let expected =
            "nameserver 10.0.2.3\nnameserver fd00::1\nnameserver 1.1.1.1\nsearch lan\noptions timeout:2 attempts:3\n";
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
    }
}
