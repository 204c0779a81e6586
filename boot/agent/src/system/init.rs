//! What the first process does first: the kernel's filesystems, limits, a quiet console.

use super::{SystemError, modules, text};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::ffi::CStr;
use std::fs;
use std::path::Path;

/// Small state of this run: in memory.
pub const STATE_DIR: &str = "/run/holotype";
/// Open files that one process may have: sled and many packs at once.
const MOST_OPEN_FILES: u64 = 65_536;
/// Messages of this level and worse come to the console: 3 lets through critical ones alone.
const KERNEL_LOG_LEVELS: &str = "3 4 1 3\n";

/// One filesystem of the kernel's own.
struct KernelFilesystem {
    kind: &'static str,
    folder: &'static str,
    flags: MountFlags,
    options: &'static CStr,
}

const fn of(kind: &'static str, folder: &'static str, flags: MountFlags, options: &'static CStr) -> KernelFilesystem {
    KernelFilesystem { kind, folder, flags, options }
}

const NOTHING_RUNS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
const IN_MEMORY: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
const DEVICES: MountFlags = MountFlags::NOSUID.union(MountFlags::NOEXEC);

/// In the order of mounting.
const KERNEL_FILESYSTEMS: &[KernelFilesystem] = &[
    of("proc", "/proc", NOTHING_RUNS, c""),
    of("sysfs", "/sys", NOTHING_RUNS, c""),
    of("devtmpfs", "/dev", DEVICES, c"mode=0755"),
    of("devpts", "/dev/pts", DEVICES, c"gid=5,mode=620,ptmxmode=666"),
    of("tmpfs", "/run", IN_MEMORY, c"mode=0755"),
    of("tmpfs", "/tmp", IN_MEMORY, c"mode=1777"),
];

/// Mounts what the kernel offers, and makes the system ready for one program. What fails is told, and the rest is done:
/// a system with a part missing says more to the person than none.
pub fn boot() -> Vec<SystemError> {
    let mut errors = Vec::new();
    for filesystem in KERNEL_FILESYSTEMS {
        let _ = fs::create_dir_all(filesystem.folder);
        // A kernel may have mounted devtmpfs by itself.
        match mount(filesystem.kind, filesystem.folder, filesystem.kind, filesystem.flags, filesystem.options) {
            Ok(()) | Err(rustix::io::Errno::BUSY) => {}
            Err(error) => errors.push(SystemError::io(filesystem.folder, &format!("mount {}", filesystem.kind), error)),
        }
    }
    let mut write = |path: &str, content: &str| {
        if let Err(error) = fs::write(path, content) {
            errors.push(SystemError::io(path, "write it", error));
        }
    };
    write("/proc/sys/kernel/printk", KERNEL_LOG_LEVELS);
    // The kernel asks this program for modules that it finds missing, as `PROGRAM -q -- NAME`.
    if Path::new(modules::INDEX_PATH).exists() {
        write("/proc/sys/kernel/modprobe", "/init\n");
    }
    let _ = fs::create_dir_all("/etc");
    write("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
    write("/etc/nsswitch.conf", "hosts: files dns\n");
    write("/etc/passwd", "root:x:0:0:root:/tmp:/bin/sh\n");
    write("/etc/group", "root:x:0:\ntty:x:5:\n");
    for folder in [STATE_DIR, "/mnt"] {
        if let Err(error) = fs::create_dir_all(folder) {
            errors.push(SystemError::io(folder, "make the folder", error));
        }
    }
    let _ = rustix::fs::chmod(STATE_DIR, rustix::fs::Mode::RWXU);
    let files = Rlimit { current: Some(MOST_OPEN_FILES), maximum: Some(MOST_OPEN_FILES) };
    let _ = setrlimit(Resource::Nofile, files);
    let _ = rustix::system::sethostname(host_name().as_bytes());
    errors
}

/// The PC's name from the profile, as a host name.
fn host_name() -> String {
    let profile = super::read_profile(Path::new(holotype_boot::profile::PROFILE_PATH));
    profile.and_then(Result::ok).map(|profile| as_host_name(&profile.name)).unwrap_or_else(|| "holotype".into())
}

/// A text as a host name (RFC 952 and 1123): letters, digits and `-`, at most 63.
fn as_host_name(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(letter).take(63).collect();
    match name.trim_matches('-') {
        "" => "holotype".into(),
        name => name.into(),
    }
}

/// The kernel's command line has this word, alone or as `WORD=VALUE`: the value, or nothing.
pub(super) fn command_line_word(word: &str) -> Option<String> {
    word_of(&text::read("/proc/cmdline")?, word)
}

fn word_of(line: &str, word: &str) -> Option<String> {
    line.split_ascii_whitespace().find_map(|part| match part.strip_prefix(word)? {
        "" => Some(String::new()),
        rest => rest.strip_prefix('=').map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_makes_a_host_name() {
        assert_eq!(as_host_name("Lab 3/PC-07"), "lab-3-pc-07");
        assert_eq!(as_host_name("äöü"), "holotype");
        assert_eq!(as_host_name(&"x".repeat(99)).len(), 63);
    }

    #[test]
    fn words_of_the_command_line() {
        assert_eq!(word_of("quiet holotype.check loglevel=3", "holotype.check").as_deref(), Some(""));
        assert_eq!(word_of("holotype.check=shell", "holotype.check").as_deref(), Some("shell"));
        assert_eq!(word_of("holotype.checks a=holotype.check", "holotype.check"), None);
    }
}
