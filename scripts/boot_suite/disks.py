"""Disks with known content, and one with a Debian on it."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from .machine import Vm, virtio
from .process import output, run, sha256


def sparse(path, size_bytes):
    with open(path, "wb") as file:
        file.truncate(size_bytes)
    return path


def small_disk(path, seed, size_mib=300, data_mib=30):
    """A disk with an ext4 on all of it, and a file of which half is decided by `seed`; gives the file's hash."""
    content = path.with_suffix(".content")
    content.mkdir()
    block = hashlib.sha256(str(seed).encode()).digest()
    with open(content / "file", "wb") as file:
        for number in range(data_mib << 8):
            block = hashlib.sha256(block).digest()
            file.write(block * 128 if number % 2 else os.urandom(4096))
    sparse(path, size_mib << 20)
    run("mkfs.ext4", "-q", "-F", "-d", content, path)
    digest = sha256(content / "file")
    shutil.rmtree(content)
    return digest


def file_of(disk):
    """Hash of the file on a disk of `small_disk`, after its filesystem was found to be whole."""
    run("e2fsck", "-fn", disk, quiet=True)
    file = disk.with_suffix(".dumped")
    run("debugfs", "-R", f"dump /file {file}", disk, quiet=True)
    digest = sha256(file)
    file.unlink()
    return digest


def make_debian(disk):
    """GPT with boot loader's partition, EFI system partition without a fallback loader, ext4."""
    unfinished, mounted = disk.with_suffix(".new"), pathlib.Path(tempfile.mkdtemp())
    unfinished.unlink(missing_ok=True)
    with open(unfinished, "wb") as file:
        file.truncate(1400 << 20)
    run("sgdisk", "-n", "1:2048:+1M", "-t", "1:ef02", "-n", "2:0:+40M", "-t", "2:ef00", "-n", "3:0:0", "-t", "3:8300",
        unfinished, quiet=True)
    starts = [int(re.search(r"First sector: (\d+)", output("sgdisk", "-i", str(n), unfinished))[1]) for n in (1, 2, 3)]
    size = int(re.search(r"Partition size: (\d+)", output("sgdisk", "-i", "3", unfinished))[1])
    loops = []

    def loop(start, sectors):
        command = ("losetup", "--find", "--show", "--offset", start * 512, "--sizelimit", sectors * 512, unfinished)
        loops.append(output(*command).strip())
        return loops[-1]

    try:
        root = loop(starts[2], size)
        run("mkfs.ext4", "-q", "-L", "root", root)
        run("mount", root, mounted)
        # From where the host's own packages come.
        mirror = output("apt-get", "indextargets", "--format", "$(SITE)", "Codename: bookworm", "Component: main",
                        "Created-By: Packages").split()[0]
        run("debootstrap", "--variant=minbase", "--include=linux-image-cloud-amd64,systemd-sysv,udev", "bookworm", mounted,
            mirror, stdout=subprocess.DEVNULL, timeout=900)
        for waste in ("usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(mounted / waste, ignore_errors=True)
        kernel = next((mounted / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
        (mounted / "etc/fstab").write_text("LABEL=root / ext4 errors=remount-ro 0 1\n")
        (mounted / "etc/hostname").write_text("holotype-debian\n")
        grub = mounted / "boot/grub"
        shutil.copytree("/usr/lib/grub/i386-pc", grub / "i386-pc")
        (grub / "grub.cfg").write_text(
            "set timeout=0\n"
            f"linux /boot/vmlinuz-{kernel} root=LABEL=root ro console=ttyS0 quiet\n"
            f"initrd /boot/initrd.img-{kernel}\nboot\n")
        core = mounted / "tmp/core.img"
        run("grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "(hd0,gpt3)/boot/grub", "biosdisk", "part_gpt", "ext2", "normal",
            "linux", "configfile")
        core_bytes = bytearray(core.read_bytes())
        core.unlink()
        run("umount", mounted)
        esp, grub = disk.with_suffix(".esp"), disk.with_suffix(".efi")
        sparse(esp, (starts[2] - starts[1]) * 512)
        run("mkfs.vfat", "-n", "ESP", esp, quiet=True)
        run("grub-mkimage", "-O", "x86_64-efi", "-o", grub, "-p", "(hd0,gpt3)/boot/grub", "part_gpt", "ext2", "normal",
            "linux", "configfile")
        run("mmd", "-i", esp, "::/EFI", "::/EFI/debian")
        run("mcopy", "-i", esp, grub, "::/EFI/debian/grubx64.efi")
        run("dd", f"if={esp}", f"of={unfinished}", "bs=512", f"seek={starts[1]}", "conv=notrunc,sparse", "status=none")
        esp.unlink()
        grub.unlink()
        # The BIOS boot loader, by the recipe of its own set-up program.
        boot = bytearray(pathlib.Path("/usr/lib/grub/i386-pc/boot.img").read_bytes())
        core_bytes[0x1F4:0x1FC] = (starts[0] + 1).to_bytes(8, "little")
        core_bytes[0x1FC:0x1FE] = ((len(core_bytes) + 511) // 512 - 1).to_bytes(2, "little")
        boot[0x5C:0x64] = starts[0].to_bytes(8, "little")
        boot[0x64], boot[0x66:0x68] = 0xFF, b"\x90\x90"
        with open(unfinished, "r+b") as file:
            file.write(boot[:440])
            file.seek(starts[0] * 512)
            file.write(core_bytes)
    finally:
        run("umount", mounted, quiet=True, check=False)
        for device in loops:
            run("losetup", "-d", device, check=False)
        mounted.rmdir()
    unfinished.rename(disk)


def boots_to_login(work, disk, firmware, variables=None):
    """The disk's own system comes up by its own boot loader; a copy is booted, so that the disk stays as it is."""
    copy = work / "booted.img"
    run("cp", "--sparse=always", disk, copy)
    vm = Vm(work, f"its own system by {firmware}", *virtio(copy, boot=0), memory_mib=512, firmware=firmware, network=None,
            variables=variables)
    try:
        return vm.wait_for("holotype-debian login:")
    finally:
        vm.kill()
        copy.unlink()
