"""Out of overlays by the host's gateway bridge: its subnet, and who has which address of it. Pure.

As Docker's docker_gwbridge. These addresses mean something on this host alone, so no manager hands
them out; they are read back from the sandboxes that have them.
"""

import functools
import ipaddress
import zlib
from collections.abc import Container, Iterable, Mapping, Sequence

from api.errors import Code, SwarmError

Network4 = ipaddress.IPv4Network

CANDIDATES: Sequence[Network4] = (
    *(Network4(f"172.{number}.0.0/16") for number in range(18, 32)),
    *(Network4(f"192.168.{number}.0/20") for number in range(0, 256, 16)),
)


def subnet(now: Iterable[str], routed: Iterable[str], networks: Iterable[str]) -> Network4:
    """That of the bridge, whose addresses are `now`, unless it meets a network; else the first
    candidate that meets neither a network nor what is routed elsewhere. EXHAUSTED if there is none.
    """
    wanted = _subnets(networks)
    for has in _subnets(now):
        if not any(has.overlaps(network) for network in wanted):
            return has
    used = [*wanted, *_subnets(routed)]
    for candidate in CANDIDATES:
        if not any(candidate.overlaps(network) for network in used):
            return candidate
    raise SwarmError(
        Code.EXHAUSTED,
        "no subnet is free for this node's gateway bridge",
        why="all of 172.18.0.0/16 to 172.31.0.0/16 and 192.168.0.0/16 is routed elsewhere",
        remedy="remove routes that this host does not need",
    )


def gateway(subnet: Network4) -> str:
    """The bridge's own address: the first of its subnet, with prefix length."""
    return f"{subnet[1]}/{subnet.prefixlen}"


def assign(
    subnet: Network4, sandboxes: Iterable[str], held: Mapping[str, str]
) -> Mapping[str, str]:
    """An address with prefix length for each sandbox; whoever holds one of the subnet keeps it.

    Others get one that follows from the sandbox's name, so that a freed one is rarely used again
    soon. EXHAUSTED if there are more sandboxes than addresses.
    """
    wanted = sorted(sandboxes)
    given: dict[str, str] = {}
    used = {int(subnet[1])}
    for sandbox in wanted:
        has = held.get(sandbox, "")
        kept = _kept(subnet, has)
        if kept and kept not in used:
            given[sandbox] = has
            used.add(kept)
    for sandbox in wanted:
        if sandbox not in given:
            chosen = _free(subnet, sandbox, used)
            given[sandbox] = f"{chosen}/{subnet.prefixlen}"
            used.add(int(chosen))
    return given


def _subnets(texts: Iterable[str]) -> list[Network4]:
    """Those of IPv4, without the default route, which meets everything."""
    found = [ipaddress.ip_network(text, strict=False) for text in texts if text]
    return [each for each in found if isinstance(each, Network4) and each.prefixlen > 0]


@functools.lru_cache(maxsize=4096)
def _kept(subnet: Network4, text: str) -> int:
    """The address, as a number, if it is one of the subnet; else 0. There may be hundreds, and
    the objects of `ipaddress` are slow to compare.
    """
    held = ipaddress.ip_interface(text) if text else None
    return int(held.ip) if held is not None and held.network == subnet else 0


def _free(subnet: Network4, sandbox: str, used: Container[int]) -> ipaddress.IPv4Address:
    room = subnet.num_addresses - 3  # not the network, the gateway, the broadcast
    start = zlib.crc32(sandbox.encode())
    for step in range(room):
        candidate = subnet[2 + (start + step) % room]
        if int(candidate) not in used:
            return candidate
    raise SwarmError(
        Code.EXHAUSTED,
        f"no address of {subnet} is free at this node's gateway bridge",
        remedy="run fewer tasks on this node",
    )
