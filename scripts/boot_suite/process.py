"""Programs that are run, and waiting with a bound."""

import hashlib
import subprocess
import time


def run(*command, quiet=False, **options):
    options.setdefault("check", True)
    if quiet:
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
    return subprocess.run([str(part) for part in command], **options)


def output(*command, **options):
    return run(*command, stdout=subprocess.PIPE, text=True, **options).stdout


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def wait_until(what, condition, seconds=60):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s")


def say(text):
    print(f"        {text}", flush=True)
