"""Expressions of nf_tables as bytes: what rules are made of. Pure.

Each is one step of a rule. A step reads or writes the first register, and the rule ends where a
comparison fails. Layouts: include/uapi/linux/netfilter/nf_tables.h.
"""

import struct

from hostkit.netlink_message import attribute, nest, text

VALUE = 1  # NFTA_DATA_VALUE
FAMILIES = {4: 2, 16: 10}  # NFPROTO_*, by the length of an address
NFPROTO, L4PROTO = 15, 16  # NFT_META_*
UDP, TCP = 17, 6
STATE, STATUS = 0, 2  # NFT_CT_*
TCP_RESET, ICMPX = 1, 2  # NFT_REJECT_*
_REGISTER = 1
_EQUAL, _UNEQUAL = 0, 1  # NFT_CMP_*
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_DESTINATIONS = {4: 16, 16: 24}  # where it stands in the header, by the length of an address
_DESTINATION_NAT = 1


def number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits, in the network's byte order, as all of nf_tables."""
    return struct.pack("=HH", 8, kind) + value.to_bytes(4, "big")


def rule(*expressions: bytes) -> bytes:
    """All steps of a rule."""
    return nest(4, *expressions)


def meta(key: int) -> bytes:
    """What is known of the packet beside its bytes."""
    return _expression("meta", number(2, key) + number(1, _REGISTER))


def equals(value: int) -> bytes:
    """Goes on if what was read, of eight bits, is this."""
    return _compare(_EQUAL, bytes((value,)))


def of_family(length: int) -> bytes:
    """Goes on if the packet's addresses have so many bytes."""
    return meta(NFPROTO) + equals(FAMILIES[length])


def connection(key: int, bit: int) -> bytes:
    """Goes on if the connection has this bit in its state or status."""
    zero, mask = bytes(4), struct.pack("=I", bit)
    read = _expression("ct", number(2, key) + number(1, _REGISTER))
    masked = number(1, _REGISTER) + number(2, _REGISTER) + number(3, len(mask))
    masked += nest(4, attribute(VALUE, mask)) + nest(5, attribute(VALUE, zero))
    return read + _expression("bitwise", masked) + _compare(_UNEQUAL, zero)


def destination(length: int) -> bytes:
    """Reads the packet's destination, an address of so many bytes."""
    where = number(2, _NETWORK_HEADER) + number(3, _DESTINATIONS[length]) + number(4, length)
    return _expression("payload", number(1, _REGISTER) + where)


def goes_to(protocol: int, address: bytes, port: int) -> bytes:
    """Goes on if the packet is for this address, by this protocol, and for this port."""
    transport = number(2, _TRANSPORT_HEADER) + number(3, 2) + number(4, 2)
    return b"".join(
        (
            destination(len(address)),
            _compare(_EQUAL, address),
            meta(L4PROTO),
            equals(protocol),
            _expression("payload", number(1, _REGISTER) + transport),
            _compare(_EQUAL, port.to_bytes(2, "big")),
        )
    )


def go_by(verdicts: str) -> bytes:
    """Goes where a map says, by what was read."""
    return _expression("lookup", number(2, _REGISTER) + number(3, 0) + text(1, verdicts))


def remember(seen: str) -> bytes:
    """Puts what was read into a set."""
    return _expression("dynset", number(4, _REGISTER) + number(3, 0) + text(1, seen))


def turn(size: int) -> bytes:
    """One number after the other, below this."""
    return _expression("numgen", number(1, _REGISTER) + number(2, size) + number(3, 0))


def replace(anonymous: str, made: int) -> bytes:
    """Puts what a map without a name has in place of what was read; `made`: its number."""
    registers = number(2, _REGISTER) + number(3, _REGISTER)
    return _expression("lookup", registers + text(1, anonymous) + number(4, made))


def lead_to(length: int) -> bytes:
    """Changes the destination to the address, of so many bytes, that was read."""
    family = number(2, FAMILIES[length])
    return _expression("nat", number(1, _DESTINATION_NAT) + family + number(3, _REGISTER))


def lead_to_port(address: bytes, port: int) -> bytes:
    """Changes the destination to this."""
    values = (_REGISTER, address), (_REGISTER + 1, port.to_bytes(2, "big"))
    given = (number(1, into) + nest(2, attribute(VALUE, value)) for into, value in values)
    made = b"".join(_expression("immediate", each) for each in given)
    registers = number(3, _REGISTER) + number(5, _REGISTER + 1)
    family = number(2, FAMILIES[len(address)])
    return made + _expression("nat", number(1, _DESTINATION_NAT) + family + registers)


def reject(kind: int, code: int) -> bytes:
    """Refuses the packet, and says so."""
    return _expression("reject", number(1, kind) + attribute(2, bytes((code,))))


def _compare(how: int, value: bytes) -> bytes:
    said = number(1, _REGISTER) + number(2, how) + nest(3, attribute(VALUE, value))
    return _expression("cmp", said)


def _expression(name: str, body: bytes) -> bytes:
    return nest(1, text(1, name), nest(2, body))
