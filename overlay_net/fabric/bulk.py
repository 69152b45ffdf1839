"""Forwarding and neighbour entries of a tunnel as netlink messages, packed by hand. Pure.

There may be ten thousand at once, so this is made for speed: a library that packs any message takes
seventy times as long. Unicast entries are always made with REPLACE: an appended one would leave the
old destination of an endpoint that moved.
"""

import struct
from collections.abc import Iterator, Mapping

from hostkit.netlink_message import CREATE, REPLACE, Answer, Message, attributes
from overlay_net.fabric.picture import FORWARDING_KEY

RTM_NEWNEIGH = 28
RTM_DELNEIGH = 29
RTM_GETNEIGH = 30

_BRIDGE = 7  # AF_BRIDGE
_FAMILIES = {4: 2, 16: 10}  # length of an address: AF_INET, AF_INET6
_PERMANENT = 0x80  # NUD_PERMANENT
_SELF = 2  # NTF_SELF
_DESTINATION = 1  # NDA_DST
_HARDWARE = 2  # NDA_LLADDR

_BODY = struct.Struct("=BxxxiHBB")  # struct ndmsg
_HARDWARE_LENGTH = 6
_WHOLE = {
    length: struct.Struct(f"=BxxxiHBB HH{length}s HH{_HARDWARE_LENGTH}sxx") for length in (4, 16)
}
"""The same with its two attributes, by the length of the address."""


def put(index: int, entries: Mapping[bytes, bytes]) -> Iterator[Message]:
    """Messages that make or move entries of the device of this index; see `picture.Entries`."""
    for key, value in entries.items():
        yield Message(RTM_NEWNEIGH, CREATE | REPLACE, _body(index, key, value))


def drop(index: int, entries: Mapping[bytes, bytes]) -> Iterator[Message]:
    """Messages that delete them."""
    for key, value in entries.items():
        yield Message(RTM_DELNEIGH, 0, _body(index, key, value))


def ask_forwarding() -> Message:
    """For a dump of all forwarding entries of a namespace."""
    return Message(RTM_GETNEIGH, 0, _BODY.pack(_BRIDGE, 0, 0, 0, 0))


def ask_neighbours() -> Message:
    """For a dump of all neighbour entries of a namespace."""
    return Message(RTM_GETNEIGH, 0, _BODY.pack(0, 0, 0, 0, 0))


def read(answer: Answer) -> tuple[int, bytes, bytes] | None:
    """Index of the device, key and value of an entry; None for one that nobody ever put here."""
    if answer.type != RTM_NEWNEIGH:
        return None
    family, index, state, _, _ = _BODY.unpack_from(answer.body)
    found = attributes(answer.body, _BODY.size)
    destination, hardware = found.get(_DESTINATION, b""), found.get(_HARDWARE, b"")
    if not state & _PERMANENT or not destination or len(hardware) != _HARDWARE_LENGTH:
        return None
    return (index, hardware, destination) if family == _BRIDGE else (index, destination, hardware)


def _body(index: int, key: bytes, value: bytes) -> bytes:
    if len(key) == FORWARDING_KEY:
        family, flags, hardware, destination = _BRIDGE, _SELF, key, value
    else:
        family, flags, hardware, destination = _FAMILIES[len(key)], 0, value, key
    length = len(destination)
    return _WHOLE[length].pack(
        family,
        index,
        _PERMANENT,
        flags,
        0,
        4 + length,
        _DESTINATION,
        destination,
        4 + _HARDWARE_LENGTH,
        _HARDWARE,
        hardware,
    )
