"""Which routes, routing rules and neighbours of published ports are there. Changes nothing.

To make them anew each time that they are looked at would cost a hundred times as much.
"""

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from hostkit.netlink import Netlink
from hostkit.netlink_message import Message, attributes
from overlay_net.fabric import links
from overlay_net.fabric.links import integer
from overlay_net.ingress import host, task
from overlay_net.ingress.host import Node
from overlay_net.ingress.task import Task

_RULE = struct.Struct("=BBBBBBBBI")  # struct fib_rule_hdr
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # struct ndmsg
_GET_ROUTE, _GET_NEIGHBOUR, _GET_RULE = 26, 30, 34
_PRIORITY, _MARK, _RULE_TABLE, _MASK = 6, 10, 15, 16  # FRA_
_TO, _OUT, _GATEWAY, _ROUTE_TABLE = 1, 4, 5, 15  # RTA_
_ADDRESS, _HARDWARE = 1, 2  # NDA_
_VERSIONS = {int(socket.AF_INET): 4, int(socket.AF_INET6): 6}


@dataclass(frozen=True, slots=True)
class Rule:
    """A routing rule; `mark` 0: of any packet."""

    version: int
    table: int
    priority: int
    mark: int = 0

    def __str__(self) -> str:
        mark = f" of mark {self.mark:#x}" if self.mark else ""
        return f"IPv{self.version} rule {self.priority}{mark} that looks up table {self.table}"


@dataclass(frozen=True, slots=True)
class Route:
    """A route by a device."""

    to: str
    table: int
    device: str
    gateway: str = ""

    def __str__(self) -> str:
        by = f" by {self.gateway}" if self.gateway else ""
        return f"route to {self.to} in table {self.table}{by} on {self.device}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Where the frames of an address go."""

    address: str
    mac: str
    device: str

    def __str__(self) -> str:
        return f"neighbour {self.address} at {self.mac} on {self.device}"


Fact = Rule | Route | Neighbour


def of_node(node: Node) -> set[Fact]:
    """What a node needs to reach tasks."""
    found: set[Fact] = set()
    for pool in node.pools:
        subnet = ip_network(pool)
        found.add(Rule(subnet.version, host.TABLE, host.PRIORITY, host.MARK))
        found.add(Route(str(subnet), host.TABLE, node.leg))
    return found


def of_task(published: Task, *, ipv6: bool) -> set[Fact]:
    """What a task needs so that its answers leave by the right node."""
    found: set[Fact] = set()
    for gateway in map(ip_address, task.GATEWAYS):
        if gateway.version == 4 or ipv6:  # noqa: PLR2004 - IPv4
            to = "0.0.0.0/0" if gateway.version == 4 else "::/0"  # noqa: PLR2004
            found |= {
                Neighbour(str(gateway), task.GATEWAY_MAC, published.leg),
                Route(to, task.TABLE, published.leg, str(gateway)),
                Rule(gateway.version, task.TABLE, task.LAST_PRIORITY),
                Rule(gateway.version, task.TABLE, task.MARKED_PRIORITY, task.MARK),
            }
    return found


def missing_of_node(node: Node) -> list[Fact]:
    """Those of a node that are not there."""
    return _missing(node.namespace, of_node(node))


def missing_of_task(published: Task) -> list[Fact]:
    """Those of a task that are not there."""
    return _missing(
        published.namespace, of_task(published, ipv6=Path("/proc/net/if_inet6").exists())
    )


def _missing(namespace: Path, wished: set[Fact]) -> list[Fact]:
    with Netlink.inside(namespace) as inside:
        return sorted(wished - _facts(inside), key=str)


def _facts(inside: Netlink) -> set[Fact]:
    names = {link.index: link.name for link in map(links.read_link, inside.dump(links.ask_links()))}
    return {*_rules(inside), *_routes(inside, names), *_neighbours(inside, names)}


def _rules(inside: Netlink) -> Iterable[Fact]:
    for answer in inside.dump(Message(_GET_RULE, 0, _RULE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))):
        family, _, _, _, table, _, _, _, _ = _RULE.unpack_from(answer.body)
        found = attributes(answer.body, _RULE.size)
        mark = integer(found.get(_MARK))
        if family in _VERSIONS and mark == integer(found.get(_MASK)):
            table = integer(found.get(_RULE_TABLE)) or table
            yield Rule(_VERSIONS[family], table, integer(found.get(_PRIORITY)), mark)


def _routes(inside: Netlink, names: dict[int, str]) -> Iterable[Fact]:
    for answer in inside.dump(Message(_GET_ROUTE, 0, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))):
        family, length, _, _, table, _, _, _, _ = _ROUTE.unpack_from(answer.body)
        if family in _VERSIONS:
            found = attributes(answer.body, _ROUTE.size)
            to = found.get(_TO, bytes(4 if _VERSIONS[family] == 4 else 16))  # noqa: PLR2004
            gateway = found.get(_GATEWAY)
            yield Route(
                f"{ip_address(to)}/{length}",
                integer(found.get(_ROUTE_TABLE)) or table,
                names.get(integer(found.get(_OUT)), ""),
                str(ip_address(gateway)) if gateway else "",
            )


def _neighbours(inside: Netlink, names: dict[int, str]) -> Iterable[Fact]:
    for answer in inside.dump(Message(_GET_NEIGHBOUR, 0, _NEIGHBOUR.pack(0, 0, 0, 0, 0))):
        family, index, _, _, _ = _NEIGHBOUR.unpack_from(answer.body)
        found = attributes(answer.body, _NEIGHBOUR.size)
        if family in _VERSIONS and _ADDRESS in found and _HARDWARE in found:
            address, mac = str(ip_address(found[_ADDRESS])), found[_HARDWARE].hex(":")
            yield Neighbour(address, mac, names.get(index, ""))
