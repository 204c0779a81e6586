"""Repositories on shares of the network: NFS and SMB."""

import os

from .. import shares
from ..disks import file_of, small_disk, sparse
from ..hands import back, back_up, go, make_repository, restore_newest, type_place
from ..lan import HOST, Lan
from ..machine import CLEAR, DOWN, ENTER, UP, Vm, adapter, virtio
from ..process import run, say, sha256
from ..server import PASSWORD

MAC = "52:54:00:77:00:01"


class Office:
    """A network with shares on it, and PCs that are plugged in one after another."""

    def __init__(self, tools, work):
        self.tools, self.work = tools, work
        self.lan = Lan(work)
        self.lan.dhcp()
        self.tap = self.lan.tap()
        self.folder = shares.volume(work, "shared", 600)
        self.menu = tools.medium(work, {"name": "by-hand", "style": "network", "task": "menu", "console": "serial"})

    def repository(self, path):
        """An operator makes one; gives a writer's key."""
        (self.work / "password").write_text(PASSWORD + "\n")
        environment = {**os.environ, "HOLOTYPE_PASSWORD_FILE": str(self.work / "password"), "HOME": str(self.work / "home"),
                       "HOLOTYPE_REPO": str(path)}
        key = self.work / f"{path.name}.key"
        run(self.tools.holotype, "init", "--fast-derivation", "--quiet", env=environment)
        run(self.tools.holotype, "key", "add", "--role", "writer", "--new-key-file", key, "--quiet", env=environment)
        return key.read_bytes().hex()

    def medium(self, name, place, writer_key):
        task = {"backup": {"place": place, "disk": "only", "writer_key": writer_key}}
        profile = {"name": name, "style": "network", "task": task, "console": "serial"}
        return self.tools.medium(self.work, profile)

    def pc(self, name, medium, disk):
        return Vm(self.work, name, *virtio(medium, 0, boot=0), *virtio(disk, 1), *adapter(MAC), network=self.tap)

    def end(self):
        run("umount", "--lazy", self.folder)


def nfs_share(tools, work):
    """7: NFS: a backup by itself with a writer's key, a share that is not exported, a restore by hand"""
    office = Office(tools, work)
    exported = office.folder / "images"
    exported.mkdir()
    server = shares.nfs(work, HOST, {"/images": exported})
    source = work / "source.img"
    digest = small_disk(source, 71)
    before = sha256(source)
    key = office.repository(exported / "lab")
    place = {"nfs": {"host": HOST, "export": "/images", "folder": "lab"}}
    vm = office.pc("backup to NFS", office.medium("pc-nfs", place, key), source)
    say(f"backup to NFS: {vm.wait_end():.0f} s")
    assert sha256(source) == before, "the source was changed"

    target = sparse(work / "target.img", 400 << 20)
    vm = office.pc("restore from NFS", office.menu, target)
    vm.wait_screen("Back up this PC")
    vm.type(DOWN + ENTER)
    type_place(vm, "NFS", HOST, "/none", "lab")
    vm.wait_screen(f"NFS share {HOST}:/none: the server exports no such folder")
    back(vm)
    vm.wait_screen("Holotype - an NFS share")
    vm.type(UP + CLEAR + "/images" + ENTER + ENTER)
    say(f"restore from NFS by hand: {restore_newest(vm, PASSWORD):.0f} s")
    assert file_of(target) == digest
    server.terminate()
    server.wait()
    office.end()


def smb_share(tools, work):
    """7: SMB: a wrong password of the share, a repository made by hand, a restore by hand, a backup by itself"""
    office = Office(tools, work)
    server = shares.smb(work, HOST, {"images": office.folder})
    source = work / "source.img"
    digest = small_disk(source, 72)
    vm = office.pc("backup to SMB by hand", office.menu, source)
    back_up(vm)
    type_place(vm, "SMB", HOST, "images", "hand", shares.SMB_USER, "a wrong password")
    vm.wait_screen(f"the server does not let the user {shares.SMB_USER} with this password in")
    back(vm)
    vm.wait_screen("Holotype - an SMB share")
    vm.type(CLEAR + shares.SMB_PASSWORD + ENTER)
    make_repository(vm, PASSWORD)
    say(f"backup to SMB by hand, the repository made on the way: {go(vm, 'Backup'):.0f} s")
    assert PASSWORD not in vm.log and shares.SMB_PASSWORD not in vm.log

    target = sparse(work / "target.img", 400 << 20)
    vm = office.pc("restore from SMB", office.menu, target)
    vm.wait_screen("Back up this PC")
    vm.type(DOWN + ENTER)
    type_place(vm, "SMB", HOST, "images", "hand", shares.SMB_USER, shares.SMB_PASSWORD)
    say(f"restore from SMB by hand: {restore_newest(vm, PASSWORD):.0f} s")
    assert file_of(target) == digest

    key = office.repository(office.folder / "lab")
    place = {"smb": {"host": HOST, "share": "images", "folder": "lab", "user": shares.SMB_USER,
                     "password": shares.SMB_PASSWORD}}
    vm = office.pc("backup to SMB", office.medium("pc-smb", place, key), source)
    say(f"backup to SMB: {vm.wait_end():.0f} s")
    listed = run(tools.holotype, "images", "--repo", office.folder / "lab", "--password-file", work / "password", "--json",
                 capture_output=True, text=True).stdout
    assert '"pc-smb"' in listed, listed
    server.terminate()
    server.wait()
    office.end()
