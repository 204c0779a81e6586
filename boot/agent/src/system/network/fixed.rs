//! Addresses that the profile gives.

use super::super::{SystemError, text};
use super::{kernel, names};
use holotype_boot::profile::parse_prefix;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How long the kernel may take to find out whether another PC has an IPv6 address (RFC 4862, section 5.4: one question,
/// 1 s, and up to 1 s before it).
const DUPLICATE_DEADLINE: Duration = Duration::from_secs(5);
/// `IFA_F_TENTATIVE` and `IFA_F_DADFAILED` (include/uapi/linux/if_addr.h).
const TENTATIVE: u32 = 0x40;
const DUPLICATE: u32 = 0x08;

/// Gives the adapter its addresses and waits until they can be used.
pub(super) fn apply(
    adapter: &str,
    addresses: &[String],
    routers: &[IpAddr],
    name_servers: &[IpAddr],
    cancelled: &dyn Fn() -> bool,
) -> Result<(), SystemError> {
    for text in addresses {
        let (address, prefix) = parse_prefix(text).map_err(|why| SystemError::new("network address", why))?;
        kernel::add_address(adapter, address, prefix)?;
    }
    names::write(name_servers, None)?;
    for text in addresses {
        if let Ok((IpAddr::V6(address), _)) = parse_prefix(text) {
            wait_until_usable(adapter, address, cancelled)?;
        }
    }
    for router in routers {
        let everything = if router.is_ipv4() { [0; 4].into() } else { IpAddr::from([0; 16]) };
        kernel::add_route(adapter, everything, 0, Some(*router))?;
    }
    Ok(())
}

fn wait_until_usable(adapter: &str, address: Ipv6Addr, cancelled: &dyn Fn() -> bool) -> Result<(), SystemError> {
    let end = Instant::now() + DUPLICATE_DEADLINE;
    loop {
        let flags = flags_of(&text::read("/proc/net/if_inet6").unwrap_or_default(), address);
        if flags.is_some_and(|flags| flags & DUPLICATE != 0) {
            return Err(SystemError::new(format!("network address {address}"), "another PC in this network has it")
                .advise("give this PC another one"));
        }
        if flags.is_some_and(|flags| flags & TENTATIVE == 0) || cancelled() {
            return Ok(());
        }
        if Instant::now() >= end {
            let subject = format!("network adapter {adapter}");
            return Err(SystemError::new(subject, format!("the address {address} does not become usable")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Flags of an address in `/proc/net/if_inet6`: address, adapter, prefix, scope, flags, name; all hexadecimal.
fn flags_of(table: &str, address: Ipv6Addr) -> Option<u32> {
    let digits: String = address.octets().iter().map(|byte| format!("{byte:02x}")).collect();
    let line = table.lines().find(|line| line.starts_with(&digits))?;
    u32::from_str_radix(line.split_ascii_whitespace().nth(4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_addresses() {
        let table = "fd000000000000000000000000000007 02 40 00 c8     eth0\n\
                     00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(flags_of(table, "fd00::7".parse().unwrap()), Some(0xc8));
        assert_eq!(flags_of(table, "::1".parse().unwrap()), Some(0x80));
        assert_eq!(flags_of(table, "::2".parse().unwrap()), None);
    }
}
