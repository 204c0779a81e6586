//! Boots the static agent in virtual PCs and looks what it finds there. See `vm/mod.rs` for what is needed.
#![cfg(target_os = "linux")]

mod vm;

use holotype_boot::profile::{BootProfile, DiskChoice, Place, Style, Task};
use serde_json::Value;
use std::path::Path;
use vm::kernel::Kernel;
use vm::{Vm, disks};

const MACHINE: &[&str] = &["-machine", "q35", "-m", "384"];
const SLIRP: &str = "user,id=n0,net=10.0.2.0/24";

fn drive(path: &Path, id: &str) -> String {
    format!("file={},format=raw,if=none,id={id}", path.display())
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_pc_with_many_kinds_of_disks_finds_them_all_and_keeps_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let Some(kernel) = Kernel::wanted() else { return };
    let Some(initramfs) = kernel.initramfs(folder.path(), Some(&BootProfile::new("Lab PC 1", Style::Network)), &[])
    else {
        return;
    };
    let (virtio, nvme) = (disks::blank(folder.path(), "virtio", 32), disks::blank(folder.path(), "nvme", 48));
    let (sata, stick) = (disks::ext4(folder.path()), disks::medium(folder.path()));
    let drives = [drive(&virtio, "v"), drive(&nvme, "n"), drive(&sata, "s"), drive(&stick, "u")];
    let mut arguments = MACHINE.to_vec();
    for drive in &drives {
        arguments.extend(["-drive", drive]);
    }
    arguments.extend(["-device", "virtio-blk-pci,drive=v,serial=VIRT1", "-device", "nvme,drive=n,serial=NVME1"]);
    arguments.extend([
        "-device",
        "ide-hd,drive=s,serial=SATA1",
        "-device",
        "qemu-xhci",
        "-device",
        "usb-storage,drive=u",
    ]);
    arguments.extend(["-netdev", SLIRP, "-device", "virtio-net-pci,netdev=n0"]);
    let report = Vm::start(&kernel.image, &initramfs, "holotype.check", &arguments).report(120);
    println!("{report:#}");

    assert_eq!(report["profile"], "Lab PC 1");
    assert_eq!(words(&report["consoles"]), ["/dev/tty1", "/dev/ttyS0"]);
    assert_eq!(words(&report["module_errors"]), [""; 0]);
    let disks: Vec<&str> = report["disks"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(disks, ["/dev/nvme0n1", "/dev/sda", "/dev/sdb", "/dev/vda"]);
    let partitions = report["partitions"].as_array().unwrap();
    let store = partitions.iter().find(|it| it["label"] == "store").unwrap();
    assert_eq!((store["filesystem"].as_str(), store["is_medium"].as_bool()), (Some("ext4"), Some(false)));
    assert_eq!(store["uuid"], "11111111-2222-3333-4444-555555555555");
    let data = &report["medium_data"];
    assert_eq!((data["label"].as_str(), data["filesystem"].as_str()), (Some("HOLODATA"), Some("vfat")));
    assert_eq!(report["medium_disk"], data["disk"]);
    assert_eq!(report["links"][0]["driver"], "virtio_net");
    assert!(words(&report["links"][0]["addresses"]).contains(&"10.0.2.15/24".to_owned()), "{report:#}");
    assert_eq!(report["machine_key"]["kept"], "OnMedium");

    // The same PC again: the same key. The medium is whole.
    let again = Vm::start(&kernel.image, &initramfs, "holotype.check", &arguments).report(120);
    assert_eq!(again["machine_key"], report["machine_key"]);
    disks::run("fsck.vfat", &["-n", &esp_alone(&stick, folder.path())]);
}

/// The ESP of a medium as a file of its own.
fn esp_alone(medium: &Path, folder: &Path) -> String {
    let bytes = std::fs::read(medium).unwrap();
    let path = folder.join("esp-alone");
    std::fs::write(&path, &bytes[1 << 20..41 << 20]).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A PC with this adapter and nothing else; what it says.
fn network_of(arguments: &[&str], without: &[&str], monitor: &[&str]) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let kernel = Kernel::wanted()?;
    let initramfs = kernel.initramfs(folder.path(), None, without)?;
    let all = [MACHINE, arguments].concat();
    let mut vm = Vm::start_with(&kernel.image, &initramfs, "holotype.check", &all, monitor);
    vm.wait_until_off(200);
    Some(vm::report_in(&vm.output))
}

#[test]
fn an_adapter_that_is_slow_to_get_a_link_gets_an_address() {
    let Some(report) = network_of(&["-netdev", SLIRP, "-device", "e1000e,netdev=n0"], &[], &[]) else { return };
    assert_eq!(report["links"][0]["driver"], "e1000e");
    assert!(words(&report["links"][0]["addresses"]).contains(&"10.0.2.15/24".to_owned()), "{report:#}");
    // No disk, no medium: each is said, and the key is for this boot.
    assert!(words(&report["steps"]).iter().any(|step| step.starts_with("No disk was found")), "{report:#}");
    assert_eq!((report["machine_key"]["kept"].as_str(), report["profile"].is_null()), (Some("ForThisBoot"), true));
}

#[test]
fn without_a_cable_it_says_so() {
    let arguments = ["-netdev", SLIRP, "-device", "e1000e,netdev=n0,id=card"];
    let Some(report) = network_of(&arguments, &[], &["set_link card off"]) else { return };
    let error = report["network"]["error"].as_str().unwrap();
    assert!(error.contains("there is no link; look at the network cable"), "{error}");
}

#[test]
fn without_a_dhcp_server_it_says_so() {
    let arguments = ["-netdev", "hubport,id=n0,hubid=1", "-device", "virtio-net-pci,netdev=n0"];
    let Some(report) = network_of(&arguments, &[], &[]) else { return };
    let error = report["network"]["error"].as_str().unwrap();
    assert!(error.contains("no DHCP server answered within 45 s"), "{error}");
}

#[test]
fn without_a_driver_it_says_for_what() {
    let arguments = ["-netdev", SLIRP, "-device", "e1000e,netdev=n0"];
    let Some(report) = network_of(&arguments, &["e1000e"], &[]) else { return };
    let error = report["network"]["error"].as_str().unwrap();
    assert!(error.contains("no driver for a device of this PC (Ethernet adapter, PCI 8086:10d3"), "{error}");
}

#[test]
fn the_rescue_shell_comes_and_goes_and_a_crash_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let Some(kernel) = Kernel::wanted() else { return };
    if vm::wanted("HOLOTYPE_TEST_BUSYBOX").is_none() {
        return;
    }
    let profile = BootProfile::new("pc", Style::Local);
    let Some(initramfs) = kernel.initramfs(folder.path(), Some(&profile), &[]) else { return };
    let disk = drive(&disks::blank(folder.path(), "d", 16), "d");
    let arguments = [MACHINE, &["-drive", &disk, "-device", "virtio-blk-pci,drive=d"]].concat();
    let mut vm = Vm::start(&kernel.image, &initramfs, "holotype.check=shell", &arguments);
    let first_line = vm.wait_for("Looking for disks", 60);
    println!("first line after {first_line:?}");
    vm.wait_for("holotype# ", 60);
    // Job control: the shell has a terminal of its own.
    vm.type_in("ps -o pid,args | grep -c '[k]threadd'; tty; (sleep 60 & jobs)\n");
    vm.wait_for("/dev/ttyS0", 20);
    // The program that does the work is killed, as the kernel does where memory runs out.
    vm.type_in("kill -9 $PPID\n");
    vm.wait_for("The backup program ended (the PC's memory did not suffice)", 20);
    vm.wait_for("Press Enter to start it again", 20);
    vm.type_in("\n");
    vm.wait_for("Looking for disks", 30);
    vm.wait_for("holotype# ", 60);
    vm.type_in("exit\n");
    vm.wait_until_off(60);
}

#[test]
fn a_restored_disk_gets_an_entry_of_the_firmware_once() {
    let folder = tempfile::tempdir().unwrap();
    let Some(kernel) = Kernel::wanted() else { return };
    let Some(initramfs) = kernel.initramfs(folder.path(), Some(&BootProfile::new("pc", Style::Local)), &[]) else {
        return;
    };
    let variables = folder.path().join("vars");
    std::fs::copy("/usr/share/OVMF/OVMF_VARS_4M.fd", &variables).expect("package ovmf");
    let disk = drive(&disks::esp(folder.path()), "d");
    let variables = format!("if=pflash,format=raw,file={}", variables.display());
    let mut arguments = MACHINE.to_vec();
    arguments.extend([
        "-drive",
        "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
        "-drive",
        &variables,
    ]);
    arguments.extend(["-drive", &disk, "-device", "virtio-blk-pci,drive=d"]);
    let check = "holotype.check=entry:/dev/vda";
    let said = |report: &Value| report["boot_entry"].as_str().unwrap_or_else(|| panic!("{report:#}")).to_owned();
    let first = said(&Vm::start(&kernel.image, &initramfs, check, &arguments).report(150));
    assert!(
        first.starts_with("The firmware has a new boot entry for /dev/vda: Debian (\\EFI\\debian\\shimx64.efi"),
        "{first}"
    );
    let second = said(&Vm::start(&kernel.image, &initramfs, check, &arguments).report(150));
    assert!(second.starts_with("The firmware starts Debian of /dev/vda first"), "{second}");
}

/// Calls itself again in a network of its own, where ports are free and names are what the test wants. `true` inside.
fn in_own_network(name: &str) -> bool {
    if std::env::var_os("HOLOTYPE_OWN_NETWORK").is_some() {
        return true;
    }
    if Kernel::wanted().is_none() || vm::wanted("HOLOTYPE_TEST_AGENT").is_none() {
        return false;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root may make a network namespace");
        return false;
    }
    let script = "ip link set lo up && exec \"$0\" \"$@\"";
    let status = std::process::Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("HOLOTYPE_OWN_NETWORK", "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed in its own network");
    false
}

/// A service that ends with the test.
struct Service(std::process::Child);

impl Service {
    fn start(tool: &str, arguments: &[&str], port: u16) -> Self {
        let child = std::process::Command::new(tool).args(arguments).stdout(std::process::Stdio::null()).spawn();
        let service = Self(child.unwrap_or_else(|error| panic!("{tool}: {error}")));
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return service;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{tool} does not listen at port {port}");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A profile whose unattended backup goes to this place: the self-check tries it.
fn to(place: Place) -> BootProfile {
    let mut profile = BootProfile::new("pc", Style::Network);
    profile.task = Task::Backup { place, disk: DiskChoice::Only, image_name: None, writer_key: "0f".repeat(32) };
    profile
}

fn try_place(kernel: &Kernel, folder: &Path, place: Place, check: &str) -> Value {
    let initramfs = kernel.initramfs(folder, Some(&to(place)), &[]).unwrap();
    let disk = drive(&disks::blank(folder, "d", 16), "d");
    let arguments = [
        MACHINE,
        &[
            "-netdev",
            SLIRP,
            "-device",
            "virtio-net-pci,netdev=n0",
            "-drive",
            &disk,
            "-device",
            "virtio-blk-pci,drive=d",
        ],
    ];
    Vm::start(&kernel.image, &initramfs, check, &arguments.concat()).report(150)
}

#[test]
fn names_and_an_smb_share() {
    if !in_own_network("names_and_an_smb_share") {
        return;
    }
    let kernel = Kernel::wanted().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["share", "lock", "state", "private", "run"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    std::fs::write(
        path("smb.conf"),
        format!(
            "[global]\nserver role = standalone server\nlock directory = {}\nstate directory = {}\nprivate dir = {}\n\
             pid directory = {}\ncache directory = {}\nncalrpc dir = {}\nlog file = {}\nmap to guest = never\n\
             interfaces = lo\nbind interfaces only = yes\nload printers = no\ndisable spoolss = yes\n\
             [images]\npath = {}\nread only = no\nvalid users = root\n",
            path("lock"),
            path("state"),
            path("private"),
            path("run"),
            path("lock"),
            path("run"),
            path("log"),
            path("share"),
        ),
    )
    .unwrap();
    // A password with what would divide options in a mount's text.
    let password = "a,b=c\\d";
    let mut set = std::process::Command::new("smbpasswd")
        .args(["-c", &path("smb.conf"), "-a", "-s", "root"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("smbpasswd (package samba-common-bin)");
    std::io::Write::write_all(set.stdin.as_mut().unwrap(), format!("{password}\n{password}\n").as_bytes()).unwrap();
    assert!(set.wait().unwrap().success());
    let _smbd = Service::start("smbd", &["--foreground", "--no-process-group", "-s", &path("smb.conf")], 445);
    // The PC's name server is QEMU's, which asks this system's: one that knows the file server.
    std::fs::write(path("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    disks::run("mount", &["--bind", &path("resolv.conf"), "/etc/resolv.conf"]);
    let _names = Service::start(
        "dnsmasq",
        &[
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--conf-file=/dev/null",
            "--pid-file",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--address=/files.test/10.0.2.2",
        ],
        53,
    );
    let place = |user: &str, password: &str| Place::Smb {
        host: "files.test".into(),
        share: "images".into(),
        folder: "lab/pc".into(),
        user: Some(user.into()),
        password: Some(password.into()),
    };
    let report =
        try_place(&kernel, folder.path(), place("root", password), "holotype.check=resolve:files.test,resolve:no.test");
    assert_eq!(report["names"][0]["addresses"][0], "10.0.2.2", "{report:#}");
    assert!(report["names"][1]["addresses"]["error"].is_string(), "{report:#}");
    assert_eq!(report["place"]["written"], true, "{report:#}");
    assert!(folder.path().join("share/lab/pc").is_dir());
    let refused = try_place(&kernel, folder.path(), place("root", "wrong"), "holotype.check");
    let error = refused["place"]["error"].as_str().unwrap();
    assert!(error.contains("the server does not let the user root with this password in"), "{error}");
    assert!(!refused.to_string().contains("wrong"));
}

#[test]
fn an_nfs_share() {
    if !in_own_network("an_nfs_share") {
        return;
    }
    let kernel = Kernel::wanted().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["export", "recovery"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    std::fs::write(
        path("ganesha.conf"),
        format!(
            "NFS_CORE_PARAM {{ Protocols = 4; NLM_Port = 0; Enable_NLM = false; Enable_RQUOTA = false; }}\n\
             NFSv4 {{ Graceless = true; RecoveryRoot = {}; }}\n\
             EXPORT {{ Export_Id = 1; Path = {1}; Pseudo = /images; Access_Type = RW; Squash = No_Root_Squash; \
             SecType = sys; Protocols = 4; FSAL {{ Name = VFS; }} }}\n",
            path("recovery"),
            path("export"),
        ),
    )
    .unwrap();
    std::fs::create_dir_all("/var/run/ganesha").unwrap();
    let _server = Service::start(
        "ganesha.nfsd",
        &["-F", "-f", &path("ganesha.conf"), "-L", &path("log"), "-p", &path("pid")],
        2049,
    );
    let place = |export: &str| Place::Nfs { host: "10.0.2.2".into(), export: export.into(), folder: "lab".into() };
    let report = try_place(&kernel, folder.path(), place("/images"), "holotype.check");
    assert_eq!(
        report["place"]["written"],
        true,
        "{report:#}\n{}",
        std::fs::read_to_string(path("log")).unwrap_or_default()
    );
    assert!(folder.path().join("export/lab").is_dir());
    let refused = try_place(&kernel, folder.path(), place("/other"), "holotype.check");
    assert!(refused["place"]["error"].as_str().unwrap().contains("exports no such folder"), "{refused:#}");
}
