"""PCs with nothing but a network adapter."""

from ..disks import file_of, small_disk, sparse
from ..lan import HOST
from ..process import run, say, sha256, wait_until
from ..site import NO_IPV6, NO_PXE, Site


def netboot(tools, work):
    """3: BIOS PXE, UEFI PXE, UEFI HTTP boot, Secure Boot PXE, nothing in the PC but an adapter: the key's fingerprint"""
    with Site(tools, work) as site:
        def boots(name, number, *arguments, **more):
            vm = site.pc(name, number, *arguments, **more)
            claim = site.claim(vm, site.mac(number))
            assert claim["smbios_uuid"] == site.uuid(number), claim
            say(f"{name}: the key's fingerprint after {vm.seconds():.0f} s")
            vm.kill()

        boots("BIOS PXE", 1)
        boots("UEFI PXE", 2, *NO_IPV6, firmware="uefi")
        boots("UEFI HTTP boot", 3, *NO_PXE, firmware="uefi")
        # Signed GRUB asks the host that the DHCP server names as the next one.
        site.lan.dhcp(f"--dhcp-boot=,,{HOST}")
        site.restart("ask", uefi_pxe="shimx64.efi")
        boots("Secure Boot PXE", 4, *NO_IPV6, firmware="secure")


def own_disk(tools, work):
    """A disk that boots by BIOS and UEFI up to a screen that is told from others."""
    return tools.medium(work, {"name": "own-disk", "style": "local", "task": "menu", "console": "serial"})


def to_own_disk(vm):
    vm.wait_screen("Back up this PC")
    vm.wait_screen("own-disk")
    vm.kill()
    return vm.seconds()


def netboot_refused(tools, work):
    """3: a machine that nobody knows goes on to its disk, by BIOS and UEFI"""
    with Site(tools, work, unknown="refuse") as site:
        disk = own_disk(tools, work)
        for number, firmware in enumerate(("bios", "uefi"), 1):
            more = NO_IPV6 if firmware == "uefi" else ()
            vm = site.pc(f"unknown, {firmware}", number, *more, firmware=firmware, disk=disk)
            say(f"unknown, {firmware}: its own disk's menu after {to_own_disk(vm):.0f} s")
            site.wait_log("on to its own disk")
        assert site.server.json("machine", "claims") == []


def netboot_clone(tools, work):
    """4, 5: backed up to a stick, copied to the server, cloned by network boot onto two PCs at once, approved by hand"""
    with Site(tools, work) as site:
        server = site.server
        master = own_disk(tools, work)
        stick = ["--repo", work / "stick"]
        server.command("init", "--fast-derivation", "--quiet", *stick)
        server.command("backup", master, "--name", "master", "--quiet", *stick)
        server.command("copy", "master", "--to", f"{server.url}/lab", "--quiet", *stick)
        server.command("group", "add", "room")
        targets = [sparse(work / f"target-{number}.img", master.stat().st_size) for number in (1, 2)]
        firmware = ("bios", "uefi")
        boot = lambda number: site.pc(f"pc-{number}", number, *NO_IPV6, firmware=firmware[number - 1], disk=targets[number - 1])
        vms = [boot(1), boot(2)]
        for number, vm in enumerate(vms, 1):
            claim = site.claim(vm, site.mac(number))
            server.command("machine", "approve", claim["fingerprint"], "--name", f"pc-{number}", "--group", "room", "--repository",
                           "lab")
        server.wait_enrolled("pc-1", "pc-2")
        server.command("task", "restore", "--image", "master", "--repository", "lab", "--group", "room", "--name", "roll out")
        server.command("task", "watch", "roll out")
        for vm in vms:
            say(f"{vm.name}: cloned {vm.wait_end():.0f} s after power-on")
        runs = server.runs("roll out")
        assert len(runs) == 2 and all(run["state"] == "done" and "holotype receipt 1" in run["receipt"] for run in runs), runs
        for target in targets:
            assert sha256(target) == sha256(master), target
            run(tools.holotype, "boot", "verify", target, quiet=True)
        for number in (1, 2):
            say(f"pc-{number} again, nothing to do: its own disk's menu after {to_own_disk(boot(number)):.0f} s")


def netboot_twin(tools, work):
    """two PCs with one address: the task of the one is not done on the other, which its operator is told of"""
    with Site(tools, work) as site:
        server = site.server
        source, target = work / "source.img", sparse(work / "target.img", 320 << 20)
        digest = small_disk(source, 31)
        server.command("backup", source, "--name", "gold", "--quiet")
        vm = site.pc("pc-1, unknown", 1)
        claim = site.claim(vm, site.mac(1))
        server.command("machine", "approve", claim["fingerprint"], "--name", "pc-1", "--repository", "lab")
        vm.wait_screen("waiting for a task of the server")
        vm.kill()
        # Its key was for that boot alone: the command waits for the next one.
        command = server.spawn("task", "restore", "--image", "gold", "--repository", "lab", "--machine", "pc-1", "--name", "one",
                               "--approve")
        try:
            wait_until("its task is there", lambda: "one" in [task["name"] for task in server.json("task", "list")])
            twin_disk = sparse(work / "twin.img", 320 << 20)
            vm = site.pc("its twin", 2, disk=twin_disk, mac=site.mac(1))
            twin = site.claim(vm, site.mac(1))
            assert twin["smbios_uuid"] == site.uuid(2), twin
            [event] = site.events("netboot.unclear")
            assert "which has another UUID" in event["detail"], event
            said = server.command("machine", "approve", twin["fingerprint"], refused=True)
            assert "pc-1 has its address and another UUID" in said, said
            vm.kill()
            assert twin_disk.stat().st_blocks == 0 and [run["state"] for run in server.runs("one")] == ["queued"]
            vm = site.pc("pc-1, with a task", 1, disk=target)
            say(f"pc-1, with a task: restored {vm.wait_end():.0f} s after power-on")
            told, _ = command.communicate(timeout=60)
            assert command.returncode == 0 and "with an address of pc-1 and another UUID" in told, told
        finally:
            command.kill()
            command.wait()
        assert [run["state"] for run in server.runs("one")] == ["done"]
        assert file_of(target) == digest


def netboot_two_dhcp(tools, work):
    """a second DHCP server: one that gives addresses alone, and one with a boot file, which the operator is told of"""
    with Site(tools, work) as site:
        site.lan.dhcp(number=2)
        vm = site.pc("two DHCP servers", 1)
        site.claim(vm, site.mac(1))
        say(f"two DHCP servers: the key's fingerprint after {vm.seconds():.0f} s")
        vm.kill()
        assert site.events("netboot.rival") == []
        site.lan.dhcp("--dhcp-boot=pxelinux.0", number=2)
        # It boots that file, or the agent: which, is chance.
        vm = site.pc("a DHCP server with a boot file", 2)
        site.wait_log("10.77.0.2 names a boot file of its own, pxelinux.0")
        # The log comes first, the event after it.
        [event] = wait_until("the event is there", lambda: site.events("netboot.rival"))
        assert "take the boot file out of its settings" in event["detail"], event
        vm.kill()
