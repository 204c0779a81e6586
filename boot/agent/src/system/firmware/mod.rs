//! The firmware's boot entries after a restore. A PC with UEFI starts what its variables name by the partition's GUID; a
//! disk that comes from another PC, or a firmware that forgot, needs an entry.

mod loader;
mod variable;

use super::{SystemError, is_init, modules};
use holotype_repo::core::partition::Gpt;
use holotype_repo::core::volume::ReadAt;
use holotype_repo::disk::Source;
use holotype_repo::disk::SourceBytes;
use holotype_repo::os::FileSource;
use rustix::fs::IFlags;
use rustix::mount::{MountFlags, mount};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use variable::{BootPartition, LoadOption, MAX_VARIABLE_BYTES};

const FIRMWARE: &str = "/sys/firmware/efi";
const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// `EFI_GLOBAL_VARIABLE` (section 3.3).
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Kept without power, seen by the firmware and by the running system.
const ATTRIBUTES: [u8; 4] = [7, 0, 0, 0];
/// Type of an EFI system partition, as a GPT has it: c12a7328-f81f-11d2-ba4b-00a0c93ec93b.
const ESP_TYPE: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];

/// By which firmware this PC was started: `BIOS`, or `UEFI` and whether Secure Boot is on.
///
/// The kernel keeps what its own start found out in its boot parameters (Documentation/arch/x86/zero-page.rst); only the
/// superuser reads them.
pub fn description() -> &'static str {
    const SECURE_BOOT_AT: usize = 0x1ec;
    if !Path::new(FIRMWARE).exists() {
        return "BIOS";
    }
    let secure_boot =
        fs::read("/sys/kernel/boot_params/data").ok().and_then(|bytes| bytes.get(SECURE_BOOT_AT).copied());
    match secure_boot {
        Some(2) => "UEFI, Secure Boot off",
        Some(3) => "UEFI, Secure Boot on",
        _ => "UEFI",
    }
}

/// After a restore of a UEFI disk: the firmware's boot entries put right for that disk, so that it starts from it first.
/// Other entries stay. A sentence for the person; nothing where the PC has no UEFI or the disk no EFI system partition.
///
/// # Errors
/// Where variables cannot be read or written, or no loader is found.
pub fn correct_boot_entry(disk: &Path) -> Result<Option<String>, SystemError> {
    if !is_init() || !Path::new(FIRMWARE).exists() {
        return Ok(None);
    }
    let variables = Path::new(VARIABLES);
    if fs::read_dir(variables).map_or(true, |mut it| it.next().is_none()) {
        let _ = modules::load("efivarfs");
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        match mount("efivarfs", VARIABLES, "efivarfs", flags, c"") {
            Ok(()) | Err(rustix::io::Errno::BUSY) => {}
            Err(error) => return Err(SystemError::io("firmware's boot entries", "reach them (efivarfs)", error)),
        }
    }
    correct(disk, variables)
}

fn correct(disk: &Path, variables: &Path) -> Result<Option<String>, SystemError> {
    let subject = disk.display().to_string();
    let source = FileSource::open(disk).map_err(|error| SystemError::new(&subject, error.to_string()))?;
    let sector_bytes = source.geometry().logical_sector_bytes;
    let bytes = SourceBytes(&source);
    let Some((partition, extent)) = esp_of(&bytes, sector_bytes) else { return Ok(None) };
    let entries = entries(variables);
    let ours: Vec<(u16, &LoadOption)> = entries
        .iter()
        .filter_map(|(number, it)| Some((*number, it.as_ref()?)))
        .filter(|it| it.1.partition.guid == partition.guid)
        .collect();
    let files: Vec<String> = ours.iter().map(|(_, it)| it.file.clone()).collect();
    let (there, best) = loader::find(&bytes, extent, &files).map_err(|error| {
        SystemError::io(format!("EFI system partition of {subject}"), "read it", error)
            .advise("choose the disk in the firmware's own boot menu")
    })?;
    let order = read(variables, "BootOrder").map(|bytes| variable::decode_order(&bytes)).unwrap_or_default();
    // The entry that comes first now keeps its place before others of the same partition.
    let rank = |number: u16| order.iter().position(|it| *it == number).unwrap_or(usize::MAX);
    let kept = ours.iter().filter(|(_, it)| there.contains(&it.file)).min_by_key(|(number, _)| rank(*number));
    if let Some((number, entry)) = kept {
        write(variables, "BootOrder", &variable::put_first(&order, *number))?;
        return Ok(Some(format!(
            "The firmware starts {} of {subject} first (Boot{number:04X}).",
            shown(&entry.description)
        )));
    }
    let Some(loader) = best else {
        return Err(SystemError::new(format!("EFI system partition of {subject}"), "has no boot loader for this PC")
            .advise("look whether the restored disk ever started with UEFI"));
    };
    let Some(number) = (0..=u16::MAX).find(|number| !entries.contains_key(number)) else {
        return Err(SystemError::new("firmware's boot entries", "are all in use").advise("remove some in its setup"));
    };
    let option = LoadOption { description: loader.title, partition, file: loader.file };
    write(variables, &format!("Boot{number:04X}"), &option.encode())?;
    write(variables, "BootOrder", &variable::put_first(&order, number))?;
    let LoadOption { description, file, .. } = option;
    Ok(Some(format!(
        "The firmware has a new boot entry for {subject}: {} ({file}, Boot{number:04X}).",
        shown(&description)
    )))
}

fn shown(description: &str) -> String {
    super::text::printable(description, 60)
}

/// The first EFI system partition of a disk with a GPT.
fn esp_of(disk: &dyn ReadAt, sector_bytes: u32) -> Option<(BootPartition, holotype_repo::core::extent::Extent)> {
    let gpt = Gpt::find(disk, sector_bytes).ok()?;
    let (number, entry) = gpt.used_entries().find(|(_, entry)| entry.kind.0 == ESP_TYPE)?;
    let extent = entry.extent(sector_bytes.into()).filter(|it| it.end() <= disk.bytes())?;
    let sectors = extent.len() / u64::from(sector_bytes);
    Some((BootPartition { number, first_sector: entry.first_sector, sectors, guid: entry.guid.0 }, extent))
}

/// All boot entries by their numbers; those that start something else than a file of a partition have no content here.
fn entries(variables: &Path) -> BTreeMap<u16, Option<LoadOption>> {
    let names =
        fs::read_dir(variables).into_iter().flatten().flatten().filter_map(|it| it.file_name().into_string().ok());
    let number = |name: &str| {
        let digits = name.strip_prefix("Boot")?.strip_suffix(GLOBAL)?.strip_suffix('-')?;
        (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let numbers = names.filter_map(|name| number(&name));
    numbers
        .map(|number| (number, read(variables, &format!("Boot{number:04X}")).and_then(|it| LoadOption::decode(&it))))
        .collect()
}

/// The content of a variable: its file has the attributes in the first four bytes.
fn read(variables: &Path, name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(variables.join(format!("{name}-{GLOBAL}"))).ok()?;
    file.take(MAX_VARIABLE_BYTES).read_to_end(&mut bytes).ok()?;
    bytes.get(4..).map(<[u8]>::to_vec)
}

/// Writes a variable, in one call: the kernel hands each write to the firmware as a whole.
fn write(variables: &Path, name: &str, content: &[u8]) -> Result<(), SystemError> {
    let path = variables.join(format!("{name}-{GLOBAL}"));
    // The kernel protects variables that it does not know from being removed; those of booting are known to it.
    if let Ok(file) = File::open(&path)
        && let Ok(flags) = rustix::fs::ioctl_getflags(&file)
        && flags.contains(IFlags::IMMUTABLE)
    {
        let _ = rustix::fs::ioctl_setflags(&file, flags - IFlags::IMMUTABLE);
    }
    fs::write(&path, [&ATTRIBUTES, content].concat()).map_err(|error| {
        SystemError::io(format!("firmware's boot entry {name}"), "write it", error)
            .advise("choose the disk in the firmware's own boot menu")
    })
}
