"""A real `holotype serve`, and what its administrator does."""

import json
import os
import subprocess

from .machine import DEADLINE_SECONDS
from .process import run, wait_until

PASSWORD = "correct horse battery"
EVERYWHERE = ("0.0.0.0", "[::]")


class Server:
    """`holotype serve` with a repository `lab`, and the administrator's commands."""

    def __init__(self, tools, work, *arguments, host="10.0.2.2", listen="127.0.0.1"):
        """`host` is what PCs know this host by: the default is what QEMU's own network calls it."""
        self.holotype, self.work, self.arguments = tools.holotype, work, arguments
        self.host, self.listen, self.process, self.port = host, listen, None, 0
        self.data = work / "data"
        (work / "password").write_text(PASSWORD + "\n")
        self.environment = {**os.environ, "HOLOTYPE_PASSWORD_FILE": str(work / "password"), "HOME": str(work / "home"),
                            "HOLOTYPE_TOKEN_FILE": str(work / "token")}
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            self.environment.pop(name, None)
        self.start()
        self.command("server", "repo", "add", "lab", "--data", self.data, "--quiet")
        self.pin = self.command("server", "fingerprint", "--data", self.data).split()[0]
        self.environment |= {"HOLOTYPE_SERVER": self.url, "HOLOTYPE_SERVER_PIN": self.pin,
                             "HOLOTYPE_REPO": f"{self.url}/lab"}
        self.command("login", "admin", "--password-file", self.data / "initial-admin-password")
        self.command("init", "--fast-derivation", "--quiet")
        self.command("key", "add", "--role", "writer", "--new-key-file", work / "writer.key")

    def start(self):
        port_file = self.work / "port"
        port_file.unlink(missing_ok=True)
        command = [self.holotype, "serve", "--data", self.data, "--listen", f"{self.listen}:{self.port}", "--floor-bytes", "0",
                   "--name", self.host, "--port-file", port_file, *self.arguments]
        with open(self.work / "server.log", "a") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, env=self.environment)
        ready = lambda: self.process.poll() is not None or (port_file.exists() and port_file.read_text().strip())
        address = wait_until("the server's port", ready)
        if address is True:
            raise AssertionError(f"the server does not start:\n{self.log()[-1000:]}")
        self.port = int(address.rsplit(":", 1)[1])
        self.url = f"https://{'127.0.0.1' if self.listen in EVERYWHERE else self.listen}:{self.port}"

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def log(self):
        return (self.work / "server.log").read_text()

    def command(self, *arguments, refused=False):
        """An administrator's command; with `refused` one that must fail, and what it says then."""
        done = run(self.holotype, *arguments, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                   check=False, timeout=DEADLINE_SECONDS)
        if (done.returncode != 0) != refused:
            raise AssertionError(f"holotype {' '.join(map(str, arguments))}: {done.returncode} {done.stderr}{done.stdout}")
        return done.stderr if refused else done.stdout

    def json(self, *arguments):
        return json.loads(self.command(*arguments, "--json"))

    def spawn(self, *arguments):
        command = [self.holotype, *map(str, arguments)]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def profile(self, name, task, group=None, **more):
        """A profile for a new PC, with a code that enrols it."""
        arguments = ["enrolment-code", "add", "--repository", "lab"] + (["--group", group] if group else [])
        code = self.json(*arguments)
        server = {"url": f"https://{self.host}:{self.port}", "pin": self.pin,
                  "enrolment": {"code": code["code"], "expires_ms": code["expires_ms"]}}
        return {"name": name, "style": "network", "server": server, "task": task, "console": "serial", **more}

    def backup_task(self, disk="only", **place):
        """A profile's task: an unattended backup to `lab`, or to another place."""
        place = place or {"server": {"repository": "lab"}}
        return {"backup": {"place": place, "disk": disk, "writer_key": self.writer_key()}}

    def writer_key(self):
        return (self.work / "writer.key").read_bytes().hex()

    def wait_enrolled(self, *names):
        enrolled = lambda: set(names) <= {machine["name"] for machine in self.json("machine", "list") if machine["enrolled"]}
        wait_until(f"{', '.join(names)}: enrolled", enrolled, DEADLINE_SECONDS)

    def image_names(self):
        return [image["name"] for image in self.json("images")]

    def runs(self, task):
        return self.json("task", "show", task)["runs"]
