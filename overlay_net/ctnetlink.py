"""Messages of the kernel's connection table and of its sockets, as bytes. Pure.

Layouts: include/uapi/linux/netfilter/nfnetlink_conntrack.h, include/uapi/linux/inet_diag.h.
"""

import ipaddress
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

TCP = 6
ERROR, DONE, INTERRUPTED = 2, 3, 0x10

_GET, _DELETE = 0x101, 0x102  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_*
_SOCK_DESTROY = 21
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_NESTED, _TYPE = 0x8000, 0x3FFF
_TUPLE_ORIG, _TUPLE_REPLY, _MARK, _ID, _ZONE = 1, 2, 8, 12, 18
_FILTER, _FILTER_ORIG, _FILTER_REPLY, _FILTER_IP_SRC = 25, 1, 2, 1
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_SOURCE, _DESTINATION = {4: 1, 6: 3}, {4: 2, 6: 4}  # CTA_IP_*, by version
_PROTOCOL, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_FAMILIES = {4: 2, 6: 10}  # AF_INET, AF_INET6

_HEADER, _FAMILY, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBH"), struct.Struct("=HH")
_SOCKET = struct.Struct("=BBBxI2s2s16s16sI8s")  # struct inet_diag_req_v2
_ANY_STATE, _NO_COOKIE = 0xFFFFFFFF, b"\xff" * 8

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Ends:
    """From where to where a direction's packets go."""

    source: Address
    source_port: int
    destination: Address
    destination_port: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A connection: who asked whom, who answers; `name`: by what the kernel knows it."""

    protocol: int
    asked: Ends
    answered: Ends
    mark: int
    name: bytes

    @property
    def translated(self) -> bool:
        """Whether another address answers than was asked for."""
        return self.asked.destination != self.answered.source


def dump_request(answering: Address, sequence: int) -> bytes:
    """Asks for the connections whose answers come from an address; unspecified: from any.

    What the kernel answers is a hint: see conntrack for where it is wrong.
    """
    body = _FAMILY.pack(_FAMILIES[answering.version], 0, 0)
    if not answering.is_unspecified:
        source = _attribute(_SOURCE[answering.version], answering.packed)
        body += _attribute(_TUPLE_REPLY | _NESTED, _attribute(_TUPLE_IP | _NESTED, source))
        flags = _attribute(_FILTER_ORIG, struct.pack("=I", 0))
        flags += _attribute(_FILTER_REPLY, struct.pack("=I", _FILTER_IP_SRC))
        body += _attribute(_FILTER | _NESTED, flags)
    return _message(_GET, _REQUEST | _DUMP, sequence, body)


def delete_request(entry: Entry, sequence: int) -> bytes:
    """Ends one connection in the table; its ends hear nothing of it."""
    body = _FAMILY.pack(_FAMILIES[entry.asked.source.version], 0, 0) + entry.name
    return _message(_DELETE, _REQUEST | _ACK, sequence, body)


def abort_request(local: Ends, sequence: int) -> bytes:
    """Aborts the TCP socket that sends from `source` to `destination`: ECONNABORTED to its
    owner.
    """
    body = _SOCKET.pack(
        _FAMILIES[local.source.version],
        TCP,
        0,
        _ANY_STATE,
        local.source_port.to_bytes(2),
        local.destination_port.to_bytes(2),
        local.source.packed,
        local.destination.packed,
        0,
        _NO_COOKIE,
    )
    return _message(_SOCK_DESTROY, _REQUEST | _ACK, sequence, body)


def entry_of(body: bytes) -> Entry:
    """A connection of a dump, without the netlink header. ValueError if it is none."""
    found = dict(_attributes(body[_FAMILY.size :]))
    named = ((kind, found[kind]) for kind in (_TUPLE_ORIG, _ZONE, _ID) if kind in found)
    asked, answered = found.get(_TUPLE_ORIG, b""), found.get(_TUPLE_REPLY, b"")
    return Entry(
        protocol=_number(_protocol(asked), _PROTOCOL),
        asked=_ends(asked),
        answered=_ends(answered),
        mark=_number(found, _MARK),
        name=b"".join(
            _attribute(kind | (_NESTED if kind == _TUPLE_ORIG else 0), value)
            for kind, value in named
        ),
    )


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each netlink message in a datagram. ValueError if it is cut off."""
    while len(data) >= _HEADER.size:
        length, kind, flags, _, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            raise ValueError(f"a netlink message of {length} bytes in {len(data)}")
        yield kind, flags, data[_HEADER.size : length]
        data = data[_padded(length) :]


def error_number(body: bytes) -> int:
    """What an ERROR message says: 0 is an acknowledgement, else a number of errno."""
    number: int = struct.unpack_from("=i", body)[0]
    return -number


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


def _ends(flow: bytes) -> Ends:
    addresses = dict(_attributes(dict(_attributes(flow)).get(_TUPLE_IP, b"")))
    protocol = _protocol(flow)
    return Ends(
        _address(addresses, _SOURCE),
        _number(protocol, _SOURCE_PORT),
        _address(addresses, _DESTINATION),
        _number(protocol, _DESTINATION_PORT),
    )


def _protocol(flow: bytes) -> Mapping[int, bytes]:
    return dict(_attributes(dict(_attributes(flow)).get(_TUPLE_PROTO, b"")))


def _number(found: Mapping[int, bytes], kind: int) -> int:
    return int.from_bytes(found.get(kind, b"\0"))


def _address(found: Mapping[int, bytes], kinds: Mapping[int, int]) -> Address:
    for kind in kinds.values():
        if kind in found:
            return ipaddress.ip_address(found[kind])
    raise ValueError("a connection without addresses")


def _padded(length: int) -> int:
    return (length + 3) & ~3
