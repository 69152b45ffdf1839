"""The hardware address that belongs to an address in a network. Pure."""

import ipaddress
from hashlib import blake2b

_PREFIX = b"\x02\x42"  # locally administered, as Docker's


def of(address: str) -> str:
    """From IPv4 its four bytes, from IPv6 four bytes of a hash; `address` may have a prefix length.

    An address that is given to another task keeps its hardware address, so no neighbour's memory
    goes stale.
    """
    packed = ipaddress.ip_interface(address).ip.packed
    tail = packed if len(packed) == 4 else blake2b(packed, digest_size=4).digest()  # noqa: PLR2004
    return ":".join(f"{byte:02x}" for byte in _PREFIX + tail)
