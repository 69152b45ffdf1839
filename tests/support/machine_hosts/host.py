"""One bare host: Debian with systemd as PID 1 and its own SSH server, made of namespaces.

A test reaches it as an operator would, over SSH from the lab's network; `run` is the back door,
for what a test wants to see or to break without the way it tests.
"""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hostkit import netns
from machine.drivers.lab import cuts, naming, network
from tests.support.machine_hosts.form import HostForm, HostPaths
from tests.support.machine_hosts.furnish import furnish
from tests.support.machine_hosts.power import Power
from tests.support.machine_hosts.suite import Suite
from tests.support.until import until_true

SSH = 22
_BOOT = 90.0
_SHUTDOWN = 60.0
_SAID = 30  # lines of the console that an error shows


class MachineHost:
    """Made and booted by `MachineLab`."""

    def __init__(
        self,
        lab: str,
        base: Path,
        form: HostForm,
        *,
        public_key: str,
        packages: str,
        suite: Suite,
    ) -> None:
        self._lab = lab
        self.form = form
        self.paths = HostPaths(lab, form.name)
        self.power = Power(base, self.paths)
        furnish(base, form, self.paths, key=public_key, packages=packages, suite=suite)
        network.plug(lab, form.name, self.paths.namespace, form.address)

    @property
    def name(self) -> str:
        """As its hostname."""
        return self.form.name

    @property
    def address(self) -> str:
        """Where its SSH server listens."""
        return self.form.address

    def host_key(self) -> str:
        """Its SSH server's public key, as `ssh-ed25519 AAAA...`."""
        line = self.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"])
        return " ".join(line.split()[:2])

    def start(self) -> None:
        """Boots it, with its disk as it was; `wait` tells when it answers."""
        self.mend()
        self.power.on()

    def stop(self) -> None:
        """Shuts it down in order."""
        if self.power.is_on:
            self.run(["systemctl", "poweroff"], check=False)
            until_true(lambda: not self.power.is_on, f"{self.name} is off", _SHUTDOWN)
        self.power.off()

    def kill(self) -> None:
        """Power failure: nobody is told. `start` ends it."""
        self.cut()
        self.power.off()

    def wait(self, boots: int = 1) -> None:
        """Until it has booted so often, and its SSH server answers."""

        def is_up() -> bool:
            assert self.power.is_on, f"{self.name} went off while it booted"
            return self.power.boots >= boots and self._answers()

        try:
            until_true(is_up, f"{self.name} is up", _BOOT)
        except AssertionError as error:
            error.add_note(self.console())
            raise

    def run(
        self,
        argv: Sequence[str],
        *,
        given: bytes = b"",
        timeout: float = 60.0,
        check: bool = True,
    ) -> str:
        """What a command says that runs as root in the host; with `check` it has to succeed."""
        done = subprocess.run(
            self.inside(argv), input=given, capture_output=True, timeout=timeout, check=False
        )
        said = done.stdout.decode(errors="replace")
        assert not check or done.returncode == 0, f"{argv} on {self.name}: {said}{done.stderr!r}"
        return said

    def inside(self, argv: Sequence[str]) -> list[str]:
        """The words that run a command in the host, from this machine."""
        pid = self.power.pid()
        assert pid is not None, f"{self.name} is off"
        words = ["nsenter", f"--target={pid}", "--all", "--wd=/", "--"]
        environment = [
            "env",
            "-i",
            "HOME=/root",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
        ]
        return [*words, *environment, *argv]

    def cut(self, way: cuts.Way = cuts.Way.BOTH) -> None:
        """Drops every frame of it, or one way: as if a cable were pulled, nobody is told."""
        asyncio.run(cuts.cut(self._lab, self.name, way))

    def mend(self) -> None:
        """Ends every `cut`."""
        asyncio.run(cuts.mend(self._lab, self.name))

    def console(self) -> str:
        """The last that its systemd said."""
        lines = self.paths.console.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_SAID:])

    def remove(self) -> None:
        """Ends it and deletes all of it."""
        self.mend()
        self.power.off()
        network.unplug(self._lab, self.name, self.paths.namespace)
        shutil.rmtree(self.paths.folder)

    def _answers(self) -> bool:
        lab = netns.path(naming.bridge_namespace(self._lab))

        def greeting() -> bytes:
            with socket.create_connection((self.address, SSH), 2.0) as connection:
                return connection.recv(8)

        try:
            return netns.call_in(lab, greeting).startswith(b"SSH-")
        except OSError:
            return False
