"""Names, addresses and paths of labs and their hosts: pure, and the same for every process.

Everything that a lab makes on this machine follows from the lab's name, the host's name and the
lab's directory, so that any later process can find it and remove it.
"""

import contextlib
import ipaddress
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from api.errors import Code, SwarmError, invalid

DEFAULT_LAB = "lab"
DEFAULT_BASE = Path("/var/lib/swarm-lab")

MAX_MANAGERS = 39
MAX_WORKERS = 200
REGISTRY = "registry"
REGISTRY_PORT = 5000
SWARM_PORT = 2377

# No dash: the names below join lab and host with one, and must be read in one way only.
_LAB = re.compile(r"[a-z][a-z0-9]{0,11}")
_HOST = re.compile(r"([mw])([1-9][0-9]{0,2})")
_OTHER_HOST = re.compile(r"[a-z][a-z0-9]{0,10}")
_HIGHEST, _LOWEST = 254, 3
_SUBNETS = 256
_MAX_PORT = 65535
_BRIDGE_NUMBER = 1
_REGISTRY_NUMBER = 2
_FIRST_MANAGER = 11
_FIRST_WORKER = 51
# A unix socket's path has 107 bytes; daemons put some a few levels below their run directory.
_MAX_BASE = 40


def check_lab(name: str) -> str:
    """`name` if a lab may be called so; else INVALID."""
    if not _LAB.fullmatch(name):
        raise invalid(
            "name",
            f"{name!r} is no name for a lab",
            why="it takes a lower-case letter, then at most 11 lower-case letters or digits",
        )
    return name


def check_base(base: Path) -> Path:
    """`base` if labs may be kept there; else INVALID. Hosts hide /tmp and /run behind their own."""
    hidden = any(base.is_relative_to(top) for top in ("/tmp", "/run"))  # noqa: S108 - compared only
    if not base.is_absolute() or hidden or len(str(base)) > _MAX_BASE:
        raise invalid(
            "base",
            f"labs cannot be kept in {base}",
            why=f"it takes an absolute path of at most {_MAX_BASE} characters, "
            "neither below /tmp nor /run",
        )
    return base


def check_expose(text: str) -> tuple[str, int]:
    """(address, port) of ADDR:PORT on loopback; INVALID for all that others could reach."""
    address, _, port = text.rpartition(":")
    with contextlib.suppress(ValueError):
        loopback = ipaddress.ip_address(address.strip("[]"))
        if loopback.is_loopback and 1 <= int(port) <= _MAX_PORT:
            return str(loopback), int(port)
    raise invalid(
        "expose",
        f"cannot expose a manager at {text!r}",
        why="it takes a loopback address and a port, as 127.0.0.1:2377",
    )


def host_names(managers: int, workers: int, registry: bool) -> list[str]:
    """The hosts of a lab of that shape, in the order in which they are shown."""
    if not 1 <= managers <= MAX_MANAGERS:
        raise invalid("managers", f"a lab has 1 to {MAX_MANAGERS} managers")
    if not 0 <= workers <= MAX_WORKERS:
        raise invalid("workers", f"a lab has 0 to {MAX_WORKERS} workers")
    names = [f"m{number}" for number in range(1, managers + 1)]
    names += [f"w{number}" for number in range(1, workers + 1)]
    return names + [REGISTRY] * registry


def host_address(subnet: int, host: str) -> str:
    """The address of a host in lab network `subnet`: its name decides. INVALID for other names."""
    if host == REGISTRY:
        return f"10.77.{subnet}.{_REGISTRY_NUMBER}"
    match = _HOST.fullmatch(host)
    kind, number = (match[1], int(match[2])) if match else ("", 0)
    if kind == "m" and number <= MAX_MANAGERS:
        return f"10.77.{subnet}.{_FIRST_MANAGER + number - 1}"
    if kind == "w" and number <= MAX_WORKERS:
        return f"10.77.{subnet}.{_FIRST_WORKER + number - 1}"
    raise invalid(
        "host",
        f"{host!r} is no name for a host of a lab",
        why=f"hosts are m1 to m{MAX_MANAGERS}, w1 to w{MAX_WORKERS} and {REGISTRY}",
    )


def has_place(host: str) -> bool:
    """Whether a host of that name always has the same address: `host_address` tells it."""
    try:
        host_address(0, host)
    except SwarmError:
        return False
    return True


def check_host(name: str) -> str:
    """`name` if a host may be called so, whatever it is to be; else INVALID."""
    if not _OTHER_HOST.fullmatch(name):
        raise invalid(
            "host",
            f"{name!r} is no name for a host of a lab",
            why="it takes a lower-case letter, then at most 10 lower-case letters or digits",
        )
    return name


def free_address(subnet: int, taken: Collection[str]) -> str:
    """For a host of another name, the highest that nobody has; EXHAUSTED if all are taken.

    From the top: hosts whose names decide are numbered from below.
    """
    for number in range(_HIGHEST, _LOWEST - 1, -1):
        address = f"10.77.{subnet}.{number}"
        if address not in taken:
            return address
    raise SwarmError(Code.EXHAUSTED, "the lab has no address left", remedy="use another lab")


def hardware_address(address: str) -> str:
    """The MAC address of a host, the same after each start, so that nobody's ARP table is stale."""
    return "02:77:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def bridge_address(subnet: int) -> str:
    """The address of the lab's bridge in its own namespace; the forwarder speaks from there."""
    return f"10.77.{subnet}.{_BRIDGE_NUMBER}"


def free_subnet(taken: Iterable[int]) -> int:
    """The lowest third byte of 10.77.x.0/24 that no other lab has; EXHAUSTED if all are taken."""
    used = set(taken)
    for subnet in range(_SUBNETS):
        if subnet not in used:
            return subnet
    raise SwarmError(
        Code.EXHAUSTED, "no network is left for a lab", remedy="take down labs: swarmctl lab ls"
    )


def is_manager(host: str) -> bool:
    """Whether a host of that name is meant to be a manager."""
    return host.startswith("m")


def bridge_namespace(lab: str) -> str:
    """The network namespace that holds the lab's bridge."""
    return f"swl-{lab}"


@dataclass(frozen=True)
class LabPaths:
    """Where one lab keeps its files."""

    base: Path
    lab: str

    @property
    def directory(self) -> Path:
        """Holds all that the lab has on disk."""
        return self.base / self.lab

    @property
    def record(self) -> Path:
        """What the lab consists of."""
        return self.directory / "lab.json"

    @property
    def forwarder_log(self) -> Path:
        """What the process behind `--expose` has to say."""
        return self.directory / "forward.log"

    @property
    def cgroup(self) -> str:
        """The control group of that process. No host can have the same: theirs hold a dash more."""
        return f"/lab-{self.lab}"


@dataclass(frozen=True)
class HostPaths:
    """Where one host of a lab keeps its files, and what the kernel calls it."""

    base: Path
    lab: str
    host: str

    @property
    def directory(self) -> Path:
        """Holds all that the host has on disk."""
        return self.base / self.lab / self.host

    @property
    def state(self) -> Path:
        """The daemon's state directory: the host's disk."""
        return self.directory / "state"

    @property
    def disk(self) -> Path:
        """The image that `state` is in, if the host has a disk of its own."""
        return self.directory / "disk.img"

    @property
    def run(self) -> Path:
        """The daemon's run directory, emptied at each start as /run is at a boot."""
        return self.directory / "run"

    @property
    def etc(self) -> Path:
        """The host's own hosts, hostname and resolv.conf."""
        return self.directory / "etc"

    @property
    def swarm_socket(self) -> Path:
        """Where the host's swarmd listens for its operator."""
        return self.run / "swarmd.sock"

    @property
    def init_socket(self) -> Path:
        """Where the host's PID 1 takes requests."""
        return self.run / "init.sock"

    @property
    def pid(self) -> Path:
        """The pid of the host's PID 1 on this machine, and when it started."""
        return self.directory / "pid"

    @property
    def boot(self) -> Path:
        """What the process that boots the host is to do."""
        return self.directory / "boot.json"

    @property
    def settings(self) -> Path:
        """The daemon's settings, for a host that has any of its own."""
        return self.directory / "swarmd.toml"

    @property
    def init_log(self) -> Path:
        """What PID 1 has to say."""
        return self.directory / "init.log"

    @property
    def daemon_log(self) -> Path:
        """Both outputs of the daemon."""
        return self.directory / "daemon.log"

    @property
    def namespace(self) -> str:
        """The name of its network namespace."""
        return f"swl-{self.lab}-{self.host}"

    @property
    def cgroup(self) -> str:
        """Its cgroup parent, from the root of each hierarchy."""
        return f"/lab-{self.lab}-{self.host}"
