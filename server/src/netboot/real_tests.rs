//! Real clients in network namespaces: messages by hand beside dnsmasq's DHCP, and what curl and busybox read.
//!
//! ```text
//! own namespace: c0 ── bridge br0 in `srv`: this server, 10.77.0.2 ── `dhcp`: dnsmasq, 10.77.0.1
//! ```

use super::NetbootSettings;
use super::dhcp_packet::tests::client_bytes;
use crate::config::ConfigFile;
use crate::serve::Running;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = "netboot::real_tests::real_clients_beside_a_real_dhcp_server";
const ROLE: &str = "HOLOTYPE_NETBOOT_TEST";
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const MAC: &str = "52-54-00-12-34-56";
/// Longer than a machine with much to do takes; nothing waits for its end where all goes well.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn real_clients_beside_a_real_dhcp_server() {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => serve(),
        Ok(_) => ask(),
        Err(_) => in_own_namespace(),
    }
}

fn in_own_namespace() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may make a network namespace");
        return;
    }
    let script = "mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(ROLE, "client")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// The server, until standard input ends.
fn serve() {
    let dir = std::path::PathBuf::from(std::env::var("HOLOTYPE_NETBOOT_DIR").unwrap());
    let netboot = NetbootSettings { interfaces: vec!["br0".into()], ..NetbootSettings::default() };
    let file = ConfigFile { listen: Some("0.0.0.0:7443".parse().unwrap()), netboot, ..ConfigFile::default() };
    let config = file.complete(dir.clone()).unwrap();
    let settings = config.netboot.clone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let running = Running::start(config).await.unwrap();
        let sql =
            "INSERT INTO machines (id, organisation, name, created_ms) SELECT 'a', id, 'pc-a', 0 FROM organisations;
             INSERT INTO machine_addresses VALUES ('a', 'mac', '52:54:00:12:34:56');
             INSERT INTO repositories (id, organisation, name, store_kind, store_location, created_ms)
               SELECT 'r', id, 'lab', 'directory', '/x', 0 FROM organisations;
             INSERT INTO tasks (id, organisation, name, action, machine, repository, created_ms)
               SELECT 't', id, 'n', 'backup', 'a', 'r', 0 FROM organisations;
             INSERT INTO task_runs (id, organisation, task, machine, state, created_ms)
               SELECT 'u', id, 't', 'a', 'queued', 0 FROM organisations;";
        running.state().database.write_blocking(|transaction| Ok(transaction.execute_batch(sql)?)).unwrap();
        // A second one on this host says what is in its way.
        let refused = super::start(running.state(), &settings, running.address, running.pin).unwrap_err().to_string();
        assert!(refused.starts_with("network boot on br0: port 67 for proxyDHCP is taken"), "{refused}");
        let absent = NetbootSettings { interfaces: vec!["none0".into()], ..settings };
        let refused = super::start(running.state(), &absent, running.address, running.pin).unwrap_err().to_string();
        assert!(refused.contains("none0: there is no such interface"), "{refused}");
        println!("\nserving {}", running.pin);
        let waiting = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        waiting.await.unwrap().unwrap();
        std::fs::write(dir.join("figures"), running.state().metrics.text()).unwrap();
        let sql = "SELECT count(*) FROM events WHERE kind = 'netboot.agent' AND machine = 'a'";
        let events =
            running.state().database.read_blocking(|db| Ok(db.query_row(sql, [], |row| row.get::<_, i64>(0))?));
        assert_eq!(events.unwrap(), 1);
        running.stop().await;
    });
}

fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn fails(command: &str) {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(!output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stdout));
}

/// A process in another namespace, until it is dropped.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn network() -> Beside {
    for command in [
        "ip link set lo up",
        "ip netns add srv",
        "ip netns add dhcp",
        "ip link add c0 address 52:54:00:12:34:56 type veth peer name s0 netns srv",
        "ip -n srv link add d0 type veth peer name d1 netns dhcp",
        "ip -n srv link add br0 type bridge forward_delay 0",
        "ip -n srv link set s0 master br0",
        "ip -n srv link set d0 master br0",
        "ip -n srv addr add 10.77.0.2/24 dev br0",
        "ip -n srv link set lo up",
        "ip -n srv link set s0 up",
        "ip -n srv link set d0 up",
        "ip -n srv link set br0 up",
        "ip -n dhcp addr add 10.77.0.1/24 dev d1",
        "ip -n dhcp link set d1 up",
        "ip link set c0 up",
        "ip route add 255.255.255.255/32 dev c0",
    ] {
        run(command);
    }
    let dnsmasq = Command::new("ip")
        .args(["netns", "exec", "dhcp", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root"])
        .args(["--pid-file", "--interface=d1", "--bind-interfaces", "--leasefile-ro", "--port=0", "--no-ping"])
        .args(["--dhcp-range=10.77.0.50,10.77.0.60,255.255.255.0,10m"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("dnsmasq (package dnsmasq-base)");
    Beside(dnsmasq)
}

/// Sends a question until a message comes that is wanted.
fn hear(socket: &UdpSocket, question: &[u8], to: (Ipv4Addr, u16), wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let start = Instant::now();
    let mut bytes = [0; 2048];
    while start.elapsed() < PATIENCE {
        socket.send_to(question, to).unwrap();
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            if let Ok(length) = socket.recv(&mut bytes)
                && wanted(&bytes[..length])
            {
                return bytes[..length].to_vec();
            }
        }
    }
    panic!("nothing came in {PATIENCE:?}");
}

fn file_field(message: &[u8]) -> &str {
    std::str::from_utf8(&message[108..236]).unwrap().trim_end_matches('\0')
}

fn has(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}

fn ask() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("netboot");
    std::fs::create_dir_all(tree.join("kernel/6.1.0-50")).unwrap();
    std::fs::create_dir_all(tree.join("machine/any")).unwrap();
    let kernel: Vec<u8> = (0..3_000_017_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(tree.join("kernel/6.1.0-50/vmlinuz"), &kernel).unwrap();
    std::fs::write(tree.join("kernel/6.1.0-50/initrd"), &kernel[..1468 * 8]).unwrap();
    std::fs::write(tree.join("machine/any/profile.cpio"), "secret").unwrap();
    std::fs::write(dir.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", tree.join("link")).unwrap();
    let _dhcp = network();
    let mut server = Beside(
        Command::new("ip")
            .args(["netns", "exec", "srv"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture"])
            .env(ROLE, "server")
            .env("HOLOTYPE_NETBOOT_DIR", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let pin = lines.find_map(|line| line.strip_prefix("serving ").map(str::to_owned)).expect("the server started");

    offers();
    run("ip addr add 10.77.0.50/24 dev c0");
    acknowledgements();
    files_by_tftp(dir.path(), &kernel);
    windows_by_tftp(&kernel[..1468 * 8]);
    files_by_http(&kernel);
    machines(&pin);

    drop(server.0.stdin.take());
    let rest: Vec<String> = lines.collect();
    assert!(server.0.wait().unwrap().success(), "{rest:?}");
    let figures = std::fs::read_to_string(dir.path().join("figures")).unwrap();
    for wanted in [
        "holotype_netboot_boots_total{machine=\"a\",boots=\"agent\"} ",
        "holotype_netboot_boots_total{machine=\"unknown\",boots=\"local\"} ",
        "holotype_netboot_offers_total{firmware=\"bios\"} ",
        "holotype_netboot_tftp_transfers_total{result=\"done\"} ",
    ] {
        assert!(figures.contains(wanted), "{wanted} is not in\n{figures}");
    }
}

fn offers() {
    let socket: UdpSocket = super::sockets::udp("c0", "0.0.0.0:68".parse().unwrap()).unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let to = (Ipv4Addr::BROADCAST, 67);
    let ours = |message: &[u8]| has(message, &[54, 4, 10, 77, 0, 2]);
    let discover = |class: &[u8], user: &[u8], architecture: u8| {
        client_bytes(1, &[(60, class), (77, user), (93, &[0, architecture]), (55, &[1, 3, 43, 60, 66, 67])])
    };
    let uefi = discover(b"PXEClient:Arch:00007:UNDI:003000", b"x", 7);
    let address = hear(&socket, &uefi, to, |message| !ours(message));
    assert_eq!(address[16..19], [10, 77, 0], "the address is the DHCP server's");
    let offer = hear(&socket, &uefi, to, ours);
    assert_eq!((file_field(&offer), &offer[16..20]), ("", &[0; 4][..]), "no file and no address");
    assert!(has(&offer, b"\x3c\x09PXEClient"));
    // Answers to what was asked before may still come.
    let bios = hear(&socket, &discover(b"PXEClient:Arch:00000", b"x", 0), to, |message| {
        ours(message) && !file_field(message).is_empty()
    });
    assert!(file_field(&bios) == "undionly.kpxe" && has(&bios, &[43, 4, 6, 1, 8, 255]));
    let ipxe = hear(&socket, &discover(b"PXEClient:Arch:00000", b"iPXE", 0), to, |message| {
        ours(message) && file_field(message) != "undionly.kpxe"
    });
    assert_eq!(file_field(&ipxe), "http://10.77.0.2:8069/boot.ipxe");
    let http = hear(&socket, &discover(b"HTTPClient:Arch:00016", b"x", 16), to, |message| {
        ours(message) && has(message, b"HTTPClient")
    });
    assert!(has(&http, b"\x43\x21http://10.77.0.2:8069/snponly.efi"));
}

fn acknowledgements() {
    let socket = UdpSocket::bind("10.77.0.50:68").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let question = client_bytes(3, &[(60, b"PXEClient:Arch:00007:UNDI:003000"), (93, &[0, 7])]);
    let answer = hear(&socket, &question, (SERVER, 4011), |_| true);
    assert!(file_field(&answer) == "snponly.efi" && has(&answer, &[53, 1, 5]));
}

fn files_by_tftp(dir: &Path, kernel: &[u8]) {
    let got = dir.join("got");
    for command in [
        "busybox tftp -g -r kernel/6.1.0-50/vmlinuz -l GOT -b 1468 10.77.0.2",
        "busybox tftp -g -r kernel/6.1.0-50/vmlinuz -l GOT 10.77.0.2",
        "curl -sS -m 60 --tftp-blksize 8192 -o GOT tftp://10.77.0.2/kernel/6.1.0-50/vmlinuz",
        "curl -sS -m 60 --tftp-no-options -o GOT tftp://10.77.0.2//kernel/6.1.0-50/vmlinuz",
    ] {
        let _ = std::fs::remove_file(&got);
        run(&command.replace("GOT", got.to_str().unwrap()));
        assert!(std::fs::read(&got).unwrap() == kernel, "{command}");
    }
    for path in ["nothing", "link", "../secret", "kernel/../../secret", "machine/any/profile.cpio", "kernel"] {
        // Not into /dev/null: where it fails it deletes the file.
        fails(&format!("busybox tftp -g -r {path} -l {} 10.77.0.2", got.display()));
    }
    std::fs::write(&got, "new").unwrap();
    fails(&format!("busybox tftp -p -r new -l {} 10.77.0.2", got.display()));
}

/// Windows of four blocks, of which some are lost (RFC 7440).
fn windows_by_tftp(initrd: &[u8]) {
    let socket = UdpSocket::bind("10.77.0.50:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // So long a wait that nothing is sent again on a busy machine.
    let request = b"\0\x01kernel/6.1.0-50/initrd\0octet\0blksize\x001468\0windowsize\x004\0tsize\x000\0timeout\x0010\0";
    socket.send_to(request, (SERVER, 69)).unwrap();
    let mut bytes = [0; 2048];
    let (length, from) = socket.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"\0\x06blksize\x001468\0windowsize\x004\0tsize\x0011744\0timeout\x0010\0");
    socket.connect(from).unwrap();
    socket.send(&[0, 4, 0, 0]).unwrap();
    let block = || {
        let mut bytes = [0; 2048];
        let length = socket.recv(&mut bytes).unwrap();
        assert_eq!(bytes[..2], [0, 3]);
        (u16::from_be_bytes([bytes[2], bytes[3]]), bytes[4..length].to_vec())
    };
    let numbers = |count: usize| (0..count).map(|_| block().0).collect::<Vec<_>>();
    let acknowledge = |number: u8| socket.send(&[0, 4, 0, number]).unwrap();
    assert_eq!(numbers(4), [1, 2, 3, 4]);
    acknowledge(2);
    assert_eq!(numbers(4), [3, 4, 5, 6], "blocks 3 and 4 were lost");
    // The first two are of what was sent again; the next begins the window anew, the others are of its blocks.
    for _ in 0..6 {
        acknowledge(2);
    }
    assert_eq!(numbers(4), [3, 4, 5, 6], "the first of the window was lost");
    acknowledge(6);
    let last: Vec<_> = (0..3).map(|_| block()).collect();
    assert_eq!(last.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [7, 8, 9]);
    assert!(last[0].1 == initrd[1468 * 6..1468 * 7] && last[2].1.is_empty(), "the last block is empty");
    acknowledge(9);
}

fn files_by_http(kernel: &[u8]) {
    let get = |arguments: &str| {
        let mut command = Command::new("curl");
        command.args(["-sS", "-m", "60", "--path-as-is"]).args(arguments.split(' '));
        command.output().unwrap().stdout
    };
    let url = "http://10.77.0.2:8069/kernel/6.1.0-50/vmlinuz";
    assert!(get(url) == kernel);
    assert!(get(&format!("-r 5-1000005 {url}")) == kernel[5..=1_000_005]);
    assert!(get(&format!("-r -7 {url}")) == kernel[kernel.len() - 7..]);
    let head = String::from_utf8(get(&format!("-I {url}"))).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 3000017"), "{head}");
    let status =
        |arguments: &str| String::from_utf8(get(&format!("-o /dev/null -w %{{http_code}} {arguments}"))).unwrap();
    assert_eq!(status(&format!("-r 3000017- {url}")), "416");
    assert_eq!(status(&format!("-X POST {url}")), "405");
    let paths =
        ["", "nothing", "link", "../secret", "%2e%2e/secret", "kernel/..%2f..%2fsecret", "machine/any/profile.cpio"];
    for path in paths {
        assert_eq!(status(&format!("http://10.77.0.2:8069/{path}")), "404", "{path}");
    }
}

fn machines(pin: &str) {
    let get = |path: &str| run(&format!("curl -sS -m 60 http://10.77.0.2:8069/{path}"));
    assert!(get("boot.ipxe").contains("/machine/mac-${netX/mac:hexhyp}/uuid-${uuid}/boot.ipxe"));
    let folder = format!("machine/mac-{MAC}/uuid-0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e");
    let script = get(&format!("{folder}/boot.ipxe"));
    assert!(script.contains("kernel /kernel/6.1.0-50/vmlinuz") && script.contains(&folder), "{script}");
    let script = run(&format!("curl -sS -m 60 tftp://10.77.0.2/{folder}/grub.cfg"));
    assert!(script.contains("linux /kernel/6.1.0-50/vmlinuz") && script.contains(&folder), "{script}");
    let profile = get(&format!("{folder}/profile.cpio"));
    for wanted in
        ["\"name\": \"pc-a\"", "\"machine\": \"a\"", "\"https://10.77.0.2:7443\"", "\"task\": \"server\"", pin]
    {
        assert!(profile.contains(wanted), "{wanted} is not in {profile}");
    }
    let unknown = get("machine/mac-52-54-00-00-00-01/boot.ipxe");
    assert!(unknown.contains("going on to the disk") && unknown.contains("sanboot"), "{unknown}");
    fails("curl -sSf -m 60 http://10.77.0.2:8069/machine/mac-52-54-00-00-00-01/profile.cpio");
}
