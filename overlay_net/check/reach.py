"""Whom a host ought to reach, and what it means if it does not. Pure.

Each node is asked within each network that both have tasks in, through the tunnel, and besides by
the underlay. Each is asked with few bytes and with as many as fit; where only few arrive, with
sizes between.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from overlay_net.check.finding import Finding, shown

SMALL = 100
LADDER = (8950, 8900, 4000, 2000, 1500, 1492, 1480, 1450, 1430, 1400, 1350, 1280, 1000, 576)
"""Bytes of packets, with their IP headers."""
MOST_NODES = 256
"""Nodes that are asked within one network; of more a part, which another node chooses otherwise."""
_TASKS_ASKED = 2
"""Of a node: one may be just about to end."""


class Station(NamedTuple):
    """Where questions come from: the file of a namespace, the device, the mark of its packets."""

    namespace: str
    device: str = ""
    mark: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A node as it is asked. `network`: id; "" by the underlay. `mtu`: of whole packets."""

    network: str
    node: str
    station: Station
    addresses: tuple[str, ...]
    mtu: int


class Question(NamedTuple):
    """One packet with an echo request."""

    station: Station
    address: str
    size: int


Heard = frozenset[Question]


class Whom(NamedTuple):
    """An address, and the node it is on."""

    node: str
    address: str


def targets(
    network: str, station: Station, mtu: int, others: Iterable[Whom], salt: str
) -> list[Target]:
    """The nodes that are asked from a station; `salt`: differs by node, see MOST_NODES."""
    by_node: dict[str, list[str]] = {}
    for node, address in others:
        asked = by_node.setdefault(node, [])
        if len(asked) < _TASKS_ASKED:
            asked.append(address)
    chosen = sorted(by_node, key=lambda node: zlib.crc32(f"{salt} {node}".encode()))[:MOST_NODES]
    return [Target(network, node, station, tuple(by_node[node]), mtu) for node in chosen]


def questions(asked: Iterable[Target]) -> list[Question]:
    """The first ones: a small and a full packet to each address."""
    return [question for target in asked for question in _first(target)]


def ladder(asked: Iterable[Target], heard: Heard) -> list[Question]:
    """Further ones, where only small packets arrived."""
    return [
        Question(target.station, address, size)
        for target in asked
        if not _hears(target, heard, target.mtu)
        for address in target.addresses
        if Question(target.station, address, SMALL) in heard
        for size in LADDER
        if SMALL < size < target.mtu
    ]


def reached(asked: Iterable[Target], heard: Heard) -> frozenset[str]:
    """Nodes that answered at all."""
    return frozenset(target.node for target in asked if _hears(target, heard, SMALL))


def judge(asked: Sequence[Target], heard: Heard, names: Mapping[str, str]) -> list[Finding]:
    """What is told of nodes that were not reached; `names`: of nodes and networks by id."""
    found: list[Finding] = []
    by_node: dict[str, list[Target]] = {}
    for target in asked:
        by_node.setdefault(target.node, []).append(target)
    for node, those in by_node.items():
        under = next((target for target in those if not target.network), None)
        inner = [target for target in those if target.network]
        name = names.get(node, node)
        found += _of_node(name, under, inner, heard, names)
    return found


def _of_node(
    name: str,
    under: Target | None,
    inner: Sequence[Target],
    heard: Heard,
    names: Mapping[str, str],
) -> Iterator[Finding]:
    host_answers = under is not None and _hears(under, heard, SMALL)
    address = "" if under is None else under.addresses[0]
    if silent := [target for target in inner if not _hears(target, heard, SMALL)]:
        yield _not_reached(name, address, silent, names, host_answers=host_answers)
    for target in inner:
        if target in silent:
            continue
        if not _hears(target, heard, target.mtu):
            yield _narrow(name, address, target, heard, names)
    # Whoever is reached through tunnels needs no echo of its host, which many networks drop.
    if under is None or any(_hears(target, heard, target.mtu) for target in inner):
        return
    if not host_answers and not inner:
        yield Finding(
            f"node {name} does not answer an echo request at {address}",
            expected="an answer within a second",
            found="none",
            why="it is cut off, or echo requests are dropped on the way; the two share no network",
            remedy="look at the link between them before tasks of one network run on both",
            command=f"ping -c 3 {address}",
            note=True,
        )
    elif host_answers and not _hears(under, heard, under.mtu) and not inner:
        yield _narrow(name, address, under, heard, names, note=True)


def _not_reached(
    name: str,
    address: str,
    silent: Sequence[Target],
    names: Mapping[str, str],
    *,
    host_answers: bool,
) -> Finding:
    called = sorted(names.get(target.network, target.network) for target in silent)
    networks = f"network{'s' if len(called) > 1 else ''} {', '.join(called)}"
    asked = [address for target in silent for address in target.addresses]
    if host_answers:
        why = (
            f"its host {address} answers, so only what goes in tunnels is lost: something is wrong "
            "with the links of one of the two, which is said beside; or the port of VXLAN, UDP 4789"
            " if no other was chosen, is blocked on the way"
        )
        remedy = "mend what is said of the two first; else let that port pass both ways"
        command = f"swarmctl network check --node {name}"
    else:
        why = f"its host {address} does not answer either: the way between the two is cut"
        remedy = "look at the link, the routes and the firewalls between the two hosts"
        command = f"ping -c 3 {address}"
    return Finding(
        f"node {name} is not reached through {networks}",
        silent[0].network if len(silent) == 1 else "",
        f"answers of {shown(asked)}",
        "none",
        why,
        remedy,
        command,
    )


def _narrow(
    name: str,
    address: str,
    target: Target,
    heard: Heard,
    names: Mapping[str, str],
    *,
    note: bool = False,
) -> Finding:
    sizes = (size for size in LADDER if size < target.mtu and _hears(target, heard, size))
    largest = next(sizes, SMALL)
    network = names.get(target.network, target.network)
    through = f" through network {network}" if target.network else ""
    return Finding(
        f"large packets do not get to node {name}{through}",
        target.network,
        f"packets of {target.mtu} bytes arrive",
        f"those of {largest} bytes do, larger ones do not",
        "a device on the way, or of the other host, has a smaller MTU than this host's; connections"
        " are made and then hang",
        f"make the MTU the same on the whole way to {address or name}, or make networks with "
        "--opt com.docker.network.driver.mtu=SIZE",
        f"ping -M do -s {target.mtu - 28} -c 3 {target.addresses[0]}",
        note=note,
    )


def _first(target: Target) -> Iterator[Question]:
    for address in target.addresses:
        for size in {SMALL, max(SMALL, target.mtu)}:
            yield Question(target.station, address, size)


def _hears(target: Target, heard: Heard, size: int) -> bool:
    return any(Question(target.station, each, size) in heard for each in target.addresses)
