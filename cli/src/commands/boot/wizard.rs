//! `holotype boot create` without arguments: PC's address → medium → style → insert → format → write.

use super::create::{check_parts, ingredients};
use super::stoppable;
use crate::arguments::{BootCreateArguments, GlobalArguments};
use crate::exit::{Exit, Failure, Result};
use crate::output;
use crate::units::size;
use holotype_boot::disk::DataPartition;
use holotype_boot::medium::{write_iso, write_usb};
use holotype_boot::profile::{Address, BootProfile, Server, Style, parse_prefix};
use std::io::{BufRead, Write};
use std::net::IpAddr;
use std::path::Path;

/// Asks one line; an empty answer means `default`.
pub fn ask(question: &str, default: Option<&str>) -> Result<String> {
    let hint = default.map(|default| format!(" [{default}]")).unwrap_or_default();
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{question}{hint}: ").and_then(|()| stderr.flush());
    let mut line = String::new();
    let read = std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::io("terminal", "read the answer", error))?;
    if read == 0 {
        return Err(Failure::usage(
            "nobody answers here; give the answers as arguments (see --help), or ask again on a terminal",
        ));
    }
    let line = line.trim();
    match (line.is_empty(), default) {
        (false, _) => Ok(line.to_owned()),
        (true, Some(default)) => Ok(default.to_owned()),
        (true, None) => Ok(String::new()),
    }
}

/// Asks until `read` takes the answer.
fn ask_until<T>(question: &str, default: Option<&str>, read: impl Fn(&str) -> Result<T, String>) -> Result<T> {
    loop {
        match read(&ask(question, default)?) {
            Ok(value) => return Ok(value),
            Err(why) => {
                let _ = writeln!(std::io::stderr(), "  {why}");
            }
        }
    }
}

fn choose(question: &str, choices: &[&str]) -> Result<usize> {
    let list: Vec<String> = (1..).zip(choices).map(|(number, choice)| format!("  {number}  {choice}\n")).collect();
    let _ = write!(std::io::stderr(), "{}", list.concat());
    ask_until(question, Some("1"), |answer| match answer.parse::<usize>() {
        Ok(number) if (1..=choices.len()).contains(&number) => Ok(number - 1),
        _ => Err(format!("give a number from 1 to {}", choices.len())),
    })
}

/// Asks for everything, then makes the medium.
pub fn run(global: &GlobalArguments, arguments: &BootCreateArguments) -> Result {
    if global.json {
        return Err(Failure::usage("boot create: with --json, give what to make as arguments"));
    }
    // Before anything is asked: without them all answers would be for nothing.
    check_parts(arguments)?;
    let mut profile = BootProfile::new("pc", Style::Network);
    profile.name = ask_until("Name of the PC", Some("pc-01"), |name| {
        let named = BootProfile::new(name, Style::Local);
        named.check().map(|()| named.name)
    })?;
    profile.network.address = address()?;
    let is_stick = choose("Medium", &["USB stick or disk", "CD image (ISO file)"])? == 0;
    if choose(
        "Style",
        &["network: with a backup server, or storage on the network", "local: the stick and the PC's own disks alone"],
    )? == 1
    {
        profile.style = Style::Local;
        profile.network = Default::default();
    } else {
        profile.server = server(global)?;
    }
    profile.check().map_err(Failure::usage)?;
    match is_stick {
        true => stick(global, arguments, &profile),
        false => {
            let name = format!("{}.iso", file_name(&profile.name));
            let path = ask("File to write", Some(&name))?;
            let bytes = stoppable(write_iso(&ingredients(global, arguments, &profile)?, Path::new(&path)))?;
            output::line(format!("made {path}: {}", size(bytes)));
            Ok(Exit::Done)
        }
    }
}

fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' }).collect()
}

fn address() -> Result<Address> {
    let text = ask_until("Address of the PC: dhcp, or as 192.168.1.7/24", Some("dhcp"), |answer| match answer {
        "dhcp" => Ok(None),
        text => parse_prefix(text).map(|_| Some(text.to_owned())),
    })?;
    let Some(address) = text else { return Ok(Address::Dhcp) };
    let optional = |question: &str| {
        ask_until(question, None, |answer| match answer {
            "" => Ok(Vec::new()),
            text => text.parse::<IpAddr>().map(|address| vec![address]).map_err(|error| format!("{text}: {error}")),
        })
    };
    Ok(Address::Static {
        addresses: vec![address],
        routers: optional("Router (none: just Enter)")?,
        name_servers: optional("Name server (none: just Enter)")?,
    })
}

fn server(global: &GlobalArguments) -> Result<Option<Server>> {
    let url = match &global.server {
        Some(url) => url.clone(),
        None => ask("Backup server, as https://HOST:7443 (none: just Enter)", None)?,
    };
    if url.is_empty() {
        return Ok(None);
    }
    let of_pin = |pin: String| Server { url: url.clone(), pin, organisation: None, machine: None, enrolment: None };
    if let Some(pin) = &global.server_pin {
        return Ok(Some(of_pin(pin.to_string())));
    }
    let server = ask_until("Its pin, as holotype server fingerprint prints it", None, |pin| {
        let mut profile = BootProfile::new("pc", Style::Network);
        profile.server = Some(of_pin(pin.to_owned()));
        profile.check().map(|()| profile.server)
    })?;
    Ok(server)
}

#[cfg(target_os = "linux")]
fn stick(global: &GlobalArguments, arguments: &BootCreateArguments, profile: &BootProfile) -> Result {
    use super::write::{confirm_and_write, show};
    use holotype_boot::write::WritePlan;
    use holotype_repo::os::list_disks;
    use std::collections::BTreeSet;

    let paths = || -> Result<BTreeSet<String>> { Ok(list_disks()?.into_iter().map(|disk| disk.path).collect()) };
    let before = paths()?;
    ask("Insert the stick now, and press Enter", None)?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let after = paths()?;
    let new = after.difference(&before).next().cloned();
    let known: Vec<String> = list_disks()?
        .iter()
        .map(|disk| format!("{} ({}, {})", disk.path, size(disk.bytes), disk.model.as_deref().unwrap_or("no model")))
        .collect();
    let _ = writeln!(std::io::stderr(), "Disks: {}", known.join("; "));
    let device = ask(
        "Write to which disk, or which file",
        new.as_deref().or(Some(&format!("{}.img", file_name(&profile.name)))),
    )?;
    let with_data = choose("Format", &["the medium alone", "the medium, and the rest of it for backups"])? == 1;
    let is_disk = device.starts_with("/dev/");
    let data = match (with_data, is_disk) {
        (false, _) => DataPartition::None,
        (true, true) => {
            DataPartition::UpTo(list_disks()?.iter().find(|disk| disk.path == device).map_or(0, |disk| disk.bytes))
        }
        (true, false) => DataPartition::UpTo(ask_until("Size of the image", Some("16G"), crate::units::parse_size)?),
    };
    let ingredients = ingredients(global, arguments, profile)?;
    if !is_disk {
        let bytes = stoppable(write_usb(&ingredients, data, Path::new(&device)))?;
        output::line(format!("made {device}: {}; next: holotype boot write {device} /dev/sdX", size(bytes)));
        return Ok(Exit::Done);
    }
    let folder = tempfile::tempdir().map_err(|error| Failure::io("temporary folder", "make it", error))?;
    let image = folder.path().join("medium.img");
    stoppable(write_usb(&ingredients, data, &image))?;
    let plan = WritePlan::make(&image, Path::new(&device))?;
    show(global, &plan);
    confirm_and_write(global, plan, false)?;
    Ok(Exit::Done)
}

#[cfg(not(target_os = "linux"))]
fn stick(global: &GlobalArguments, arguments: &BootCreateArguments, profile: &BootProfile) -> Result {
    let path = ask("File to write", Some(&format!("{}.img", file_name(&profile.name))))?;
    let bytes = stoppable(write_usb(&ingredients(global, arguments, profile)?, DataPartition::None, Path::new(&path)))?;
    output::line(format!("made {path}: {}; write it to a stick", size(bytes)));
    Ok(Exit::Done)
}
