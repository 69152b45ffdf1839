"""What one host is to be like, and where all of it lies."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

STATE = Path("/var/lib/swarm-machines")
SUBNET = 200
"""Third byte of the network of every lab of hosts; each is in a namespace of its own."""
_FIRST = 10
_NAME = re.compile(r"[a-z](\d{1,2})")


@dataclass(frozen=True)
class HostForm:
    """`name`: a letter and a number, which its address follows from: h1 is 10.77.200.11."""

    name: str
    disk: int = 8192
    """MiB of its disk, which all of it shares: packages, /opt and /var. Unused, they cost nothing.
    """

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r}: hosts are called by a letter and a number, as h1")

    @property
    def address(self) -> str:
        """Of its eth0."""
        number = int(self.name[1:])
        return str(ipaddress.ip_address(f"10.77.{SUBNET}.{_FIRST}") + number)


@dataclass(frozen=True)
class HostPaths:
    """What one host has on this machine."""

    lab: str
    name: str

    @property
    def namespace(self) -> str:
        """Its network namespace."""
        return f"swl-{self.lab}-{self.name}"

    @property
    def cgroup(self) -> str:
        """Its control group in the hierarchy of version 2."""
        return f"/machines-{self.lab}-{self.name}"

    @property
    def folder(self) -> Path:
        """All its files."""
        return STATE / self.lab / self.name

    @property
    def disk(self) -> Path:
        """Where it mounts its disk: `upper`, `work` and `var`, beyond the base tree."""
        return self.folder / "disk"

    @property
    def image(self) -> Path:
        """The file system that is its disk: deleted in one step, and full when the host's is."""
        return self.folder / "disk.img"

    @property
    def root(self) -> Path:
        """Where its own mount namespace has its root at first."""
        return self.folder / "root"

    @property
    def console(self) -> Path:
        """What its systemd says."""
        return self.folder / "console.log"
