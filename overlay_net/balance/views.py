"""What a network's services mean to a container: virtual addresses and who serves. Pure."""

import ipaddress
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from api.v1 import network_pb2, specs_pb2
from hostkit.netlink_message import Message
from overlay_net import ruleset, spread
from overlay_net.backends import Backends
from overlay_net.nfnetlink import Table
from overlay_net.ruleset import Base, Content, Held
from overlay_net.spread import turned

BASE = Base(
    family="inet",
    name="swarm_balance",
    # `ct` is what makes the kernel keep its connection table: without it chains of type nat see no
    # packet, not even to refuse it, until the first service has a task. `used` remembers whom this
    # container was ever led to, for to look through the connection table costs milliseconds: its
    # buckets are those of the whole host, however few connections a container has.
    body="""\
map virtual4 { type ipv4_addr : verdict; }
map virtual6 { type ipv6_addr : verdict; }
chain output {
type nat hook output priority -100; policy accept;
ct state new ip daddr vmap @virtual4
ct state new ip6 daddr vmap @virtual6
}
set used4 { type ipv4_addr; size 65535; flags dynamic; }
set used6 { type ipv6_addr; size 65535; flags dynamic; }
chain remember {
type filter hook postrouting priority 0; policy accept;
ct state new ct status & dnat != 0 add @used4 { ip daddr }
ct state new ct status & dnat != 0 add @used6 { ip6 daddr }
}
""",
    maps=("virtual4", "virtual6"),
)

TABLE = Table(BASE.name)

_LONGEST_NAME = 40


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
    return part((service for each in views for service in each.services), sandbox)


def part(services: Iterable[Service], sandbox: str) -> Content:
    """Of that table what these services are.

    No two share a chain or an element: theirs may be put in and taken out alone.
    """
    chains: dict[str, str] = {}
    elements: dict[ruleset.Element, str] = {}
    for service in services:
        turn = _turn(service, sandbox)
        name = _chain(service, turn)
        chains[name] = _rules(service, turn)
        elements.update(_elements(service, name))
    return Content(chains, elements)


def held(services: Iterable[Service], sandbox: str) -> Held:
    """What the kernel holds of `part`."""
    names = {service: _chain(service, _turn(service, sandbox)) for service in services}
    elements = (_elements(service, name) for service, name in names.items())
    return Held("", frozenset(names.values()), dict(each for some in elements for each in some))


def messages(gone: Iterable[Service], fresh: Iterable[Service], sandbox: str) -> list[Message]:
    """The transaction that takes services out of the table and puts others in, none of them sticky.

    A fraction of the cost of the same as text, which a change has in every container of a network.
    """
    made: list[Message] = []
    leads: list[Message] = []
    for number, service in enumerate(fresh):
        turn = _turn(service, sandbox)
        name = _chain(service, turn)
        families = [turned(each, turn) for each in _packed(service)]
        made += TABLE.spread(name, families, 1 + number * len(families))
        leads += [TABLE.lead(table, found, name) for table, found in _by_table([service]).items()]
    former = list(gone)
    for table, found in _by_table(former).items():
        made += TABLE.delete(table, found)
    made += leads
    # Last, for a chain that an element leads to cannot be removed.
    return made + [TABLE.delete_chain(_chain(each, _turn(each, sandbox))) for each in former]


def used(address: str) -> str:
    """The set that an address is in if this container was ever led to it."""
    return "used6" if ":" in address else "used4"


def _turn(service: Service, sandbox: str) -> int:
    if service.sticky or not service.serving:
        return 0
    return zlib.crc32(sandbox.encode()) % len(service.serving)


def _elements(service: Service, chain: str) -> list[tuple[ruleset.Element, str]]:
    return [((_table(address), address), f"goto {chain}") for address in service.virtual_ips]


def _by_table(services: Iterable[Service]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for service in services:
        for address in service.virtual_ips:
            found.setdefault(_table(address), []).append(address)
    return found


def _table(address: str) -> str:
    return "virtual6" if ":" in address else "virtual4"


@lru_cache(maxsize=1024)
def _packed(service: Service) -> tuple[tuple[bytes, ...], ...]:
    """The addresses of those who serve, by family, in the order of `spread`."""
    return tuple(
        tuple(ipaddress.ip_address(address).packed for address in addresses)
        for addresses in spread.by_family(service.serving).values()
    )


@lru_cache(maxsize=1024)
def _rules(service: Service, turn: int) -> str:
    return spread.rules(service.serving, spread.Way(sticky=service.sticky, start=turn))


@lru_cache(maxsize=1024)
def _chain(service: Service, turn: int) -> str:
    return ruleset.chain(_word(service.name), f"{_own(service)} {turn}")


@lru_cache(maxsize=1024)
def _own(service: Service) -> str:
    """All that its rules are made of, beside the turn, and how rules are written nowadays."""
    return repr((service.virtual_ips, service.serving, service.sticky, _WRITTEN))


_WRITTEN = [
    spread.rules(("10.0.0.1", "fd00::1"), spread.Way(sticky=sticky)) for sticky in (False, True)
]


def _word(name: str) -> str:
    """A name as a chain may have it; what it stands for need not be unique."""
    kept = (char if char.isascii() and char.isalnum() else "_" for char in name[:_LONGEST_NAME])
    return "s-" + "".join(kept)
