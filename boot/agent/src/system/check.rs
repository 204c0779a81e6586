//! The self-check: with `holotype.check` on the kernel's command line the system shows no screens. It tells in one line
//! of JSON on every console what it found, and switches the PC off. For the support of a PC that makes trouble, and for
//! whoever wants to know whether a medium fits a PC.
//!
//! `holotype.check=` takes words, divided by commas: `shell` opens the rescue shell on the last console first, `stay`
//! leaves the PC on, `reboot` starts it anew, `resolve:NAME` looks a name up.

use super::places::{self, Partition};
use super::{Booted, consoles, disks, firmware, keyboard, machine_key, modules, network, power, shell, text};
use holotype_boot::profile::{Network, Place, Style, Task};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};

/// The word on the kernel's command line.
pub const WORD: &str = "holotype.check";
/// What the line begins with.
pub const MARK: &str = "holotype-check ";

/// Runs the check where the command line asks for it, and does not come back then.
pub fn run_if_asked(booted: &Booted) {
    let Some(words) = super::init::command_line_word(WORD) else { return };
    let words: Vec<&str> = words.split(',').collect();
    let mut steps = Vec::new();
    let found = look(booted, &words, &mut steps);
    consoles::say_everywhere(&format!("{MARK}{found}"));
    if words.contains(&"shell")
        && let Some(Err(error)) = booted.consoles.last().map(|console| shell::run(console))
    {
        consoles::say_everywhere(&error.to_string());
    }
    match words.iter().find(|word| matches!(**word, "stay" | "reboot")) {
        Some(&"stay") => loop {
            std::thread::park();
        },
        Some(_) => power::reboot(),
        None => power::power_off(),
    }
}

/// Seconds since the kernel started.
fn uptime() -> Option<f64> {
    text::read("/proc/uptime")?.split(' ').next()?.parse().ok()
}

fn look(booted: &Booted, words: &[&str], steps: &mut Vec<String>) -> Value {
    let started = uptime();
    let mut tell = |step: &str| {
        consoles::say_everywhere(step);
        steps.push(step.to_owned());
    };
    let profile = booted.profile.as_ref().and_then(|it| it.as_ref().ok());
    let wants_network = profile.is_none_or(|it| it.style == Style::Network);
    disks::wait(&mut tell, &|| false);
    let disks_found = uptime();
    let default = Network::default();
    let network = wants_network.then(|| {
        network::start(profile.map_or(&default, |it| &it.network), &mut tell, &|| false).map(|link| link.name)
    });
    let network_ready = uptime();
    let names = words.iter().filter_map(|word| word.strip_prefix("resolve:"));
    let names: Vec<Value> = names.map(|name| json!({ "name": name, "addresses": resolve(name) })).collect();
    let key = machine_key::load_or_make().map(|(seed, kept)| {
        // The seed is secret; its hash tells whether it is the same as last time.
        json!({ "kept": format!("{kept:?}"), "hash": short_hash(seed.as_slice()) })
    });
    let place = profile.and_then(|profile| match &profile.task {
        Task::Backup { place, .. } | Task::Restore { place, .. } => Some(place),
        _ => None,
    });
    let place = place.filter(|place| !matches!(place, Place::Server { .. })).map(try_place);
    let disks: Vec<Value> =
        holotype_repo::os::list_disks().unwrap_or_default().into_iter().map(|disk| json!(disk)).collect();
    let entry = words.iter().find_map(|word| word.strip_prefix("entry:"));
    let entry = entry.map(|disk| or_error(firmware::correct_boot_entry(Path::new(disk)).map(|said| json!(said))));
    let keyboards: Vec<Value> = words
        .iter()
        .filter_map(|word| word.strip_prefix("keyboard:"))
        .map(|name| or_error(keyboard::load(name).map(|()| json!(name))))
        .collect();
    let classes = [modules::STORAGE, modules::NETWORK].into_iter();
    let without_driver = classes.flat_map(|class| modules::without_driver(Path::new(modules::DEVICES), class));
    let without_driver: Vec<String> = without_driver.map(|device| device.to_string()).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "profile": match &booted.profile {
            None => Value::Null,
            Some(Ok(profile)) => json!(profile.name),
            Some(Err(error)) => json!({ "error": error.to_string() }),
        },
        "consoles": paths(&booted.consoles),
        "seconds": { "agent": started, "disks": disks_found, "network": network_ready, "end": uptime() },
        "modules": modules::loaded(),
        "module_errors": modules::errors(),
        "without_driver": without_driver,
        "links": network::links().into_iter().map(|link| json!({
            "name": link.name, "mac": link.mac, "driver": link.driver, "carrier": link.carrier, "addresses": link.addresses,
        })).collect::<Vec<_>>(),
        "network": network.map(|it| or_error(it.map(|name| json!(name)))),
        "names": names,
        "disks": disks,
        "partitions": places::partitions().iter().map(partition).collect::<Vec<_>>(),
        "medium_data": places::medium_data().as_ref().map(partition),
        "medium_disk": places::medium_disks().first(),
        "machine_key": or_error(key),
        "place": place,
        "boot_entry": entry,
        "keyboards": keyboards,
        "memory_kib": memory(),
        "kernel_log": kernel_log(),
        "steps": steps,
    })
}

fn paths(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

fn or_error(outcome: Result<Value, super::SystemError>) -> Value {
    outcome.unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

fn partition(partition: &Partition) -> Value {
    json!({
        "device": partition.device, "disk": partition.disk, "uuid": partition.uuid, "label": partition.label,
        "filesystem": partition.filesystem, "bytes": partition.bytes, "is_medium": partition.is_medium,
    })
}

fn resolve(name: &str) -> Value {
    match (name, 0).to_socket_addrs() {
        Ok(addresses) => addresses.map(|it| it.ip().to_string()).collect(),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn short_hash(secret: &[u8]) -> String {
    blake3::hash(secret).to_hex()[..16].to_owned()
}

/// Mounts a place, writes a file, reads it, removes it, unmounts.
fn try_place(place: &Place) -> Value {
    let outcome = places::mount(place).and_then(|mounted| {
        let path = mounted.folder.join("holotype-check.tmp");
        let write = || {
            std::fs::create_dir_all(&mounted.folder)?;
            let mut file = std::fs::File::create(&path)?;
            file.write_all(b"holotype")?;
            file.sync_all()?;
            drop(file);
            let read = std::fs::read(&path)?;
            std::fs::remove_file(&path)?;
            Ok::<bool, std::io::Error>(read == b"holotype")
        };
        let written =
            write().map_err(|error| super::SystemError::io(path.display().to_string(), "write and read it", error))?;
        let room = rustix::fs::statvfs(mounted.root()).map(|it| it.f_bavail * it.f_frsize).ok();
        Ok(json!({ "written": written, "free_bytes": room }))
    });
    or_error(outcome)
}

/// The most memory that this process had at a time, and what the PC has and has left.
fn memory() -> Value {
    let of = |path: &str, key: &str| {
        let text = text::read(path)?;
        text.lines().find_map(|line| line.strip_prefix(key))?.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    json!({
        "peak": of("/proc/self/status", "VmHWM:"),
        "total": of("/proc/meminfo", "MemTotal:"),
        "available": of("/proc/meminfo", "MemAvailable:"),
    })
}

/// The kernel's last warnings and errors (Documentation/ABI/testing/dev-kmsg: `priority,number,time,flags;text`).
fn kernel_log() -> Vec<String> {
    use std::os::unix::fs::OpenOptionsExt;
    const MOST: usize = 20;
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let Ok(mut file) = std::fs::File::options().read(true).custom_flags(flags).open("/dev/kmsg") else {
        return Vec::new();
    };
    let mut lines = std::collections::VecDeque::new();
    let mut bytes = [0; 8192];
    while let Ok(length @ 1..) = file.read(&mut bytes) {
        let record = String::from_utf8_lossy(&bytes[..length]);
        let Some((head, message)) = record.split_once(';') else { continue };
        let level = head.split(',').next().and_then(|it| it.parse::<u32>().ok()).map_or(7, |priority| priority & 7);
        if level <= 4 {
            lines.push_back(text::printable(message.lines().next().unwrap_or_default(), 200));
            if lines.len() > MOST {
                lines.pop_front();
            }
        }
    }
    lines.into()
}
