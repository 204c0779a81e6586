"""One image onto many PCs."""

import json
import time

from ..disks import file_of, small_disk, sparse
from ..machine import Vm, virtio
from ..process import say
from ..server import Server


def clone(tools, work):
    """4: one image onto five PCs with one command: two virtual ones, three agents with files as disks"""
    agents = []
    with Server(tools, work) as server:
        source = work / "source.img"
        digest = small_disk(source, 5)
        server.command("backup", source, "--name", "gold", "--quiet")
        server.command("group", "add", "room")
        targets, vms = [], []
        try:
            for number in range(5):
                profile = server.profile(f"pc-{number}", "server", group="room")
                target = sparse(work / f"target-{number}.img", 320 << 20)
                targets.append(target)
                if number < 2:
                    medium = tools.medium(work, profile)
                    vms.append(Vm(work, f"pc-{number}", *virtio(medium, 0, boot=0), *virtio(target, 1)))
                    continue
                profile["server"]["url"] = server.url
                (work / f"agent-{number}.json").write_text(json.dumps(profile))
                agents.append(server.spawn("agent", "--profile", work / f"agent-{number}.json", "--unattended", "--disk", target,
                                           "--state-dir", work / f"state-{number}"))
            server.wait_enrolled(*(f"pc-{number}" for number in range(5)))
            started = time.monotonic()
            server.command("task", "restore", "--image", "gold", "--repository", "lab", "--group", "room", "--name", "roll out")
            server.command("task", "watch", "roll out")
            say(f"five PCs restored in {time.monotonic() - started:.0f} s")
            for vm in vms:
                vm.wait_end()
            for agent in agents:
                said, _ = agent.communicate(timeout=60)
                assert agent.returncode == 0, said
        finally:
            for agent in agents:
                agent.kill()
                agent.wait()
        runs = server.runs("roll out")
        assert len(runs) == 5 and all(run["state"] == "done" and "holotype receipt 1" in run["receipt"] for run in runs), runs
        for target in targets:
            assert file_of(target) == digest, target


def mixture(tools, work):
    """5: backed up locally, brought to the server's repository by `holotype copy`, restored from there"""
    with Server(tools, work) as server:
        source = work / "source.img"
        digest = small_disk(source, 6)
        local_repository = ["--repo", work / "stick"]
        server.command("init", "--fast-derivation", "--quiet", *local_repository)
        server.command("backup", source, "--name", "master", "--quiet", *local_repository)
        server.command("copy", "master", "--to", f"{server.url}/lab", "--quiet", *local_repository)
        assert server.image_names() == ["master"], server.image_names()
        medium = tools.medium(work, server.profile("pc-m", "server"))
        target = sparse(work / "target.img", 400 << 20)
        vm = Vm(work, "restore of the copy", *virtio(medium, 0, boot=0), *virtio(target, 1))
        server.wait_enrolled("pc-m")
        server.command("task", "restore", "--image", "master", "--repository", "lab", "--machine", "pc-m", "--name", "copy")
        say(f"restore of the copy: {vm.wait_end():.0f} s")
        assert file_of(target) == digest
