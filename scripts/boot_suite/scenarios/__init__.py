"""The scenarios; the numbers are those of what has to be shown. The longest stand first."""

from . import by_hand, cloning, firmware, netboot, network, shares

SCENARIOS = {function.__name__.replace("_", "-"): function for function in (
    network.network,
    firmware.bios,
    firmware.uefi,
    firmware.secure_boot,
    network.interrupted,
    cloning.clone,
    cloning.mixture,
    network.large,
    by_hand.screens,
    by_hand.local,
    netboot.netboot,
    netboot.netboot_refused,
    netboot.netboot_clone,
    netboot.netboot_twin,
    netboot.netboot_two_dhcp,
    shares.nfs_share,
    shares.smb_share,
)}
