//! Which modules a medium gets. Paths and names are those of the kernel's source tree.

use std::fmt;
use std::str::FromStr;

/// How many drivers a medium has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ModuleSet {
    /// Those of virtual machines with virtio.
    Virtio,
    /// Those of common PCs and virtual machines.
    #[default]
    Pc,
    /// Every disk, network and input driver.
    All,
}

impl ModuleSet {
    /// All of them, smallest first; each holds the one before it.
    pub const EACH: [Self; 3] = [Self::Virtio, Self::Pc, Self::All];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Virtio => "virtio",
            Self::Pc => "pc",
            Self::All => "all",
        }
    }

    /// Whether a module is one that this set is made of; what it needs comes along besides. `path` is below the
    /// kernel's folder of modules, `name` has `_` for `-`.
    pub(super) fn holds(self, path: &str, name: &str) -> bool {
        let by_name = |list: &[&str]| list.contains(&name);
        match self {
            Self::Virtio => by_name(BASE) || by_name(VIRTIO),
            Self::Pc => Self::Virtio.holds(path, name) || by_name(PC),
            Self::All => Self::Pc.holds(path, name) || is_under(path, ALL) && !is_under(path, NOT_IN_ALL),
        }
    }
}

impl fmt::Display for ModuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for ModuleSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::EACH
            .into_iter()
            .find(|set| set.word() == text)
            .ok_or_else(|| format!("{text} is none of virtio, pc, all"))
    }
}

/// Modules of every medium, pruned ones too: filesystems that the agent mounts with what they ask the kernel for by
/// name, and disks in general.
pub(super) fn is_base(name: &str) -> bool {
    BASE.contains(&name)
}

/// Whether a module is worth reading from a kernel at all: sets and what they need are among these.
pub(super) fn is_candidate(path: &str) -> bool {
    path.starts_with("kernel/") && !is_under(path, NEVER)
}

fn is_under(path: &str, folders: &[&str]) -> bool {
    path.strip_prefix("kernel/").is_some_and(|path| folders.iter().any(|folder| path.starts_with(folder)))
}

const BASE: &[&str] = &[
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_utf8",
    "nls_iso8859_1",
    "ext4",
    "xfs",
    "btrfs",
    "exfat",
    "ntfs3",
    "isofs",
    "nfs",
    "nfsv3",
    "nfsv4",
    "cifs",
    "efivarfs",
    "sd_mod",
    "sr_mod",
    "usb_storage",
    "uas",
    "xhci_pci",
    "ehci_pci",
    "hid_generic",
    "usbhid",
    "ccm",
    "gcm",
    "ghash_generic",
    "seqiv",
    "cmac",
    "ctr",
    "cts",
    "ecb",
    "cbc",
    "hmac",
    "md4",
    "md5",
    "des_generic",
    "libdes",
    "libarc4",
    "aes_generic",
    "sha256_generic",
    "sha512_generic",
    "aead",
    "crc32_generic",
    "crc32c_generic",
    "crc32c_intel",
    "xxhash_generic",
    "blake2b_generic",
    "nls_ucs2_utils",
];

const VIRTIO: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "virtio_net",
    "virtio_rng",
    "virtio_input",
    "virtio_mmio",
    "9pnet_virtio",
];

const PC: &[&str] = &[
    // Disks.
    "ahci",
    "ata_generic",
    "ata_piix",
    "pata_acpi",
    "pata_jmicron",
    "sata_nv",
    "sata_sil",
    "sata_sil24",
    "sata_via",
    "nvme",
    "vmd",
    "vmw_pvscsi",
    "mptspi",
    "mptsas",
    "hv_storvsc",
    "xen_blkfront",
    "sdhci_pci",
    "sdhci_acpi",
    "mmc_block",
    "rtsx_pci_sdmmc",
    // USB and keyboards.
    "uhci_hcd",
    "ohci_pci",
    "ohci_hcd",
    "xhci_hcd",
    "hid_hyperv",
    "hyperv_keyboard",
    "hid_logitech_dj",
    "hid_apple",
    "hid_microsoft",
    "hid_multitouch",
    "i2c_hid_acpi",
    "i2c_designware_platform",
    "intel_lpss_pci",
    "intel_lpss_acpi",
    // Network.
    "e1000",
    "e1000e",
    "igb",
    "igc",
    "r8169",
    "realtek",
    "8139too",
    "8139cp",
    "tg3",
    "broadcom",
    "b44",
    "sky2",
    "skge",
    "atl1",
    "atl1c",
    "atl1e",
    "alx",
    "forcedeth",
    "via_rhine",
    "via_velocity",
    "pcnet32",
    "e100",
    "ne2k_pci",
    "atlantic",
    "jme",
    "vmxnet3",
    "hv_netvsc",
    "xen_netfront",
    "hv_utils",
    "pci_hyperv",
    "r8152",
    "r8153_ecm",
    "asix",
    "ax88179_178a",
    "cdc_ether",
    "cdc_ncm",
    "rtl8150",
    "smsc75xx",
    "smsc95xx",
    "dm9601",
];

const ALL: &[&str] = &[
    "drivers/ata/",
    "drivers/nvme/host/",
    "drivers/scsi/",
    "drivers/message/fusion/",
    "drivers/block/",
    "drivers/cdrom/",
    "drivers/usb/host/",
    "drivers/usb/storage/",
    "drivers/hid/",
    "drivers/mmc/",
    "drivers/virtio/",
    "drivers/ufs/",
    "drivers/nvdimm/",
    "drivers/dax/",
    "drivers/pci/controller/",
    "drivers/hv/",
    "drivers/char/hw_random/",
    "drivers/input/keyboard/",
    "drivers/input/serio/",
    "drivers/pinctrl/",
    "drivers/i2c/busses/i2c-designware",
    "drivers/mfd/intel-lpss",
    "drivers/firewire/",
    "drivers/memstick/",
    "drivers/net/ethernet/",
    "drivers/net/phy/",
    "drivers/net/usb/",
    "drivers/net/hyperv/",
    "drivers/net/vmxnet3/",
    "drivers/net/virtio_net",
    "drivers/net/xen-netfront",
    "drivers/net/thunderbolt",
    "drivers/thunderbolt/",
];

const NOT_IN_ALL: &[&str] = &[
    "drivers/scsi/scsi_debug",
    "drivers/scsi/scsi_transport_iscsi",
    "drivers/scsi/libfc/",
    "drivers/scsi/fcoe/",
    "drivers/block/drbd/",
    "drivers/block/zram/",
    "drivers/block/rbd",
    "drivers/block/null_blk/",
    "drivers/block/aoe/",
    "drivers/block/nbd",
    "drivers/block/brd",
    "drivers/block/xen-blkback/",
    "drivers/net/ethernet/mellanox/mlxsw/",
    "drivers/net/ethernet/netronome/",
    "drivers/hid/hid-sensor",
    "drivers/hid/intel-ish-hid/",
    "drivers/hid/amd-sfh-hid/",
];

const NEVER: &[&str] = &[
    "sound/",
    "drivers/gpu/",
    "drivers/media/",
    "drivers/staging/",
    "drivers/iio/",
    "drivers/infiniband/",
    "drivers/accel/",
    "drivers/net/wireless/",
    "drivers/net/can/",
    "drivers/net/wwan/",
    "drivers/isdn/",
    "drivers/comedi/",
    "drivers/bluetooth/",
    "drivers/hwmon/",
    "drivers/video/",
    "drivers/target/",
    "drivers/nfc/",
    "drivers/md/",
    "drivers/edac/",
    "drivers/vhost/",
    "drivers/crypto/",
    "net/mac80211/",
    "net/wireless/",
    "net/bluetooth/",
    "net/netfilter/",
    "net/can/",
    "fs/ocfs2/",
    "fs/gfs2/",
    "fs/ceph/",
    "fs/nfsd/",
    "fs/cachefiles/",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_set_holds_the_one_before() {
        for (path, name, smallest) in [
            ("kernel/drivers/block/virtio_blk.ko", "virtio_blk", ModuleSet::Virtio),
            ("kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko", "e1000e", ModuleSet::Pc),
            ("kernel/drivers/scsi/aic7xxx/aic7xxx.ko", "aic7xxx", ModuleSet::All),
        ] {
            for set in ModuleSet::EACH {
                assert_eq!(set.holds(path, name), set >= smallest, "{name} in {set}");
            }
            assert!(is_candidate(path));
        }
        assert!(!ModuleSet::All.holds("kernel/drivers/block/nbd.ko", "nbd"));
        assert!(!is_candidate("kernel/sound/soundcore.ko") && !is_candidate("updates/x.ko"));
        assert_eq!("pc".parse(), Ok(ModuleSet::Pc));
        assert!("PC".parse::<ModuleSet>().is_err());
    }
}
