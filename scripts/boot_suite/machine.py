"""A virtual PC under QEMU (TCG), and the screen of its serial console."""

import codecs
import os
import re
import shutil
import socket
import subprocess
import threading
import time

from .process import wait_until

OVMF = "/usr/share/OVMF/OVMF_{}_4M{}.fd"
# How long a machine may take; slow machines get more by HOLOTYPE_BOOT_DEADLINE.
DEADLINE_SECONDS = int(os.environ.get("HOLOTYPE_BOOT_DEADLINE", "300"))
# On a loaded host the emulated timer may stand still while the kernel looks whether it goes. No disk was touched then.
STOOD_STILL = "IO-APIC + timer doesn't work"
MOST_STARTS = 4

ENTER, UP, DOWN, HOME, END, ESCAPE, CLEAR, TAB = "\r", "\x1b[A", "\x1b[B", "\x1b[H", "\x1b[F", "\x1b", "\x15", "\t"
F1, F2, F9 = "\x1bOP", "\x1bOQ", "\x1b[20~"


class Screen:
    """What a serial console shows: the few sequences that the agent sends."""

    WIDTH, HEIGHT = 80, 24

    def __init__(self):
        self.rows = [[" "] * self.WIDTH for _ in range(self.HEIGHT)]
        self.marked = [[False] * self.WIDTH for _ in range(self.HEIGHT)]
        self.reversed = False
        self.row = self.column = 0
        self.rest = ""

    def feed(self, text):
        text = self.rest + text
        self.rest = ""
        at = 0
        while at < len(text):
            letter = text[at]
            if letter == "\x1b":
                found = re.match(r"\x1b(\[[0-?]*[ -/]*[@-~]|[()][0-9A-Za-z]|[^\[()])", text[at:])
                if not found:
                    self.rest = text[at:]
                    return
                self.escape(found[1])
                at += found.end()
                continue
            if letter == "\r":
                self.column = 0
            elif letter == "\n":
                self.newline()
            elif letter >= " ":
                if self.column >= self.WIDTH:
                    self.column = 0
                    self.newline()
                self.rows[self.row][self.column] = letter
                self.marked[self.row][self.column] = self.reversed
                self.column += 1
            at += 1

    def newline(self):
        if self.row + 1 < self.HEIGHT:
            self.row += 1
        else:
            self.rows = self.rows[1:] + [[" "] * self.WIDTH]
            self.marked = self.marked[1:] + [[False] * self.WIDTH]

    def escape(self, sequence):
        if sequence[-1] in "Hf" and sequence[0] == "[":
            numbers = [int(part or 1) for part in (sequence[1:-1].split(";") + ["1"])[:2]]
            self.row = min(max(numbers[0] - 1, 0), self.HEIGHT - 1)
            self.column = min(max(numbers[1] - 1, 0), self.WIDTH - 1)
        elif sequence == "[2J":
            self.rows = [[" "] * self.WIDTH for _ in range(self.HEIGHT)]
            self.marked = [[False] * self.WIDTH for _ in range(self.HEIGHT)]
        elif sequence[-1] == "m":
            for number in sequence[1:-1].split(";"):
                self.reversed = number == "7" or (self.reversed and number not in ("", "0", "27"))
        elif sequence in ("[K", "[0K"):
            self.rows[self.row][self.column:] = [" "] * (self.WIDTH - self.column)

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.rows)

    def chosen(self):
        """What stands in the bar of the choice."""
        lines = ("".join(letter for letter, marked in zip(*row) if marked) for row in zip(self.rows, self.marked))
        return "\n".join(line.strip() for line in lines if line.strip())


class Vm:
    """A virtual PC; its serial console is read all the time, and typed at."""

    count = 0
    running = []

    def __init__(self, work, name, *arguments, memory_mib=384, firmware="bios", variables=None, network="user", mac=None,
                 entropy=True):
        """`firmware`: bios, uefi or secure (UEFI with Secure Boot and Microsoft's keys). `network`: user (QEMU's own, the
        host is 10.0.2.2), None, or the name of a tap device."""
        Vm.count += 1
        self.name = name
        self.console = work / f"serial-{Vm.count}"
        mac = mac or f"52:54:00:00:00:{Vm.count:02x}"
        self.command = ["timeout", "-k", "5", str(DEADLINE_SECONDS), "qemu-system-x86_64", "-accel", "tcg,thread=multi",
                        "-cpu", "max", "-m", str(memory_mib), "-smp", "2", "-nodefaults", "-no-reboot", "-display", "none",
                        "-vga", "std", "-serial", f"unix:{self.console},server=on,wait=off"]
        if entropy:
            self.command += ["-device", "virtio-rng-pci"]
        if firmware != "bios":
            suffix = ".ms" if firmware == "secure" else ""
            variables = variables or work / f"vars-{Vm.count}.fd"
            if not variables.exists():
                shutil.copy(OVMF.format("VARS", suffix), variables)
            secure = ["-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"]
            self.command += secure if suffix else ["-machine", "q35"]
            self.command += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF.format('CODE', suffix)}", "-drive",
                             f"if=pflash,format=raw,file={variables}"]
        if network == "user":
            self.command += ["-netdev", "user,id=net", "-device", f"virtio-net-pci,netdev=net,mac={mac},romfile="]
        elif network:
            self.command += ["-netdev", f"tap,id=net,ifname={network},script=no,downscript=no"]
        self.command += [str(part) for part in arguments]
        self.begun = time.monotonic()
        self.starts = 0
        Vm.running.append(self)
        self.start()

    def start(self):
        self.starts += 1
        self.log, self.screen = "", Screen()
        self.console.unlink(missing_ok=True)
        self.started = time.monotonic()
        with open(self.console.with_suffix(".qemu"), "w") as said:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self.socket = socket.socket(socket.AF_UNIX)
        wait_until(f"{self.name}: its console", lambda: self.console.exists() or self.process.poll() is not None, 20)
        if self.process.poll() is not None:
            said = self.console.with_suffix(".qemu").read_text()
            raise AssertionError(f"{self.name}: QEMU ended at once with {self.process.returncode}: {said}")
        self.socket.connect(str(self.console))
        threading.Thread(target=self.read, args=(self.socket, self.screen), daemon=True).start()

    def read(self, connection, screen):
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                data = connection.recv(4096)
            except OSError:
                return
            if not data or connection is not self.socket:
                return
            text = decoder.decode(data)
            self.log += text
            screen.feed(text)

    def seconds(self):
        return time.monotonic() - self.started

    def again_if_it_stood_still(self):
        if STOOD_STILL in self.log and self.starts < MOST_STARTS:
            self.stop()
            self.start()

    def fail(self, why):
        shown = f"{self.name}: {why}\n--- screen\n{self.screen.text()}"
        if "Holotype" not in shown:
            # The kernel or a boot loader has the word.
            tail = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.log)[-3000:]
            shown += "\n--- console\n" + "".join(letter for letter in tail if letter.isprintable() or letter == "\n")
        raise AssertionError(shown)

    def wait(self, what, shown, seconds):
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if shown():
                return self.seconds()
            self.again_if_it_stood_still()
            if self.process.poll() is not None:
                self.fail(f"it ended before it showed {what!r}")
            time.sleep(0.05)
        self.fail(f"it does not show {what!r} within {seconds} s")

    def wait_for(self, text, seconds=DEADLINE_SECONDS):
        """Until the screen or the console has shown it."""
        return self.wait(text, lambda: text in self.screen.text() or text in self.log, seconds)

    def wait_screen(self, text, seconds=DEADLINE_SECONDS):
        """Until the screen shows it now, wrapped or not."""
        # The frame's sides stand between the parts of what is wrapped.
        plain = lambda shown: re.sub(r"[\s│|]", "", shown)
        return self.wait(text, lambda: plain(text) in plain(self.screen.text()), seconds)

    def type(self, keys):
        """Slowly: a serial line loses what comes at once."""
        for key in re.findall(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO.|.", keys, re.DOTALL):
            self.socket.sendall(key.encode())
            time.sleep(0.05)

    def choose(self, text):
        """Moves the bar from the top down to the line with that text, and takes it."""
        self.wait_screen(text)
        if text not in self.screen.chosen():
            self.type(HOME)
            time.sleep(0.5)
        for _ in range(20):
            if text in self.screen.chosen():
                return self.type(ENTER)
            before = self.screen.chosen()
            self.type(DOWN)
            self.wait(f"another line than {before}", lambda: self.screen.chosen() != before, 30)
        self.fail(f"no line with {text!r} can be chosen")

    def wait_end(self, seconds=DEADLINE_SECONDS):
        """Until the PC is off."""
        ends = time.monotonic() + seconds
        while (code := self.process.poll()) is None:
            if time.monotonic() > ends:
                self.fail(f"it is not off within {seconds} s")
            self.again_if_it_stood_still()
            time.sleep(0.05)
        if code != 0 or STOOD_STILL in self.log:
            self.fail(f"QEMU ended with {code}")
        return self.seconds()

    def stop(self):
        # `timeout` hands the signal on; killed itself, it would leave the machine running.
        self.process.terminate()
        self.process.wait()
        self.socket.close()

    def kill(self):
        """The plug is pulled."""
        if self.process.poll() is None:
            self.stop()

    @classmethod
    def kill_all(cls):
        for vm in cls.running:
            vm.kill()
        cls.running.clear()


def virtio(path, number=0, boot=None, read_only=False, serial=None):
    """A disk; `boot` is its place in the firmware's order."""
    boot = f",bootindex={boot}" if boot is not None else ""
    serial = f",serial={serial}" if serial else ""
    options = ",readonly=on" if read_only else ""
    return ["-drive", f"if=none,id=disk{number},format=raw,file={path}{options}", "-device",
            f"virtio-blk-pci,drive=disk{number}{boot}{serial}"]


def usb_stick(path, read_only=True):
    options = ",readonly=on" if read_only else ""
    return ["-drive", f"if=none,id=stick,format=raw,file={path}{options}", "-device", "qemu-xhci", "-device",
            "usb-storage,drive=stick,bootindex=0"]


def cd(path):
    return ["-drive", f"if=none,id=cd,media=cdrom,format=raw,readonly=on,file={path}", "-device",
            "ide-cd,drive=cd,bootindex=0"]


def adapter(mac, boot=None, bios=False, model="virtio-net-pci"):
    """An adapter for a tap device; a BIOS boots from the network by the adapter's own boot program."""
    boot = f",bootindex={boot}" if boot is not None else ""
    return ["-device", f"{model},netdev=net,mac={mac}{boot}" + ("" if bios else ",romfile=")]
