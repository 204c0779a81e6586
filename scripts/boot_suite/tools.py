"""What all scenarios need: programs, kernels, media, the Debian disk."""

import json
import os
import pathlib
import re

from .disks import make_debian
from .process import output, run

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve()
# What takes long to make, and has to be fetched.
KEPT = TARGET / "boot-scenarios"
KERNEL_PACKAGES = {"cloud": "linux-image-cloud-amd64", "full": "linux-image-amd64"}


def newest_of(package):
    """What the package that follows a distribution's newest kernel depends on now."""
    for attempt in range(2):
        found = re.search(r"Depends: (linux-image-\S+)", output("apt-cache", "depends", package, check=False))
        if found:
            return found[1]
        if attempt == 0:
            run("apt-get", "update", "-qq")
    raise AssertionError(f"{package}: apt knows no such package; look at the host's sources of packages")


class Tools:
    def __init__(self, holotype, agent):
        self.holotype, self.agent, self.store = holotype, agent, KEPT / "kernels"

    @classmethod
    def prepare(cls, holotype, agent):
        """Builds and fetches what is missing."""
        KEPT.mkdir(parents=True, exist_ok=True)
        if not holotype:
            run("cargo", "build", "--quiet", "-p", "holotype", cwd=ROOT)
            holotype = TARGET / "debug" / "holotype"
        if not agent:
            agent = pathlib.Path(output(ROOT / "scripts" / "build-agent").split()[0])
        tools = cls(holotype, agent)
        for kind in KERNEL_PACKAGES:
            tools.kernel(kind)
        disk = KEPT / "debian.img"
        if not disk.exists():
            make_debian(disk)
        return tools

    @property
    def debian(self):
        """A disk with a Debian on it that boots by BIOS and UEFI, each by its own boot loader, up to a login prompt."""
        return KEPT / "debian.img"

    def package(self, kind):
        """The newest of Debian's kernels as its package: `cloud` boots fastest and knows virtio alone; fetched once."""
        noted = KEPT / f"{kind}.package"
        if not noted.exists() or not (KEPT / noted.read_text()).exists():
            name = newest_of(KERNEL_PACKAGES[kind])
            if not list(KEPT.glob(f"{name}_*.deb")):
                run("apt-get", "download", "-q", name, cwd=KEPT, quiet=True)
            noted.write_text(next(KEPT.glob(f"{name}_*.deb")).name)
        return KEPT / noted.read_text()

    def kernel(self, kind):
        """The version of that kernel, which is in the store then."""
        package = self.package(kind)
        version = package.name.split("_")[0].removeprefix("linux-image-")
        if not (self.store / version).exists():
            run(self.holotype, "boot", "kernel", "add", package, "--kernels", self.store, quiet=True)
        return version

    def medium(self, work, profile, product="usb", kernel="cloud", modules="virtio", extra=()):
        """A medium; gives its path."""
        number = len(list(work.glob("*.medium")))
        source = work / f"{profile['name']}-{number}.json"
        source.write_text(json.dumps(profile))
        path = source.with_suffix(".medium")
        self.create(product, path, "--profile", source, *extra, kernel=kernel, modules=modules)
        return path

    def create(self, product, path, *arguments, kernel="cloud", modules="virtio"):
        """`holotype boot create`."""
        run(self.holotype, "boot", "create", product, path, "--kernels", self.store, "--kernel", self.kernel(kernel),
            "--modules", modules, "--agent", self.agent, "--quiet", *arguments)
