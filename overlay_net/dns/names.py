"""Domain names as DNS sends them: length and label, in turn. Pure.

A `Name` here is lower case, and without the empty label that ends it on the wire. Two things make
that form handy: lower() never touches a length (at most 63, below the letters), and a piece of a
foreign name that is not cut at a label is no name of ours, for ours are well-formed.
"""

import ipaddress

Name = bytes

MAX_LABEL = 63
MAX_NAME = 254
"""Bytes of a name without its end (RFC 1035, 2.3.4, has 255 with it)."""

ROOT = b""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_V4 = b"\x07in-addr\x04arpa"
_V6 = b"\x03ip6\x04arpa"
_BYTES = 4
_NIBBLES = 32
_DECIMALS = [bytes((len(str(byte)),)) + str(byte).encode() for byte in range(256)]
_HEX = b"0123456789abcdef"


def encode(text: str) -> Name | None:
    """`web.1.abc` as a Name; None for what no question can ask: empty or overlong labels."""
    labels = text.lower().removesuffix(".").encode("utf-8", "replace").split(b".")
    if not all(0 < len(label) <= MAX_LABEL for label in labels):
        return None
    name = b"".join(bytes((len(label),)) + label for label in labels)
    return name if len(name) <= MAX_NAME else None


def labels_of(name: Name) -> list[bytes]:
    """The labels of a well-formed name, the first one first."""
    found, at = [], 0
    while at < len(name):
        end = at + 1 + name[at]
        found.append(name[at + 1 : end])
        at = end
    return found


def join(first: Name, last: Name) -> Name | None:
    """`first.last`, or None if that is too long."""
    name = first + last
    return name if len(name) <= MAX_NAME else None


def first_label_end(name: Name) -> int:
    """Where the parent's name begins."""
    return 1 + name[0] if name else 0


def reverse(packed: bytes) -> Name:
    """The name whose PTR record names an address of 4 or 16 bytes (RFC 1035, 3.5; RFC 3596)."""
    if len(packed) == _BYTES:
        return b"".join(map(_DECIMALS.__getitem__, reversed(packed))) + _V4
    nibbles = packed.hex().encode()[::-1]
    return b"".join(b"\1%c" % nibble for nibble in nibbles) + _V6


def address_of(name: Name) -> Address | None:
    """The address that a reverse name asks for; None for other names, and for parts of one."""
    labels = labels_of(name)
    try:
        if name.endswith(_V4) and len(labels) == _BYTES + 2:
            return ipaddress.IPv4Address(b".".join(labels[_BYTES - 1 :: -1]).decode("ascii"))
        nibbles = b"".join(labels[_NIBBLES - 1 :: -1])
        if (
            name.endswith(_V6)
            and len(labels) == _NIBBLES + 2
            and len(nibbles) == _NIBBLES
            and not nibbles.strip(_HEX)
        ):
            return ipaddress.IPv6Address(int(nibbles, 16))
    except ValueError:  # also of a decoding
        pass
    return None
