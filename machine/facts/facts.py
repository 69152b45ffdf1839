"""What was found on a host: data that `machine.preflight` and the steps judge."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Disk:
    """Where a folder lies, and what is free there."""

    folder: str
    free: int  # bytes
    mount: str  # folders with the same one share what is free


@dataclass(frozen=True)
class Listener:
    """A port that somebody listens at."""

    protocol: str  # tcp or udp
    port: int
    program: str  # "": not known


@dataclass(frozen=True)
class Facts:
    """One look at a host. An empty text means that the host did not tell."""

    os: str = ""  # debian, ubuntu, ...
    os_version: str = ""  # 12, 24.04
    os_name: str = ""
    arch: str = ""
    kernel: str = ""
    hostname: str = ""
    python: str = ""  # 3.11.2
    init: str = ""  # systemd, or the name of process 1
    memory: int = 0  # bytes
    disks: tuple[Disk, ...] = ()
    read_only: tuple[str, ...] = ()  # folders that cannot be written
    missing: tuple[str, ...] = ()  # packages that a node needs
    dpkg_broken: str = ""  # what dpkg says of a package that is half installed
    features: Mapping[str, str] = field(default_factory=dict)
    """By kernel module: loaded, builtin, loadable, works, or absent."""
    controllers: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] = ()
    firewalls: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()  # what they let in, as 2377/tcp
    apt_lock: str = ""  # pid and name of who holds it
    strays: tuple[int, ...] = ()  # processes of swarmd that systemd did not start
    versions: tuple[str, ...] = ()  # of ours, that are whole
    current: str = ""  # the one that a link says is run
    unit: bool = False  # whether systemd has one of swarmd
    by_hand: bool = False  # an installation as older instructions made it
    manifest: bool = False
    mirror: str = ""  # reached, or why not
    index: str = ""  # the same of PyPI; "": there is nothing to try it with
    skew: tuple[float, float] = (0.0, 0.0)
    """Between which seconds the host's clock is ahead of ours."""

    def has(self, feature: str) -> bool:
        """Whether the kernel has a feature, or can load it."""
        return self.features.get(feature, "absent") != "absent"
