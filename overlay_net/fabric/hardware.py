"""Hardware addresses of endpoints, and names of devices on the host. Pure.

An address that is given to another task keeps its hardware address, so no neighbour needs to be
told of it: only where frames are sent to moves.
"""

import functools
import hashlib
import ipaddress
from collections.abc import Iterable

_DOCKERS = b"\x02\x42"  # locally administered, as Docker's


@functools.lru_cache(maxsize=1024)
def packed(address: str) -> bytes:
    """An address, with or without prefix length, as 4 or 16 bytes; ValueError if it is none.

    There may be ten thousand, and `ipaddress` takes five times as long; a few are asked for often.
    """
    text = address.partition("/")[0]
    parts = text.split(".")
    if len(parts) == 4:  # noqa: PLR2004 - IPv4
        return bytes(map(int, parts))
    return ipaddress.ip_address(text).packed


def hardware_address(addresses: Iterable[str]) -> bytes:
    """Of an endpoint with these addresses, with or without prefix length: 6 bytes."""
    return of_packed(map(packed, addresses))


def of_packed(addresses: Iterable[bytes]) -> bytes:
    """The same of packed addresses.

    Made from its lowest IPv4 address, as Docker does; without one, from a hash of the lowest other.
    """
    first = min(addresses, key=_order, default=b"")
    if not first:
        raise ValueError("an endpoint without addresses has no hardware address")
    if len(first) == 4:  # noqa: PLR2004 - IPv4
        return _DOCKERS + first
    return _DOCKERS + hashlib.sha256(first).digest()[:4]


def _order(address: bytes) -> tuple[int, bytes]:
    return len(address), address


def shown(mac: bytes) -> str:
    """As people write it."""
    return mac.hex(":")


TUNNEL_PREFIX = "vx"
BRIDGE_PREFIX = "swb-"
PORT_PREFIX = "swp"
GATEWAY_BRIDGE = "swb-gateway"
_IDENTITY = 11


def tunnel_name(vni: int) -> str:
    """The VXLAN device of an overlay."""
    return f"{TUNNEL_PREFIX}{vni}"


def bridge_name(network_id: str) -> str:
    """The bridge of a network of driver bridge."""
    return f"{BRIDGE_PREFIX}{network_id[:_IDENTITY]}"


def port_name(sandbox: str, mac: bytes) -> str:
    """The host's end of a pair whose other end is in a sandbox."""
    return PORT_PREFIX + hashlib.sha256(sandbox.encode() + b"\0" + mac).hexdigest()[:_IDENTITY]
