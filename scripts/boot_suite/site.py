"""A place where PCs boot over the network: a network with a DHCP server, a server that answers beside it, and PCs that
have nothing but an adapter, and maybe a disk."""

from .lan import BRIDGE, HOST, Lan
from .machine import DEADLINE_SECONDS, Vm, adapter, virtio
from .process import wait_until
from .server import Server

# UEFI's own drivers in place of the adapter's boot program, and one way of booting alone.
NO_IPV6 = ("-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n")
NO_PXE = ("-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=n", *NO_IPV6)


class Site:
    def __init__(self, tools, work, unknown="ask"):
        self.work, self.lan, self.taps = work, Lan(work), {}
        self.lan.dhcp()
        tools.create("netboot", work / "net", "--name", "nobody")
        self.config = work / "server.toml"
        self.settings(unknown)
        self.server = Server(tools, work, "-v", "--config", self.config, "--netboot-dir", work / "net", host=HOST,
                             listen="0.0.0.0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def settings(self, unknown, **more):
        lines = {"unknown_machines": unknown, **more}
        self.config.write_text(f'[netboot]\ninterfaces = ["{BRIDGE}"]\n' + "".join(f'{key} = "{lines[key]}"\n' for key in lines))

    def restart(self, unknown, **more):
        self.settings(unknown, **more)
        self.server.stop()
        self.server.start()

    def mac(self, number):
        return f"52:54:00:77:00:{number:02x}"

    def uuid(self, number):
        return f"77000000-0000-4000-8000-0000000000{number:02x}"

    def pc(self, name, number, *arguments, firmware="bios", disk=None, mac=None, **more):
        """A PC that boots from the network first; it has address and UUID by its number, which is also where it is
        plugged in."""
        if number not in self.taps:
            self.taps[number] = self.lan.tap()
        parts = [*adapter(mac or self.mac(number), boot=0, bios=firmware == "bios"), "-uuid", self.uuid(number)]
        if disk:
            parts += virtio(disk, boot=1)
        return Vm(self.work, name, *parts, *arguments, firmware=firmware, memory_mib=512, network=self.taps[number], **more)

    def claim(self, vm, mac):
        """The key that a PC with this address shows to the server, once its screen shows the same fingerprint."""
        waiting = lambda: next((claim for claim in self.server.json("machine", "claims") if mac in claim["macs"]), None)
        vm.wait("that it asks to be let in", waiting, DEADLINE_SECONDS)
        claim = waiting()
        vm.wait_screen(claim["fingerprint"])
        return claim

    def events(self, kind):
        return [event for event in self.server.json("event", "list") if event["kind"] == kind]

    def wait_log(self, text):
        wait_until(f"the server's log tells: {text}", lambda: text in self.server.log(), DEADLINE_SECONDS)
