//! Boots the static agent in virtual PCs and looks what it finds there. See `vm/mod.rs` for what is needed.
#![cfg(target_os = "linux")]

mod vm;

use holotype_boot::profile::{BootProfile, Style};
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
    assert!(error.contains("no driver for it (PCI 8086:10d3)"), "{error}");
}
