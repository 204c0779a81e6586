"""Backups to the server over the network, and restores from it."""

import os
import time

from ..disks import boots_to_login, file_of, small_disk, sparse
from ..machine import DEADLINE_SECONDS, Vm, virtio
from ..process import say, sha256, wait_until
from ..server import Server


def network(tools, work):
    """1: a Debian backed up over the network, restored to blank larger disks that boot it; BIOS and UEFI"""
    with Server(tools, work) as server:
        source = tools.debian
        before = sha256(source)
        medium = tools.medium(work, server.profile("pc-a", server.backup_task()))
        vm = Vm(work, "backup", *virtio(medium, 0, boot=0), *virtio(source, 1, serial="SOURCE"))
        say(f"backup, BIOS: {vm.wait_end():.0f} s")
        assert sha256(source) == before, "the source was changed"
        assert server.image_names() == ["pc-a"], server.image_names()
        for firmware in ("bios", "uefi"):
            name = f"pc-{firmware}"
            medium = tools.medium(work, server.profile(name, "server"))
            target = sparse(work / f"{name}.img", 2000 << 20)
            variables = work / f"{name}.fd"
            vm = Vm(work, f"restore, {firmware}", *virtio(medium, 0, boot=0), *virtio(target, 1), firmware=firmware,
                    variables=variables)
            server.wait_enrolled(name)
            server.command("task", "restore", "--image", "pc-a", "--repository", "lab", "--machine", name, "--name", name)
            say(f"restore, {firmware}: {vm.wait_end():.0f} s")
            runs = server.runs(name)
            assert [run["state"] for run in runs] == ["done"], runs
            assert "holotype receipt 1" in runs[0]["receipt"]
            seconds = boots_to_login(work, target, firmware, variables)
            say(f"its own Debian by its own boot loader, {firmware}: login prompt after {seconds:.0f} s")
            target.unlink()


def stored_bytes(server):
    """What the server has stored; files are renamed and removed meanwhile."""
    total = 0
    for folder, _, names in os.walk(server.data / "repositories"):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                pass
    return total


def interrupted(tools, work):
    """6: the server is away in the middle of a backup; a PC is killed in the middle of a restore and started again"""
    with Server(tools, work) as server:
        source = work / "source.img"
        digest = small_disk(source, 3, data_mib=120)
        medium = tools.medium(work, server.profile("pc-i", server.backup_task()))
        vm = Vm(work, "backup", *virtio(medium, 0, boot=0), *virtio(source, 1))
        wait_until("something is stored", lambda: stored_bytes(server) > 4 << 20, DEADLINE_SECONDS)
        server.stop()
        time.sleep(5)
        server.start()
        say(f"backup with a server that was away: {vm.wait_end():.0f} s")
        assert server.image_names() == ["pc-i"], server.image_names()

        medium = tools.medium(work, server.profile("pc-k", "server"))
        target = sparse(work / "target.img", 300 << 20)
        disks = [*virtio(medium, 0, boot=0), *virtio(target, 1)]
        vm = Vm(work, "restore that is killed", *disks)
        server.wait_enrolled("pc-k")
        server.command("task", "restore", "--image", "pc-i", "--repository", "lab", "--machine", "pc-k", "--name", "again")
        wait_until("something is restored", lambda: target.stat().st_blocks * 512 > 8 << 20, DEADLINE_SECONDS)
        vm.kill()
        runs = server.runs("again")
        assert [run["state"] for run in runs] == ["running"], runs
        vm = Vm(work, "the same again", *disks)
        say(f"restore after a kill: {vm.wait_end():.0f} s")
        runs = server.runs("again")
        assert [run["state"] for run in runs] == ["done"], runs
        assert file_of(target) == digest


def addresses(tools, work):
    """1: no DHCP; backed up by a PC with an IPv4 address of its profile, restored by one with an IPv6 address"""
    with Server(tools, work, "--name", "fec0::2", listen="[::]") as server:
        source, target = work / "source.img", sparse(work / "target.img", 300 << 20)
        digest = small_disk(source, 5)
        given = {"static": {"addresses": ["10.0.2.77/24"], "routers": ["10.0.2.2"]}}
        medium = tools.medium(work, server.profile("pc-4", server.backup_task(), network={"address": given}))
        vm = Vm(work, "backup by IPv4", *virtio(medium, 0, boot=0), *virtio(source, 1))
        say(f"backup by IPv4: {vm.wait_end():.0f} s")
        profile = server.profile("pc-6", "server", network={"address": {"static": {"addresses": ["fec0::77/64"]}}})
        # What QEMU calls this host.
        profile["server"]["url"] = f"https://[fec0::2]:{server.port}"
        vm = Vm(work, "restore by IPv6", *virtio(tools.medium(work, profile), 0, boot=0), *virtio(target, 1))
        server.wait_enrolled("pc-6")
        server.command("task", "restore", "--image", "pc-4", "--repository", "lab", "--machine", "pc-6", "--name", "six")
        say(f"restore by IPv6: {vm.wait_end():.0f} s")
        assert [run["state"] for run in server.runs("six")] == ["done"], server.runs("six")
        assert file_of(target) == digest


def large(tools, work):
    """6: a sparse disk of 8 GiB in a PC with 384 MiB, backed up and restored"""
    with Server(tools, work) as server:
        source = work / "source.img"
        digest = small_disk(source, 4)
        os.truncate(source, 8 << 30)
        medium = tools.medium(work, server.profile("pc-8", server.backup_task()))
        vm = Vm(work, "backup of 8 GiB", *virtio(medium, 0, boot=0), *virtio(source, 1))
        say(f"backup of 8 GiB: {vm.wait_end():.0f} s")
        [image] = server.json("images")
        assert image["source_bytes"] == 8 << 30, image
        medium = tools.medium(work, server.profile("pc-9", "server"))
        target = sparse(work / "target.img", 8 << 30)
        vm = Vm(work, "restore of 8 GiB", *virtio(medium, 0, boot=0), *virtio(target, 1))
        server.wait_enrolled("pc-9")
        server.command("task", "restore", "--image", "pc-8", "--repository", "lab", "--machine", "pc-9", "--name", "large")
        say(f"restore of 8 GiB: {vm.wait_end():.0f} s")
        assert [run["state"] for run in server.runs("large")] == ["done"], server.runs("large")
        assert target.stat().st_blocks * 512 < 1 << 30, "the target is not sparse"
        os.truncate(target, 300 << 20)
        assert file_of(target) == digest
