"""Servers of shares: NFS by nfs-ganesha, SMB by smbd. They end with the scenario's namespaces."""

import os
import pathlib
import subprocess

from .disks import sparse
from .process import run, wait_until

NFS_PORT, SMB_PORT = 2049, 445
# The account has to be one of the system; its password for SMB is of its own.
SMB_USER, SMB_PASSWORD = "backup", "share, not image"


def volume(work, name, size_mib):
    """A mounted ext4 of its own: ganesha wants a filesystem with file handles."""
    folder = work / name
    folder.mkdir()
    run("mkfs.ext4", "-q", "-F", "-E", "root_owner=0:0", sparse(work / f"{name}.volume", size_mib << 20))
    run("mount", "-o", "loop", work / f"{name}.volume", folder)
    return folder


def nfs(work, address, exports):
    """Exports folders: `exports` has what clients call them."""
    state = work / "ganesha"
    state.mkdir()
    blocks = "".join(
        f"EXPORT {{ Export_Id = {number}; Path = {path}; Pseudo = {name}; Protocols = 3, 4; Transports = TCP;"
        " Access_Type = RW; Squash = No_Root_Squash; SecType = sys; FSAL { Name = VFS; } }\n"
        for number, (name, path) in enumerate(exports.items(), 1))
    (work / "ganesha.conf").write_text(
        f"NFS_CORE_PARAM {{ Bind_addr = {address}; Enable_NLM = false; Enable_RQUOTA = false; Protocols = 4; }}\n"
        f"NFSv4 {{ RecoveryBackend = fs; RecoveryRoot = {state}; Grace_Period = 5; Lease_Lifetime = 5; Graceless = true; }}\n"
        + blocks)
    pathlib.Path("/run/ganesha").mkdir(exist_ok=True)
    command = ["ganesha.nfsd", "-F", "-f", work / "ganesha.conf", "-L", work / "ganesha.log", "-p", work / "ganesha.pid", "-N",
               "NIV_EVENT"]
    return listening("nfs-ganesha", work / "ganesha.log", command, NFS_PORT)


def smb(work, address, shares):
    """Shares folders with `SMB_USER`."""
    state = work / "samba"
    (state / "private").mkdir(parents=True)
    os.chmod(state, 0o755)
    folders = "".join(f"[{name}]\n path = {path}\n read only = no\n valid users = {SMB_USER}\n force user = root\n"
                      for name, path in shares.items())
    keys = ("lock", "state", "cache", "pid")
    (work / "smb.conf").write_text(
        "[global]\n server role = standalone server\n disable netbios = yes\n load printers = no\n"
        f" smb ports = {SMB_PORT}\n interfaces = {address}/24\n bind interfaces only = yes\n"
        f" private dir = {state}/private\n ncalrpc dir = {state}/ncalrpc\n log file = {state}/log\n"
        + "".join(f" {key} directory = {state}\n" for key in keys) + folders)
    run("smbpasswd", "-c", work / "smb.conf", "-s", "-a", SMB_USER, input=f"{SMB_PASSWORD}\n{SMB_PASSWORD}\n", text=True,
        quiet=True)
    command = ["smbd", "--foreground", "--no-process-group", "-s", work / "smb.conf"]
    return listening("smbd", work / "smbd.log", command, SMB_PORT)


def listening(name, log, command, port):
    """Starts a server and waits for its port."""
    with open(log.with_suffix(".said"), "w") as file:
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=file, stderr=file)

    def listens():
        # /proc/net/tcp: the local address and port in hexadecimal digits, and 0A for listening.
        lines = [line.split() for table in ("tcp", "tcp6") for line in pathlib.Path("/proc/net", table).read_text().splitlines()[1:]]
        return process.poll() is not None or any(line[1].endswith(f":{port:04X}") and line[3] == "0A" for line in lines)

    wait_until(f"{name}: it listens", listens)
    if process.poll() is not None:
        raise AssertionError(f"{name} ended with {process.returncode}: {log.with_suffix('.said').read_text()[-1000:]}")
    return process
