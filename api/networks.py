"""The rules of networks that need no cluster to be known: words, drivers, and which ranges of
addresses make sense. Pure. Managers refuse by them what no node could build.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TypeAlias

from api import wellformed
from api.errors import SwarmError, invalid
from api.v1 import specs_pb2

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

OVERLAY, BRIDGE, MACVLAN = "overlay", "bridge", "macvlan"
DRIVERS = (OVERLAY, BRIDGE, MACVLAN)
BUILTIN = ("bridge", "host", "none")
"""Networks that every node has by itself. Nobody creates or removes them."""
INGRESS = "ingress"
"""The name of the network for published ports that a new swarm has."""
SWARM, LOCAL = "swarm", "local"
ENCRYPTED = "encrypted"
MTU_OPTIONS = ("com.docker.network.driver.mtu", "mtu")
_OPTIONS: Mapping[str, tuple[str, ...]] = {
    OVERLAY: (ENCRYPTED, *MTU_OPTIONS),
    BRIDGE: MTU_OPTIONS,
    MACVLAN: (*MTU_OPTIONS, "parent", "macvlan_mode"),
}
_MTU = range(576, 65536)
_NAME = re.compile(r"[a-zA-Z0-9][-_.a-zA-Z0-9]*")
_NAME_LENGTH = 64
_PREFIXES = {4: range(8, 31), 6: range(32, 127)}
"""Lengths of a subnet's prefix, by family: so that a gateway and a task have room."""
MAXIMUM_POOLS = 64
"""Ours: subnets of one network."""


def driver_of(spec: specs_pb2.NetworkSpec) -> str:
    """The network's driver."""
    return spec.driver or OVERLAY


def scope_of(spec: specs_pb2.NetworkSpec) -> str:
    """Where the network is: in the whole swarm, or on each node by itself."""
    return spec.scope or (SWARM if driver_of(spec) in (OVERLAY, MACVLAN) else LOCAL)


def mtu_of(spec: specs_pb2.NetworkSpec) -> int:
    """The MTU that was asked for; 0: as large as can be."""
    return next((int(spec.driver_options[o]) for o in MTU_OPTIONS if o in spec.driver_options), 0)


def is_internal(spec: specs_pb2.NetworkSpec) -> bool:
    """Whether it has no way out. A macvlan network that stands on no device is so too, as in
    Docker.
    """
    return spec.internal or (driver_of(spec) == MACVLAN and not spec.driver_options.get("parent"))


def is_encrypted(spec: specs_pb2.NetworkSpec) -> bool:
    """Whether its traffic between nodes is to be encrypted: `--opt encrypted`, as in Docker."""
    given = spec.driver_options.get(ENCRYPTED)
    return given is not None and given.lower() not in ("false", "0")


def subnet_of(pool: specs_pb2.IpamConfig) -> IpNetwork:
    """The subnet of a pool that was checked."""
    return ipaddress.ip_network(pool.subnet)


def handed_out(pool: specs_pb2.IpamConfig) -> str:
    """In words what is handed out of a pool."""
    return f"{pool.ip_range} of {pool.subnet}" if pool.ip_range else pool.subnet


def check(spec: specs_pb2.NetworkSpec) -> None:
    """Refuses a network spec that no node could build."""
    wellformed.check(spec)
    _name(spec.annotations.name)
    _driver(spec)
    if len(spec.pools) > MAXIMUM_POOLS:
        raise invalid("pools", f"more than {MAXIMUM_POOLS} subnets")
    for index, pool in enumerate(spec.pools):
        check_pool(f"pools[{index}]", pool)
        if subnet_of(pool).version == 6 and not spec.ipv6:  # noqa: PLR2004 - the family
            raise invalid(
                f"pools[{index}].subnet",
                f"{pool.subnet} is of IPv6, and the network is not",
                remedy="give --ipv6 too",
            )
    for (_, one), (index, other) in combinations(enumerate(spec.pools), 2):
        if overlap(one.subnet, other.subnet):
            field = f"pools[{index}].subnet"
            raise invalid(field, f"{other.subnet} overlaps with {one.subnet}")


def check_pool(path: str, pool: specs_pb2.IpamConfig) -> None:
    """Refuses a range of addresses that cannot be handed out."""
    if not pool.subnet:
        raise invalid(f"{path}.subnet", "a subnet is needed", remedy="give --subnet for each range")
    subnet = _network(f"{path}.subnet", pool.subnet)
    lengths = _PREFIXES[subnet.version]
    if subnet.prefixlen not in lengths:
        raise invalid(
            f"{path}.subnet",
            f"{pool.subnet} is too {'large' if subnet.prefixlen < lengths.start else 'small'}",
            remedy=f"use a prefix of /{lengths.start} to /{lengths.stop - 1}",
        )
    if subnet.is_multicast or subnet.is_loopback or subnet.is_link_local:
        raise invalid(f"{path}.subnet", f"{pool.subnet} is not for hosts")
    if pool.ip_range:
        part = _network(f"{path}.ip_range", pool.ip_range)
        if not _within(part, subnet):
            raise invalid(f"{path}.ip_range", f"{part} is no part of {subnet}")
    taken: dict[IpAddress, str] = {}
    if pool.gateway:
        taken[_host(f"{path}.gateway", pool.gateway, subnet)] = "the gateway"
    for name, text in sorted(pool.aux_addresses.items()):
        field = f"{path}.aux_addresses[{name}]"
        address = _host(field, text, subnet)
        if address in taken:
            raise invalid(field, f"{text} is {taken[address]} already")
        taken[address] = f"the address of {name}"


def check_addresses(path: str, asked: Iterable[str]) -> list[IpAddress]:
    """Refuses what are no addresses, or more than one of an IP version."""
    found: list[IpAddress] = []
    for index, text in enumerate(asked):
        field = f"{path}[{index}]"
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise invalid(field, f"{text!r} is no IP address") from None
        if any(other.version == address.version for other in found):
            raise invalid(field, "there is one address of each IP version at most")
        found.append(address)
    return found


def check_asked(path: str, asked: Iterable[str], pools: Iterable[specs_pb2.IpamConfig]) -> None:
    """Refuses addresses that nobody can have in a network of these pools."""
    ranges, texts = list(pools), list(asked)
    for index, address in enumerate(check_addresses(path, texts)):
        field, text = f"{path}[{index}]", texts[index]
        pool = next((pool for pool in ranges if address in subnet_of(pool)), None)
        if pool is None:
            subnets = ", ".join(pool.subnet for pool in ranges) or "it has none yet"
            raise invalid(field, f"{text} is not in the network", why=f"its subnets: {subnets}")
        _host(field, text, subnet_of(pool))


def address_pools(given: Iterable[str], size: int) -> None:
    """Refuses pools that have no subnets with a prefix of `size` (0: the default)."""
    size = size or DEFAULT_SUBNET_SIZE
    seen: list[str] = []
    for index, text in enumerate(given):
        field = f"address_pools[{index}]"
        pool = _network(field, text)
        if pool.version != 4:  # noqa: PLR2004 - the family
            raise invalid(field, f"{text} is not of IPv4", remedy="name pools as 10.20.0.0/16")
        if not pool.prefixlen <= size <= _PREFIXES[4][-2]:
            raise invalid(
                "subnet_size",
                f"subnets of /{size} cannot be chosen from {text}",
                remedy=f"use {pool.prefixlen} to {_PREFIXES[4][-2]}",
            )
        for other in seen:
            if overlap(text, other):
                raise invalid(field, f"{text} overlaps with {other}")
        seen.append(text)
    if not seen and not 8 <= size <= _PREFIXES[4][-2]:  # noqa: PLR2004 - of 10.0.0.0/8
        raise invalid("subnet_size", f"/{size} is no size of a subnet", remedy="use 8 to 29")


DEFAULT_POOL = "10.0.0.0/8"
DEFAULT_SUBNET_SIZE = 24


def overlap(one: str, other: str) -> bool:
    """Whether two subnets, which were checked, have an address in common."""
    first, second = ipaddress.ip_network(one), ipaddress.ip_network(other)
    return first.version == second.version and first.overlaps(second)


def _name(name: str) -> None:
    field = "annotations.name"
    if not _NAME.fullmatch(name) or len(name) > _NAME_LENGTH:
        raise invalid(
            field,
            f"{name!r} is no valid name",
            remedy=f"use up to {_NAME_LENGTH} letters, digits, -, _ and ., a letter or digit first",
        )
    if name in BUILTIN:
        raise invalid(field, f"every node has a network {name} by itself")


def _driver(spec: specs_pb2.NetworkSpec) -> None:
    driver = driver_of(spec)
    if driver in ("host", "none", "null"):
        raise invalid("driver", f"there is one network {driver} on each node, and no other")
    if driver not in DRIVERS:
        raise invalid("driver", f"no driver {driver!r}", remedy=f"use {', '.join(DRIVERS)}")
    if scope_of(spec) not in (SWARM, LOCAL):
        raise invalid("scope", f"{spec.scope!r} is no scope", remedy=f"use {SWARM} or {LOCAL}")
    if driver != BRIDGE and scope_of(spec) == LOCAL:
        raise invalid("scope", f"{driver} networks span the swarm", remedy="leave out --scope")
    if spec.ingress and (driver != OVERLAY or spec.attachable or spec.internal):
        raise invalid(
            "ingress",
            "the ingress network is an overlay that neither is internal nor can be attached to",
            remedy="leave out --attachable and --internal",
        )
    for option, value in spec.driver_options.items():
        path = f"driver_options[{option}]"
        if option not in _OPTIONS[driver]:
            known = ", ".join(_OPTIONS[driver])
            raise invalid(path, f"driver {driver} has no such option", remedy=f"use {known}")
        if option == "macvlan_mode" and value != "bridge":
            raise invalid(path, f"mode {value!r} is not supported", remedy="use bridge")
        if option in MTU_OPTIONS and not (value.isascii() and value.isdecimal() and _is_mtu(value)):
            remedy = f"use {_MTU.start} to {_MTU.stop - 1}"
            raise invalid(path, f"{value!r} is no MTU", remedy=remedy)


def _is_mtu(text: str) -> bool:
    return len(text) <= len(str(_MTU.stop)) and int(text) in _MTU


def _network(field: str, text: str) -> IpNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise _no_network(field, text) from None


def _no_network(field: str, text: str) -> SwarmError:
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return invalid(field, f"{text!r} is no subnet", remedy="write it as 10.0.1.0/24")
    return invalid(field, f"{text} has bits beside its prefix", remedy=f"write it as {meant}")


def _host(field: str, text: str, subnet: IpNetwork) -> IpAddress:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise invalid(field, f"{text!r} is no IP address") from None
    ends = (subnet.network_address, subnet.broadcast_address)
    if address.version != subnet.version or address not in subnet or address in ends:
        raise invalid(field, f"{text} is no host's address in {subnet}")
    return address


def _within(part: IpNetwork, whole: IpNetwork) -> bool:
    if isinstance(part, ipaddress.IPv4Network) and isinstance(whole, ipaddress.IPv4Network):
        return part.subnet_of(whole)
    if isinstance(part, ipaddress.IPv6Network) and isinstance(whole, ipaddress.IPv6Network):
        return part.subnet_of(whole)
    return False
