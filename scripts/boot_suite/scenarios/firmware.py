"""Every kind of medium under every kind of firmware, up to the menu."""

from ..disks import sparse
from ..machine import DOWN, ENTER, Vm, cd, usb_stick, virtio
from ..process import output, run, say

NAME = "firmware-pc"
PROFILE = {"name": NAME, "style": "local", "task": "menu", "console": "serial"}


def to_menu(work, name, firmware, *arguments, secure=False, kernel="full"):
    """Boots up to the menu, and lets the agent say by which firmware."""
    vm = Vm(work, name, *arguments, firmware="secure" if secure else firmware, memory_mib=512, network=None)
    seconds = vm.wait_screen("Back up this PC")
    vm.wait_screen(NAME)
    vm.type(DOWN * 4 + ENTER)
    vm.wait_screen({"bios": "BIOS", "uefi": "UEFI, Secure Boot " + ("on" if secure else "off")}[firmware])
    vm.kill()
    say(f"{name}: menu after {seconds:.1f} s")


def twice(tools, work, product):
    """The same medium, made twice."""
    media = [tools.medium(work, PROFILE, product, kernel="full", modules="pc") for _ in range(2)]
    run("cmp", *media)
    run(tools.holotype, "boot", "verify", media[0], quiet=True)
    media[1].unlink()
    return media[0]


def bios(tools, work):
    """8: BIOS from stick, disk and CD; media made twice are identical and other programs find nothing wrong"""
    stick, disc = twice(tools, work, "usb"), twice(tools, work, "iso")
    assert "No problems found" in output("sgdisk", "-v", stick)
    partition = output("sgdisk", "-i", "2", stick)
    value = lambda name: int(next(line for line in partition.splitlines() if line.startswith(name)).split(":")[1].split()[0])
    esp = work / "esp"
    run("dd", f"if={stick}", f"of={esp}", "bs=512", f"skip={value('First sector')}", f"count={value('Partition size')}",
        "status=none")
    run("fsck.vfat", "-n", esp, quiet=True)
    assert "isohybrid-suitable" in output("xorriso", "-indev", disc, "-report_el_torito", "plain", stderr=-2)
    to_menu(work, "BIOS, USB stick", "bios", *usb_stick(stick))
    to_menu(work, "BIOS, disk", "bios", *virtio(stick, boot=0, read_only=True))
    to_menu(work, "BIOS, CD", "bios", *cd(disc))
    to_menu(work, "BIOS, ISO on a stick", "bios", *usb_stick(disc))
    tree = work / "tree"
    tools.create("netboot", tree, "--profile", next(work.glob("*.json")))
    [kernel] = (tree / "kernel").iterdir()
    both = work / "initrd"
    both.write_bytes((kernel / "initrd").read_bytes() + (tree / "machine/any/profile.cpio").read_bytes())
    to_menu(work, "kernel handed over", "bios", "-kernel", kernel / "vmlinuz", "-initrd", both, "-append",
            "rdinit=/init quiet loglevel=3 console=ttyS0,115200")


def uefi(tools, work):
    """8: UEFI from stick and CD, and a UKI"""
    stick, disc = twice(tools, work, "usb"), twice(tools, work, "iso")
    to_menu(work, "UEFI, USB stick", "uefi", *usb_stick(stick))
    to_menu(work, "UEFI, CD", "uefi", *cd(disc))
    to_menu(work, "UEFI, ISO on a stick", "uefi", *usb_stick(disc))
    # On a volume of its own, without a partition table.
    uki, volume = twice(tools, work, "uki"), sparse(work / "volume", 64 << 20)
    run("mkfs.vfat", "-F", "32", volume, quiet=True)
    run("mmd", "-i", volume, "::/EFI", "::/EFI/BOOT")
    run("mcopy", "-i", volume, uki, "::/EFI/BOOT/BOOTX64.EFI")
    to_menu(work, "UEFI, UKI", "uefi", *virtio(volume, boot=0, read_only=True))


def secure_boot(tools, work):
    """8: Secure Boot with Microsoft's keys, from stick and CD"""
    stick, disc = twice(tools, work, "usb"), twice(tools, work, "iso")
    to_menu(work, "Secure Boot, USB stick", "uefi", *usb_stick(stick), secure=True)
    to_menu(work, "Secure Boot, CD", "uefi", *cd(disc), secure=True)
