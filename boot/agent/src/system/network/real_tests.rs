//! DHCP and addresses against a real server (dnsmasq) over a pair of virtual adapters, in namespaces of their own.

use super::dhcp::Client;
use super::packet::Kind;
use super::{bring_up, mac_bytes};
use holotype_boot::profile::{Address, Network};
use std::process::{Child, Command, Stdio};

/// Calls this test again in namespaces of its own, with an `/etc` that may be written. `true` inside.
fn in_own_namespace(name: &str) -> bool {
    if std::env::var_os("HOLOTYPE_OWN_NAMESPACE").is_some() {
        return true;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may make a network namespace");
        return false;
    }
    let etc = tempfile::tempdir().unwrap();
    for file in ["passwd", "group", "nsswitch.conf"] {
        let _ = std::fs::copy(format!("/etc/{file}"), etc.path().join(file));
    }
    let script =
        "mount --bind \"$1\" /etc && mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run && shift && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"])
        .arg(etc.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("HOLOTYPE_OWN_NAMESPACE", "1")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A server in a namespace beside, at the other end of the adapter `c0`.
struct Server(Child);

impl Server {
    fn start(options: &[&str]) -> Self {
        ip("netns add srv");
        ip("link add c0 type veth peer name s0 netns srv");
        ip("-n srv addr add 10.77.0.1/24 dev s0");
        ip("-n srv addr add fd77::1/64 dev s0 nodad");
        ip("-n srv link set s0 up");
        let child = Command::new("ip")
            .args(["netns", "exec", "srv", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root"])
            .args(["--pid-file", "--interface=s0", "--bind-interfaces", "--leasefile-ro", "--port=0"])
            .args(["--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,10m"])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq (package dnsmasq-base)");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_address_from_a_real_server() {
    if !in_own_namespace("system::network::real_tests::an_address_from_a_real_server") {
        return;
    }
    let _server = Server::start(&[
        "--dhcp-option=option:router,10.77.0.1",
        "--dhcp-option=option:dns-server,10.77.0.1,10.77.0.2",
        "--dhcp-option=option:domain-name,lab.test",
        "--dhcp-option=option:mtu,1400",
        "--dhcp-option=option:classless-static-route,0.0.0.0/0,10.77.0.1,192.168.9.0/24,10.77.0.7",
    ]);
    let mut told = Vec::new();
    let link = bring_up(&Network::default(), &mut |step| told.push(step.to_owned()), &|| false).unwrap();
    assert_eq!(link.name, "c0");
    let own = link.addresses.iter().find(|it| it.starts_with("10.77.0.5") || it.starts_with("10.77.0.60")).unwrap();
    assert!(own.ends_with("/24"), "{own}");
    let routes = ip("route show dev c0");
    assert!(routes.contains("default via 10.77.0.1") && routes.contains("192.168.9.0/24 via 10.77.0.7"), "{routes}");
    assert!(ip("link show c0").contains("mtu 1400"));
    let names = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    assert!(names.starts_with("nameserver 10.77.0.1\nnameserver 10.77.0.2\nsearch lab.test\n"), "{names}");
    assert!(told.iter().any(|step| step.contains("from the DHCP server 10.77.0.1")), "{told:?}");

    // More time for the address, by its own server and by any.
    let client = Client { adapter: link.name, mac: mac_bytes(&link.mac).unwrap() };
    let lease = client.acquire(&|| false).unwrap().unwrap();
    assert_eq!(own, &format!("{}/24", lease.address), "the same address for the same adapter");
    for anybody in [false, true] {
        let renewed = client.renew(&lease, anybody).unwrap().unwrap();
        assert_eq!((renewed.kind, renewed.address), (Kind::Ack, lease.address));
    }
}

#[test]
fn given_addresses_and_what_goes_wrong_with_them() {
    if !in_own_namespace("system::network::real_tests::given_addresses_and_what_goes_wrong_with_them") {
        return;
    }
    let _server = Server::start(&[]);
    let given = |addresses: &[&str]| Network {
        address: Address::Static {
            addresses: addresses.iter().map(|it| (*it).to_owned()).collect(),
            routers: vec!["10.77.0.1".parse().unwrap(), "fd77::1".parse().unwrap()],
            name_servers: vec!["fd77::1".parse().unwrap()],
        },
        mac: None,
    };
    let start = |network: &Network| bring_up(network, &mut |_| {}, &|| false);
    let link = start(&given(&["10.77.0.9/24", "fd77::9/64"])).unwrap();
    assert!(link.addresses.contains(&"10.77.0.9/24".to_owned()) && link.addresses.contains(&"fd77::9/64".to_owned()));
    assert!(ip("-6 route show default").contains("via fd77::1"));
    // What was found usable is usable at once: the other end answers.
    assert!(Command::new("ping").args(["-c1", "-W5", "fd77::1"]).output().map_or(true, |it| it.status.success()));
    // Once more changes nothing; an address that another PC has is refused.
    start(&given(&["10.77.0.9/24", "fd77::9/64"])).unwrap();
    let error = start(&given(&["fd77::1/64"])).unwrap_err().to_string();
    assert!(error.contains("network address fd77::1: another PC in this network has it"), "{error}");
    let other = Network { mac: Some("02:00:00:00:00:99".into()), ..Network::default() };
    let error = start(&other).unwrap_err().to_string();
    assert!(
        error.contains("the PC has no adapter 02:00:00:00:00:99, for which this medium was made; it has c0"),
        "{error}"
    );
    ip("-n srv link set s0 down");
    let error = start(&given(&["10.77.0.9/24"])).unwrap_err().to_string();
    assert!(error.contains("there is no link"), "{error}");
    let error = bring_up(&Network::default(), &mut |_| {}, &|| true).unwrap_err().to_string();
    assert!(error.contains("cancelled"), "{error}");
}
