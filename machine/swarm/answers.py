"""What `swarmctl` prints on hosts, as what was seen. Pure.

Keys that are not there have the first word of their enum: so swarmctl leaves them out.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from api.errors import Code, SwarmError
from machine.swarm.seen import HostSeen, NodeSeen, Standing
from machine.swarm.wanted import Availability, Role

Document = Mapping[str, Any]
_LIVE = ("assigned", "accepted", "preparing", "ready", "starting", "running")


def host_of(info: Document) -> HostSeen:
    """A host by its `system info`."""
    swarm = _mapping(info, "Swarm")
    return HostSeen(
        is_installed=True,
        has_daemon=True,
        version=str(info.get("Version", "")),
        hostname=str(_mapping(info, "Description").get("Hostname", "")),
        standing=Standing(swarm.get("State", Standing.NONE.value)),
        node_id=str(swarm.get("NodeID", "")),
        cluster_id=str(swarm.get("ClusterID", "")),
        is_manager=swarm.get("Role") == Role.MANAGER.value,
        expires_at=str(swarm.get("CertificateExpiresAt", "")),
    )


def managers_of(info: Document) -> list[str]:
    """The addresses at which hosts join, by the `system info` of a manager."""
    return [str(each) for each in _mapping(info, "Swarm").get("Managers", ())]


def node_of(document: Document) -> NodeSeen:
    """A node by its `node inspect`."""
    spec, status = _mapping(document, "Spec"), _mapping(document, "Status")
    description, manager = _mapping(document, "Description"), document.get("Manager")
    seat = manager if isinstance(manager, Mapping) else {}
    state = status.get("State", "unknown")
    return NodeSeen(
        id=str(document.get("ID", "")),
        hostname=str(description.get("Hostname", "")),
        role=Role(spec.get("Role", Role.WORKER.value)),
        is_seated=isinstance(manager, Mapping),
        is_reachable=bool(seat.get("Reachable", False)),
        leads=bool(seat.get("Leader", False)),
        is_ready=state == "ready",
        is_down=state == "down",
        availability=Availability(spec.get("Availability", Availability.ACTIVE.value)),
        labels={str(key): str(value) for key, value in _mapping(spec, "Labels").items()},
        version=str(_mapping(description, "Engine").get("Version", "")),
    )


def nodes_of(documents: object) -> dict[str, NodeSeen]:
    """Nodes by their ids."""
    if not isinstance(documents, list) or not all(isinstance(d, Mapping) for d in documents):
        raise SwarmError(Code.INTERNAL, "node inspect printed no list of nodes")
    return {node.id: node for node in map(node_of, documents)}


def live_tasks(lines: str) -> list[tuple[str, str]]:
    """Name and state of each task that is not over, by `node ps --format json`."""
    rows = [json.loads(line) for line in lines.splitlines()]
    found = [(str(row["Name"]).strip(), _state(row["CurrentState"])) for row in rows]
    return [(name, state) for name, state in found if state in _LIVE]


def _state(text: str) -> str:
    """The state of "Running 5 minutes ago (healthy)"."""
    return text.partition(" ")[0].lower()


def homes_of(lines: str) -> dict[str, tuple[str, ...]]:
    """Volumes by the node that has their only copy, by lines of its name and theirs."""
    homes: dict[str, list[str]] = defaultdict(list)
    for home, volume in _pairs(lines.splitlines()):
        if home:
            homes[home].append(volume)
    return {home: tuple(volumes) for home, volumes in homes.items()}


HOMES = "{{.Home}}\t{{.Name}}"
"""The template of those lines."""


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        home, _, volume = line.partition("\t")
        yield home, volume


def _mapping(document: Document, key: str) -> Document:
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}
