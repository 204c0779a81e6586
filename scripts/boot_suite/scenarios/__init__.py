"""The scenarios; the numbers are those of what has to be shown. The longest stand first."""

from . import by_hand, cloning, firmware, netboot, network, shares, system

SCENARIOS = {function.__name__.replace("_", "-"): function for function in (
    network.network,
    network.large,
    netboot.netboot,
    netboot.netboot_clone,
    netboot.netboot_twin,
    system.system,
    network.interrupted,
    netboot.netboot_refused,
    shares.smb_share,
    by_hand.screens,
    shares.nfs_share,
    netboot.netboot_two_dhcp,
    by_hand.local,
    by_hand.local_unattended,
    network.addresses,
    firmware.uefi,
    cloning.clone,
    cloning.mixture,
    firmware.bios,
    firmware.secure_boot,
)}
