//! A profile out of the command line.

use crate::arguments::{AfterwardsName, ConsoleName, GlobalArguments, ProfileArguments, StyleName};
use crate::exit::{Failure, Result};
use crate::secret_text;
use holotype_boot::profile::{
    self, Address, Afterwards, BootProfile, Console, Enrolment, Network, ProfileError, Server, Style,
};
use std::path::Path;

/// The profile that the command line asks for. `now_ms` is for times that are told as a distance from now.
pub fn of(global: &GlobalArguments, arguments: &ProfileArguments, now_ms: i64) -> Result<BootProfile> {
    let profile = match &arguments.profile {
        // HOLOTYPE_SERVER is there for other commands.
        Some(_) if global.server.is_some() && global.server != std::env::var("HOLOTYPE_SERVER").ok() => {
            return Err(Failure::usage("boot create: the server stands in --profile FILE; leave --server out"));
        }
        Some(file) => {
            read_profile(file)?.map_err(|error: ProfileError| Failure::usage(format!("{}: {error}", file.display())))?
        }
        None => of_options(global, arguments, now_ms)?,
    };
    profile.check().map_err(Failure::usage)?;
    Ok(profile)
}

/// The profile in a file, as it stands on a medium or as plain JSON; or why it cannot be used.
///
/// # Errors
/// Where the file cannot be read.
pub fn read_profile(file: &Path) -> Result<std::result::Result<BootProfile, ProfileError>> {
    Ok(profile::read(&secret_text::read_file(file)?))
}

fn from_json<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T> {
    let bytes = secret_text::read_file(file)?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

fn of_options(global: &GlobalArguments, arguments: &ProfileArguments, now_ms: i64) -> Result<BootProfile> {
    let name = arguments
        .name
        .clone()
        .ok_or_else(|| Failure::usage("boot create: give --name of the PC, or --profile FILE"))?;
    let style = match arguments.style {
        StyleName::Network => Style::Network,
        StyleName::Local => Style::Local,
    };
    let mut profile = BootProfile::new(name, style);
    let time = |text: &Option<String>| text.as_ref().map(|text| parse_time(text, now_ms)).transpose();
    profile.expires_ms = time(&arguments.expires)?;
    if profile.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        return Err(Failure::usage("boot create: --expires is past; the medium would never be used"));
    }
    let has_network = !arguments.address.is_empty() || arguments.mac.is_some() || arguments.dhcp;
    if style == Style::Local && (has_network || arguments.machine.is_some() || arguments.enrolment_code_file.is_some())
    {
        let why = "boot create: a medium of --style local brings up no network; leave its addresses and machine out";
        return Err(Failure::usage(why));
    }
    if style == Style::Network {
        profile.network = network(arguments);
        let enrolment_expires = time(&arguments.enrolment_expires)?.or(profile.expires_ms);
        profile.server = server(global, arguments, enrolment_expires)?;
    }
    profile.task = match &arguments.task_file {
        Some(file) => from_json(file)?,
        None => super::task::of(arguments)?,
    };
    profile.writer_key = super::task::writer_key_beside(arguments)?;
    profile.afterwards = match arguments.afterwards {
        AfterwardsName::PowerOff => Afterwards::PowerOff,
        AfterwardsName::Reboot => Afterwards::Reboot,
        AfterwardsName::Stay => Afterwards::Stay,
    };
    profile.console = match arguments.console {
        ConsoleName::Both => Console::Both,
        ConsoleName::Screen => Console::Screen,
        ConsoleName::Serial => Console::Serial,
    };
    profile.keyboard = arguments.keyboard.clone();
    Ok(profile)
}

fn network(arguments: &ProfileArguments) -> Network {
    let address = match arguments.address.is_empty() {
        true => Address::Dhcp,
        false => Address::Static {
            addresses: arguments.address.clone(),
            routers: arguments.router.clone(),
            name_servers: arguments.name_server.clone(),
        },
    };
    Network { address, mac: arguments.mac.clone() }
}

/// The server, where one is given. A medium has no authorities to judge certificates by: it wants a pin.
fn server(
    global: &GlobalArguments,
    arguments: &ProfileArguments,
    enrolment_expires: Option<i64>,
) -> Result<Option<Server>> {
    let Some(url) = &global.server else {
        return match (&arguments.machine, &arguments.enrolment_code_file) {
            (None, None) => Ok(None),
            _ => Err(Failure::usage("boot create: a machine's id or enrolment code is given, and no --server")),
        };
    };
    let pin = global.server_pin.as_ref().ok_or_else(|| {
        Failure::usage(
            "boot create: a medium needs the server's pin; give --server-pin, as holotype server fingerprint prints it",
        )
    })?;
    let enrolment = match &arguments.enrolment_code_file {
        None => None,
        Some(file) => {
            let code = String::from_utf8(secret_text::from_file(file)?.to_vec());
            let code = code.map_err(|_| Failure::usage(format!("{}: that is no code", file.display())))?;
            let expires_ms = enrolment_expires.ok_or_else(|| {
                Failure::usage("enrolment code: say when it expires, with --enrolment-expires or --expires")
            })?;
            Some(Enrolment { code, expires_ms })
        }
    };
    let organisation = arguments.organisation.clone();
    let machine = arguments.machine.clone();
    Ok(Some(Server { url: url.clone(), pin: pin.to_string(), organisation, machine, enrolment }))
}

/// A date (its beginning, UTC), a time, or days or hours from now.
pub fn parse_time(text: &str, now_ms: i64) -> Result<i64> {
    let distance = |digits: &str, unit_ms: i64| -> Option<i64> {
        digits.parse::<u32>().ok().map(|number| now_ms + i64::from(number) * unit_ms)
    };
    let from_now = text.strip_suffix('d').and_then(|days| distance(days, 86_400_000));
    let from_now = from_now.or_else(|| text.strip_suffix('h').and_then(|hours| distance(hours, 3_600_000)));
    let time = || text.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond());
    let date = || format!("{text}T00:00:00Z").parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond());
    from_now
        .or_else(time)
        .or_else(date)
        .ok_or_else(|| Failure::usage(format!("{text}: give a time as 2027-01-31, 2027-01-31T12:00:00Z or 30d")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let read = |text: &str| parse_time(text, 1000).ok();
        assert_eq!(read("1970-01-02"), Some(86_400_000));
        assert_eq!(read("1970-01-01T00:00:01Z"), Some(1000));
        assert_eq!((read("2d"), read("1h")), (Some(172_801_000), Some(3_601_000)));
        assert_eq!((read("soon"), read("-1d"), read("")), (None, None, None));
    }
}
