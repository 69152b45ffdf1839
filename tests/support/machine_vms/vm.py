"""One virtual machine: bare Debian 12 with a kernel of its own, on the network of the bare hosts.

It has what they have, and what they lack: control groups of version 2 with all controllers,
modules of the kernel, a clock, a power switch. Slow: an emulated processor of some per cent.
"""

import asyncio
import io
import secrets
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from hostkit import netns
from machine.drivers.lab import cuts, naming
from tests.support.machine_hosts.form import STATE, HostForm
from tests.support.machine_hosts.furnish import USERS, files
from tests.support.machine_hosts.host import SSH
from tests.support.machine_vms import agent, qemu
from tests.support.machine_vms.template import add_tap
from tests.support.until import until_true

_BOOT = 900.0
_SHUTDOWN = 300.0
_COMMAND = 600.0
# The clones have the state of one machine, its random numbers included: fresh ones come first, and
# are used at once (random(4): RNDRESEEDCRNG).
_RESEED = """\
import fcntl, sys
with open("/dev/random", "wb") as pool:
    pool.write(sys.stdin.buffer.read())
    pool.flush()
    fcntl.ioctl(pool, 0x5207)
"""
_IDENTITY = """\
tar --extract --directory=/ --no-overwrite-dir
hostname "$1"
rm -f /etc/machine-id
systemd-machine-id-setup
ssh-keygen -q -t ed25519 -N '' -C "$1" -f /etc/ssh/ssh_host_ed25519_key
systemctl restart systemd-networkd
systemctl reset-failed
systemctl restart ssh
"""
_NETWORK = """\
[Match]
Name=eth0
[Link]
MACAddress={mac}
[Network]
Address={address}/24
LinkLocalAddressing=no
"""


class VirtualMachine:
    """Made and started by `virtual_machines`; what tests do with it is as with a MachineHost."""

    def __init__(self, lab: str, image: Path, form: HostForm) -> None:
        self._lab = lab
        self._image = image
        self.form = form
        self._folder = STATE / lab / f"vm-{form.name}"
        self._folder.mkdir(parents=True)
        self._process: qemu.Process | None = None
        disk = "disk.qcow2"
        copy = ["cp", "--sparse=always", str(image / disk), str(self._folder / disk)]
        subprocess.run(copy, check=True, timeout=120)
        add_tap(self._namespace, form.name)
        ip = ["nsenter", f"--net={self._namespace}", "ip"]
        plug = [*ip, "link", "set", form.name, "master", "br0"]
        subprocess.run(plug, check=True, timeout=30)

    @property
    def name(self) -> str:
        """As its hostname."""
        return self.form.name

    @property
    def address(self) -> str:
        """Where its SSH server listens."""
        return self.form.address

    @property
    def is_on(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.runs

    def resume(self) -> None:
        """Goes on where the template stood; it takes `become` to be somebody."""
        self._start(resume=True)

    def become(self, *, key: str, packages: str) -> None:
        """Gives the clone its name, address, keys and time."""
        until_true(lambda: agent.answers(self._agent), f"{self.name} goes on", _BOOT)
        self.set_clock(time.time())
        self.run(["python3", "-c", _RESEED], given=secrets.token_bytes(64))
        archive = self._archive(key, packages)
        self.run(["sh", "-euc", _IDENTITY, "sh", self.name], given=archive, timeout=300)

    def start(self) -> None:
        """Boots it, with its disk as it was; takes minutes. `wait` tells when it answers."""
        self.mend()
        if not self.is_on:
            self._start(resume=False)

    def stop(self) -> None:
        """Shuts it down in order."""
        if self.is_on:
            qemu.command(self._folder, "system_powerdown")
            until_true(lambda: not self.is_on, f"{self.name} is off", _SHUTDOWN)

    def kill(self) -> None:
        """Power failure: nobody is told. `start` ends it."""
        self.cut()
        if self._process is not None:
            self._process.kill()

    def wait(self) -> None:
        """Until its SSH server answers."""

        def is_up() -> bool:
            assert self.is_on, f"{self.name} went off: {self.console()}"
            return self._answers()

        until_true(is_up, f"{self.name} is up", _BOOT)

    def run(
        self,
        argv: Sequence[str],
        *,
        given: bytes = b"",
        timeout: float = _COMMAND,
        check: bool = True,
    ) -> str:
        """What a command says that runs as root in it; with `check` it has to succeed."""
        done = agent.execute(self._agent, argv, given=given, timeout=timeout)
        said = done.out.decode(errors="replace")
        assert not check or done.code == 0, f"{argv} on {self.name}: {said}{done.err!r}"
        return said

    def set_clock(self, now: float) -> None:
        """Its wall clock, in seconds since the epoch; after a resume it stands where it stood."""
        self.run(["date", "-s", f"@{now:.3f}"])

    def host_key(self) -> str:
        """Its SSH server's public key, as `ssh-ed25519 AAAA...`."""
        line = self.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])
        return " ".join(line.split()[:2])

    def cut(self, way: cuts.Way = cuts.Way.BOTH) -> None:
        """Drops every frame of it, or one way."""
        asyncio.run(cuts.cut(self._lab, self.name, way))

    def mend(self) -> None:
        """Ends every `cut`."""
        asyncio.run(cuts.mend(self._lab, self.name))

    def console(self) -> str:
        """The last that it and qemu said."""
        logs = (self._folder / "console.log", self._folder / "qemu.log")
        texts = (each.read_text(errors="replace") for each in logs if each.exists())
        return "\n".join("\n".join(text.splitlines()[-20:]) for text in texts)

    def remove(self) -> None:
        """Ends it and deletes all of it."""
        self.mend()
        if self._process is not None:
            self._process.kill()
        ip = ["nsenter", f"--net={self._namespace}", "ip"]
        subprocess.run([*ip, "link", "del", self.name], check=True, timeout=30)
        shutil.rmtree(self._folder)

    @property
    def _namespace(self) -> Path:
        return netns.path(naming.bridge_namespace(self._lab))

    @property
    def _agent(self) -> Path:
        return self._folder / "agent.sock"

    def _start(self, *, resume: bool) -> None:
        argv = qemu.words(self._image, self._folder, self.name, resume=resume)
        self._process = qemu.Process(argv, self._namespace, self._folder / "qemu.log")

    def _archive(self, key: str, packages: str) -> bytes:
        """All files that are its own."""
        network = _NETWORK.format(mac=naming.hardware_address(self.address), address=self.address)
        own = files(self.form, packages) | {"etc/systemd/network/10-eth0.network": network}
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as archive:
            for path, content in own.items():
                _add(archive, path, content)
            for user in USERS:
                place = "root/.ssh" if user == "root" else f"home/{user}/.ssh"
                _add(archive, place, None, user)
                _add(archive, f"{place}/authorized_keys", f"{key}\n", user)
        return made.getvalue()

    def _answers(self) -> bool:
        def greeting() -> bytes:
            with socket.create_connection((self.address, SSH), 5.0) as connection:
                connection.settimeout(10.0)
                return connection.recv(8)

        try:
            return netns.call_in(self._namespace, greeting).startswith(b"SSH-")
        except OSError:
            return False


def _add(archive: tarfile.TarFile, path: str, content: str | None, owner: str = "root") -> None:
    """A file, or a folder that only its owner sees."""
    entry = tarfile.TarInfo(path)
    entry.uname = entry.gname = owner
    entry.mode = 0o700 if content is None else 0o644
    entry.mtime = int(time.time())
    if content is None:
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
    else:
        entry.size = len(content.encode())
        archive.addfile(entry, io.BytesIO(content.encode()))
