//! The files for network boot, to be served by TFTP and HTTP.
//!
//! | path | what |
//! |---|---|
//! | `kernel/VERSION/vmlinuz`, `initrd` | kernel and the agent's initramfs, for all machines |
//! | `machine/ADDRESS/profile.cpio` | a machine's profile; ADDRESS is `mac-52-54-00-12-34-56` or `uuid-…` in small letters |
//! | `machine/ADDRESS/boot.ipxe`, `grub.cfg` | what it boots |
//! | `boot.ipxe`, `grub/grub.cfg` | first scripts: by UUID, then by MAC address, else on to the local disk |
//! | `shimx64.efi`, `grubx64.efi` | UEFI with Secure Boot |
//! | `undionly.kpxe`, `snponly.efi` | iPXE |
//! | `machine/ADDRESS/holotype.efi` | kernel, initramfs and profile as one UEFI program, where asked for |
//! | `holotype/manifest` | the list of all these |

use super::{Ingredients, write_file};
use crate::error::{BootError, Result};
use crate::loaders::Loader;
use crate::manifest::{MANIFEST_PATH, Manifest};
use crate::new_file::Readers;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// By what a machine is known on the network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MachineAddress {
    /// Address of its adapter.
    Mac([u8; 6]),
    /// UUID of its firmware, as 36 characters.
    Uuid(String),
}

impl MachineAddress {
    /// Reads `52:54:00:12:34:56` or a UUID.
    ///
    /// # Errors
    /// Where the text is neither.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<u8> = text
            .split([':', '-'])
            .filter(|part| part.len() == 2)
            .filter_map(|part| u8::from_str_radix(part, 16).ok())
            .collect();
        if let (17, Ok(mac)) = (text.len(), <[u8; 6]>::try_from(parts)) {
            return Ok(Self::Mac(mac));
        }
        match uuid::Uuid::try_parse(text) {
            Ok(uuid) => Ok(Self::Uuid(uuid.to_string())),
            Err(_) => Err(BootError::new(text.escape_debug(), "it is no address as 52:54:00:12:34:56 and no UUID")),
        }
    }
}

impl fmt::Display for MachineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => write!(f, "mac-{}", mac.map(|byte| format!("{byte:02x}")).join("-")),
            Self::Uuid(uuid) => write!(f, "uuid-{uuid}"),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Netboot {
    /// Machines that get this profile; every machine that asks, where there is none.
    pub machines: Vec<MachineAddress>,
    /// Whether a UEFI program is made too. It holds kernel and initramfs once more.
    pub uki: bool,
}

const FIRST_IPXE: &str = "#!ipxe\n\
    chain --autofree machine/uuid-${uuid}/boot.ipxe ||\n\
    chain --autofree machine/mac-${net0/mac:hexhyp}/boot.ipxe ||\n\
    chain --autofree machine/any/boot.ipxe ||\n\
    echo Holotype: this machine has nothing to do here\nexit\n";

/// GRUB has a MAC address as `01-52-54-…` nowhere: `net_default_mac` is `52:54:…`, and file names on TFTP servers may
/// not have colons, so both forms are looked for.
const FIRST_GRUB: &str = "set timeout=0\nregexp --set=1:m1 --set=2:m2 --set=3:m3 --set=4:m4 --set=5:m5 --set=6:m6 \
    '(..):(..):(..):(..):(..):(..)' \"$net_default_mac\"\n\
    smbios --type 1 --get-uuid 8 --set=machine_uuid\n\
    for name in uuid-$machine_uuid mac-$m1-$m2-$m3-$m4-$m5-$m6 any; do\n  \
    if [ -f \"/machine/$name/grub.cfg\" ]; then configfile \"/machine/$name/grub.cfg\"; fi\ndone\nexit\n";

/// Writes the files below `folder`, beside those of other machines that are there. Kernel and initramfs of the same
/// version are replaced.
///
/// # Errors
/// Where a boot loader is missing, or a file cannot be written.
pub fn write_netboot(ingredients: &Ingredients, netboot: &Netboot, folder: &Path) -> Result<u64> {
    let loaders = &ingredients.loaders;
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let kernel = format!("kernel/{}", ingredients.kernel_version);
    files.insert(format!("{kernel}/vmlinuz"), ingredients.image.clone());
    files.insert(format!("{kernel}/initrd"), ingredients.initrd.clone());
    files.insert("boot.ipxe".into(), FIRST_IPXE.into());
    files.insert("grub/grub.cfg".into(), FIRST_GRUB.into());
    for (name, loader) in [
        ("shimx64.efi", Loader::Shim),
        ("grubx64.efi", Loader::GrubNetSigned),
        ("undionly.kpxe", Loader::IpxeBios),
        ("snponly.efi", Loader::IpxeEfi),
    ] {
        files.insert(name.into(), loaders.read(loader)?);
    }
    let mut names: Vec<String> = netboot.machines.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        names.push("any".into());
    }
    for name in names {
        let below = format!("machine/{name}");
        files.insert(format!("{below}/profile.cpio"), ingredients.profile_cpio.clone());
        files.insert(format!("{below}/boot.ipxe"), ipxe_script(ingredients, &kernel).into_bytes());
        files.insert(format!("{below}/grub.cfg"), grub_script(ingredients, &kernel, &below).into_bytes());
        if netboot.uki {
            files.insert(format!("{below}/holotype.efi"), ingredients.uki()?);
        }
    }
    let mut manifest = Manifest::of("netboot", &ingredients.kernel_version, &files);
    // Other machines' files stay in the list, as long as they are there.
    let before = std::fs::read(folder.join(MANIFEST_PATH)).ok().and_then(|bytes| Manifest::parse(&bytes).ok());
    for (path, file) in before.into_iter().flat_map(|before| before.files) {
        if folder.join(&path).is_file() {
            manifest.files.entry(path).or_insert(file);
        }
    }
    let manifest = manifest.to_bytes()?;
    // The list comes last: it never tells of files that are not there yet.
    let all = files.iter().map(|(path, bytes)| (path.as_str(), bytes)).chain([(MANIFEST_PATH, &manifest)]);
    let mut written_bytes = 0;
    for (path, bytes) in all {
        write_file(&folder.join(path), bytes, Readers::Everybody, ingredients.watch())?;
        written_bytes += bytes.len() as u64;
    }
    Ok(written_bytes)
}

/// Paths are below the machine's own folder. UEFI's kernel takes the archives from iPXE by `initrd=` names.
fn ipxe_script(ingredients: &Ingredients, kernel: &str) -> String {
    format!(
        "#!ipxe\nkernel ../../{kernel}/vmlinuz {} initrd=initrd initrd=profile.cpio || goto failed\n\
         initrd --name initrd ../../{kernel}/initrd || goto failed\n\
         initrd --name profile.cpio profile.cpio || goto failed\nboot || goto failed\n\
         :failed\necho Holotype: a file could not be loaded\nsleep 10\nexit 1\n",
        ingredients.command_line()
    )
}

fn grub_script(ingredients: &Ingredients, kernel: &str, below: &str) -> String {
    format!(
        "linux /{kernel}/vmlinuz {}\ninitrd /{kernel}/initrd /{below}/profile.cpio\nboot\n",
        ingredients.command_line()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_names() {
        let name = |text: &str| MachineAddress::parse(text).map(|address| address.to_string()).ok();
        assert_eq!(name("52:54:00:AB:cd:0f").as_deref(), Some("mac-52-54-00-ab-cd-0f"));
        assert_eq!(
            name("0BD9C9AC-1B71-4F40-9D04-B9A56B0F5B3E").as_deref(),
            Some("uuid-0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e")
        );
        for refused in ["", "52:54:00:ab:cd", "52:54:00:ab:cd:0g", "../../etc"] {
            assert_eq!(name(refused), None, "{refused}");
        }
    }
}
