//! Makes a medium with nothing but what it takes:
//! `make_medium STORE KERNEL AGENT usb|iso|uki|netboot TARGET [network|local [virtio|pc|all]]`.

use holotype_boot::disk::DataPartition;
use holotype_boot::initramfs::Modules;
use holotype_boot::kernel::{KernelStore, ModuleSet};
use holotype_boot::loaders::Loaders;
use holotype_boot::medium::{Ingredients, MediumOptions, Netboot, write_iso, write_netboot, write_uki, write_usb};
use holotype_boot::profile::{BootProfile, Style};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, kernel, agent, product, target, rest @ ..] = arguments.as_slice() else {
        return Err("make_medium STORE KERNEL AGENT usb|iso|uki|netboot TARGET [network|local [virtio|pc|all]]".into());
    };
    let style = if rest.first().is_some_and(|word| word == "local") { Style::Local } else { Style::Network };
    let modules: ModuleSet = rest.get(1).map_or(Ok(ModuleSet::Pc), |word| word.parse())?;
    let start = std::time::Instant::now();
    let ingredients = Ingredients::make(&MediumOptions {
        profile: &BootProfile::new("pc-01", style),
        kernel: &KernelStore::new(store).get(Some(kernel))?,
        modules: Modules::Set(modules),
        agent: &std::fs::read(agent)?,
        firmware: None,
        loaders: Loaders::default(),
    })?;
    let target = target.as_ref();
    let bytes = match product.as_str() {
        "usb" => write_usb(&ingredients, DataPartition::None, target)?,
        "usb-data" => write_usb(&ingredients, DataPartition::UpTo(4 << 30), target)?,
        "iso" => write_iso(&ingredients, target)?,
        "uki" => write_uki(&ingredients, target)?,
        "netboot" => write_netboot(&ingredients, &Netboot { uki: true, ..Netboot::default() }, target)?,
        other => return Err(format!("{other}: no such product").into()),
    };
    println!("{product}: {bytes} bytes in {} ms", start.elapsed().as_millis());
    Ok(())
}
