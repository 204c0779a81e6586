//! `holotype boot create` with arguments.

use super::{Watcher, now_ms, profile, stoppable, store};
use crate::arguments::{BootCreateArguments, GlobalArguments, MediumKind};
use crate::exit::{Exit, Failure, Result};
use crate::output;
use crate::units::size;
use holotype_boot::disk::DataPartition;
use holotype_boot::initramfs::Modules;
use holotype_boot::loaders::Loaders;
use holotype_boot::medium::{
    Ingredients, MachineAddress, MediumOptions, Netboot, write_iso, write_netboot, write_uki, write_usb,
};
use holotype_boot::profile::{BootProfile, Place, Task};
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const MAX_AGENT_BYTES: u64 = 256 << 20;

/// Makes a medium.
pub fn run(global: &GlobalArguments, arguments: &BootCreateArguments, product: MediumKind, target: &Path) -> Result {
    check(arguments, product)?;
    let profile = profile::of(global, &arguments.profile, now_ms())?;
    check_place(arguments, &profile)?;
    let ingredients = ingredients(global, arguments, &profile)?;
    let data = match (arguments.data, arguments.size) {
        (Some(bytes), _) => DataPartition::Bytes(bytes),
        (None, Some(bytes)) => DataPartition::UpTo(bytes),
        (None, None) => DataPartition::None,
    };
    let bytes = match product {
        MediumKind::Usb => stoppable(write_usb(&ingredients, data, target))?,
        MediumKind::Iso => stoppable(write_iso(&ingredients, target))?,
        MediumKind::Uki => stoppable(write_uki(&ingredients, target))?,
        MediumKind::Netboot => {
            let machines =
                arguments.machines.iter().map(|text| MachineAddress::parse(text)).collect::<Result<_, _>>()?;
            stoppable(write_netboot(&ingredients, &Netboot { machines, uki: arguments.uki }, target))?
        }
    };
    if global.json {
        let kernel = &ingredients.kernel_version;
        output::json(&json!({ "target": target, "bytes": bytes, "name": profile.name, "kernel": kernel }));
    } else if !global.quiet {
        output::line(format!("made {}: {}, for {}", target.display(), size(bytes), profile.name));
        if product == MediumKind::Usb {
            output::line(format!("next: holotype boot write {} /dev/sdX", target.display()));
        }
    }
    Ok(Exit::Done)
}

fn check(arguments: &BootCreateArguments, product: MediumKind) -> Result<()> {
    let has_data = arguments.data.is_some() || arguments.size.is_some();
    if has_data && product != MediumKind::Usb {
        return Err(Failure::usage("boot create: only usb can have a partition for backups"));
    }
    if (arguments.uki || !arguments.machines.is_empty()) && product != MediumKind::Netboot {
        return Err(Failure::usage("boot create: --for and --uki are for netboot"));
    }
    Ok(())
}

/// Who backs up to the medium needs room on it.
fn check_place(arguments: &BootCreateArguments, profile: &BootProfile) -> Result<()> {
    let (Task::Backup { place, .. } | Task::Restore { place, .. }) = &profile.task else { return Ok(()) };
    match *place == Place::Medium && arguments.data.is_none() && arguments.size.is_none() {
        true => Err(Failure::usage("boot create: --place medium needs a partition on it: usb with --data or --size")),
        false => Ok(()),
    }
}

/// What the medium is made of. From here on, signals stop the work and no longer end the process.
pub fn ingredients(
    global: &GlobalArguments,
    arguments: &BootCreateArguments,
    profile: &BootProfile,
) -> Result<Ingredients> {
    let kernel = store(&arguments.store)?.get(arguments.kernel.as_deref())?;
    let modules = match &arguments.inventory {
        None => Modules::Set(arguments.modules),
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| Failure::io(file.display(), "read it", error))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && line.len() <= 4096).take(10_000);
            Modules::ForDevices(lines.map(str::to_owned).collect())
        }
    };
    let options = MediumOptions {
        profile,
        kernel: &kernel,
        modules,
        agent: &agent(arguments.agent.as_deref())?,
        firmware: arguments.firmware.clone(),
        loaders: Loaders::default(),
    };
    let ingredients = Ingredients::make(&options)?.watched_by(Watcher::new(global)?);
    if !ingredients.lacking.is_empty() {
        let (version, lacking) = (kernel.version(), ingredients.lacking.join(", "));
        tracing::warn!("kernel {version} has no driver for {lacking}; PCs that need one do not find their devices");
    }
    if let Some(why) = &ingredients.no_shell {
        tracing::warn!("{why}; the medium has no rescue shell (F9), install the package busybox-static for one");
    }
    Ok(ingredients)
}

/// Whether kernel and agent are there.
pub fn check_parts(arguments: &BootCreateArguments) -> Result<()> {
    store(&arguments.store)?.get(arguments.kernel.as_deref())?;
    agent(arguments.agent.as_deref()).map(drop)
}

fn agent(given: Option<&Path>) -> Result<Vec<u8>> {
    let beside = || std::env::current_exe().ok().map(|program| program.with_file_name("holotype-agent"));
    let path: PathBuf = given
        .map(Path::to_owned)
        .or_else(beside)
        .ok_or_else(|| Failure::usage("agent: this program does not know where it is; give --agent FILE"))?;
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_AGENT_BYTES).read_to_end(&mut bytes));
    let failed = |error| {
        Failure::io(path.display(), "read the agent", error)
            .with_message(|message| format!("{message}; give the static holotype-agent with --agent"))
    };
    read.map_err(failed)?;
    Ok(bytes)
}
