"""What a person does at the PC, by keystrokes over the serial line."""

import json
import os
import re
import shutil

from ..disks import file_of, small_disk, sparse
from ..machine import CLEAR, DOWN, ENTER, ESCAPE, F1, F2, F9, TAB, Vm, virtio
from ..process import output, run, say, sha256
from ..server import PASSWORD, Server


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


def local_unattended(tools, work):
    """2: no adapter at all: a backup by itself onto the medium, whose repository was put there when it was made"""
    source = work / "source.img"
    digest = small_disk(source, 22)
    before = sha256(source)
    # The steps of docs/BOOT.md.
    repository, key = work / "holotype", work / "pc-u.key"
    (work / "password").write_text(PASSWORD + "\n")
    environment = {**os.environ, "HOLOTYPE_PASSWORD_FILE": str(work / "password"), "HOME": str(work / "home"),
                   "HOLOTYPE_REPO": str(repository)}
    holotype = lambda *arguments: output(tools.holotype, *arguments, env=environment)
    holotype("init", "--fast-derivation", "--quiet")
    holotype("key", "add", "--role", "writer", "--new-key-file", key, "--quiet")
    medium = work / "medium.img"
    tools.create("usb", medium, "--name", "pc-u", "--style", "local", "--data", "600M", "--task", "backup", "--place", "medium",
                 "--writer-key-file", key, "--console", "serial")
    first = int(re.search(r"First sector: (\d+)", output("sgdisk", "-i", "3", medium))[1])
    partition = f"{medium}@@{first * 512}"
    run("mcopy", "-s", "-i", partition, repository, "::/")
    shutil.rmtree(repository)
    vm = Vm(work, "backup by itself", *virtio(medium, 0, boot=0), *virtio(source, 1), network=None)
    say(f"backup by itself onto the medium: {vm.wait_end():.0f} s")
    assert sha256(source) == before, "the source was changed"
    run(tools.holotype, "boot", "verify", medium, quiet=True)
    run("mcopy", "-s", "-i", partition, "::/holotype", work)
    [image] = json.loads(holotype("images", "--json"))
    assert image["name"] == "pc-u", image
    target = work / "target.img"
    holotype("restore", "pc-u", target, "--quiet")
    assert file_of(target) == digest


OWN_PASSWORD = "only for this one image"


def screens(tools, work):
    """6: every screen by keystrokes, with a server: help, keyboard, facts, shell; a stopped backup, own password, restore"""
    with Server(tools, work) as server:
        source = work / "source.img"
        digest = small_disk(source, 7, data_mib=80)
        medium = tools.medium(work, server.profile("pc-s", "menu"))
        target = sparse(work / "target.img", 400 << 20)
        run("mkfs.ext4", "-q", "-F", "-L", "OLD-CONTENT", target)
        disks = [*virtio(medium, 0, boot=0), *virtio(source, 1, serial="SOURCE"), *virtio(target, 2, serial="TARGET")]
        vm = Vm(work, "every screen", *disks)
        facts(vm)
        vm.choose("Back up this PC")
        vm.choose("SOURCE")
        vm.choose("lab")
        vm.wait_screen("There is a repository")
        vm.type(CLEAR + "master" + TAB + " ")
        vm.wait_screen("[x]")
        vm.type(ENTER)
        vm.wait_screen("Type the password of the repository")
        vm.type("not this one" + ENTER)
        vm.wait_screen("The password opens nothing here")
        vm.type(CLEAR + PASSWORD + ENTER)
        vm.wait_screen("Choose a password for this backup alone")
        vm.type(OWN_PASSWORD + ENTER + "another one here" + ENTER)
        vm.wait_screen("The two are not the same")
        vm.type(CLEAR + OWN_PASSWORD + ENTER + CLEAR + OWN_PASSWORD + ENTER)
        vm.wait_screen("this will happen")
        vm.type(ENTER)
        vm.wait_screen("backup")
        vm.wait_screen("%")
        vm.type(ESCAPE)
        vm.wait_screen("Shall it be stopped?")
        vm.type("y")
        vm.wait_screen("that did not work")
        vm.choose("Try again")
        vm.wait_screen("Backup: everything was done")
        assert server.image_names() == ["master"], server.image_names()
        vm.choose("To the start menu")
        # The wrong password ends it, and the target is as it was.
        before = sha256(target)
        to_image_password(vm)
        vm.type("a wrong one" + ENTER)
        vm.wait_screen("The password is wrong")
        vm.choose("Start the PC anew")
        vm.wait_end()
        assert sha256(target) == before, "the target was changed"

        vm = Vm(work, "restore by hand", *disks)
        to_image_password(vm)
        vm.type(OWN_PASSWORD + ENTER)
        vm.choose("TARGET")
        vm.wait_screen("will be lost")
        vm.wait_screen("OLD-CONTENT")
        vm.type("perhaps" + ENTER)
        vm.wait_screen("nothing was changed")
        vm.type(CLEAR + "yes" + ENTER)
        vm.wait_screen("this will happen")
        vm.type("v" + ENTER)
        vm.wait_screen("Restore: everything was done")
        vm.choose("Power off")
        vm.wait_end()
        for secret in (PASSWORD, OWN_PASSWORD):
            assert secret not in vm.log
        assert file_of(target) == digest


def facts(vm):
    """What the menu tells and offers besides."""
    vm.wait_screen("Back up this PC")
    vm.wait_screen("This medium was made for: pc-s")
    vm.type(F1)
    vm.wait_screen("help (any key closes it)")
    vm.type(" " + F2)
    vm.wait_screen("Which keyboard is this?")
    vm.choose("German")
    vm.choose("Network and server")
    vm.wait_screen("Fingerprint")
    vm.wait_screen("52:54:00")
    vm.type(ESCAPE)
    vm.choose("About this medium")
    vm.wait_screen("BIOS")
    vm.type(ESCAPE)
    vm.wait_screen("Back up this PC")
    vm.type(F9)
    vm.wait_screen("holotype#")
    vm.type("echo shell-$((6*7))" + ENTER)
    vm.wait_screen("shell-42")
    vm.type("exit" + ENTER)
    vm.wait_screen("Back up this PC")


def to_image_password(vm):
    vm.choose("Restore this PC")
    vm.choose("lab")
    vm.wait_screen("which image?")
    vm.type("zzz")
    vm.wait_screen("No image has that in its name")
    vm.type(CLEAR + "mas" + ENTER)
    vm.wait_screen("ends this restore")
    vm.type(PASSWORD + ENTER)
    vm.wait_screen("password of the image")
