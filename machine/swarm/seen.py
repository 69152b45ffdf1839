"""What was found: each host as itself, and the nodes as the managers hold them. Data only."""

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from machine.provisioning import Change, Problem
from machine.swarm.wanted import Availability, HostWanted, Role

FORMER = "machine.availability"
"""Label of a node that was drained in passing: what it was before, so that whoever goes on after
an interruption can give that back.
"""

TO_UNLOCK = "give it the unlock key there: swarmctl swarm unlock"


class Standing(enum.Enum):
    """What a host's daemon says of its place in a swarm."""

    NONE = "inactive"
    ACTIVE = "active"
    PENDING = "pending"  # its managers cannot be reached, or have removed it
    LOCKED = "locked"  # a manager whose keys wait for swarm unlock
    UNKNOWN = "unknown"  # its daemon does not answer, and its disk tells of a swarm


@dataclass(frozen=True)
class HostSeen:
    """One host of the file. `error`: why it was not reached; nothing else is known of it then."""

    error: str = ""
    is_installed: bool = False  # something of ours is there
    has_daemon: bool = False  # and it answers
    version: str = ""  # of the daemon that runs
    previous: str = ""  # version before it, which the host can go back to
    hostname: str = ""
    standing: Standing = Standing.NONE
    node_id: str = ""
    cluster_id: str = ""
    is_manager: bool = False
    expires_at: str = ""  # its certificate as a node, RFC 3339
    changes: tuple[Change, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def is_mute(self) -> bool:
        """Whether it may be a node, and cannot say which."""
        return bool(self.error) or self.standing is Standing.UNKNOWN


@dataclass(frozen=True)
class NodeSeen:
    """One node. `is_seated`: it has a place among the managers, whatever its role is to be."""

    id: str
    hostname: str = ""
    addresses: frozenset[str] = frozenset()  # at which the managers have it
    role: Role = Role.WORKER
    is_seated: bool = False
    is_reachable: bool = False
    leads: bool = False
    is_ready: bool = False
    is_down: bool = False
    availability: Availability = Availability.ACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True)
class Seen:
    """All of it. `trouble`: why no manager told of nodes, though there is a swarm."""

    hosts: Mapping[str, HostSeen]
    nodes: Mapping[str, NodeSeen] = field(default_factory=dict)  # by id
    cluster_id: str = ""  # "": none of the hosts is in a swarm
    spec: Mapping[str, Any] = field(default_factory=dict)  # as swarm inspect shows it
    homes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Volumes whose only copy is on a node, by its hostname or id."""
    trouble: str = ""

    def node_of(self, host: str) -> NodeSeen | None:
        """The node that this host is, as the managers know it."""
        found = self.hosts.get(host)
        return self.nodes.get(found.node_id) if found is not None and found.node_id else None

    def called(self, host: HostWanted) -> list[NodeSeen]:
        """The nodes that a host which cannot be asked may be: by its name or its address, and no
        other host's.
        """
        names = {host.name, host.hostname} - {""}
        addresses = {host.target.host, host.advertise} - {""}
        return [
            node
            for node in self._unclaimed()
            if node.hostname in names or node.addresses & addresses
        ]

    def strange(self, hosts: Iterable[HostWanted]) -> list[NodeSeen]:
        """The nodes that none of these hosts is."""
        mute = [each for each in hosts if each.name in self.hosts and self.hosts[each.name].is_mute]
        known = {node.id for each in mute for node in self.called(each)}
        return [node for node in self._unclaimed() if node.id not in known]

    def _unclaimed(self) -> Iterator[NodeSeen]:
        """Nodes that no host says it is."""
        ours = {each.node_id for each in self.hosts.values()}
        return (node for node in self.nodes.values() if node.id not in ours)
