"""Ends connections in the kernel's connection table (ctnetlink), so that no flow stays pinned to
what is dead.

A TCP client whose entry is gone hears of it with its next packet, which goes to another backend or
is refused. No `conntrack` program is needed. Layouts:
include/uapi/linux/netfilter/nfnetlink_conntrack.h.
"""

import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hostkit import netns

_NETLINK_NETFILTER = 12
_GET, _DELETE = 0x101, 0x102  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_*
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE, _INTERRUPTED = 2, 3, 0x10
_NESTED, _TYPE = 0x8000, 0x3FFF
_TUPLE_ORIG, _TUPLE_REPLY, _MARK, _ID, _ZONE = 1, 2, 8, 12, 18
_FILTER, _FILTER_ORIG, _FILTER_REPLY = 25, 1, 2
_FILTER_IP_SRC = 1
_TUPLE_IP = 1
_SOURCE, _DESTINATION = {4: 1, 6: 3}, {4: 2, 6: 4}  # CTA_IP_*, by version

_HEADER, _FAMILY, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBH"), struct.Struct("=HH")
_TIMEOUT = 5.0
_BUFFER = 1 << 20
_BATCH = 256
_PASSES = 8  # of a dump that the kernel says was changed under it

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Entry:
    """A connection. `name`: the attributes by which the kernel knows it.

    `destination`: the address that its client asked for; `answering`: the one that answers in its
    place.
    """

    mark: int
    destination: Address
    answering: Address
    name: bytes

    @property
    def translated(self) -> bool:
        """Whether another address answers than was asked for."""
        return self.destination != self.answering


def cut_from(target: Path, addresses: Collection[str]) -> int:
    """Ends the connections in the namespace of file `target` that the addresses answer; how
    many.
    """
    wanted = [ipaddress.ip_address(address) for address in addresses]

    def inside() -> int:
        return sum(_cut(address, lambda _: True) for address in wanted)

    return netns.call_in(target, inside) if wanted else 0


def cut_where(target: Path, doomed: Callable[[Entry], bool]) -> int:
    """Ends the connections there that `doomed` names; how many. It reads the whole table."""
    return netns.call_in(target, lambda: sum(_cut(family, doomed) for family in _FAMILIES))


# What an unspecified address stands for: every connection of the family.
_FAMILIES: tuple[Address, ...] = (ipaddress.IPv4Address(0), ipaddress.IPv6Address(0))


def dump_request(answering: Address, sequence: int) -> bytes:
    """Asks for the connections whose answers come from an address; unspecified: from any."""
    family = _family(answering)
    body = _FAMILY.pack(family, 0, 0)
    if not answering.is_unspecified:
        source = _attribute(_SOURCE[answering.version], answering.packed)
        body += _attribute(_TUPLE_REPLY | _NESTED, _attribute(_TUPLE_IP | _NESTED, source))
        flags = _attribute(_FILTER_ORIG, struct.pack("=I", 0))
        flags += _attribute(_FILTER_REPLY, struct.pack("=I", _FILTER_IP_SRC))
        body += _attribute(_FILTER | _NESTED, flags)
    return _message(_GET, _REQUEST | _DUMP, sequence, body)


def delete_request(family: int, entry: Entry, sequence: int) -> bytes:
    """Ends one connection."""
    return _message(_DELETE, _REQUEST | _ACK, sequence, _FAMILY.pack(family, 0, 0) + entry.name)


def entry_of(body: bytes) -> Entry:
    """A connection of a dump, from its message without the netlink header. ValueError if it is
    none.
    """
    found = dict(_attributes(body[_FAMILY.size :]))
    named = ((kind, found[kind]) for kind in (_TUPLE_ORIG, _ZONE, _ID) if kind in found)
    return Entry(
        mark=int.from_bytes(found.get(_MARK, b"\0")),
        destination=_address(found.get(_TUPLE_ORIG, b""), _DESTINATION),
        answering=_address(found.get(_TUPLE_REPLY, b""), _SOURCE),
        name=b"".join(
            _attribute(kind | (_NESTED if kind == _TUPLE_ORIG else 0), value)
            for kind, value in named
        ),
    )


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each netlink message in a datagram."""
    while len(data) >= _HEADER.size:
        length, kind, flags, _, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            raise ValueError(f"a netlink message of {length} bytes in {len(data)}")
        yield kind, flags, data[_HEADER.size : length]
        data = data[_padded(length) :]


def _cut(answering: Address, doomed: Callable[[Entry], bool]) -> int:
    """In the namespace of the calling thread."""
    family = _family(answering)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as handle:
        handle.settimeout(_TIMEOUT)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        handle.bind((0, 0))
        ended = 0
        for _ in range(_PASSES):
            entries, complete = _dump(handle, answering)
            ended += _delete(handle, family, [each for each in entries if doomed(each)])
            if complete:
                break
        return ended


def _dump(handle: socket.socket, answering: Address) -> tuple[list[Entry], bool]:
    handle.send(dump_request(answering, 1))
    entries: list[Entry] = []
    complete = True
    while True:
        for kind, flags, body in messages(handle.recv(_BUFFER)):
            complete = complete and not flags & _INTERRUPTED
            if kind == _DONE:
                return entries, complete
            if kind == _ERROR:
                _raise(body)
            entries.append(entry_of(body))


def _delete(handle: socket.socket, family: int, entries: list[Entry]) -> int:
    ended = 0
    for at in range(0, len(entries), _BATCH):
        batch = entries[at : at + _BATCH]
        handle.send(b"".join(delete_request(family, each, i) for i, each in enumerate(batch)))
        answers = 0
        while answers < len(batch):
            for _, _, body in messages(handle.recv(_BUFFER)):
                answers += 1
                ended += struct.unpack_from("=i", body)[0] == 0  # else it has ended by itself
    return ended


def _raise(body: bytes) -> None:
    number = -struct.unpack_from("=i", body)[0]
    if number:
        raise OSError(number, f"reading the connection table: {os.strerror(number)}")


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_padded(length) - length)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE, data[_ATTRIBUTE.size : length]
        data = data[_padded(length) :]


def _address(tuple_: bytes, kinds: Mapping[int, int]) -> Address:
    found = dict(_attributes(dict(_attributes(tuple_)).get(_TUPLE_IP, b"")))
    for kind in kinds.values():
        if kind in found:
            return ipaddress.ip_address(found[kind])
    raise ValueError("a connection without addresses")


def _family(address: Address) -> int:
    return socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6


def _padded(length: int) -> int:
    return (length + 3) & ~3
