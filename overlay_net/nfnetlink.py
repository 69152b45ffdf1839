"""Messages of nf_tables as bytes, for what changes often: chains that spread new connections, and
the elements that lead to them. Pure.

libnftables says the same in a language that people read, and takes many times as long: it reads
back the table for each change, and parses every address. What these messages make is what it makes
of `spread.rules`; a test compares the two.

Layouts: include/uapi/linux/netfilter/nf_tables.h.
"""

import ipaddress
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, repeat

from hostkit.netlink_message import (
    CREATE,
    NESTED,
    Answer,
    Message,
    attribute,
    attributes,
    nest,
    text,
)

NETFILTER = 12  # the protocol of the socket
_SUBSYSTEM = 10 << 8
_NEW_CHAIN, _DELETE_CHAIN, _NEW_RULE, _NEW_SET, _NEW_ELEMENTS, _GET_ELEMENTS, _DELETE_ELEMENTS = (
    _SUBSYSTEM | number for number in (3, 5, 6, 9, 12, 13, 14)
)
_APPEND = 0x800
_INET = 1
_HEADER = struct.Struct("!BBH")  # struct nfgenmsg, without version
_BEGIN, _END = 16, 17

_VALUE, _VERDICT = 1, 2  # NFTA_DATA_*
_KEY, _DATA = 1, 2  # NFTA_SET_ELEM_*
_GOTO = 0xFFFFFFFC
_REGISTER = 1
_ANONYMOUS = "__map%d"  # the kernel gives it a number
_ANONYMOUS_CONSTANT_MAP = 0xB
_INTEGER = 4  # libnftables' number of the type, by which it shows keys
_TYPES = {4: 7, 16: 8}  # by length: ipv4_addr, ipv6_addr
_FAMILIES = {4: 2, 16: 10}  # NFPROTO_*
# To whom lists the map: keys in this host's byte order, addresses in that of the network.
_BYTE_ORDERS = bytes.fromhex("000401000000010402000000060400000000")
_NFPROTO, _L4PROTO, _TCP = 15, 16, 6
_TCP_RESET, _ICMPX, _PORT_UNREACHABLE = 1, 2, 1
_AT_ONCE = 1000
"""Elements in one message: an attribute has 64 KiB at most."""


def batch(messages: Sequence[Message]) -> Sequence[Message]:
    """One transaction of them."""
    around = _HEADER.pack(0, 0, _SUBSYSTEM >> 8)
    return (Message(_BEGIN, 0, around), *messages, Message(_END, 0, around))


class Table:
    """A table of family inet, by its name."""

    def __init__(self, name: str) -> None:
        self._head = _HEADER.pack(_INET, 0, 0) + text(1, name)

    def spread(self, name: str, families: Iterable[Sequence[bytes]], first: int) -> list[Message]:
        """A new chain, which gives connections in turn to the addresses of each family.

        `first`: a number for the map of the first family, of its own within the transaction, as are
        those after it. A family without addresses is refused, as `spread.rules` says.
        """
        made = [self._message(_NEW_CHAIN, CREATE, text(3, name))]
        known = [addresses for addresses in families if addresses]
        for number, addresses in enumerate(known, first):
            made += self._map(addresses, number)
            made.append(self._rule(name, _in_turn(len(addresses[0]), len(addresses), number)))
        if len(known) < len(_FAMILIES):
            made += [self._rule(name, _RESET), self._rule(name, _REFUSE)]
        return made

    def delete_chain(self, chain: str) -> Message:
        """Whoever leads to it has to be gone."""
        return self._message(_DELETE_CHAIN, 0, text(3, chain))

    def lead(self, table: str, addresses: Iterable[str], chain: str) -> Message:
        """Elements of a map of verdicts, which send these addresses to a chain."""
        verdict = nest(_DATA, nest(_VERDICT, _number(1, _GOTO), text(2, chain)))
        return self._elements(_NEW_ELEMENTS, CREATE, table, (_key(a) + verdict for a in addresses))

    def delete(self, table: str, addresses: Iterable[str]) -> list[Message]:
        """Takes elements out of a map or set of addresses."""
        keys = [_key(address) for address in addresses]
        parts = (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))
        return [self._elements(_DELETE_ELEMENTS, 0, table, part) for part in parts]

    def ask_members(self, name: str) -> Message:
        """For a dump of a set."""
        return self._message(_GET_ELEMENTS, 0, text(2, name))

    def _message(self, kind: int, flags: int, body: bytes) -> Message:
        return Message(kind, flags, self._head + body)

    def _rule(self, chain: str, expressions: bytes) -> Message:
        return self._message(_NEW_RULE, CREATE | _APPEND, text(2, chain) + expressions)

    def _map(self, addresses: Sequence[bytes], number: int) -> Iterator[Message]:
        yield self._message(_NEW_SET, CREATE, _set(len(addresses[0]), len(addresses), number))
        head = text(2, _ANONYMOUS) + _number(4, number)
        for start in range(0, len(addresses), _AT_ONCE):
            there = addresses[start : start + _AT_ONCE]
            elements = nest(3, _slots(start, there))
            yield self._message(_NEW_ELEMENTS, CREATE, head + elements)

    def _elements(self, kind: int, flags: int, name: str, found: Iterable[bytes]) -> Message:
        return self._message(kind, flags, text(2, name) + nest(3, *(nest(1, e) for e in found)))


def members(answers: Iterable[Answer]) -> frozenset[str]:
    """The addresses in a dumped set."""
    found = set()
    for answer in answers:
        listed = attributes(answer.body, _HEADER.size).get(3, b"")
        while listed:  # attributes of one type, of which `attributes` keeps the last
            length = struct.unpack_from("=H", listed)[0]
            element = attributes(listed[4:length])
            found.add(str(ipaddress.ip_address(attributes(element[_KEY])[_VALUE])))
            listed = listed[length + 3 & ~3 :]
    return frozenset(found)


def _key(address: str) -> bytes:
    return nest(_KEY, attribute(_VALUE, ipaddress.ip_address(address).packed))


def _slots(start: int, addresses: Sequence[bytes]) -> bytes:
    """Elements of a map from numbers to addresses; there may be a thousand, so by few calls."""
    length = len(addresses[0])
    head = struct.pack("=HHHHHH", 24 + length, NESTED | 1, 12, NESTED | _KEY, 8, _VALUE)
    middle = struct.pack("=HHHH", 8 + length, NESTED | _DATA, 4 + length, _VALUE)
    keys = map(struct.Struct("=I").pack, range(start, start + len(addresses)))
    pieces = zip(repeat(head), keys, repeat(middle), addresses, strict=False)
    return b"".join(chain.from_iterable(pieces))


@lru_cache(maxsize=1024)
def _set(length: int, size: int, number: int) -> bytes:
    """A map of so many numbers to addresses of so many bytes."""
    return (
        text(2, _ANONYMOUS)
        + _number(3, _ANONYMOUS_CONSTANT_MAP)
        + _number(4, _INTEGER)
        + _number(5, 4)
        + _number(6, _TYPES[length])
        + _number(7, length)
        + _number(10, number)
        + nest(9, _number(1, size))
        + attribute(13, _BYTE_ORDERS)
    )


@lru_cache(maxsize=1024)
def _in_turn(length: int, size: int, number: int) -> bytes:
    """The rule that looks into that map."""
    family = _FAMILIES[length]
    return nest(
        4,
        _meta(_NFPROTO),
        _equals(family),
        _expression(
            "numgen",
            _number(1, _REGISTER) + _number(2, size) + _number(3, 0) + _number(4, 0),
        ),
        _expression(
            "lookup",
            _number(2, _REGISTER)
            + _number(3, _REGISTER)
            + text(1, _ANONYMOUS)
            + _number(4, number),
        ),
        _expression("nat", _number(1, 1) + _number(2, family) + _number(3, _REGISTER)),
    )


def _meta(key: int) -> bytes:
    return _expression("meta", _number(2, key) + _number(1, _REGISTER))


def _equals(value: int) -> bytes:
    data = nest(3, attribute(_VALUE, bytes((value,))))
    return _expression("cmp", _number(1, _REGISTER) + _number(2, 0) + data)


def _reject(kind: int, code: int) -> bytes:
    return _expression("reject", _number(1, kind) + attribute(2, bytes((code,))))


def _expression(name: str, body: bytes) -> bytes:
    return nest(1, text(1, name), nest(2, body))


def _number(kind: int, value: int) -> bytes:
    """Of 32 bits, in the network's byte order, as all of nf_tables."""
    return struct.pack("=HH", 8, kind) + value.to_bytes(4, "big")


_RESET = nest(4, _meta(_L4PROTO), _equals(_TCP), _reject(_TCP_RESET, 0))
_REFUSE = nest(4, _reject(_ICMPX, _PORT_UNREACHABLE))
