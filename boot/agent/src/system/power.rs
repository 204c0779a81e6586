//! The end: everything written, everything unmounted, power off or a new start.

use super::{is_init, text};
use holotype_boot::profile::Afterwards;
use rustix::mount::{UnmountFlags, unmount};
use rustix::system::{RebootCommand, reboot as reboot_now};

/// Filesystems of the kernel, which hold nothing.
const KERNEL_OWN: &[&str] =
    &["rootfs", "proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ramfs", "efivarfs", "securityfs", "cgroup2"];

/// What an unattended task ends with. [`Afterwards::Stay`] powers off too: the screens have waited for a key by then.
pub fn end(afterwards: Afterwards) -> ! {
    match afterwards {
        Afterwards::Reboot => reboot(),
        Afterwards::PowerOff | Afterwards::Stay => power_off(),
    }
}

/// Writes everything and switches the PC off. A process on an ordinary Linux ends, and nothing else.
pub fn power_off() -> ! {
    finish(RebootCommand::PowerOff)
}

/// Writes everything and starts the PC anew. A process on an ordinary Linux ends, and nothing else.
pub fn reboot() -> ! {
    finish(RebootCommand::Restart)
}

fn finish(command: RebootCommand) -> ! {
    if !is_init() {
        std::process::exit(0);
    }
    rustix::fs::sync();
    unmount_all();
    super::consoles::drain();
    let error = reboot_now(command);
    super::consoles::say_everywhere(&format!("The PC does not switch itself off ({error:?}): switch it off by hand."));
    loop {
        std::thread::park();
    }
}

/// Unmounts what was mounted, the last first.
fn unmount_all() {
    let mounts = text::read("/proc/self/mounts").unwrap_or_default();
    for folder in mounted_folders(&mounts).iter().rev() {
        if unmount(folder.as_str(), UnmountFlags::empty()).is_err() {
            let _ = unmount(folder.as_str(), UnmountFlags::DETACH);
        }
    }
    rustix::fs::sync();
}

/// Folders of `/proc/self/mounts` on which something is mounted that holds data.
fn mounted_folders(mounts: &str) -> Vec<String> {
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.nth(1)?, fields.next()?))
    });
    let kept = fields.filter(|(_, kind)| !KERNEL_OWN.contains(kind));
    // fs/proc_namespace.c writes space, tab, newline and backslash in octal; own folders have none of them.
    kept.map(|(folder, _)| folder.replace("\\040", " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_data_is_unmounted() {
        let mounts = "rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n/dev/sda1 /run/a\\040b ext4 rw 0 0\n\
                      h:/x /run/n nfs4 rw 0 0\n";
        assert_eq!(mounted_folders(mounts), ["/run/a b", "/run/n"]);
        assert!(mounted_folders("").is_empty());
    }
}
