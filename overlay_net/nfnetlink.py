"""Messages of nf_tables as bytes, for what changes often: chains that spread new connections, and
the elements that lead to them. Pure.

libnftables says the same in a language that people read, and takes many times as long: it reads
back the table for each change, and parses every address. What these messages make is what it makes
of `spread.rules`; a test compares the two.

Layouts: include/uapi/linux/netfilter/nf_tables.h.
"""

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain

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
from overlay_net import nf_expressions as nf
from overlay_net.nf_expressions import number

NETFILTER = 12  # the protocol of the socket
_SUBSYSTEM = 10 << 8
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _DELETE_CHAIN, _NEW_RULE, _NEW_SET = (
    _SUBSYSTEM | kind for kind in (0, 2, 3, 5, 6, 9)
)
_NEW_ELEMENTS, _GET_ELEMENTS, _DELETE_ELEMENTS = (_SUBSYSTEM | kind for kind in (12, 13, 14))
_APPEND = 0x800
INET, IPV4 = 1, 2  # NFPROTO_*: families of tables
OUTPUT, POSTROUTING = 3, 4  # NF_INET_*
DESTINATIONS = -100  # NF_IP_PRI_NAT_DST
_HEADER = struct.Struct("!BBH")  # struct nfgenmsg, without version
_BEGIN, _END = 16, 17

ASK_GENERATION = Message(_SUBSYSTEM | 16, 0, _HEADER.pack(0, 0, 0))
"""For the number of transactions that a namespace has seen, by whomever: to compare two of them is
to know whether anybody touched the rules, where to read them would be a dump.
"""
_VERDICT = 2  # NFTA_DATA_VERDICT
_KEY, _DATA = 1, 2  # NFTA_SET_ELEM_*
_GOTO = 0xFFFFFFFC
_ACCEPT = 1
_ANONYMOUS = "__map%d"  # the kernel gives it a number
_ANONYMOUS_CONSTANT_MAP, _MAP, _FILLED_BY_RULES = 0xB, 0x8, 0x20
_VERDICTS = 0xFFFFFF00
_INTEGER = 4  # libnftables' number of the type, by which it shows keys
_TYPES = {4: 7, 16: 8}  # by length: ipv4_addr, ipv6_addr
# To whom lists a set or map: in whose byte order its keys and its values are.
_HOST, _NETWORK = 1, 2
_PORT_UNREACHABLE = 1
_LISTED = NESTED | 3  # NFTA_SET_ELEM_LIST_ELEMENTS
_AT_ONCE = 500
"""Elements in one message: an attribute has 64 KiB at most."""


def batch(messages: Sequence[Message]) -> Sequence[Message]:
    """One transaction of them."""
    around = _HEADER.pack(0, 0, _SUBSYSTEM >> 8)
    return (Message(_BEGIN, 0, around), *messages, Message(_END, 0, around))


class Table:
    """A table, by its name."""

    def __init__(self, name: str, family: int = INET) -> None:
        self._head = _HEADER.pack(family, 0, 0) + text(1, name)

    def begin(self) -> Message:
        """The table itself."""
        return Message(_NEW_TABLE, CREATE, self._head + number(2, 0))

    def end(self) -> Message:
        """Takes the table away, with all that is in it."""
        return Message(_DELETE_TABLE, 0, self._head)

    def chain(self, name: str) -> Message:
        """A chain that others lead to."""
        return self._message(_NEW_CHAIN, CREATE, text(3, name))

    def hooked(self, name: str, kind: str, hook: int, priority: int) -> Message:
        """A chain that the kernel enters by itself, and which accepts what no rule refuses."""
        at = nest(4, number(1, hook), number(2, priority & 0xFFFFFFFF))
        body = text(3, name) + text(7, kind) + number(5, _ACCEPT) + at
        return self._message(_NEW_CHAIN, CREATE, body)

    def verdicts(self, name: str, length: int, made: int) -> Message:
        """A map that says where to go by an address of so many bytes; `made`: as of `spread`."""
        values = number(6, _VERDICTS) + number(7, 0)
        return self._set(name, _MAP, length, made, values + _orders(_NETWORK, 0))

    def seen(self, name: str, length: int, made: int, most: int) -> Message:
        """A set of at most so many addresses, which rules put in."""
        size = nest(9, number(1, most))
        return self._set(name, _FILLED_BY_RULES, length, made, size + _orders(_NETWORK))

    def rule(self, chain: str, *expressions: bytes) -> Message:
        """The next rule of a chain."""
        return self._rule(_label(chain), nf.rule(*expressions))

    def spread(self, name: str, families: Sequence[Sequence[bytes]], first: int) -> list[Message]:
        """A new chain, which gives connections in turn to the addresses of each family.

        `first`: a number for the map of the first family, of its own within the transaction, as are
        those after it. Who comes by a family without addresses is refused, as `spread.rules` says.
        """
        label = _label(name)
        made = [self.chain(name)]
        for count, addresses in enumerate(families, first):
            if addresses:
                shape = len(addresses[0]), len(addresses), count
                made.append(Message(_NEW_SET, CREATE, self._head + _numbered(*shape)))
                made += self._map(addresses, count)
                made.append(self._rule(label, _in_turn(*shape)))
        if not all(families):
            made += [self._rule(label, _RESET), self._rule(label, _REFUSE)]
        return made

    def delete_chain(self, chain: str) -> Message:
        """Whoever leads to it has to be gone."""
        return self._message(_DELETE_CHAIN, 0, text(3, chain))

    def lead(self, table: str, led: Iterable[tuple[str, str]]) -> list[Message]:
        """Elements of a map of verdicts: addresses, and the chains that they are sent to."""
        found = [_key(address) + _goto(chain) for address, chain in led]
        return self._elements(_NEW_ELEMENTS, CREATE, table, found)

    def delete(self, table: str, addresses: Iterable[str]) -> list[Message]:
        """Takes elements out of a map or set of addresses."""
        return self._elements(_DELETE_ELEMENTS, 0, table, list(map(_key, addresses)))

    def ask_members(self, name: str) -> Message:
        """For a dump of a set."""
        return self._message(_GET_ELEMENTS, 0, text(2, name))

    def _message(self, kind: int, flags: int, body: bytes) -> Message:
        return Message(kind, flags, self._head + body)

    def _rule(self, label: bytes, steps: bytes) -> Message:
        return Message(_NEW_RULE, CREATE | _APPEND, self._head + label + steps)

    def _set(self, name: str, flags: int, length: int, made: int, more: bytes) -> Message:
        keys = number(3, flags) + number(4, _TYPES[length]) + number(5, length)
        return self._message(_NEW_SET, CREATE, text(2, name) + keys + number(10, made) + more)

    def _map(self, addresses: Sequence[bytes], made: int) -> list[Message]:
        head = self._head + _anonymous(made)
        starts = range(0, len(addresses), _AT_ONCE)
        slots = (_slots(start, addresses[start : start + _AT_ONCE]) for start in starts)
        return [Message(_NEW_ELEMENTS, CREATE, head + attribute(_LISTED, s)) for s in slots]

    def _elements(self, kind: int, flags: int, name: str, found: Sequence[bytes]) -> list[Message]:
        parts = (found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE))
        label = text(2, name)
        return [self._message(kind, flags, label + nest(_LISTED, *map(_listed, p))) for p in parts]


def generation(answer: Answer) -> int:
    """What is said to `ASK_GENERATION`."""
    return int.from_bytes(attributes(answer.body, _HEADER.size).get(1, b""), "big")


def members(answers: Iterable[Answer]) -> frozenset[str]:
    """The addresses in a dumped set."""
    found = set()
    for answer in answers:
        listed = attributes(answer.body, _HEADER.size).get(3, b"")
        while listed:  # attributes of one type, of which `attributes` keeps the last
            length = struct.unpack_from("=H", listed)[0]
            element = attributes(listed[4:length])
            found.add(str(ipaddress.ip_address(attributes(element[_KEY])[nf.VALUE])))
            listed = listed[length + 3 & ~3 :]
    return frozenset(found)


def _listed(element: bytes) -> bytes:
    return nest(1, element)


@lru_cache(maxsize=1024)
def _key(address: str) -> bytes:
    return nest(_KEY, attribute(nf.VALUE, ipaddress.ip_address(address).packed))


def _goto(chain: str) -> bytes:
    return nest(_DATA, nest(_VERDICT, _GO, _label(chain)))


@lru_cache(maxsize=1024)
def _label(chain: str) -> bytes:
    """A chain's name, as rules and verdicts have it."""
    return text(2, chain)


def _slots(start: int, addresses: Sequence[bytes]) -> bytes:
    """Elements of a map from numbers to addresses; there may be a thousand, so by few calls."""
    heads = _heads(len(addresses[0]), start, len(addresses))
    return b"".join(chain.from_iterable(zip(heads, addresses, strict=True)))


@lru_cache(maxsize=64)
def _heads(length: int, start: int, count: int) -> tuple[bytes, ...]:
    """Of each of so many elements, all that goes before its address of so many bytes."""
    key = struct.pack("=HHHHHH", 24 + length, NESTED | 1, 12, NESTED | _KEY, 8, nf.VALUE)
    data = struct.pack("=HHHH", 8 + length, NESTED | _DATA, 4 + length, nf.VALUE)
    return tuple(key + struct.pack("=I", slot) + data for slot in range(start, start + count))


@lru_cache(maxsize=1024)
def _anonymous(made: int) -> bytes:
    """Elements of the map of this number, as they begin."""
    return text(2, _ANONYMOUS) + number(4, made)


@lru_cache(maxsize=1024)
def _numbered(length: int, size: int, made: int) -> bytes:
    """A map of so many numbers to addresses of so many bytes."""
    return (
        text(2, _ANONYMOUS)
        + number(3, _ANONYMOUS_CONSTANT_MAP)
        + number(4, _INTEGER)
        + number(5, 4)
        + number(6, _TYPES[length])
        + number(7, length)
        + number(10, made)
        + nest(9, number(1, size))
        + _orders(_HOST, _NETWORK)
    )


@lru_cache(maxsize=1024)
def _in_turn(length: int, size: int, made: int) -> bytes:
    """The rule that looks into that map."""
    chosen = nf.turn(size) + nf.replace(_ANONYMOUS, made)
    return nf.rule(nf.of_family(length), chosen, nf.lead_to(length))


def _orders(keys: int, values: int | None = None) -> bytes:
    """For libnftables: the byte orders of a set's keys, and of a map's values."""
    said = struct.pack("=BBI", 0, 4, keys)
    if values is not None:
        said += struct.pack("=BBI", 1, 4, values) + struct.pack("=BBI", 6, 4, 0)
    return attribute(13, said)


_GO = number(1, _GOTO)
_RESET = nf.rule(nf.meta(nf.L4PROTO), nf.equals(nf.TCP), nf.reject(nf.TCP_RESET, 0))
_REFUSE = nf.rule(nf.reject(nf.ICMPX, _PORT_UNREACHABLE))
