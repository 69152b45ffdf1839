"""What `swarmctl` prints on hosts, as what was seen. Pure.

Keys that are not there have the first word of their enum: so swarmctl leaves them out.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from api.errors import Code, SwarmError
from machine.swarm.seen import HostSeen, NodeSeen, Standing
from machine.swarm.wanted import Availability, Role

Document = Mapping[str, Any]
T = TypeVar("T")
_SHOWN = 200
_LIVE = ("assigned", "accepted", "preparing", "ready", "starting", "running")


def host_of(text: str) -> HostSeen:
    """A host by its `system info`. INTERNAL, as of all here, for what is not understood."""
    return _understood("system info", lambda: _host(json.loads(text)))


def managers_of(text: str) -> list[str]:
    """The addresses at which hosts join, by the `system info` of a manager."""

    def read() -> list[str]:
        return [str(each) for each in _mapping(json.loads(text), "Swarm").get("Managers", ())]

    return _understood("system info", read)


def cluster_of(text: str) -> tuple[str, dict[str, Any]]:
    """The swarm's id and its spec, by `swarm inspect`."""

    def read() -> tuple[str, dict[str, Any]]:
        found = json.loads(text)
        return str(found["ID"]), dict(_mapping(found, "Spec"))

    return _understood("swarm inspect", read)


def nodes_of(text: str) -> dict[str, NodeSeen]:
    """Nodes by their ids, by `node inspect`."""
    found = _understood("node inspect", lambda: list(map(_node, json.loads(text))))
    return {node.id: node for node in found}


def live_tasks(lines: str) -> list[tuple[str, str]]:
    """Name and state of each task that is not over, by `node ps --format json`."""

    def read() -> list[tuple[str, str]]:
        rows = [json.loads(line) for line in lines.splitlines()]
        return [(_name(row["Name"]), _state(row["CurrentState"])) for row in rows]

    found = _understood("node ps", read)
    return [(name, state) for name, state in found if state in _LIVE]


def operators_of(lines: str) -> list[tuple[str, str]]:
    """Name of each operator and the end of his certificate, by `swarm client-cert --ls`."""

    def read() -> list[tuple[str, str]]:
        rows = [json.loads(line) for line in lines.splitlines()]
        return [(str(row["Name"]), str(row["Expires"])) for row in rows]

    return _understood("swarm client-cert", read)


def _understood(command: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SwarmError(
            Code.INTERNAL,
            f"what swarmctl {command} printed on a host is not understood",
            why=f"{type(error).__name__}: {error}"[:_SHOWN],
            remedy="use a swarmctl that is not older than the one there",
        ) from None


def _host(info: Document) -> HostSeen:
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


def _node(document: Document) -> NodeSeen:
    spec, status = _mapping(document, "Spec"), _mapping(document, "Status")
    description, manager = _mapping(document, "Description"), document.get("Manager")
    seat = manager if isinstance(manager, Mapping) else {}
    state = status.get("State", "unknown")
    return NodeSeen(
        id=str(document.get("ID", "")),
        hostname=str(description.get("Hostname", "")),
        addresses=frozenset(_addresses(status, seat)),
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


def _addresses(status: Document, seat: Document) -> Iterator[str]:
    """Where its agent comes from, and where others reach it as a manager; without ports."""
    if address := status.get("Address"):
        yield str(address)
    if address := seat.get("Address"):
        yield str(address).rpartition(":")[0].strip("[]")


def _name(text: str) -> str:
    r"""The task's name; of its successors in the list it stands behind "\_"."""
    return text.strip().removeprefix("\\_").strip()


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
