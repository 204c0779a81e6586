//! How a PC gets its addresses.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Most addresses, routers or name servers.
const MOST: usize = 8;

/// The PC's network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// How it gets its addresses.
    #[serde(default)]
    pub address: Address,
    /// Which adapter, by its address as `52:54:00:12:34:56`; the first with a link where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// How a PC gets its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Address {
    /// From a DHCP server (IPv4).
    #[default]
    Dhcp,
    /// These.
    Static {
        /// `ADDRESS/PREFIX`, IPv4 or IPv6.
        addresses: Vec<String>,
        /// Routers, at most one of each family.
        #[serde(default)]
        routers: Vec<IpAddr>,
        /// Name servers.
        #[serde(default)]
        name_servers: Vec<IpAddr>,
    },
}

/// Reads `ADDRESS/PREFIX`.
///
/// # Errors
/// In a sentence.
pub fn parse_prefix(text: &str) -> Result<(IpAddr, u8), String> {
    let parsed = text.split_once('/').and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
    match parsed {
        Some((address @ IpAddr::V4(_), prefix @ 1..=32)) | Some((address @ IpAddr::V6(_), prefix @ 1..=128)) => {
            Ok((address, prefix))
        }
        _ => Err(format!("address: {text} is no ADDRESS/PREFIX, as 192.168.1.7/24")),
    }
}

impl Network {
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(mac) = &self.mac {
            let parts: Vec<&str> = mac.split(':').collect();
            if parts.len() != 6 || !parts.iter().all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok()) {
                return Err(format!("adapter: {mac} is no address as 52:54:00:12:34:56"));
            }
        }
        let Address::Static { addresses, routers, name_servers } = &self.address else { return Ok(()) };
        if addresses.is_empty() {
            return Err("address: a static address is asked for, and none is given".into());
        }
        if addresses.len() > MOST || routers.len() > MOST || name_servers.len() > MOST {
            return Err(format!("address: more than {MOST} are given"));
        }
        for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
            if routers.iter().filter(|router| family(router)).count() > 1 {
                return Err("router: two of one family are given".into());
            }
        }
        addresses.iter().try_for_each(|address| parse_prefix(address).map(drop))
    }
}
