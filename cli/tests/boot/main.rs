//! `holotype boot`, as a user without help but `--help` runs it: the program itself, a made-up kernel (taking a real one
//! in takes a minute), real boot loaders. Booting media is scripts/test-boot's.

#![cfg(target_os = "linux")]

use holotype_boot::profile::{BootProfile, DiskChoice, Place, Task};
use holotype_boot::testing;
use holotype_boot::verify::verify;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_holotype");
const DAY_MS: i64 = 86_400_000;

/// A folder with a kernel store and an agent.
struct Desk {
    folder: TempDir,
}

impl Desk {
    /// `None`, and a word about it, where boot loaders are not installed.
    fn new() -> Option<Self> {
        let needed = ["shim", "grub/x86_64-efi-signed", "grub/i386-pc", "ISOLINUX", "systemd/boot/efi", "ipxe"];
        if !needed.iter().all(|path| Path::new("/usr/lib").join(path).exists()) {
            eprintln!("skipped: boot loaders are not installed (docs/BOOT.md names the packages)");
            return None;
        }
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        testing::kernel_folder(&desk.path("unpacked"));
        fs::write(desk.path("agent"), testing::agent()).unwrap();
        let added = desk.run(&["kernel", "add", desk.path("unpacked").to_str().unwrap()]);
        assert!(added.contains(testing::VERSION), "{added}");
        Some(desk)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("boot").args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["HOLOTYPE_SERVER", "HOLOTYPE_SERVER_PIN", "HOLOTYPE_REPO"] {
            command.env_remove(name);
        }
        command.env("HOLOTYPE_KERNELS", self.path("kernels")).env("HOLOTYPE_AGENT", self.path("agent"));
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it says where it succeeds.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says where it ends with `code`, both ways.
    #[track_caller]
    fn ends_with(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    fn profile(&self, medium: &str) -> BootProfile {
        verify(&self.path(medium), 0).unwrap().profiles.remove(0)
    }
}

#[test]
fn every_kind_is_made_and_found_good() {
    let Some(desk) = Desk::new() else { return };
    let pin = format!("sha256:{}", "ab".repeat(32));
    for (kind, target) in [("usb", "a.img"), ("iso", "a.iso"), ("uki", "a.efi"), ("netboot", "tree")] {
        let server = ["--server", "https://backup.example:7443", "--server-pin", &pin, "--expires", "30d"];
        let made = desk.run(&[&["create", kind, target, "--name", "pc-07"], server.as_slice()].concat());
        assert!(made.contains("for pc-07"), "{made}");
        let looked_at = desk.run(&["verify", target]);
        assert!(looked_at.contains(kind) && looked_at.contains(testing::VERSION), "{looked_at}");
    }
    // The same answers give the same bytes.
    for name in ["b.img", "c.img"] {
        desk.run(&["create", "usb", name, "--name", "pc", "--style", "local", "--data", "600M"]);
    }
    assert!(fs::read(desk.path("b.img")).unwrap() == fs::read(desk.path("c.img")).unwrap());
}

#[test]
fn damage_and_age_are_found() {
    let Some(desk) = Desk::new() else { return };
    for (kind, target) in [("usb", "a.img"), ("iso", "a.iso"), ("uki", "a.efi")] {
        desk.run(&["create", kind, target, "--name", "pc"]);
        let whole = fs::read(desk.path(target)).unwrap();
        // In the middle of the kernel, which is 100,000 times 90.
        let at = whole.windows(1000).position(|bytes| bytes.iter().all(|byte| *byte == 0x90)).unwrap();
        let mut altered = whole.clone();
        altered[at + 500] ^= 1;
        fs::write(desk.path("altered"), altered).unwrap();
        let said = desk.ends_with(4, &["verify", "altered"]);
        assert!(said.contains("found: ") && said.contains("changed"), "{kind}: {said}");
        fs::write(desk.path("short"), &whole[..at + 4096]).unwrap();
        let said = desk.ends_with(4, &["verify", "short"]);
        assert!(said.contains("found: "), "{kind}: {said}");
    }
    for nothing in ["", "nothing of this is a medium"] {
        fs::write(desk.path("none"), nothing).unwrap();
        desk.ends_with(1, &["verify", "none"]);
    }
    let mut old = BootProfile::new("old", holotype_boot::profile::Style::Local);
    old.expires_ms = Some(DAY_MS);
    fs::write(desk.path("old.json"), serde_json::to_vec(&old).unwrap()).unwrap();
    desk.run(&["create", "usb", "old.img", "--profile", "old.json"]);
    assert!(desk.ends_with(4, &["verify", "old.img"]).contains("expired"));
}

#[test]
fn tasks_are_told_by_options() {
    let Some(desk) = Desk::new() else { return };
    fs::write(desk.path("key"), "one key file with forty characters in it\n").unwrap();
    let backup =
        ["create", "usb", "a.img", "--name", "pc", "--style", "local", "--task", "backup", "--place", "medium"];
    let key = ["--writer-key-file", "key"];
    let all = [&backup[..], &key, &["--data", "600M", "--disk", "S1", "--image", "lab/pc"]].concat();
    desk.run(&all);
    let Task::Backup { place, disk, image_name, writer_key } = desk.profile("a.img").task else { panic!() };
    assert_eq!((place, disk), (Place::Medium, DiskChoice::Serial("S1".into())));
    assert_eq!((image_name.as_deref(), &writer_key[..6], writer_key.len()), (Some("lab/pc"), "6f6e65", 82));
    // The server's tasks: with a writer's key where it asks for backups too.
    let server = ["--server", "https://a:1", "--server-pin", &format!("sha256:{}", "ab".repeat(32))];
    for (name, more, has_key) in [("s.img", &key[..], true), ("t.img", &[], false)] {
        desk.run(&[&["create", "usb", name, "--name", "pc", "--task", "server"], &server[..], more].concat());
        let profile = desk.profile(name);
        assert_eq!((&profile.task, profile.writer_key.is_some()), (&Task::Server, has_key));
        assert!(profile.writer_key.is_none_or(|key| key.0.starts_with("6f6e65")));
    }
    let create = ["create", "usb", "b.img", "--name", "pc"];
    for (more, said) in [
        (&["--task", "backup", "--writer-key-file", "key", "--place", "medium"][..], "--data"),
        (&["--task", "backup", "--place", "medium", "--data", "600M"], "--writer-key-file"),
        (&["--task", "restore", "--place", "server:lab", "--image", "ab"], "server"),
        (&["--task", "restore", "--place", "what", "--image", "ab"], "--place what"),
        (&["--task", "menu", "--disk", "first"], "--disk"),
        (&["--task", "menu", "--writer-key-file", "key"], "--writer-key-file"),
        (&["--expires", "2020-01-01"], "past"),
        (&["--style", "local", "--address", "10.0.0.1/8"], "local"),
        (&["--server", "https://a:1"], "pin"),
    ] {
        let answer = desk.ends_with(2, &[&create[..], more].concat());
        assert!(answer.contains(said), "{more:?}: {answer}");
    }
    assert!(!desk.path("b.img").exists());
}

/// Names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_full_disk_keeps_nothing_and_says_so() {
    let Some(desk) = Desk::new() else { return };
    fs::create_dir(desk.path("full")).unwrap();
    // A filesystem of 256 KiB that is only there for the program: a mount namespace of its own.
    let inside = |script: &str, arguments: &[&str]| {
        let program = desk.command(arguments);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c"]);
        command.arg(format!("mount -t tmpfs -o size=256k none full && {script}")).arg(PROGRAM).args(program.get_args());
        command.current_dir(desk.folder.path()).stdin(Stdio::null());
        for (name, value) in program.get_envs() {
            value.map(|value| command.env(name, value));
        }
        command.output().unwrap()
    };
    if !inside("true", &[]).status.success() {
        eprintln!("skipped: no mount namespace");
        return;
    }
    for product in ["usb", "iso", "uki"] {
        let output =
            inside("\"$0\" \"$@\"; code=$?; ls -A full; exit $code", &["create", product, "full/a", "--name", "pc"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{product}: {said}");
        assert!(said.contains("full/a: there is no room for it on that disk"), "{product}: {said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{product} left something");
    }
}

#[test]
fn taking_a_kernel_in_can_be_stopped() {
    let Some(desk) = Desk::new() else { return };
    let before = names(&desk.path("kernels"));
    let pipe = desk.path("linux.deb");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let child = desk.command(&["kernel", "add", pipe.to_str().unwrap()]).stderr(Stdio::piped()).spawn().unwrap();
    // Opens when the program does: then signals are caught already.
    let mut package = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let _ = package.write_all(b"!<arch>\n");
    drop(package);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("cancelled"), "{said}");
    assert_eq!(names(&desk.path("kernels")), before);
}

#[test]
fn lacking_drivers_are_told() {
    let Some(desk) = Desk::new() else { return };
    let output = desk.output(&["create", "usb", "pc.img", "--name", "pc"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("has no driver for SATA disks (ahci), NVMe disks (nvme)"), "{said}");
    let said = desk.ends_with(1, &["create", "usb", "virtio.img", "--name", "pc", "--modules", "virtio"]);
    assert!(said.contains("no driver for devices of virtual machines (virtio_pci), nor for disks"), "{said}");
    assert!(said.contains("(virtio_net)") && said.contains("--kernel"), "{said}");
    assert!(!desk.path("virtio.img").exists());
}

#[test]
fn what_is_missing_is_told_before_anything_is_asked() {
    let Some(desk) = Desk::new() else { return };
    assert!(desk.ends_with(1, &["create", "--kernels", "none"]).contains("kernel add"));
    assert!(desk.ends_with(1, &["create", "--agent", "none"]).contains("agent"));
    assert!(desk.ends_with(2, &["create"]).contains("nobody answers"));
}

#[test]
fn options_without_effect_are_refused() {
    let Some(desk) = Desk::new() else { return };
    for options in [["--name", "pc"], ["--style", "local"], ["--keyboard", "de"], ["--data", "20G"]] {
        let said = desk.ends_with(2, &["create", options[0], options[1]]);
        assert!(said.contains(options[0]) && said.contains("usb, iso, uki or netboot"), "{said}");
    }
    let profile = BootProfile::new("pc", holotype_boot::profile::Style::Network);
    fs::write(desk.path("pc.json"), serde_json::to_vec(&profile).unwrap()).unwrap();
    let create = ["create", "usb", "pc.img", "--profile", "pc.json"];
    for options in [
        ["--keyboard", "de"],
        ["--console", "both"],
        ["--afterwards", "stay"],
        ["--mac", "52:54:00:00:00:01"],
        ["--organisation", "x"],
        ["--server", "https://backup:7443"],
    ] {
        let said = desk.ends_with(2, &[&create[..], &options[..]].concat());
        assert!(said.contains(options[0]), "{said}");
    }
    let mut command = desk.command(&create);
    assert!(command.env("HOLOTYPE_SERVER", "https://backup:7443").status().unwrap().success());
}

#[test]
fn the_wizard_asks_until_an_answer_makes_sense() {
    let Some(desk) = Desk::new() else { return };
    let answers = ["pc 7", "300.1.1.1/8", "10.1.1.7/8", "10.1.1.1", "", "9", "2", "1", "", ""];
    let mut child = desk.command(&["create"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answers.map(|answer| format!("{answer}\n")).concat().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("300.1.1.1/8 is no") && said.contains("give a number from 1 to 2"), "{said}");
    assert_eq!(desk.profile("pc-7.iso").name, "pc 7");
}

/// A loop device; it goes when it is dropped.
struct Loop(String);

impl Loop {
    /// `None`, and a word about it, where there can be none.
    fn over(file: &Path) -> Option<Self> {
        let made = Command::new("losetup").args(["--find", "--show"]).arg(file).output().ok()?;
        if !made.status.success() {
            eprintln!("skipped: no loop device: {}", String::from_utf8_lossy(&made.stderr));
            return None;
        }
        Some(Self(String::from_utf8(made.stdout).unwrap().trim().to_owned()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

#[test]
fn a_stick_is_written_only_when_it_is_meant() {
    let Some(desk) = Desk::new() else { return };
    desk.run(&["create", "usb", "a.img", "--name", "pc"]);
    let bytes = fs::metadata(desk.path("a.img")).unwrap().len();
    for (name, length) in [("stick", bytes + (1 << 20)), ("small", bytes - 4096)] {
        fs::File::create(desk.path(name)).unwrap().set_len(length).unwrap();
    }
    let (Some(stick), Some(small)) = (Loop::over(&desk.path("stick")), Loop::over(&desk.path("small"))) else { return };
    let is_untouched = || fs::read(desk.path("stick")).unwrap().iter().all(|byte| *byte == 0);
    // No loop device can be pulled out: --yes alone is not enough.
    assert!(desk.ends_with(2, &["write", "a.img", &stick.0, "--yes"]).contains("cannot be pulled out"));
    let mut child = desk.command(&["write", "a.img", &stick.0]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"yes\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let any = |medium, device| desk.ends_with(1, &["write", medium, device, "--yes", "--any-disk"]);
    let told = any("a.img", &small.0);
    let sizes = [bytes - 4096, bytes].map(|bytes| bytes.to_string());
    assert!(told.contains("it is too small") && sizes.iter().all(|size| told.contains(size)), "{told}");
    assert!(any("agent", &stick.0).contains("no Holotype medium"));
    assert!(any("a.img", "small").contains("it is no disk"));
    let mut altered = fs::read(desk.path("a.img")).unwrap();
    altered.truncate(3 << 20);
    fs::write(desk.path("short.img"), altered).unwrap();
    assert!(any("short.img", &stick.0).contains("nothing was written"));
    assert!(is_untouched());
    desk.run(&["write", "a.img", &stick.0, "--yes", "--any-disk"]);
    assert!(desk.run(&["verify", &stick.0]).contains("as it was made"));
}
