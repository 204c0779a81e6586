"""The agent's own tests in virtual PCs."""

import os

from ..process import run
from ..tools import ROOT


def system(tools, work):
    """6: many kinds of disks, no cable, no DHCP server, no driver, a crash, the firmware's boot entries, mounted shares"""
    run("dpkg-deb", "-x", tools.package("full"), work / "kernel")
    environment = {**os.environ, "HOLOTYPE_TEST_KERNEL": str(work / "kernel"), "HOLOTYPE_TEST_AGENT": str(tools.agent),
                   "HOLOTYPE_TEST_BUSYBOX": "/bin/busybox"}
    # With the features that all tests are built with, so that nothing is built twice.
    run("cargo", "test", "--quiet", "--offline", "--workspace", "--all-features", "--test", "virtual_pcs", "--",
        "--test-threads", "2", cwd=ROOT, env=environment)
