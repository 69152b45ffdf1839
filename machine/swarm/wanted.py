"""What a cluster file asks for: hosts, what each is in the swarm, and how that is set. Data only.

`None` stands for what the file does not say: that is left as it is found.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from machine.swarm.options import Value
from machine.target import Target


class Role(enum.Enum):
    """What a node is in the swarm."""

    MANAGER = "manager"
    WORKER = "worker"


class Availability(enum.Enum):
    """Whether a node is given tasks."""

    ACTIVE = "active"
    PAUSE = "pause"
    DRAIN = "drain"


@dataclass(frozen=True)
class Hooks:
    """Commands of the operator, which a shell on the host runs as root around work there."""

    before_apply: tuple[str, ...] = ()
    after_apply: tuple[str, ...] = ()
    before_upgrade: tuple[str, ...] = ()
    after_upgrade: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostWanted:
    """One host of the file."""

    name: str
    target: Target
    role: Role = Role.WORKER
    advertise: str = ""  # address or interface that other nodes are told; "": swarmd chooses
    listen: str = ""  # address or interface where it listens; "": all
    data_path: str = ""  # address or interface for tasks' traffic; "": as advertised
    availability: Availability | None = None
    labels: Mapping[str, str] | None = None  # all of them: others are taken off
    swarmd: Mapping[str, Any] = field(default_factory=dict)  # /etc/swarm/swarmd.toml
    hostname: str = ""  # "": stays as it is
    is_absent: bool = False  # is to be no node any more
    hooks: Hooks = Hooks()


@dataclass(frozen=True)
class SwarmWanted:
    """A whole file."""

    name: str
    hosts: Mapping[str, HostWanted]  # in the file's order
    version: str = ""  # of our distribution; "": the one that swarmctl carries
    options: Mapping[str, Value] = field(default_factory=dict)  # of `options.OPTIONS`

    def managers(self) -> tuple[HostWanted, ...]:
        """The hosts that are to be managers, in the file's order."""
        return tuple(
            each for each in self.hosts.values() if each.role is Role.MANAGER and not each.is_absent
        )
