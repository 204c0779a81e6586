//! Drivers without which a medium does not do what its set of modules is for.

use super::sets::ModuleSet;
use std::collections::BTreeSet;

/// What kind of device, and drivers of which one has to be there.
type Need = (&'static str, &'static [&'static str]);

const VIRTIO: &[Need] = &[
    ("devices of virtual machines", &["virtio_pci"]),
    ("disks of virtual machines", &["virtio_blk", "virtio_scsi"]),
    (VIRTIO_NETWORK, &["virtio_net"]),
];
const VIRTIO_NETWORK: &str = "network adapters of virtual machines";

const PC: &[Need] = &[
    ("SATA disks", &["ahci"]),
    ("NVMe disks", &["nvme"]),
    ("USB", &["xhci_pci"]),
    ("USB sticks", &["usb_storage"]),
    ("USB keyboards", &["usbhid"]),
    ("common network adapters", &["e1000e", "igb", "igc", "r8169"]),
];

/// What is lacking, each as a kind of device with the drivers for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacks {
    /// Without these, a medium with the set is of no use.
    pub essential: Vec<String>,
    /// Without these, some PCs do not find their devices.
    pub usual: Vec<String>,
}

/// What a set lacks, in a kernel that has these modules in it or built in.
pub fn lacks(set: ModuleSet, has_network: bool, present: &BTreeSet<String>) -> Lacks {
    let missing = |needs: &[Need]| {
        let missing = needs.iter().filter(|(_, drivers)| !drivers.iter().any(|driver| present.contains(*driver)));
        let wanted = missing.filter(|(kind, _)| has_network || *kind != VIRTIO_NETWORK);
        wanted.map(|(kind, drivers)| format!("{kind} ({})", drivers.join(" or "))).collect::<Vec<_>>()
    };
    match set {
        ModuleSet::Virtio => Lacks { essential: missing(VIRTIO), usual: Vec::new() },
        ModuleSet::Pc | ModuleSet::All => Lacks { essential: Vec::new(), usual: missing(PC) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking(set: ModuleSet, has_network: bool, present: &[&str]) -> Lacks {
        lacks(set, has_network, &present.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn one_driver_of_a_kind_is_enough() {
        let virtio = ["virtio_pci", "virtio_scsi", "virtio_net"];
        assert_eq!(lacking(ModuleSet::Virtio, true, &virtio), Lacks::default());
        let found = lacking(ModuleSet::Virtio, true, &virtio[..2]).essential;
        assert_eq!(found, ["network adapters of virtual machines (virtio_net)"]);
        assert_eq!(lacking(ModuleSet::Virtio, false, &virtio[..2]), Lacks::default());
        let pc = lacking(ModuleSet::Pc, true, &["ahci", "nvme", "xhci_pci", "usbhid", "igc"]);
        assert_eq!(pc, Lacks { essential: Vec::new(), usual: vec!["USB sticks (usb_storage)".into()] });
    }
}
