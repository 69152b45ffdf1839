"""What tests of installations share: the operator at his command line, other versions of ours, and
what is on a host.
"""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from machine.distribution import bundle, libraries, own, wheel
from tests.support.machine_hosts.host import MachineHost
from tests.support.machine_hosts.lab import MachineLab
from tests.support.ran import Ran

_LIMIT = 280.0
BROKEN = {"swarmctl/daemon.py": b"raise SystemExit('swarmd: broken on purpose')\n"}
_OTHERS = r"""
find / /var -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev \
  -o -path /var/lib/apt -o -path /var/cache -o -path /var/log -o -path /var/lib/systemd \
  -o -path /var/lib/dpkg -o -name __pycache__ -o -name '*-old' -o -name '*-' \) -prune \
  -o -printf '%y %m %u:%g %p -> %l\n' | sort -u
echo; dpkg-query -W -f '${Status} ${Package}\n' | sort; cat /etc/passwd /etc/group /etc/hosts
"""
"""All but what apt, dpkg and systemd keep for themselves: lists, logs, caches, copies."""


class Operator:
    """At the lab's command line, with a home of his own."""

    def __init__(self, lab: MachineLab, home: Path) -> None:
        self._lab = lab
        self.home = home

    def machine(self, *words: str, given: bytes = b"") -> Ran:
        """`swarmctl machine ...`"""
        done = self._lab.command(
            [sys.executable, "-m", "swarmctl", "machine", *words],
            given=given,
            timeout=_LIMIT,
            environment=self._environment(),
        )
        return Ran.of(done)

    def create(self, host: MachineHost, *words: str, user: str = "root") -> Ran:
        """`swarmctl machine create` of a host, called as it is."""
        return self.machine(
            "create",
            "--generic-ip-address",
            host.address,
            "--generic-ssh-user",
            user,
            "--generic-ssh-key",
            str(self._lab.key),
            "--generic-ssh-no-agent",
            "--progress",
            "plain",
            *words,
            host.name,
        )

    def _environment(self) -> Mapping[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.home), "PYTHONPATH": str(Path(__file__).parents[2])}


def another_wheel(folder: Path, version: str, changed: Mapping[str, bytes]) -> Path:
    """Our distribution as another version, with some files changed."""
    parts = own.read_parts()
    parts = wheel.Parts({**parts.files, **changed}, parts.metadata, parts.others)
    path = folder / wheel.file_name(version)
    path.write_bytes(wheel.pack(parts, version, own.pins()))
    return path


def bundle_for(lab: MachineLab, folder: Path) -> Path:
    """A bundle for the lab's hosts alone; libraries come from where this machine has them from."""
    ours = own.own(folder)
    place = folder / "libraries"
    place.mkdir()
    python, arch = lab.suite.python, platform.machine()
    files = libraries.download(ours.path, python, arch, place)
    path = folder / "bundle.tar"
    bundle.write(path, ours.version, {bundle.target(python, arch): files})
    return path


def what_is_on(host: MachineHost) -> set[str]:
    """Every file with its owner and mode, every package, and who there is."""
    return set(host.run(["sh", "-c", _OTHERS]).splitlines())


def swarmd_started(host: MachineHost) -> str:
    """When the daemon that runs there was started, as a text to compare."""
    return host.run(["systemctl", "show", "swarmd", "-p", "ActiveEnterTimestampMonotonic"])
