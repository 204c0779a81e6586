"""What a person does at the PC, by keystrokes over the serial line."""

from ..disks import file_of, small_disk, sparse
from ..machine import CLEAR, DOWN, ENTER, Vm, virtio
from ..process import run, say, sha256
from ..server import PASSWORD


def local(tools, work):
    """2, 6: no adapter at all: backup by hand to the medium's own partition, a wrong password, a restore"""
    source = work / "source.img"
    digest = small_disk(source, 2)
    profile = {"name": "pc-l", "style": "local", "task": "menu", "console": "serial"}
    medium = tools.medium(work, profile, extra=("--data", "600M"))
    before = sha256(source)
    vm = Vm(work, "backup by hand", *virtio(medium, 0, boot=0), *virtio(source, 1, serial="SOURCE"), network=None)
    say(f"power-on to menu: {vm.wait_screen('Back up this PC'):.1f} s")
    vm.type(ENTER)
    vm.wait_screen("which disk?")
    vm.wait_screen("SOURCE")
    vm.type(ENTER)
    vm.wait_screen("where to?")
    vm.wait_screen("edium")
    vm.type(ENTER)
    vm.wait_screen("There is no repository yet")
    vm.type(ENTER)
    vm.wait_screen("Choose a password")
    vm.type(PASSWORD + ENTER + CLEAR + PASSWORD + ENTER)
    vm.wait_screen("this will happen")
    vm.type(ENTER)
    vm.wait_screen("everything was done")
    assert PASSWORD not in vm.log
    vm.type(DOWN + ENTER)
    say(f"backup by hand to the medium: {vm.wait_end():.0f} s")
    assert sha256(source) == before, "the source was changed"
    run(tools.holotype, "boot", "verify", medium, quiet=True)

    target = sparse(work / "target.img", 400 << 20)
    for password in ("a wrong password", PASSWORD):
        vm = Vm(work, "restore by hand", *virtio(medium, 0, boot=0), *virtio(target, 1, serial="TARGET"), network=None)
        vm.wait_screen("Back up this PC")
        vm.type(DOWN + ENTER)
        vm.wait_screen("where from?")
        vm.type(ENTER)
        vm.wait_screen("ends this restore")
        vm.type(password + ENTER)
        if password != PASSWORD:
            vm.wait_screen("The password is wrong")
            vm.type(ENTER)
            vm.wait_end()
            assert target.stat().st_blocks == 0, "the target was opened"
            continue
        vm.wait_screen("which image?")
        vm.type(ENTER)
        vm.wait_screen("onto which disk?")
        vm.type(ENTER)
        vm.wait_screen("this will happen")
        vm.type(ENTER)
        vm.wait_screen("Restore: everything was done")
        vm.type(DOWN + ENTER)
        say(f"restore by hand from the medium: {vm.wait_end():.0f} s")
    assert file_of(target) == digest
