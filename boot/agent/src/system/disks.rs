//! Disks appear when their drivers have found them: after a while, and nobody tells that it was the last.

use super::{is_init, modules, text};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait.
const DEADLINE: Duration = Duration::from_secs(20);
/// Without a change for so long, the disks are taken for complete.
const STABLE: Duration = Duration::from_millis(700);
/// Longest wait for a USB stick whose driver has it already: sticks are given a second before they are asked.
const STICK_DEADLINE: Duration = Duration::from_secs(8);
const USB_DEVICES: &str = "/sys/bus/usb/devices";
const PAUSE: Duration = Duration::from_millis(50);

/// Waits (with a deadline) until the kernel has found its disks: unchanged for a while. Ends early where `cancelled` turns
/// true.
pub fn wait(tell: &mut dyn FnMut(&str), cancelled: &dyn Fn() -> bool) {
    if !is_init() {
        return;
    }
    tell("Looking for disks …");
    let start = Instant::now();
    modules::wait_until_settled(DEADLINE, cancelled);
    let mut known = found();
    let mut changed = Instant::now();
    while start.elapsed() < DEADLINE && !cancelled() {
        let now = found();
        if now != known {
            changed = Instant::now();
            known = now;
        }
        let complete = changed.elapsed() >= STABLE && known.iter().any(|name| is_disk(name));
        if complete && (start.elapsed() >= STICK_DEADLINE || !stick_is_coming(Path::new(USB_DEVICES))) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    if !known.iter().any(|name| is_disk(name)) {
        tell(&match modules::missing_sentence(Path::new(modules::DEVICES), modules::STORAGE) {
            None => {
                "No disk was found. Look at the cables, and in the firmware's setup whether the disks are switched \
                     off or joined to a RAID."
                    .to_owned()
            }
            Some(missing) => format!("No disk was found: {missing}"),
        });
    }
}

/// Waits until no stick is on its way any more. Other disks are not waited for: a PC that has none goes on at once.
pub fn wait_for_sticks(cancelled: &dyn Fn() -> bool) {
    if !is_init() {
        return;
    }
    let usb = Path::new(USB_DEVICES);
    let look = || (found(), std::fs::read_dir(usb).map_or(0, Iterator::count));
    let start = Instant::now();
    modules::wait_until_settled(STICK_DEADLINE, cancelled);
    let (mut known, mut changed) = (look(), Instant::now());
    while start.elapsed() < STICK_DEADLINE && !cancelled() && (changed.elapsed() < STABLE || stick_is_coming(usb)) {
        std::thread::sleep(PAUSE);
        let now = look();
        if now != known {
            (known, changed) = (now, Instant::now());
        }
    }
}

/// Disks and partitions, with their sizes: a card reader's disk has none until a card is in.
fn found() -> BTreeSet<String> {
    let names = std::fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| text::read(format!("/sys/class/block/{name}/size")).is_some_and(|size| size != "0")).collect()
}

fn is_disk(name: &str) -> bool {
    !["loop", "ram", "zram", "sr", "fd", "md", "dm-"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a USB mass storage interface (class 8) has no disk yet.
fn stick_is_coming(usb: &Path) -> bool {
    let interfaces = std::fs::read_dir(usb).into_iter().flatten().flatten().map(|entry| entry.path());
    interfaces.filter(|path| text::read(path.join("bInterfaceClass")).is_some_and(|class| class == "08")).any(|path| {
        let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|it| it.path());
        let named = |path: &Path, prefix: &str| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
        };
        let hosts = entries(&path).filter(|it| named(it, "host"));
        let targets = hosts.flat_map(|host| entries(&host).collect::<Vec<_>>()).filter(|it| named(it, "target"));
        let mut units = targets.flat_map(|target| entries(&target).collect::<Vec<_>>());
        !units.any(|unit| unit.join("block").exists() || unit.join("scsi_generic").exists())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stick_without_a_disk_is_waited_for() {
        let usb = tempfile::tempdir().unwrap();
        let make = |path: &str| std::fs::create_dir_all(usb.path().join(path)).unwrap();
        make("1-1:1.0/host2");
        assert!(!stick_is_coming(usb.path()), "it has no class");
        std::fs::write(usb.path().join("1-1:1.0/bInterfaceClass"), "08\n").unwrap();
        assert!(stick_is_coming(usb.path()));
        make("1-1:1.0/host2/target2:0:0/2:0:0:0/block/sda");
        assert!(!stick_is_coming(usb.path()));
    }

    #[test]
    fn what_is_no_disk() {
        assert!(is_disk("sda") && is_disk("nvme0n1") && is_disk("vda1"));
        assert!(!is_disk("loop0") && !is_disk("sr0") && !is_disk("dm-1"));
    }
}
