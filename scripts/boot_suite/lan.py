"""A local network: a bridge that this host, the site's DHCP servers and the PCs are on."""

import subprocess

from .process import run, wait_until

# This host; the DHCP servers have addresses below it and the PCs above.
HOST = "10.77.0.20"
BRIDGE = "br0"


class Lan:
    """Made once in a scenario's namespace; it ends with that."""

    def __init__(self, work):
        self.work, self.taps, self.servers = work, 0, {}
        run("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
        run("ip", "address", "add", f"{HOST}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")

    def tap(self):
        """A new place to plug a PC in; gives its name."""
        name = f"tap{self.taps}"
        self.taps += 1
        run("ip", "tuntap", "add", name, "mode", "tap")
        run("ip", "link", "set", name, "master", BRIDGE, "up")
        return name

    def dhcp(self, *options, number=1):
        """Starts a DHCP server, or the one of this number anew. Each has a namespace, an address (10.77.0.NUMBER) and a range
        of its own."""
        name, inner = f"dhcp{number}", f"inner{number}"
        if number not in self.servers:
            run("ip", "netns", "add", name)
            run("ip", "link", "add", f"outer{number}", "type", "veth", "peer", "name", inner, "netns", name)
            run("ip", "link", "set", f"outer{number}", "master", BRIDGE, "up")
            run("ip", "-n", name, "address", "add", f"10.77.0.{number}/24", "dev", inner)
            run("ip", "-n", name, "link", "set", inner, "up")
        self.end_dhcp(number)
        log = self.work / f"{name}.log"
        log.unlink(missing_ok=True)
        first = 20 + 30 * number
        command = ["ip", "netns", "exec", name, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root",
                   "--pid-file", "--log-facility=-", "--log-dhcp", f"--interface={inner}", "--bind-interfaces", "--leasefile-ro",
                   "--port=0", "--no-ping", f"--dhcp-range=10.77.0.{first},10.77.0.{first + 29},255.255.255.0,10m", *options]
        with open(log, "w") as file:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        self.servers[number] = process
        wait_until(f"{name}: it listens", lambda: "DHCP, IP range" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, f"{name}: {log.read_text()}"

    def end_dhcp(self, number):
        if process := self.servers.get(number):
            process.terminate()
            process.wait()

    def dhcp_said(self, number=1):
        return (self.work / f"dhcp{number}.log").read_text()
