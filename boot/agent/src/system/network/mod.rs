//! The PC's network: adapters, DHCP or given addresses, name servers.

mod dhcp;
mod fixed;
mod kernel;
mod names;
pub mod packet;
#[cfg(test)]
mod real_tests;

use super::{SystemError, is_init, modules, randomness, text};
use dhcp::Client;
use holotype_boot::profile::{Address, Network};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const CLASS: &str = "/sys/class/net";
/// How long an adapter may take to appear.
const ADAPTER_DEADLINE: Duration = Duration::from_secs(10);
/// How long a link may take to come up. Gigabit adapters need 2 to 4 s.
const LINK_DEADLINE: Duration = Duration::from_secs(12);
const PAUSE: Duration = Duration::from_millis(50);

/// A network adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// As the kernel names it.
    pub name: String,
    /// As `52:54:00:12:34:56`.
    pub mac: String,
    /// Its driver.
    pub driver: Option<String>,
    /// Whether a cable with somebody at the other end is in it.
    pub carrier: bool,
    /// Its addresses with their prefixes.
    pub addresses: Vec<String>,
}

/// Adapters of Ethernet's kind, by name.
pub fn links() -> Vec<Link> {
    links_of(Path::new(CLASS))
}

fn links_of(class: &Path) -> Vec<Link> {
    let names = std::fs::read_dir(class).into_iter().flatten().flatten();
    let mut names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let addresses = if_addrs::get_if_addrs().unwrap_or_default();
    let link = |name: String| {
        let folder = class.join(&name);
        // ARPHRD_ETHER (include/uapi/linux/if_arp.h); bridges and the like have no device of their own to work with.
        let is_ethernet = text::read(folder.join("type"))? == "1";
        if !is_ethernet || folder.join("bridge").exists() || folder.join("bonding").exists() || is_dummy(&folder) {
            return None;
        }
        let of_link = addresses.iter().filter(|it| it.name == name);
        let of_link = of_link.map(|it| match &it.addr {
            if_addrs::IfAddr::V4(it) => format!("{}/{}", it.ip, it.prefixlen),
            if_addrs::IfAddr::V6(it) => format!("{}/{}", it.ip, it.prefixlen),
        });
        Some(Link {
            mac: text::read(folder.join("address"))?,
            driver: std::fs::read_link(folder.join("device/driver"))
                .ok()
                .and_then(|path| Some(path.file_name()?.to_str()?.to_owned())),
            carrier: text::read(folder.join("carrier")).is_some_and(|it| it == "1"),
            addresses: of_link.collect(),
            name,
        })
    };
    names.into_iter().filter_map(link).collect()
}

/// Whether it sends nowhere: `NOARP` (include/uapi/linux/if.h), as the kernel's dummy and ifb adapters.
fn is_dummy(folder: &Path) -> bool {
    let flags = text::read(folder.join("flags")).unwrap_or_default();
    u32::from_str_radix(flags.trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 0x80 != 0)
}

fn mac_bytes(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// Brings the profile's network up; tells each step in a sentence; ends early where `cancelled` turns true. On an
/// ordinary Linux the network is as it is.
///
/// # Errors
/// In a sentence: no adapter, no cable, no answer, an address in use.
pub fn start(network: &Network, tell: &mut dyn FnMut(&str), cancelled: &dyn Fn() -> bool) -> Result<Link, SystemError> {
    if !is_init() {
        let ready = links().into_iter().find(|link| link.carrier && !link.addresses.is_empty());
        return ready.ok_or_else(|| {
            SystemError::new("network", "this system has no adapter with an address").advise("set its network up")
        });
    }
    tell("Looking for network adapters …");
    modules::wait_until_settled(ADAPTER_DEADLINE, cancelled);
    // Everything on a network needs some: DHCP's transactions, TLS, the machine's key.
    randomness::wait(tell, cancelled);
    bring_up(network, tell, cancelled)
}

/// What [`start`] does where the network is this program's own.
pub(super) fn bring_up(
    network: &Network,
    tell: &mut dyn FnMut(&str),
    cancelled: &dyn Fn() -> bool,
) -> Result<Link, SystemError> {
    let _ = kernel::up("lo");
    let wanted = network.mac.as_deref().map(str::to_ascii_lowercase);
    let adapters = switched_on(find_adapters(wanted.as_deref(), cancelled)?, tell)?;
    let names: Vec<String> = adapters.iter().map(describe).collect();
    tell(&format!("Network adapter {}: waiting for the link …", names.join(", ")));
    let name = match &network.address {
        Address::Dhcp => by_dhcp(&adapters, tell, cancelled)?,
        Address::Static { addresses, routers, name_servers } => {
            let name = first_with_link(&adapters, cancelled)?;
            fixed::apply(&name, addresses, routers, name_servers, cancelled)?;
            name
        }
    };
    let link = links().into_iter().find(|link| link.name == name);
    let link = link.ok_or_else(|| SystemError::new(format!("network adapter {name}"), "is gone"))?;
    tell(&format!("Network ready: {} has the address {}.", link.name, link.addresses.join(", ")));
    Ok(link)
}

/// Those of the adapters that come on: one without its firmware, or pulled out, does not keep the others from working.
fn switched_on(adapters: Vec<Link>, tell: &mut dyn FnMut(&str)) -> Result<Vec<Link>, SystemError> {
    let (mut on, mut failure) = (Vec::new(), None);
    for adapter in adapters {
        match kernel::up(&adapter.name) {
            Ok(()) => on.push(adapter),
            Err(error) => {
                let error = error.advise("look whether it is plugged in, and whether the medium has its firmware");
                tell(&error.to_string());
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(error) if on.is_empty() => Err(error),
        _ => Ok(on),
    }
}

fn describe(link: &Link) -> String {
    match &link.driver {
        Some(driver) => format!("{} ({driver}, {})", link.name, link.mac),
        None => format!("{} ({})", link.name, link.mac),
    }
}

fn was_cancelled() -> SystemError {
    SystemError::new("network", "was not brought up: it was cancelled")
}

fn find_adapters(wanted: Option<&str>, cancelled: &dyn Fn() -> bool) -> Result<Vec<Link>, SystemError> {
    let end = Instant::now() + ADAPTER_DEADLINE;
    loop {
        let there = links();
        let fitting = there.iter().filter(|link| wanted.is_none_or(|mac| link.mac == mac));
        let fitting: Vec<Link> = fitting.cloned().collect();
        if !fitting.is_empty() {
            return Ok(fitting);
        }
        if cancelled() {
            return Err(was_cancelled());
        }
        if Instant::now() >= end {
            return Err(no_adapter(wanted, &there));
        }
        std::thread::sleep(PAUSE);
    }
}

fn no_adapter(wanted: Option<&str>, there: &[Link]) -> SystemError {
    if let (Some(mac), false) = (wanted, there.is_empty()) {
        let others: Vec<String> = there.iter().map(describe).collect();
        let why = format!("the PC has no adapter {mac}, for which this medium was made; it has {}", others.join(", "));
        return SystemError::new("network adapter", why)
            .advise("use the medium of this PC, or make one without an adapter");
    }
    match modules::missing_sentence(Path::new(modules::DEVICES), modules::NETWORK) {
        None => SystemError::new("network adapter", "none was found")
            .advise("look whether it is plugged in, and switched on in the firmware's setup"),
        Some(missing) => SystemError::new("network adapter", format!("none was found: {missing}")),
    }
}

fn no_link(adapters: &[Link]) -> SystemError {
    let names: Vec<String> = adapters.iter().map(describe).collect();
    SystemError::new(format!("network adapter {}", names.join(", ")), "there is no link")
        .advise("look at the network cable and the switch")
}

fn has_link(name: &str) -> bool {
    text::read(format!("{CLASS}/{name}/carrier")).is_some_and(|it| it == "1")
}

/// The first adapter that gets a link.
fn first_with_link(adapters: &[Link], cancelled: &dyn Fn() -> bool) -> Result<String, SystemError> {
    let end = Instant::now() + LINK_DEADLINE;
    loop {
        if let Some(adapter) = adapters.iter().find(|it| has_link(&it.name)) {
            return Ok(adapter.name.clone());
        }
        if cancelled() {
            return Err(was_cancelled());
        }
        if Instant::now() >= end {
            return Err(no_link(adapters));
        }
        std::thread::sleep(PAUSE);
    }
}

/// How one adapter's search went.
enum Search {
    NoLink,
    NoAnswer,
    Failed(SystemError),
    Found(Client, Box<packet::Answer>),
}

/// Asks on all adapters at the same time; the first answer counts.
fn by_dhcp(adapters: &[Link], tell: &mut dyn FnMut(&str), cancelled: &dyn Fn() -> bool) -> Result<String, SystemError> {
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    let found = std::thread::scope(|scope| {
        for adapter in adapters {
            let (sender, stop) = (sender.clone(), &stop);
            scope.spawn(move || {
                let _ = sender.send((adapter, search(adapter, &|| stop.load(Ordering::Relaxed))));
            });
        }
        drop(sender);
        let mut no_answer = Vec::new();
        let mut failure = None;
        let found = loop {
            match receiver.recv_timeout(PAUSE) {
                Ok((adapter, Search::Found(client, answer))) => break Ok((adapter, client, answer)),
                Ok((adapter, Search::NoAnswer)) => no_answer.push(describe(adapter)),
                Ok((_, Search::Failed(error))) => failure = Some(error),
                Ok((_, Search::NoLink)) => {}
                Err(mpsc::RecvTimeoutError::Timeout) if cancelled() => break Err(was_cancelled()),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break Err(nobody_answered(&no_answer, failure, adapters)),
            }
        };
        stop.store(true, Ordering::Relaxed);
        found
    });
    let (adapter, client, answer) = found?;
    tell(&format!("Address {} from the DHCP server {}.", answer.address, answer.server));
    dhcp::apply(&adapter.name, &answer)?;
    dhcp::keep(client, *answer);
    Ok(adapter.name.clone())
}

fn nobody_answered(no_answer: &[String], failure: Option<SystemError>, adapters: &[Link]) -> SystemError {
    if !no_answer.is_empty() {
        let why = format!("no DHCP server answered within {} s", dhcp::DEADLINE.as_secs());
        return SystemError::new(format!("network adapter {}", no_answer.join(", ")), why)
            .advise("look at the cable's other end and at the DHCP server, or make the medium with a static address");
    }
    failure.unwrap_or_else(|| no_link(adapters))
}

fn search(adapter: &Link, stop: &dyn Fn() -> bool) -> Search {
    let one = std::slice::from_ref(adapter);
    if first_with_link(one, stop).is_err() {
        return Search::NoLink;
    }
    let Some(mac) = mac_bytes(&adapter.mac) else {
        let subject = format!("network adapter {}", adapter.name);
        return Search::Failed(SystemError::new(subject, format!("has no Ethernet address, but {}", adapter.mac)));
    };
    let client = Client { adapter: adapter.name.clone(), mac };
    match client.acquire(stop) {
        Ok(Some(answer)) => Search::Found(client, Box::new(answer)),
        Ok(None) => Search::NoAnswer,
        Err(error) => Search::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_of_a_folder() {
        let class = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &str| {
            let path = class.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        for (name, kind, flags) in
            [("lo", "772", "0x9"), ("wwan0", "65534", "0x1"), ("holo9", "1", "0x1003"), ("dummy", "1", "0x82")]
        {
            write(&format!("{name}/type"), kind);
            write(&format!("{name}/flags"), flags);
            write(&format!("{name}/address"), "52:54:00:12:34:56\n");
        }
        write("holo9/carrier", "1\n");
        let links = links_of(class.path());
        let mac = "52:54:00:12:34:56".to_owned();
        assert_eq!(links, [Link { name: "holo9".into(), mac, driver: None, carrier: true, addresses: Vec::new() }]);
    }

    #[test]
    fn addresses_of_adapters() {
        assert_eq!(mac_bytes("52:54:00:12:34:56"), Some([0x52, 0x54, 0, 0x12, 0x34, 0x56]));
        assert!(mac_bytes("52:54").is_none() && mac_bytes("80:00:02:08:fe:80:00").is_none() && mac_bytes("").is_none());
    }
}
