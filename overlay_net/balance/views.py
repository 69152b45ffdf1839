"""What a network's services mean to a container: virtual addresses and who serves. Pure."""

import ipaddress
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from api.v1 import network_pb2, specs_pb2
from hostkit.netlink_message import Message
from overlay_net import ruleset, spread
from overlay_net.backends import Backends
from overlay_net.nfnetlink import Table
from overlay_net.ruleset import Base, Content, Held
from overlay_net.spread import turned

MOST = 1024
"""Addresses that a container's table remembers. The kernel sets memory aside for all of them, and
clears it, whenever a container begins: for 65,535, a megabyte and milliseconds.
"""
_MARGIN = 64

BASE = Base(
    family="inet",
    name="swarm_balance",
    # `ct` is what makes the kernel keep its connection table: without it chains of type nat see no
    # packet, not even to refuse it, until the first service has a task. `used` remembers whom this
    # container was ever led to, for to look through the connection table costs milliseconds: its
    # buckets are those of the whole host, however few connections a container has.
    body=f"""\
map virtual4 {{ type ipv4_addr : verdict; }}
map virtual6 {{ type ipv6_addr : verdict; }}
chain output {{
type nat hook output priority -100; policy accept;
ct state new ip daddr vmap @virtual4
ct state new ip6 daddr vmap @virtual6
}}
set used4 {{ type ipv4_addr; size {MOST}; flags dynamic; }}
set used6 {{ type ipv6_addr; size {MOST}; flags dynamic; }}
chain remember {{
type filter hook postrouting priority 0; policy accept;
ct state new ct status & dnat != 0 add @used4 {{ ip daddr }}
ct state new ct status & dnat != 0 add @used6 {{ ip6 daddr }}
}}
""",
    maps=("virtual4", "virtual6"),
)

TABLE = Table(BASE.name)

_LONGEST_NAME = 40
_FIRST = 8
"""Number of the first map of a transaction; below it are those of `beginning`."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that has virtual addresses; `serving`: of its tasks, sorted."""

    name: str
    virtual_ips: tuple[str, ...]
    serving: tuple[str, ...]
    sticky: bool


@dataclass(frozen=True, slots=True)
class View:
    """A network as containers see it; `living`: addresses of all tasks, serving or not."""

    services: tuple[Service, ...] = ()
    living: frozenset[str] = frozenset()


class Led(NamedTuple):
    """A service as one container has it: at which task its turns begin, and its chain there."""

    service: Service
    turn: int
    chain: str


@dataclass(frozen=True, slots=True)
class Difference:
    """From one view of a network to another; `dead`: addresses where no task is any more."""

    gone: tuple[Service, ...]
    fresh: tuple[Service, ...]
    dead: frozenset[str]


def view(
    services: Iterable[network_pb2.NetworkService], found: Backends, before: View | None = None
) -> View:
    """What is told of one network. What is as in the view `before` is the same object there."""
    known = {} if before is None else {each.virtual_ips: each for each in before.services}
    made = []
    for service in services:
        if service.mode == specs_pb2.EndpointSpec.MODE_VIP and service.virtual_ips:
            addresses = tuple(service.virtual_ips)
            serving = found.of(service.service_id)
            each = Service(service.name, addresses, serving, service.sticky)
            same = known.get(addresses)
            made.append(same if same == each else each)
    return View(tuple(made), found.living)


def difference(before: View, now: View) -> Difference:
    """Quick where `now` was made of `before`: it compares objects, not what is in them."""
    old, new = ({id(each) for each in view.services} for view in (before, now))
    return Difference(
        tuple(each for each in before.services if id(each) not in new),
        tuple(each for each in now.services if id(each) not in old),
        before.living - now.living,
    )


def content(views: Iterable[View], sandbox: str) -> Content:
    """The table of a container in these networks; each begins its turns at another task."""
    return part(led((service for each in views for service in each.services), sandbox))


def led(services: Iterable[Service], sandbox: str) -> list[Led]:
    """Services as a container has them."""
    start = zlib.crc32(sandbox.encode())
    found = []
    for service in services:
        turn = 0 if service.sticky or not service.serving else start % len(service.serving)
        found.append(Led(service, turn, _chain(service, turn)))
    return found


def part(found: Iterable[Led]) -> Content:
    """Of a container's table what these services are.

    No two share a chain or an element: theirs may be put in and taken out alone.
    """
    services = list(found)
    chains = {each.chain: _rules(each.service, each.turn) for each in services}
    return Content(chains, _elements(services))


def held(found: Iterable[Led]) -> Held:
    """What the kernel holds of `part`."""
    services = list(found)
    return Held("", frozenset(each.chain for each in services), _elements(services))


def messages(gone: Sequence[Led], fresh: Sequence[Led]) -> list[Message]:
    """The transaction that takes services out of the table and puts others in, none of them sticky.

    A fraction of the cost of the same as text, which a change has in every container of a network.
    """
    made: list[Message] = []
    for number, each in enumerate(fresh):
        families = [turned(found, each.turn) for found in _packed(each.service)]
        made += TABLE.spread(each.chain, families, _FIRST + number * len(spread.FAMILIES))
    for table, leads in _by_table(gone).items():
        made += TABLE.delete(table, (address for address, _ in leads))
    for table, leads in _by_table(fresh).items():
        made += TABLE.lead(table, leads)
    # Last, for a chain that an element leads to cannot be removed.
    return made + [TABLE.delete_chain(each.chain) for each in gone]


def knows_all(seen: Collection[str]) -> bool:
    """Whether these, of `used`, are all to whom the container was ever led. Not of a set that is
    full, or may have been when some were read: nothing is ever taken out of such a one.
    """
    return len(seen) < MOST - _MARGIN


def used(address: str) -> str:
    """The set that an address is in if this container was ever led to it."""
    return "used6" if ":" in address else "used4"


def _elements(found: Iterable[Led]) -> dict[ruleset.Element, str]:
    return {
        (_table(address), address): f"goto {each.chain}"
        for each in found
        for address in each.service.virtual_ips
    }


def _by_table(found: Iterable[Led]) -> dict[str, list[tuple[str, str]]]:
    """Virtual addresses, each with its chain, by the map that leads there."""
    leads: dict[str, list[tuple[str, str]]] = {}
    for each in found:
        for address in each.service.virtual_ips:
            leads.setdefault(_table(address), []).append((address, each.chain))
    return leads


def _table(address: str) -> str:
    return "virtual6" if ":" in address else "virtual4"


@lru_cache(maxsize=1024)
def _coming(virtual_ips: tuple[str, ...]) -> tuple[str, ...]:
    """The families in which a service is called: of others nobody comes, nor is refused."""
    found = set(map(spread.family_of, virtual_ips))
    return tuple(family for family in spread.FAMILIES if family in found)


@lru_cache(maxsize=1024)
def _packed(service: Service) -> tuple[tuple[bytes, ...], ...]:
    """The addresses of those who serve, by family, in the order of `spread`."""
    families = spread.by_family(service.serving, _coming(service.virtual_ips))
    return tuple(
        tuple(ipaddress.ip_address(address).packed for address in addresses)
        for addresses in families.values()
    )


@lru_cache(maxsize=1024)
def _rules(service: Service, turn: int) -> str:
    way = spread.Way(sticky=service.sticky, start=turn)
    return spread.rules(service.serving, way, _coming(service.virtual_ips))


@lru_cache(maxsize=1024)
def _chain(service: Service, turn: int) -> str:
    return ruleset.chain(_word(service.name), f"{_own(service)} {turn}")


@lru_cache(maxsize=1024)
def _own(service: Service) -> str:
    """All that its rules are made of, beside the turn, and how rules are written nowadays."""
    return repr((service.virtual_ips, service.serving, service.sticky, _WRITTEN))


_WRITTEN = [
    spread.rules(addresses, spread.Way(sticky=sticky))
    for addresses in ((), ("10.0.0.1", "fd00::1"))
    for sticky in (False, True)
]


def _word(name: str) -> str:
    """A name as a chain may have it; what it stands for need not be unique."""
    kept = (char if char.isascii() and char.isalnum() else "_" for char in name[:_LONGEST_NAME])
    return "s-" + "".join(kept)
