//! Disks for virtual PCs, made by the usual tools without mounting anything.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a tool and panics where it fails.
pub fn run(tool: &str, arguments: &[&str]) {
    let output = Command::new(tool).args(arguments).output().unwrap_or_else(|error| panic!("{tool}: {error}"));
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn empty(path: &Path, mib: u64) {
    std::fs::File::create(path).unwrap().set_len(mib << 20).unwrap();
}

/// An empty disk.
pub fn blank(folder: &Path, name: &str, mib: u64) -> PathBuf {
    let path = folder.join(name);
    empty(&path, mib);
    path
}

/// A boot medium as the generator makes it, without anything to boot: GPT, ESP, data partition.
pub fn medium(folder: &Path) -> PathBuf {
    let path = blank(folder, "medium", 160);
    let text = path.to_str().unwrap();
    run(
        "sgdisk",
        &["-n1:2048:+40M", "-t1:ef00", "-c1:HOLOTYPE-ESP", "-n2:0:+100M", "-t2:0700", "-c2:HOLOTYPE-DATA", text],
    );
    run("mkfs.vfat", &["--offset=2048", "-F32", "-n", "HOLOTYPE", text, "40960"]);
    run("mkfs.vfat", &["--offset=83968", "-F32", "-n", "HOLODATA", text, "102400"]);
    path
}

/// A disk with one ext4 partition, which is labelled `store`.
pub fn ext4(folder: &Path) -> PathBuf {
    let path = blank(folder, "ext4", 64);
    let text = path.to_str().unwrap();
    run("sgdisk", &["-n1:2048:+48M", "-c1:store", text]);
    run(
        "mkfs.ext4",
        &["-q", "-F", "-L", "store", "-U", "11111111-2222-3333-4444-555555555555", "-E", "offset=1048576", text, "48M"],
    );
    path
}

/// A disk as a PC with UEFI has one: an ESP with Debian's loader.
pub fn esp(folder: &Path) -> PathBuf {
    let path = blank(folder, "esp", 64);
    let text = path.to_str().unwrap();
    run("sgdisk", &["-n1:2048:+40M", "-t1:ef00", text]);
    run("mkfs.vfat", &["--offset=2048", "-F32", text, "40960"]);
    let loader = folder.join("shimx64.efi");
    std::fs::write(&loader, b"MZ no loader").unwrap();
    let image = format!("{text}@@1M");
    run("mmd", &["-i", &image, "::EFI", "::EFI/debian"]);
    run("mcopy", &["-i", &image, loader.to_str().unwrap(), "::EFI/debian/shimx64.efi"]);
    path
}
