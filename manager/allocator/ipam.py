"""Subnets and the addresses in them: what can be handed out, and what is chosen. Pure.

Of a subnet, its first and last address, its gateway and the auxiliary addresses are never handed
out; with an ip range only what lies in it is.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from api.networks import IpNetwork, handed_out, subnet_of
from api.v1 import specs_pb2
from manager.allocator.ranges import FreeRuns

V4, V6 = 4, 6
IPV6_PREFIX = 64


class Address(NamedTuple):
    """An address as numbers: of which family, and which."""

    family: int
    number: int


@lru_cache(maxsize=1 << 16)
def parsed(text: str) -> Address:
    """The address in `10.0.1.5` or `10.0.1.5/24`. Each is read again with every event about it."""
    address = ipaddress.ip_address(text.partition("/")[0])
    return Address(address.version, int(address))


def bare(text: str) -> str:
    """An address without the length of its prefix."""
    return text.partition("/")[0]


class _Part:
    """One subnet of a network."""

    def __init__(self, pool: specs_pb2.IpamConfig) -> None:
        self.subnet = subnet_of(pool)
        inner = ipaddress.ip_network(pool.ip_range) if pool.ip_range else self.subnet
        first = max(int(inner.network_address), int(self.subnet.network_address) + 1)
        last = min(int(inner.broadcast_address), int(self.subnet.broadcast_address) - 1)
        self.runs = FreeRuns(first, last)
        self._never = {int(ipaddress.ip_address(text)) for text in _reserved(pool)}
        for number in self._never:
            self.runs.take(number)
        self.size = self.runs.free
        self.words = handed_out(pool)

    def give(self, number: int) -> None:
        if number not in self._never:
            self.runs.give(number)

    def text(self, number: int) -> str:
        kind = ipaddress.IPv4Address if self.subnet.version == V4 else ipaddress.IPv6Address
        return f"{kind(number)}/{self.subnet.prefixlen}"


def _reserved(pool: specs_pb2.IpamConfig) -> Iterator[str]:
    if pool.gateway:
        yield pool.gateway
    yield from pool.aux_addresses.values()


class Room:
    """What can be handed out in one network, as the pools are laid out; nothing is at first."""

    def __init__(self, pools: Iterable[specs_pb2.IpamConfig]) -> None:
        self._parts = [_Part(pool) for pool in pools]
        self.families = sorted({part.subnet.version for part in self._parts})

    def lowest(self, family: int) -> tuple[Address, str] | None:
        """The next address to hand out, and how it is written; None: there is none."""
        for part in self._of(family):
            number = part.runs.lowest()
            if number is not None:
                return Address(family, number), part.text(number)
        return None

    def free(self, address: Address) -> str | None:
        """How a certain address is written, if it can be handed out; else None."""
        for part in self._of(address.family):
            if part.runs.has(address.number):
                return part.text(address.number)
        return None

    def take(self, address: Address) -> None:
        """The address is somebody's."""
        for part in self._of(address.family):
            part.runs.take(address.number)

    def give(self, address: Address) -> None:
        """The address is nobody's."""
        for part in self._of(address.family):
            part.give(address.number)

    def full(self) -> str:
        """In words what of the family that has run out, or is about to, could be handed out."""
        for family in self.families:
            if self.lowest(family) is None:
                return " and ".join(part.words for part in self._of(family))
        return ""

    def usage(self, family: int = V4) -> tuple[int, int]:
        """How many addresses are somebody's, of how many that can be."""
        parts = list(self._of(family))
        size = sum(part.size for part in parts)
        return size - sum(part.runs.free for part in parts), size

    def _of(self, family: int) -> Iterator[_Part]:
        return (part for part in self._parts if part.subnet.version == family)


def complete(pool: specs_pb2.IpamConfig) -> specs_pb2.IpamConfig:
    """The pool with a gateway: where none is given, the first address that is not spoken for."""
    made = specs_pb2.IpamConfig()
    made.CopyFrom(pool)
    if not made.gateway:
        taken = set(pool.aux_addresses.values())
        hosts = (str(address) for address in subnet_of(pool).hosts())
        made.gateway = next((text for text in hosts if text not in taken), "")
    return made


def choose(
    pools: Sequence[IpNetwork], size: int, taken: Iterable[IpNetwork], *, last: bool = False
) -> IpNetwork | None:
    """The first subnet with a prefix of `size` in one of the pools, overlapping none of `taken`.

    `last`: the last one instead. None if there is none.
    """
    occupied = [(int(n.network_address), int(n.broadcast_address), n.version) for n in taken]
    for pool in pools:
        if size < pool.prefixlen:
            continue
        step = 1 << (pool.max_prefixlen - size)
        low, high = int(pool.network_address), int(pool.broadcast_address)
        spans = sorted(
            (a, b) for a, b, v in occupied if v == pool.version and b >= low and a <= high
        )
        start = _last(low, high, step, spans) if last else _first(low, high, step, spans)
        if start is not None:
            kind = ipaddress.IPv4Network if pool.version == V4 else ipaddress.IPv6Network
            return kind((start, size))
    return None


def _first(low: int, high: int, step: int, spans: Sequence[tuple[int, int]]) -> int | None:
    at = low
    for start, end in spans:
        if start >= at + step:
            break
        if end >= at:
            at = low + (end - low) // step * step + step
    return at if at + step - 1 <= high else None


def _last(low: int, high: int, step: int, spans: Sequence[tuple[int, int]]) -> int | None:
    at = high - step + 1
    for start, end in sorted(spans, key=lambda span: -span[1]):
        if end < at:
            break
        if start <= at + step - 1:
            at = low + (start - low) // step * step - step
    return at if at >= low else None
