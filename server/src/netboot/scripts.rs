//! Scripts for iPXE and GRUB. Names of machines never stand in them: the loaders would interpret them.

use super::files::Asked;

/// iPXE's first script: which machine it is. `netX` is the adapter that was used last.
pub const FIRST_IPXE: &str = "#!ipxe\n\
    chain --autofree --replace /machine/mac-${netX/mac:hexhyp}/uuid-${uuid}/boot.ipxe ||\n\
    echo Holotype: the server did not say what to boot\n\
    iseq ${platform} pcbios && sanboot --no-describe --drive 0x80 || exit 1\n";

/// GRUB's first script. It leaves with an error, so that UEFI tries the next boot entry and does not stop in its menu.
pub const FIRST_GRUB: &str = "set timeout=0\n\
    smbios --type 1 --get-uuid 8 --set=machine_uuid\n\
    configfile /machine/mac-$net_default_mac/uuid-$machine_uuid/grub.cfg\n\
    exit 1\n";

/// iPXE goes on to the disk.
pub const LOCAL_IPXE: &str = "#!ipxe\n\
    echo Holotype: nothing to do here, going on to the disk\n\
    iseq ${platform} pcbios && sanboot --no-describe --drive 0x80 || exit 1\n";

/// GRUB goes on to the disk: back to the firmware, which tries its next entry.
pub const LOCAL_GRUB: &str = "echo 'Holotype: nothing to do here, going on to the disk'\nexit 1\n";

/// The folder of what is made for a machine.
fn folder(asked: &Asked) -> String {
    let mac = asked.mac.iter().map(|mac| format!("/mac-{}", mac.replace(':', "-")));
    let uuid = asked.uuid.iter().map(|uuid| format!("/uuid-{uuid}"));
    format!("/machine{}", mac.chain(uuid).collect::<String>())
}

/// iPXE boots the agent. UEFI's kernel takes the archives from iPXE by `initrd=` names.
pub fn agent_ipxe(asked: &Asked, kernel: &str, command_line: &str) -> String {
    let folder = folder(asked);
    format!(
        "#!ipxe\nkernel /kernel/{kernel}/vmlinuz {command_line} initrd=initrd initrd=profile.cpio || goto failed\n\
         initrd --name initrd /kernel/{kernel}/initrd || goto failed\n\
         initrd --name profile.cpio {folder}/profile.cpio || goto failed\nboot || goto failed\n\
         :failed\necho Holotype: a file could not be loaded\nsleep 10\nexit 1\n"
    )
}

/// GRUB boots the agent.
pub fn agent_grub(asked: &Asked, kernel: &str, command_line: &str) -> String {
    let folder = folder(asked);
    format!(
        "linux /kernel/{kernel}/vmlinuz {command_line}\ninitrd /kernel/{kernel}/initrd {folder}/profile.cpio\nboot\n\
         echo 'Holotype: a file could not be loaded'\nsleep 10\nexit 1\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_name_what_the_machine_asked_by() {
        let mac = Some("52:54:00:12:34:56".to_owned());
        let uuid = Some("0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e".to_owned());
        let ipxe = agent_ipxe(&Asked { mac: mac.clone(), uuid }, "6.1.0-50", "rdinit=/init quiet");
        let profile = "/machine/mac-52-54-00-12-34-56/uuid-0bd9c9ac-1b71-4f40-9d04-b9a56b0f5b3e/profile.cpio";
        assert!(ipxe.starts_with("#!ipxe\n") && ipxe.contains(profile), "{ipxe}");
        assert!(ipxe.contains("kernel /kernel/6.1.0-50/vmlinuz rdinit=/init quiet initrd=initrd"), "{ipxe}");
        let grub = agent_grub(&Asked { mac, uuid: None }, "6.1.0-50", "rdinit=/init quiet");
        assert!(
            grub.contains("initrd /kernel/6.1.0-50/initrd /machine/mac-52-54-00-12-34-56/profile.cpio\n"),
            "{grub}"
        );
    }
}
