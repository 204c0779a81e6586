//! Media are made, looked at by other people's tools, and damaged. Real boot loaders; the kernel is a made-up one, so
//! that nothing has to be downloaded. Booting them is scripts/test-boot's.

#![cfg(all(feature = "generate", target_os = "linux"))]

use holotype_boot::Watch;
use holotype_boot::disk::DataPartition;
use holotype_boot::initramfs::Modules;
use holotype_boot::kernel::{KernelStore, ModuleSet, import, import_watched};
use holotype_boot::loaders::Loaders;
use holotype_boot::medium::{
    Ingredients, MachineAddress, MediumOptions, Netboot, write_iso, write_netboot, write_uki, write_usb,
};
use holotype_boot::profile::{BootProfile, Style};
use holotype_boot::testing::{agent, kernel_folder};
use holotype_boot::verify::verify;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Made {
    folder: tempfile::TempDir,
    ingredients: Ingredients,
}

/// `None`, and a word about it, where boot loaders are not installed.
fn made(profile: &BootProfile) -> Option<Made> {
    let folder = tempfile::tempdir().unwrap();
    kernel_folder(&folder.path().join("kernel"));
    let store = KernelStore::new(folder.path().join("store"));
    let kernels = import(&store, &folder.path().join("kernel")).unwrap();
    let options = MediumOptions {
        profile,
        kernel: &kernels[0],
        modules: Modules::Set(ModuleSet::Pc),
        agent: &agent(),
        firmware: None,
        loaders: Loaders::default(),
    };
    let ingredients = Ingredients::make(&options).unwrap();
    let installed =
        ["usr/lib/shim", "usr/lib/ISOLINUX", "usr/lib/grub/i386-pc", "usr/lib/systemd/boot/efi", "usr/lib/ipxe"];
    if !installed.iter().all(|path| Path::new("/").join(path).exists()) {
        eprintln!("skipped: boot loaders are not installed (docs/BOOT.md names the packages)");
        return None;
    }
    Some(Made { folder, ingredients })
}

fn profile() -> BootProfile {
    BootProfile::new("pc-01", Style::Network)
}

/// Standard output of a tool; the test fails with what it said where it fails.
fn run(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output();
    let output = output.unwrap_or_else(|error| panic!("{tool}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{tool} {arguments:?}: {text}");
    text
}

#[test]
fn a_kernel_gets_its_sets() {
    let folder = tempfile::tempdir().unwrap();
    kernel_folder(&folder.path().join("kernel"));
    let store = KernelStore::new(folder.path().join("store"));
    let kernel = import(&store, &folder.path().join("kernel")).unwrap().remove(0);
    assert_eq!(kernel.version(), "6.9.0-test");
    let counts = ModuleSet::EACH.map(|set| kernel.modules_in(set).unwrap());
    assert_eq!(counts, [2, 4, 5]);
    let index = kernel.index().unwrap();
    let order: Vec<&str> = index.load_order("e1000e").iter().map(|module| module.name.as_str()).collect();
    assert_eq!(order, ["x_generic", "e1000e"]);
    assert!(index.module("snd").is_none());
    assert_eq!(kernel.firmware().unwrap(), [("e1000e".to_owned(), "e.bin".to_owned())]);
    let pruned = kernel.pruned_archive(&["pci:v00009004d1".into()]).unwrap();
    let pruned = String::from_utf8_lossy(&zstd::decode_all(pruned.as_slice()).unwrap()).into_owned();
    assert!(pruned.contains("M\taic7xxx\t") && pruned.contains("M\tsd_mod\t") && !pruned.contains("M\te1000e\t"));
    // Taken in again, it is replaced; removed, it is gone.
    assert_eq!(import(&store, &folder.path().join("kernel")).unwrap(), store.list().unwrap());
    store.remove("6.9.0-test").unwrap();
    assert!(store.get(None).is_err() && store.remove("../store").is_err());
}

#[test]
fn what_is_no_kernel_or_agent_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = KernelStore::new(folder.path().join("store"));
    let empty = import(&store, folder.path()).unwrap_err().to_string();
    assert!(empty.contains("holds no kernel"), "{empty}");
    let file = folder.path().join("x.deb");
    fs::write(&file, "no package").unwrap();
    assert!(import(&store, &file).unwrap_err().to_string().contains("could not read the package"));
    kernel_folder(&folder.path().join("kernel"));
    let kernel = import(&store, &folder.path().join("kernel")).unwrap().remove(0);
    let mut options = MediumOptions {
        profile: &profile(),
        kernel: &kernel,
        modules: Modules::Set(ModuleSet::Pc),
        agent: b"#!/bin/sh",
        firmware: None,
        loaders: Loaders::of_root(folder.path()),
    };
    assert!(Ingredients::make(&options).is_err_and(|error| error.to_string().contains("no 64-bit Linux program")));
    let agent = agent();
    options.agent = &agent;
    let target = folder.path().join("usb.img");
    let missing =
        write_usb(&Ingredients::make(&options).unwrap(), DataPartition::None, &target).unwrap_err().to_string();
    assert!(missing.contains("install the package grub-pc-bin"), "{missing}");
}

/// Lets work go on until it was asked so often.
struct StopsAfter(AtomicUsize);

impl Watch for StopsAfter {
    fn is_cancelled(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

#[test]
fn an_import_that_is_stopped_anywhere_leaves_nothing_half() {
    let folder = tempfile::tempdir().unwrap();
    let (unpacked, stored) = (folder.path().join("kernel"), folder.path().join("store"));
    kernel_folder(&unpacked);
    let store = KernelStore::new(&stored);
    let names =
        || -> Vec<_> { fs::read_dir(&stored).into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect() };
    let mut stops = 0;
    while let Err(error) = import_watched(&store, &unpacked, &StopsAfter(stops.into())) {
        assert!(error.to_string().contains("stopped; nothing was kept"), "{error}");
        assert!(names().is_empty(), "{:?}", names());
        stops += 1;
    }
    assert!(stops > 8, "{stops}");
    assert_eq!(names(), ["6.9.0-test"]);
    // One that is there stays, also where it would have been replaced.
    let before = store.get(None).unwrap().image().unwrap();
    fs::write(unpacked.join("boot/vmlinuz-6.9.0-test"), "another").unwrap();
    for stops in 0..stops {
        import_watched(&store, &unpacked, &StopsAfter(stops.into())).unwrap_err();
        assert_eq!((store.get(None).unwrap().image().unwrap(), names().len()), (before.clone(), 1));
    }
    import(&store, &unpacked).unwrap();
    assert_eq!((store.get(None).unwrap().image().unwrap(), names().len()), (b"another".to_vec(), 1));
}

#[test]
fn the_disk_image_pleases_everybody() {
    let Some(made) = made(&profile()) else { return };
    let path = |name: &str| made.folder.path().join(name).to_str().unwrap().to_owned();
    let bytes = write_usb(&made.ingredients, DataPartition::Bytes(600 << 20), path("a").as_ref()).unwrap();
    write_usb(&made.ingredients, DataPartition::Bytes(600 << 20), path("b").as_ref()).unwrap();
    assert_eq!(blake3_of(&path("a")), blake3_of(&path("b")));
    assert_eq!(fs::metadata(path("a")).unwrap().len(), bytes);
    assert!(run("sgdisk", &["-v", &path("a")]).contains("No problems found"));
    for (number, name) in [("2", "HOLOTYPE-ESP"), ("3", "HOLOTYPE-DATA")] {
        let told = run("sgdisk", &["-i", number, &path("a")]);
        assert!(told.contains(&format!("Partition name: '{name}'")), "{told}");
        let number_after = |what: &str| {
            let line = told.lines().find(|line| line.starts_with(what)).unwrap();
            line.split(' ').nth(2).unwrap().to_owned()
        };
        let (first, sectors) = (number_after("First sector:"), number_after("Partition size:"));
        let (from, to) = (format!("if={}", path("a")), format!("of={}", path("volume")));
        run(
            "dd",
            &[
                &from,
                &to,
                "bs=512",
                "conv=sparse",
                "status=none",
                &format!("skip={first}"),
                &format!("count={sectors}"),
            ],
        );
        run("fsck.vfat", &["-n", &path("volume")]);
        if number == "2" {
            run("mcopy", &["-n", "-i", &path("volume"), "::/holotype/vmlinuz", &path("vmlinuz")]);
            assert_eq!(fs::read(path("vmlinuz")).unwrap(), made.ingredients.image);
        }
        fs::remove_file(path("volume")).unwrap();
    }
    let report = verify(path("a").as_ref(), 0).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    assert_eq!((report.product.as_str(), report.profiles.as_slice()), ("usb", [profile()].as_slice()));
    assert_eq!(report.data_partition_bytes, Some(600 << 20));
}

fn blake3_of(path: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path).unwrap()).unwrap();
    hasher.finalize()
}

#[test]
fn the_iso_image_pleases_everybody() {
    let Some(made) = made(&profile()) else { return };
    let path = |name: &str| made.folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["a", "b"] {
        write_iso(&made.ingredients, path(name).as_ref()).unwrap();
    }
    assert_eq!(blake3_of(&path("a")), blake3_of(&path("b")));
    let told = run("xorriso", &["-indev", &path("a"), "-report_el_torito", "plain", "-report_system_area", "plain"]);
    for expected in ["boot-info-table isohybrid-suitable", "2  UEFI", "MBR isohybrid", "Volume id    : 'HOLOTYPE'"] {
        assert!(told.contains(expected), "{expected} is not in {told}");
    }
    run("xorriso", &["-osirrox", "on", "-indev", &path("a"), "-extract", "/HOLOTYPE/INITRD", &path("initrd")]);
    assert_eq!(fs::read(path("initrd")).unwrap(), made.ingredients.initrd);
    let report = verify(path("a").as_ref(), 0).unwrap();
    assert_eq!((report.product.as_str(), report.findings), ("iso", Vec::new()));
    let whole = fs::read(path("a")).unwrap();
    let find = |text: &[u8]| whole.windows(text.len()).position(|part| part == text).unwrap();
    let isolinux = 86 * 2048;
    for (at, expected) in [
        (100, "ISOLINUX's first sector: it was changed"),
        (435, "ISOLINUX's first sector: it was changed"),
        (isolinux + 20, "isolinux/isolinux.bin: it was changed"),
        (isolinux + 10_000, "isolinux/isolinux.bin: it was changed"),
        (find(b"DEFAULT holotype\nPROMPT"), "isolinux/isolinux.cfg: it was changed"),
        (find(&fs::read("/usr/lib/syslinux/modules/bios/ldlinux.c32").unwrap()[..4096]) + 3000, "isolinux/ldlinux.c32"),
    ] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(path("b"), damaged).unwrap();
        let findings = verify(path("b").as_ref(), 0).unwrap().findings;
        assert!(findings.iter().any(|finding| finding.contains(expected)), "byte {at}: {findings:?}");
    }
}

#[test]
fn expiry_and_damage_are_found() {
    let mut expiring = profile();
    expiring.expires_ms = Some(1000);
    let Some(made) = made(&expiring) else { return };
    let path = made.folder.path().join("a");
    write_usb(&made.ingredients, DataPartition::None, &path).unwrap();
    assert!(verify(&path, 999).unwrap().findings.is_empty());
    assert!(verify(&path, 1000).unwrap().findings[0].contains("has expired"));
    let whole = fs::read(&path).unwrap();
    let find = |text: &[u8]| whole.windows(text.len()).position(|part| part == text).unwrap();
    let backup_table = whole.len() - 512;
    let in_kernel = find(&[0x90; 4096]);
    for (at, expected) in [
        (100, "GRUB's first sector: it was changed"),
        (40 * 512 + 5000, "GRUB's core: it was changed"),
        (512, "partition table: there is none"),
        (1024 + 56, "partition table: the checksum of its entries"),
        (backup_table, "copy of the partition table"),
        (in_kernel, "holotype/vmlinuz: it was changed"),
        (find(b"\"name\": \"pc-01\"") + 9, "altered"),
        (find(b"holotype-medium") + 3, "holotype/manifest"),
        (find(b"HOLOTYPE") - 3 + 11, "FAT volume"),
    ] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).unwrap();
        let findings = verify(&path, 0).unwrap().findings;
        assert!(findings.iter().any(|finding| finding.contains(expected)), "byte {at}: {findings:?}");
    }
    for length in [0, 1, 511, 1024, 40_000, 1 << 20, (1 << 20) + 600, whole.len() / 2] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(verify(&path, 0).map_or(true, |report| !report.findings.is_empty()), "first {length} bytes");
    }
}

#[test]
fn uefi_programs_and_netboot_folders_are_checked() {
    let Some(made) = made(&profile()) else { return };
    let uki = made.folder.path().join("uki.efi");
    write_uki(&made.ingredients, &uki).unwrap();
    assert_eq!(verify(&uki, 0).unwrap().profiles, [profile()]);
    let folder = made.folder.path().join("net");
    for machine in ["52:54:00:12:34:56", "0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e"] {
        let netboot = Netboot { machines: vec![MachineAddress::parse(machine).unwrap()], uki: false };
        write_netboot(&made.ingredients, &netboot, &folder).unwrap();
    }
    let report = verify(&folder, 0).unwrap();
    assert_eq!((report.findings, report.profiles.len()), (Vec::new(), 2));
    fs::write(folder.join("machine/mac-52-54-00-12-34-56/boot.ipxe"), "#!ipxe\nshell\n").unwrap();
    let findings = verify(&folder, 0).unwrap().findings;
    assert_eq!(findings, ["machine/mac-52-54-00-12-34-56/boot.ipxe: it was changed or is damaged"]);
}
